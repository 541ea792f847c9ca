"""Runs clang over kernel files as a stand-in for Apple's compiler."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from .bundle import bundle
from .emit_lint import lint
from .lexer import SourceError

# The clang of the `ziglang` wheel: a recent one, the same on every machine.
COMPILER = (sys.executable, "-m", "ziglang", "clang")
FLAGS = (
    "-x",
    "clcpp",
    "-cl-std=clc++2021",
    "-cl-no-stdinc",
    "-cl-single-precision-constant",
    "-target",
    "spir64",
    "-fsyntax-only",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",  # a header offers more than one kernel file uses
    "-Xclang",
    "-cl-ext=+cl_khr_fp16,-cl_khr_fp64,-__opencl_c_fp64",
    f"-I{Path(__file__).parent / 'lint'}",
)


def diagnose(path: str | Path) -> str:
    """Everything that is wrong with one .metal file, as compilers write it; empty when nothing is."""
    path = Path(path)
    try:
        text = lint(bundle(path), path.stem)
    except SourceError as error:
        return f"{error}\n"
    return diagnose_text(text)


def diagnose_text(lint_text: str) -> str:
    """Clang's messages about what `lint` returned."""
    result = subprocess.run([*COMPILER, *FLAGS, "-"], input=lint_text, capture_output=True, text=True, check=False)
    if result.returncode != 0 and not result.stderr:
        raise RuntimeError(f"{' '.join(COMPILER)} ended with status {result.returncode} and said nothing")
    return result.stderr


def main(paths: Iterable[str]) -> int:
    """Print the messages about all files; 1 when there are any."""
    messages = [diagnose(path) for path in paths]
    sys.stderr.write("".join(messages))
    return 1 if any(messages) else 0
