"""The build finds a compiler that works, and asks for one when there is none."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("setuptools", reason="the build needs setuptools; pip install --group build")
from setuptools.errors import PlatformError

import build_backend
import toolchain

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has one compiler for all languages")
PLATFORM = sysconfig.get_platform()
WORKS, FAILS = "#!/bin/sh\nexit 0\n", "#!/bin/sh\nexit 1\n"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs, empty yet, for a Python whose `ziglang` does not work either."""
    for variable in ("OBJC", "CXX"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    return tmp_path


def install(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        ({"cc": WORKS, "gcc": WORKS}, ("cc",)),
        ({"cc": FAILS, "gcc": WORKS, "clang": WORKS}, ("gcc",)),
        ({"cc": FAILS, "gcc": FAILS, "clang": WORKS}, ("clang", "-fobjc-runtime=gcc")),
        ({"clang": WORKS, "python": WORKS}, ("clang", "-fobjc-runtime=gcc")),
    ],
    ids=["python's own", "gcc", "clang", "not zig"],
)
def test_objective_c_compiler_is_the_first_that_works(
    programs: Path, installed: dict[str, str], found: tuple[str, ...]
) -> None:
    for name, script in installed.items():
        install(programs, name, script)
    compiler = toolchain.find_objective_c(PLATFORM)
    assert compiler is not None
    assert compiler.command == found
    assert not compiler.is_zig


def test_zig_is_the_last_resort_and_compiles_for_an_old_c_library(programs: Path) -> None:
    install(programs, "gcc", FAILS)
    install(programs, "python", WORKS)
    for compiler in (toolchain.find_objective_c("linux-x86_64"), toolchain.find_cxx("linux-x86_64")):
        assert compiler is not None
        assert compiler.is_zig
        assert "x86_64-linux-gnu.2.17" in compiler.command or "x86_64-linux-musl" in compiler.command


def test_another_processor_is_left_to_zig(programs: Path) -> None:
    for name in ("cc", "gcc", "clang", "g++", "clang++", "python"):
        install(programs, name, WORKS)
    for compiler in (toolchain.find_objective_c("linux-riscv64"), toolchain.find_cxx("linux-riscv64")):
        assert compiler is not None
        assert compiler.is_zig


@pytest.mark.parametrize(
    ("variable", "find"), [("OBJC", toolchain.find_objective_c), ("CXX", toolchain.find_cxx)], ids=["OBJC", "CXX"]
)
def test_a_chosen_compiler_is_the_only_candidate(
    programs: Path, monkeypatch: pytest.MonkeyPatch, variable: str, find
) -> None:
    for name in ("gcc", "g++"):
        install(programs, name, WORKS)
    install(programs, "mine", WORKS)
    monkeypatch.setenv(variable, "mine --fast")
    assert find(PLATFORM).command == ("mine", "--fast")
    install(programs, "mine", FAILS)
    with pytest.raises(PlatformError, match=f"{variable}='mine --fast' does not compile"):
        find(PLATFORM)


def test_backend_asks_for_ziglang_only_where_a_compiler_is_missing(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_backend.build_meta, "get_requires_for_build_wheel", lambda settings: [])
    monkeypatch.setattr(build_backend.build_meta, "get_requires_for_build_editable", lambda settings: [])
    for name in ("gcc", "g++"):
        assert build_backend.get_requires_for_build_wheel() == ["ziglang"]
        assert build_backend.get_requires_for_build_editable() == ["ziglang"]
        install(programs, name, WORKS)
    assert build_backend.get_requires_for_build_wheel() == []
    assert build_backend.get_requires_for_build_editable() == []


def test_no_compiler_is_an_error_that_tells_what_to_do(programs: Path) -> None:
    with pytest.raises(PlatformError, match=r"no Objective-C compiler found: .*pip install ziglang.* OBJC"):
        toolchain.require(toolchain.find_objective_c(PLATFORM), "Objective-C", "OBJC")
