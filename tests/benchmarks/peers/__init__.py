"""Other libraries that run the same cells on the CPU: a module each.

A module has `NAME`, as bars and tables name the library; `REQUIRED`, whether a run without it is an error; and
`prepare(workload, threads)`, an iterator over the library's contenders. Importing it fails where the library is not
installed.
"""

from __future__ import annotations

import importlib
from types import ModuleType

MODULES = ("pytorch", "onnx_runtime", "openvino_cpu", "ncnn_nets", "mnn")


def installed() -> tuple[list[ModuleType], list[str]]:
    """Modules of the peers that are installed, and the names of the others."""
    found, missing = [], []
    for name in MODULES:
        try:
            found.append(importlib.import_module(f"{__name__}.{name}"))
        except ImportError:
            missing.append(name)
    return found, missing
