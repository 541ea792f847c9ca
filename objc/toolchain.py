"""Finds the compilers of the native part: Python's own for C, and one each for Objective-C and for the kernels' C++.

Few Linux machines have an Objective-C compiler. The last candidate is therefore `ziglang`, a wheel that carries clang;
the build backend asks pip for it when nothing else works. It is also the one that compiles for other processors.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from setuptools.errors import PlatformError

# Oldest C library that the objects of `ziglang` may meet: that of manylinux2014.
GLIBC = "2.17"

OBJECTIVE_C_FLAGS = ("-std=gnu11", "-fconstant-string-class=NSConstantString")
# A char is signed in Metal, whatever it is on the processor.
CXX_FLAGS = ("-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-fno-math-errno", "-fsigned-char")

# A compiler is what it proves to be: names and versions say little about what was installed with it.
OBJECTIVE_C_PROBE = """
@interface Probe { int value; } - (int)value; @end
int read_probe(Probe *probe) { return [probe value]; }
"""
CXX_PROBE = """
template <int N> static int scaled(int x) { return N * x; }
extern "C" int twice(int x) { return scaled<2>(x); }
"""


@dataclass(frozen=True)
class Compiler:
    """A command that compiles one language, with the options that make it do so for this platform."""

    command: tuple[str, ...]

    @property
    def is_zig(self) -> bool:
        return "ziglang" in self.command or os.path.basename(self.command[0]) == "zig"

    @cached_property
    def version(self) -> str:
        """What the compiler says about itself, for the record of what it made."""
        return subprocess.run([*self.command, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def find_objective_c(platform: str) -> Compiler | None:
    """The Objective-C compiler for `platform` (as `sysconfig.get_platform` names it), or None.

    Raises
    ------
    PlatformError
        ``OBJC`` is set, and what it names does not compile Objective-C.
    """
    return _find("OBJC", _objective_c_candidates(platform), ".m", OBJECTIVE_C_PROBE, OBJECTIVE_C_FLAGS)


def find_cxx(platform: str) -> Compiler | None:
    """The C++ compiler for `platform`, or None; raises as `find_objective_c` does, for ``CXX``."""
    return _find("CXX", _cxx_candidates(platform), ".cpp", CXX_PROBE, CXX_FLAGS)


def require(compiler: Compiler | None, language: str, variable: str) -> Compiler:
    """`compiler`, or the error that tells how to get one."""
    if compiler is None:
        raise PlatformError(
            f"no {language} compiler found: install one (e.g. pip install ziglang) or name it in {variable}"
        )
    return compiler


def depfile_flags(output: str, depfile: str) -> tuple[str, ...]:
    """Options that make a compiler write the files it reads to `depfile`."""
    if sys.platform != "darwin":
        return ("-MMD", "-MF", depfile)
    # clang refuses -MMD when it builds for two architectures at once, as Python's flags on a Mac make it do; the
    # compiler proper, which runs once for each, does not.
    words = ("-dependency-file", depfile, "-MT", output)
    return tuple(option for word in words for option in ("-Xclang", word))


def _objective_c_candidates(platform: str) -> Iterator[tuple[str, ...]]:
    if platform == sysconfig.get_platform():
        yield tuple(shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"))
        yield ("gcc",)
        yield ("clang", "-fobjc-runtime=gcc")
    # zig adds run-time checks of its own, which need zig's run-time library.
    yield (*_zig("cc", platform), "-fobjc-runtime=gcc", "-fno-sanitize=undefined", "-fno-stack-protector")


def _cxx_candidates(platform: str) -> Iterator[tuple[str, ...]]:
    if platform == sysconfig.get_platform():
        yield ("g++",)
        yield ("clang++",)
    yield (*_zig("c++", platform), "-fno-sanitize=undefined", "-fno-stack-protector")


def _zig(driver: str, platform: str) -> tuple[str, ...]:
    # An explicit target also means the baseline processor, not this machine's.
    machine = platform.rsplit("-", 1)[-1]
    musl = "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "")
    target = f"{machine}-linux-musl" if musl else f"{machine}-linux-gnu.{GLIBC}"
    return (sys.executable, "-m", "ziglang", driver, "-target", target)


def _find(
    variable: str, candidates: Iterator[tuple[str, ...]], suffix: str, probe: str, flags: tuple[str, ...]
) -> Compiler | None:
    chosen = os.environ.get(variable)
    if chosen:
        command = tuple(shlex.split(chosen))
        if not _compiles(command, suffix, probe, flags):
            raise PlatformError(f"{variable}={chosen!r} does not compile a {suffix} file with {shlex.join(flags)}")
        return Compiler(command)
    return next((Compiler(command) for command in candidates if _compiles(command, suffix, probe, flags)), None)


def _compiles(command: tuple[str, ...], suffix: str, probe: str, flags: tuple[str, ...]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "probe" + suffix)
        with open(source, "w", encoding="ascii") as file:
            file.write(probe)
        try:
            result = subprocess.run(
                [*command, *flags, "-w", "-c", source, "-o", source + ".o"], capture_output=True, check=False
            )
        except OSError:
            return False
        return result.returncode == 0
