"""What the build promises: everything that an edit touches is made again, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from source_tree import MODULES, build, copy_sources, run, shared_object

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "darwin", reason="the sources of a Linux build")]


# A tree with some of the modules and kernels shows as much as one with all, in a fraction of the time.
SOME_MODULES = ("device", "image", "kernel", "state")
KERNELS = ("combine", "gru", "matrix_gru")


@pytest.fixture(scope="module")
def some_built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the tree, built in place. Not to be edited."""
    tree = copy_sources(tmp_path_factory.mktemp("some"))
    for path in (*(tree / "mpsrnn_cy").glob("*.pyx"), *(tree / "metal").glob("*.metal")):
        if path.stem not in SOME_MODULES + KERNELS:
            path.unlink()
    assert build(tree) >= {f"link mpsrnn_cy.{module}" for module in SOME_MODULES}
    return tree


@pytest.fixture
def tree(some_built: Path, tmp_path: Path) -> Path:
    """A built tree to edit."""
    return shutil.copytree(some_built, tmp_path / "tree")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def includers(tree: Path, header: str, folders: Iterable[str] = ("objc",)) -> set[str]:
    """The sources that include a header, found by reading them: a judge that knows nothing of dependency files."""
    texts = {path: path.read_text() for folder in folders for path in (tree / folder).rglob("*.[cmh]")}
    found, pending = set(), {header}
    while pending:
        name = pending.pop()
        pattern = re.compile(rf'^ *# *(?:include|import) *[<"](?:[\w/]*/)?{re.escape(name)}[>"]', re.MULTILINE)
        new = {path for path, text in texts.items() if pattern.search(text)} - found
        found |= new
        pending |= {path.name for path in new if path.suffix == ".h"}
    return {str(path.relative_to(tree)) for path in found if path.suffix != ".h"}


def compiled(sources: Iterable[str]) -> set[str]:
    return {f"compile {source}" for source in sources}


def generated(kernels: Iterable[str]) -> set[str]:
    return {f"kernels/{kernel}_{variant}.cpp" for kernel in kernels for variant in built_variants()}


def built_variants() -> list[str]:
    x86_64 = os.uname().machine == "x86_64"
    return ["baseline", "checked", "x86_64_v3"] if x86_64 else ["baseline", "checked"]


def built_twins() -> set[str]:
    isas = {"x86_64": ("x86_64_v3", "x86_64_v4"), "aarch64": ("baseline",)}.get(os.uname().machine, ())
    return {f"kernels/msl_twins_{isa}.cpp" for isa in isas}


def cimporters(tree: Path, module: str) -> set[str]:
    """The `.pyx` files that read ``module.pxd``, directly or through another `.pxd`."""
    folder = tree / "mpsrnn_cy"
    found, pending = set(), {module}
    while pending:
        name = pending.pop()
        pattern = re.compile(rf"^(?:from \. cimport .*\b{name}\b|from \.{name} cimport )", re.MULTILINE)
        new = {path for path in folder.glob("*.p[xy][xd]") if pattern.search(path.read_text())}
        new |= set(folder.glob(f"{name}.pyx"))
        pending |= {path.stem for path in new - found if path.suffix == ".pxd"}
        found |= new
    return {path.stem for path in found if path.suffix == ".pyx"}


def test_nothing_is_made_again_without_a_change(tree: Path) -> None:
    assert build(tree) == set()


def test_new_times_alone_make_nothing_again(tree: Path) -> None:
    for path in tree.rglob("*"):
        path.touch()
    assert build(tree) == set()


@pytest.mark.parametrize("source", ["objc/device.m", "objc/portable/Foundation.m", "objc/portable/executor.c"])
def test_a_native_source_is_compiled_and_linked(tree: Path, source: str) -> None:
    append(tree / source, "\nint probe(void);\nint probe(void)\n{\n    return 1;\n}\n")
    assert build(tree) == {f"compile {source}", "link mpsrnn_cy.device"}


@pytest.mark.parametrize("header", ["shim.h", "platform.h", "Foundation.h", "MTLTexture.h", "executor.h"])
def test_a_native_header_is_seen_by_all_that_include_it(tree: Path, header: str) -> None:
    sources = includers(tree, header)
    assert sources
    (path,) = (tree / "objc").rglob(header)
    append(path, "\n/* A comment changes no object, so nothing is linked. */\n")
    assert build(tree) == compiled(sources)


def test_the_contract_is_seen_by_shim_and_modules(tree: Path) -> None:
    append(tree / "objc/mpsrnn.h", "\n/* A comment. */\n")
    modules = {f"mpsrnn_cy/{module}.c" for module in cimporters(tree, "native")}
    assert modules
    assert build(tree) == compiled(includers(tree, "mpsrnn.h") | modules)


def test_parameters_are_seen_by_shim_and_kernels(tree: Path) -> None:
    append(tree / "metal/params.h", "#define MPSRNN_PROBE 1\n")
    expected = compiled(includers(tree, "params.h") | generated(KERNELS) | {"kernels/kernel_sources.c"})
    assert build(tree) - {"link mpsrnn_cy.device"} == expected


def test_a_kernel_is_translated_for_every_variant(tree: Path) -> None:
    kernel = KERNELS[0]
    append(tree / f"metal/{kernel}.metal", "\nstatic inline float probe(float x)\n{\n    return x + 1.0f;\n}\n")
    rebuilt = build(tree)
    assert rebuilt - {"link mpsrnn_cy.device"} == compiled(generated([kernel]) | {"kernels/kernel_sources.c"})
    assert "link mpsrnn_cy.device" in rebuilt


def test_a_kernel_header_is_seen_by_the_kernels_that_include_it(tree: Path) -> None:
    kernels = [kernel for kernel in KERNELS if '#include "cell.h"' in (tree / f"metal/{kernel}.metal").read_text()]
    assert kernels
    append(tree / "metal/cell.h", "\nstatic inline float probe(float x)\n{\n    return x + 1.0f;\n}\n")
    expected = compiled(generated(kernels) | {"kernels/kernel_sources.c"}) | {"link mpsrnn_cy.device"}
    assert build(tree) == expected


def test_a_prelude_header_is_seen_by_translated_kernels_and_twins(tree: Path) -> None:
    append(tree / "metal/host/cpu/metal_stdlib", "\n// A comment.\n")
    assert build(tree) == compiled(generated(KERNELS) | built_twins())


def test_a_header_of_the_twins_is_seen_by_them(tree: Path) -> None:
    append(tree / "metal/cpu/transform.h", "\n// A comment.\n")
    assert build(tree) == compiled(built_twins())


def test_the_translator_is_part_of_what_a_kernel_is_made_from(tree: Path) -> None:
    append(
        tree / "metal/host/__init__.py",
        "\n_translate = translate\n\n\ndef translate(*arguments):\n    return _translate(*arguments) + '// probe\\n'\n",
    )
    assert build(tree) == compiled(generated(KERNELS))


def test_a_pxd_is_seen_by_all_that_cimport_it(tree: Path) -> None:
    append(tree / "mpsrnn_cy/device.pxd", "\n# A comment.\n")
    rebuilt = build(tree)
    # Cython quotes lines in the C it makes, so this may change, but never a module.
    assert {step for step in rebuilt if step.startswith("cython")} == {
        f"cython mpsrnn_cy/{module}.pyx" for module in cimporters(tree, "device")
    }
    assert not any(step.startswith("link") for step in rebuilt)


def test_a_module_is_translated_compiled_and_linked_alone(tree: Path) -> None:
    append(tree / "mpsrnn_cy/image.pyx", "\n\ndef probe():\n    return 1\n")
    assert build(tree) == {"cython mpsrnn_cy/image.pyx", "compile mpsrnn_cy/image.c", "link mpsrnn_cy.image"}


def test_new_and_removed_sources_are_linked_and_left_out(tree: Path) -> None:
    source = tree / "objc/portable/probe.c"
    source.write_text("int probe(void);\nint probe(void)\n{\n    return 1;\n}\n")
    assert build(tree) == {"compile objc/portable/probe.c", "link mpsrnn_cy.device"}
    source.unlink()
    assert build(tree) == {"link mpsrnn_cy.device"}


def test_other_options_recompile_what_they_apply_to(tree: Path) -> None:
    rebuilt = build(tree, OBJCFLAGS="-DPROBE")
    assert rebuilt == compiled(str(path.relative_to(tree)) for path in (tree / "objc").rglob("*.m"))


def test_a_failed_build_leaves_nothing_stale(tree: Path) -> None:
    source = tree / "objc/device.m"
    text = source.read_text()
    append(source, "\nnot Objective-C\n")
    with pytest.raises(AssertionError, match=r"error: compile objc/device\.m: exit status"):
        build(tree)
    source.write_text(text)
    assert "compile objc/device.m" in build(tree)
    assert build(tree) == set()


def test_a_removed_module_is_put_back_without_compiling(tree: Path) -> None:
    modules = sorted((tree / "mpsrnn_cy").glob("*.so"))
    assert len(modules) == len(SOME_MODULES)
    for module in modules:
        module.unlink()
    assert build(tree) == set()
    assert sorted((tree / "mpsrnn_cy").glob("*.so")) == modules


def test_a_sanitizer_has_objects_of_its_own(tree: Path) -> None:
    assert "link mpsrnn_cy.device" in build(tree, MPSRNN_SANITIZE="thread")
    module = shared_object(tree, "device")
    assert "__tsan_" in run("nm", "--undefined-only", module, cwd=tree)
    # Back to the plain build: nothing to compile, and the tree has the plain module again.
    assert build(tree) == set()
    assert "__tsan_" not in run("nm", "--undefined-only", module, cwd=tree)


def test_everything_compiles_for_arm64(tmp_path: Path) -> None:
    tree = copy_sources(tmp_path)
    compiler = f"{sys.executable} -m ziglang cc -target aarch64-linux-gnu.2.17"
    folders = ("--build-temp", tmp_path / "temp", "--build-lib", tmp_path / "lib")
    run(sys.executable, "setup.py", "build_ext", "--plat-name", "linux-aarch64", *folders, cwd=tree, CC=compiler)
    modules = list((tmp_path / "lib/mpsrnn_cy").glob("*.so"))
    assert len(modules) == len(MODULES)
    for module in modules:
        machine = module.read_bytes()[18:20]
        assert int.from_bytes(machine, "little") == 183, "not an ELF file for AArch64"
