"""The portable Metal, tested natively: each case of portable/*.m is a process of one program that these tests build."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("setuptools", reason="finding the compiler needs setuptools; pip install --group build")
import toolchain

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has Apple's Metal")

ROOT = Path(__file__).parents[1]
PORTABLE = ROOT / "objc" / "portable"
NATIVE_TESTS = Path(__file__).parent / "portable"
INCLUDES = [
    f"-I{folder}"
    for folder in (
        PORTABLE / "include",
        PORTABLE,
        ROOT / "metal" / "host" / "cpu",
        ROOT / "metal" / "cpu",
        NATIVE_TESTS,
    )
]
OPTIONS = ["-O1", "-g", "-fno-omit-frame-pointer", "-pthread", "-Wall", "-Wextra"]
C_OPTIONS = ["-std=gnu11"]
# The test program stands between the library and what can fail.
WRAPPED = ["pthread_create", "malloc", "calloc", "realloc", "posix_memalign"]
RACE_SOURCES = [
    NATIVE_TESTS / "race.c",
    *(
        PORTABLE / f"{name}.c"
        for name in (
            "thread",
            "team",
            "crew",
            "workspace",
            "waiting",
            "processor",
            "executor",
            "fiber",
            "context",
            "serial",
        )
    ),
]

# What a case expects of its environment.
ENVIRONMENTS = {
    "thread_count_comes_from_the_environment": {"MPSRNN_NUM_THREADS": "3"},
    "no_device_for_words_as_thread_count": {"MPSRNN_NUM_THREADS": "many"},
    "no_device_for_zero_threads": {"MPSRNN_NUM_THREADS": "0"},
    "no_device_for_too_many_threads": {"MPSRNN_NUM_THREADS": "257"},
}


def find_cases() -> list[str]:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(NATIVE_TESTS.glob("*.m")))
    found = re.findall(r"^(CASE|MISUSE)\((\w+)[,)]", text, re.MULTILINE)
    return [name if macro == "CASE" else f"misuse_is_reported_{name}" for macro, name in found]


CASES = [name for name in find_cases() if not name.startswith("overrun_")]
OVERRUNS = [name for name in find_cases() if name.startswith("overrun_")]


@dataclass(frozen=True)
class Program:
    """The native test program, and what watches it."""

    path: Path
    sanitizers: str | None
    finds_leaks: bool

    def run(self, case: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("MPSRNN_")}
        settings |= {"ASAN_OPTIONS": f"detect_leaks={int(self.finds_leaks)}", **(environment or {})}
        return subprocess.run([self.path, case], env=settings, capture_output=True, text=True, timeout=60)


def c_compiler() -> list[str]:
    return shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")


def sanitizer_works(sanitizers: str, folder: Path, options: str = "") -> bool:
    """Whether a program that the C compiler makes with these sanitizers starts and ends."""
    program = folder / f"probe-{sanitizers}"
    source = program.with_suffix(".c")
    source.write_text("int main(void)\n{\n    return 0;\n}\n", encoding="ascii")
    command = [*c_compiler(), f"-fsanitize={sanitizers}", source, "-o", program]
    if subprocess.run(command, capture_output=True).returncode != 0:
        return False
    environment = os.environ | {"ASAN_OPTIONS": options}
    return subprocess.run([program], env=environment, capture_output=True).returncode == 0


def make(command: Sequence[str | Path]) -> None:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, f"{shlex.join(map(str, command))}\n{result.stdout}"


def compile_all(sources: Iterable[Path], folder: Path, sanitizers: str | None) -> list[Path]:
    """Compile C and Objective-C; zig's clang goes without sanitizers, for it has no run-time library for them."""
    objective_c = toolchain.find_objective_c(sysconfig.get_platform())
    if objective_c is None:
        pytest.skip("there is no Objective-C compiler here; pip install ziglang")
    sanitize = [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=undefined"] if sanitizers else []
    by_suffix = {
        ".c": [*c_compiler(), *C_OPTIONS, *sanitize],
        ".m": [*objective_c.command, *toolchain.OBJECTIVE_C_FLAGS, *([] if objective_c.is_zig else sanitize)],
    }

    def compile_one(source: Path) -> Path:
        output = folder / f"{'-'.join(source.relative_to(ROOT).parts)}.o"
        make([*by_suffix[source.suffix], *OPTIONS, *INCLUDES, "-c", source, "-o", output])
        return output

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(compile_one, sources))


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("portable-metal")
    sanitizers = "address,undefined" if sanitizer_works("address,undefined", folder, "detect_leaks=0") else None
    finds_leaks = sanitizers is not None and sanitizer_works(sanitizers, folder, "detect_leaks=1")
    sources = [path for where in (PORTABLE, NATIVE_TESTS) for path in sorted(where.glob("*.[mc]"))]
    objects = compile_all([path for path in sources if path.name != "race.c"], folder, sanitizers)
    path = folder / "cases"
    wrap = [f"-Wl,--wrap={name}" for name in WRAPPED]
    sanitize = [f"-fsanitize={sanitizers}"] if sanitizers else []
    make([*c_compiler(), *objects, *sanitize, *wrap, "-pthread", "-lm", "-o", path])
    return Program(path, sanitizers, finds_leaks)


def test_the_cases_are_found() -> None:
    assert len(CASES) == len(set(CASES)) > 70
    assert set(ENVIRONMENTS) <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_case(program: Program, case: str) -> None:
    result = program.run(case, ENVIRONMENTS.get(case))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("case", OVERRUNS)
def test_memory_checker_sees_one_byte_too_many(program: Program, case: str) -> None:
    if program.sanitizers is None:
        pytest.skip("the C compiler has no AddressSanitizer")
    result = program.run(case)
    assert result.returncode != 0
    assert "heap-buffer-overflow" in result.stderr
    assert re.search(r"is located 0 bytes (after|to the right of)", result.stderr), result.stderr


def test_no_data_races(tmp_path: Path) -> None:
    if not sanitizer_works("thread", tmp_path):
        pytest.skip("the C compiler has no ThreadSanitizer, or it does not run here")
    objects = compile_all(RACE_SOURCES, tmp_path, "thread")
    make([*c_compiler(), *objects, "-fsanitize=thread", "-pthread", "-lm", "-o", tmp_path / "race"])
    result = subprocess.run([tmp_path / "race"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
