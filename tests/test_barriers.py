"""Threads of a threadgroup work together on the portable device: translated kernels, the executor, and its fibers."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("setuptools", reason="finding the compiler needs setuptools; pip install --group build")
import host
from test_portable_metal import C_OPTIONS, INCLUDES, PORTABLE, c_compiler, make, sanitizer_works
from toolchain import CXX_FLAGS

pytestmark = [
    pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Apple's Metal"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
]

FOLDER = Path(__file__).parent / "barriers"
KERNELS = FOLDER / "kernels.metal"
SOURCES = [
    FOLDER / "program.c",
    *(PORTABLE / f"{name}.c" for name in ("executor", "fiber", "context", "team", "thread", "waiting", "processor")),
]
# Name of the build, variant of the kernels, sanitizers, other options.
BUILDS = {
    "plain": ("baseline", "", ["-O2"]),
    "system contexts": ("baseline", "", ["-O2", "-DPM_CONTEXT_OF_SYSTEM=1"]),
    "checked": ("checked", "address,undefined", ["-O1"]),
    "address": ("baseline", "address", ["-O1"]),
    "thread": ("baseline", "thread", ["-O1"]),
}


@dataclass(frozen=True)
class Program:
    """The kernels of `barriers` and what runs them, built in one way."""

    build: str
    path: Path

    def run(self, case: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.path, case], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module", params=BUILDS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("barriers")
    variant, sanitizers, options = BUILDS[request.param]
    if sanitizers and not sanitizer_works(sanitizers, folder, "detect_leaks=1" if "address" in sanitizers else ""):
        pytest.skip(f"the C compiler has no sanitizer for {sanitizers}, or it does not run here")
    if sanitizers:
        options = [*options, "-g", "-fno-omit-frame-pointer", f"-fsanitize={sanitizers}"]
    translated = folder / "kernels.cpp"
    translated.write_text(host.translate(host.bundle(KERNELS), KERNELS.stem, variant), encoding="utf-8")
    includes = [*INCLUDES, f"-DPROGRAM=msl_program_kernels_{variant}"]
    kernels, path = folder / "kernels.o", folder / "program"
    make(["g++", *CXX_FLAGS, "-Wall", "-Wextra", "-Werror", *options, *includes, "-c", translated, "-o", kernels])
    make(
        [
            *c_compiler(),
            *C_OPTIONS,
            "-Wall",
            "-Wextra",
            "-Werror",
            *options,
            *includes,
            *SOURCES,
            kernels,
            "-pthread",
            "-o",
            path,
        ]
    )
    return Program(request.param, path)


@pytest.mark.parametrize("case", ["sums", "rotate", "memory", "deep"])
def test_threads_work_together(program: Program, case: str) -> None:
    result = program.run(case)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_threads_that_come_apart_are_an_error(program: Program) -> None:
    result = program.run("diverge")
    assert (result.returncode, result.stderr) == (0, "")
    message = "diverge: threadgroup_barrier: some threads of a threadgroup came to it and others ended"
    assert result.stdout.splitlines() == [message] * 4


def test_a_thread_that_rests_keeps_no_stacks(program: Program) -> None:
    result = program.run("rest")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_stacks_that_there_is_no_memory_for_are_an_error(program: Program) -> None:
    if program.build not in ("plain", "system contexts"):
        pytest.skip("a sanitizer needs the address space itself")
    result = program.run("no_memory")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["deep: no memory for the stacks of a threadgroup's threads"]


def test_a_missing_barrier_is_found(program: Program) -> None:
    if program.build != "thread":
        pytest.skip("it takes a race detector")
    line = KERNELS.read_text(encoding="utf-8").split("// barrier missing before")[0].count("\n") + 1
    result = program.run("race")
    assert result.returncode != 0
    assert "WARNING: ThreadSanitizer: data race" in result.stderr
    assert re.search(rf"kernels\.metal:{line}\b", result.stderr), result.stderr


def test_an_overrun_of_threadgroup_memory_is_found(program: Program) -> None:
    result = program.run("overrun")
    if program.build == "checked":
        assert (result.returncode, result.stderr) == (0, "")
        message = "kernel 'exchange': access outside threadgroup argument 'second'"
        assert result.stdout.splitlines() == [f"exchange: {message}"]
    elif program.build == "address":
        assert result.returncode != 0
        assert "heap-buffer-overflow" in result.stderr
    else:
        pytest.skip("nothing watches the memory")
