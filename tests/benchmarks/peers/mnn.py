"""MNN on images: a module of one step, whose state goes round as its variables.

Its own LSTM and GRU are never the fastest, so they are left out.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

# The native part of MNN's converter: around it, its Python tools install packages and report to their maker.
import _tools as converter
import MNN
import numpy as np
import onnx
from MNN import expr, nn
from numpy.typing import NDArray

from ..contender import Contender
from ..workloads import ImageWorkload, Workload
from . import onnx_models

NAME = "MNN"
REQUIRED = False

# The hint that bounds Winograd's tiles, and its value for small ones: larger ones err a thousand times as much.
_WINOGRAD_MEMORY_LEVEL = 3
_SMALL_TILES = 1


def prepare(workload: Workload, threads: int) -> Iterator[Contender]:
    # Its convolution has as many zeros on the right as on the left, which a window of even size has not.
    if isinstance(workload, ImageWorkload) and all(size % 2 for size in workload.kernel):
        yield _contender(workload, _module(workload, threads))


def _module(workload: ImageWorkload, threads: int) -> nn._Module:
    manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": threads},))
    manager.set_hint(_WINOGRAD_MEMORY_LEVEL, _SMALL_TILES)
    inputs, outputs = (["x", "h", "c"], ["h1", "c1"]) if workload.is_lstm else (["x", "h"], ["h1"])
    with tempfile.TemporaryDirectory() as folder:
        source, path = (os.path.join(folder, name) for name in ("step.onnx", "step.mnn"))
        onnx.save(onnx_models.step_model(workload), source)
        converter.mnnconvert(
            ["mnnconvert", "-f", "ONNX", "--modelFile", source, "--MNNModel", path, "--bizCode", "MNN"]
        )
        return nn.load_module_from_file(path, inputs, outputs, runtime_manager=manager)


def _contender(workload: ImageWorkload, module: nn._Module) -> Contender:
    def variable(array: NDArray[np.float32]) -> expr.Var:
        return expr.const(np.ascontiguousarray(array), list(array.shape), expr.NCHW)

    frames = [variable(frame) for frame in np.moveaxis(workload.data.x, -1, 2)]
    zeros = np.zeros((workload.batch, workload.outputs, *workload.extent), np.float32)
    states = [variable(zeros) for _ in range(2 if workload.is_lstm else 1)]
    made = np.empty((workload.steps, *zeros.shape), np.float32)

    def run() -> None:
        current = states
        for step, frame in enumerate(frames):
            current = module.onForward([frame, *current])
            made[step] = current[0].read().reshape(zeros.shape)

    return Contender(NAME, "", MNN.version(), run, lambda: np.moveaxis(made, 2, -1))
