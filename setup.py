"""Builds the extension modules: Cython for all of them, and behind `device` the native part.

setuptools decides by times and per extension what to compile, and knows nothing of headers. Here every file is a step
of its own that remembers exactly what it read (objc/incremental.py), so nothing stale is linked and nothing current is
made again. Objects are kept in build/temp.*, for editable installs too.

CC, OBJC and CXX name the compilers; CFLAGS, OBJCFLAGS, CXXFLAGS and LDFLAGS add to their options.
MPSRNN_SANITIZE=address, thread or undefined builds with that sanitizer.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import OptionError

sys.path.insert(0, str(Path(__file__).parent / "objc"))
import toolchain
from incremental import Builder, Step, write_if_changed
from kernel_sources import write_kernel_sources, write_twin_sources
from toolchain import Compiler

PACKAGE = Path("mpsrnn_cy")
PUBLIC_HEADER = Path("objc/mpsrnn.h")
# The one module that links native code; a second copy would have its own counters, caches and Objective-C classes.
NATIVE_MODULE = "mpsrnn_cy.device"

MAC = sys.platform == "darwin"
PORTABLE_INCLUDES = ("metal/cpu", "objc/portable/include", "objc/portable", "objc", "metal", "metal/host/cpu")
INCLUDES = ("objc", "metal") if MAC else PORTABLE_INCLUDES
COMMON_FLAGS = ("-fPIC", "-fvisibility=hidden", "-pthread")
WARNINGS = ("-Wall", "-Wextra")
# What x86-64-v3 adds, by name: compilers spell the level itself differently, and old ones do not know it.
X86_64_V3 = ("-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2", "-mlzcnt", "-mmovbe")
AVX_512 = ("-mavx512f", "-mavx512dq", "-mavx512cd", "-mavx512bw", "-mavx512vl")
X86_64_V4 = (*X86_64_V3, *AVX_512, "-mprefer-vector-width=512")
# The instruction sets that have tuned twins, by machine and by the name in MPSRNN_ISA.
TWIN_FLAGS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {"x86-64-v3": X86_64_V3, "x86-64-v4": X86_64_V4},
    "aarch64": {"baseline": ()},
}
KERNEL_FLAGS = {"baseline": ("-O3",), "x86_64_v3": ("-O3", *X86_64_V3), "checked": ("-O2",)}

SANITIZER = os.environ.get("MPSRNN_SANITIZE", "")
if SANITIZER not in ("", "address", "thread", "undefined"):
    raise OptionError(f"MPSRNN_SANITIZE must be address, thread or undefined, not {SANITIZER!r}")


class BuildExtensions(build_ext):
    """`build_ext` with steps of our own in place of setuptools' compiling and linking."""

    def initialize_options(self) -> None:
        super().initialize_options()
        # An editable install would put objects into a folder that it deletes.
        name = f"temp.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
        self.build_temp = os.path.join("build", f"{name}-{SANITIZER}" if SANITIZER else name)

    def finalize_options(self) -> None:
        super().finalize_options()
        # Else setuptools would keep a module of the tree that is newer than the one to copy there, though it be stale.
        self.force = True

    def build_extensions(self) -> None:
        builder = Builder(jobs=int(self.parallel or 2))
        c_compiler = Compiler(tuple(self.compiler.compiler_so))
        cython = [self.cython_step(extension) for extension in self.extensions]
        native = self.native_steps(c_compiler)
        builder.run(cython + native)
        # Only these see Python's headers; the native part knows nothing of Python.
        python = tuple(f"-I{folder}" for folder in (*self.compiler.include_dirs, numpy.get_include()))
        modules = [self.compile_step(Path(step.output), c_compiler, python) for step in cython]
        builder.run(modules)
        links = []
        for extension, module in zip(self.extensions, modules, strict=True):
            steps = [module, *native] if extension.name == NATIVE_MODULE else [module]
            links.append(self.link_step(extension.name, c_compiler, [step.output for step in steps]))
        builder.run(links)
        for extension, link in zip(self.extensions, links, strict=True):
            target = self.get_ext_fullpath(extension.name)
            self.mkpath(os.path.dirname(target))
            shutil.copyfile(link.output, target)

    def cython_step(self, extension: Extension) -> Step:
        """Translate a `.pyx` to C; `-M` lists every `.pxd` it read."""
        (source,) = map(str, extension.sources)
        output = str(Path(self.build_temp, source).with_suffix(".c"))
        options = ("-3", "-M", "-I", ".", "--module-name", extension.name)
        return Step(
            name=f"cython {source}",
            command=(sys.executable, "-m", "cython", *options, "-o", output, source),
            version=version("cython"),
            inputs=(source,),
            output=output,
            depfile=output + ".dep",
        )

    def native_steps(self, c_compiler: Compiler) -> list[Step]:
        """Compile what `device` links besides its own C: shim, kernels and, off the Mac, the Metal under them."""
        c_flags = ("-std=gnu11", *WARNINGS)
        sources = [*Path("objc").glob("*.[mc]")]
        variants: list[str] = []
        if MAC:
            languages = {".c": (c_compiler, c_flags), ".m": (c_compiler, (*c_flags, "-fno-objc-arc"))}
        else:
            sources += Path("objc/portable").rglob("*.[mc]")
            variants = [v for v in KERNEL_FLAGS if v != "x86_64_v3" or self.plat_name.endswith("x86_64")]
            objective_c = toolchain.require(toolchain.find_objective_c(self.plat_name), "Objective-C", "OBJC")
            cxx = toolchain.require(toolchain.find_cxx(self.plat_name), "C++", "CXX")
            languages = {
                ".c": (c_compiler, c_flags),
                ".m": (objective_c, (*toolchain.OBJECTIVE_C_FLAGS, *WARNINGS, "-O2")),
                ".cpp": (cxx, (*toolchain.CXX_FLAGS, "-Wall")),
            }
        own_flags: dict[Path, tuple[str, ...]] = dict.fromkeys(sorted(sources), ())
        folder = Path(self.build_temp, "kernels")
        for source, variant in write_kernel_sources(Path("metal"), folder, variants).items():
            own_flags[source] = KERNEL_FLAGS[variant] if variant else ()
        if not MAC:
            twins = TWIN_FLAGS.get(self.plat_name.rpartition("-")[2], {})
            for source, isa in write_twin_sources(folder, list(twins)).items():
                own_flags[source] = ("-O3", *twins[isa]) if isa else ()
        # Behind our own options, so that the caller's count. CFLAGS are setuptools' to add.
        added = {".c": [], ".m": environment("OBJCFLAGS"), ".cpp": environment("CXXFLAGS")}
        # The largest first: else they would be what the others wait for.
        largest_first = sorted(own_flags, key=lambda source: "twins" not in source.name)
        steps = []
        for source in largest_first:
            compiler, flags = languages[source.suffix]
            options = (*flags, *own_flags[source], *added[source.suffix])
            steps.append(self.compile_step(source, compiler, options))
        return steps

    def compile_step(self, source: Path, compiler: Compiler, flags: tuple[str, ...]) -> Step:
        """Compile one file; its object lies at the same path under `build_temp`."""
        built = Path(self.build_temp)
        name = source.relative_to(built) if source.is_relative_to(built) else source
        output = str(built / f"{name}.o")
        depfile = str(built / f"{name}.d")
        options = [*COMMON_FLAGS, *flags, *sanitizer_flags(compiler), *(f"-I{folder}" for folder in INCLUDES)]
        options += toolchain.depfile_flags(output, depfile)
        return Step(
            name=f"compile {name}",
            command=(*compiler.command, *options, "-c", str(source), "-o", output),
            version=compiler.version,
            inputs=(str(source),),
            output=output,
            depfile=depfile,
        )

    def link_step(self, module: str, c_compiler: Compiler, objects: list[str]) -> Step:
        """Link one module, which exports its init function and nothing else, whatever made its objects."""
        built = Path(self.build_temp)
        init = f"PyInit_{module.rpartition('.')[2]}"
        inputs = list(objects)
        options = ["-pthread", *([f"-fsanitize={SANITIZER}"] if SANITIZER else [])]
        if MAC:
            options += [f"-Wl,-exported_symbol,_{init}", "-framework", "Foundation", "-framework", "Metal"]
        else:
            script = built / f"{module}.map"
            write_if_changed(script, f"{{ global: {init}; local: *; }};\n")
            inputs.append(str(script))
            # `now`: a symbol that nothing defines fails the import, not the first call.
            options += [f"-Wl,--version-script={script}", "-Wl,-z,now", "-lm"]
        output = str(built / self.get_ext_filename(module))
        return Step(
            name=f"link {module}",
            command=(*self.compiler.linker_so, *objects, *options, "-o", output),
            version=c_compiler.version,
            inputs=tuple(inputs),
            output=output,
        )


class BuildPython(build_py):
    """`build_py` that lays the C header beside the `.pxd` that declares it, for `cimport` from other packages."""

    def run(self) -> None:
        super().run()
        package = PACKAGE if self.editable_mode else Path(self.build_lib, PACKAGE)
        write_if_changed(package / "include" / PUBLIC_HEADER.name, PUBLIC_HEADER.read_text(encoding="utf-8"))


def sanitizer_flags(compiler: Compiler) -> tuple[str, ...]:
    """Options for the sanitizer; not for zig, whose run-time library would not get on with the linker's."""
    if not SANITIZER:
        return ("-g0",)
    debug = ("-O1", "-g", "-fno-omit-frame-pointer")
    if compiler.is_zig:
        return debug
    return (*debug, f"-fsanitize={SANITIZER}", f"-fno-sanitize-recover={SANITIZER}")


def environment(variable: str) -> list[str]:
    """Options that the caller adds."""
    return shlex.split(os.environ.get(variable, ""))


setup(
    ext_modules=[
        Extension(".".join(path.with_suffix("").parts), [str(path)]) for path in sorted(PACKAGE.glob("*.pyx"))
    ],
    cmdclass={"build_ext": BuildExtensions, "build_py": BuildPython},
)
