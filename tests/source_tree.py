"""Copies of the source tree that tests build with real compilers, and what such a build did."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What a build reads; outputs that lie among it are not copied.
PARTS = ["LICENSE", "MANIFEST.in", "Makefile", "README.md", "metal", "mpsrnn_cy", "objc", "pyproject.toml", "setup.py"]
KERNELS = sorted(path.stem for path in (ROOT / "metal").glob("*.metal"))
MODULES = sorted(path.stem for path in (ROOT / "mpsrnn_cy").glob("*.pyx"))


# What these builds show does not depend on how code is optimised, which takes most of the time of a build.
QUICKLY = {"CFLAGS": "-O1", "CXXFLAGS": "-O1"}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints; a failure of it is one of the test."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | QUICKLY | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def build(tree: Path, **environment: str) -> set[str]:
    """Build in place; the names of the steps that ran."""
    log = run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=tree, **environment)
    steps = re.findall(r"^(?:cython|compile|link) \S+$", log, flags=re.MULTILINE)
    assert len(steps) == len(set(steps))
    return set(steps)


def shared_object(tree: Path, module: str) -> Path:
    """The extension module that a build in place left in the tree."""
    (path,) = (tree / "mpsrnn_cy").glob(f"{module}.*.so")
    return path


def copy_sources(to: Path) -> Path:
    """Copy what a build reads to a folder that is there."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, to / part, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        else:
            shutil.copy(ROOT / part, to / part)
    shutil.rmtree(to / "mpsrnn_cy/include", ignore_errors=True)
    return to


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, built in place. Not to be edited."""
    tree = copy_sources(tmp_path_factory.mktemp("built"))
    assert build(tree) >= {f"link mpsrnn_cy.{module}" for module in MODULES}
    return tree


@pytest.fixture
def tree(built: Path, tmp_path: Path) -> Path:
    """A built tree to edit."""
    return shutil.copytree(built, tmp_path / "tree")
