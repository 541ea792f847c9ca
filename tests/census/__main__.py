"""Writes docs/coverage.md: ``PYTHONPATH=tests python -m census``."""

from __future__ import annotations

from pathlib import Path

from .document import document

PATH = Path(__file__).parents[2] / "docs/coverage.md"

if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
