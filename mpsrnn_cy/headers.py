"""Where the native interface lies, for those who cimport this package's classes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["get_include"]


def get_include() -> str:
    """Get the folder of ``mpsrnn.h``, an include path for extensions that cimport from this package."""
    return str(Path(__file__).parent / "include")
