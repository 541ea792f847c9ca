"""MNN on images: a module of one step, whose state goes round as its variables.

Its own LSTM and GRU are never the fastest, so they are left out.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import MNN
import numpy as np
from MNN import expr, nn
from numpy.typing import NDArray

from ..contender import Contender
from ..workloads import ImageWorkload, Workload

NAME = "MNN"
REQUIRED = False

# The hint that bounds Winograd's tiles, and its value for small ones: larger ones err a thousand times as much.
_WINOGRAD_MEMORY_LEVEL = 3
_SMALL_TILES = 1


def prepare(workload: Workload, threads: int) -> Iterator[Contender]:
    # Its convolution has as many zeros on the right as on the left, which a window of even size has not.
    if isinstance(workload, ImageWorkload) and all(size % 2 for size in workload.kernel):
        yield _contender(workload, _module(workload, threads))


def _convolution(workload: ImageWorkload, pixels: expr.Var, gates: slice) -> expr.Var:
    cell = workload.data.cells[0]
    joined = np.moveaxis(np.concatenate([cell.input[gates], cell.recurrent[gates]], axis=-1), -1, 2)
    joined = np.ascontiguousarray(joined.reshape(-1, *joined.shape[2:]))
    bias = cell.bias[gates].ravel().copy()
    weights = expr.const(joined, list(joined.shape), expr.NCHW)
    return expr.conv2d(pixels, weights, expr.const(bias, list(bias.shape)), padding_mode=expr.SAME)


def _step(workload: ImageWorkload) -> list[expr.Var]:
    state = [workload.batch, workload.outputs, *workload.extent]
    frame = [workload.batch, workload.inputs, *workload.extent]
    shapes = {"x": frame, "h": state} | ({"c": state} if workload.is_lstm else {})
    given = {}
    for name, shape in shapes.items():
        given[name] = expr.placeholder(shape, expr.NCHW)
        given[name].name = name
    x, h = (expr.convert(given[name], expr.NC4HW4) for name in "xh")
    if workload.is_lstm:
        c = expr.convert(given["c"], expr.NC4HW4)
        gates = _convolution(workload, expr.concat([x, h], 1), slice(None))
        i, f, g, o = expr.split(gates, [workload.outputs] * 4, 1)
        c = expr.sigmoid(f) * c + expr.sigmoid(i) * expr.tanh(g)
        results = {"h1": expr.sigmoid(o) * expr.tanh(c), "c1": c}
    else:
        gates = expr.sigmoid(_convolution(workload, expr.concat([x, h], 1), slice(2)))
        z, r = expr.split(gates, [workload.outputs] * 2, 1)
        n = expr.tanh(_convolution(workload, expr.concat([x, r * h], 1), slice(2, None)))
        results = {"h1": n + z * (h - n)}
    named = []
    for name, result in results.items():
        named.append(expr.convert(result, expr.NCHW))
        named[-1].name = name
    return named


def _module(workload: ImageWorkload, threads: int) -> nn._Module:
    manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high", "numThread": threads},))
    manager.set_hint(_WINOGRAD_MEMORY_LEVEL, _SMALL_TILES)
    inputs, outputs = (["x", "h", "c"], ["h1", "c1"]) if workload.is_lstm else (["x", "h"], ["h1"])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "step.mnn")
        expr.save(_step(workload), path)
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
