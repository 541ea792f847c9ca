"""ncnn on images: a net of one step, whose state goes round in ncnn's own packed layout.

Its LSTM and GRU take two to ten times as long as the fastest library's, so they are left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import ncnn
import numpy as np
from numpy.typing import NDArray

from ..contender import Contender
from ..workloads import ImageWorkload, Workload

NAME = "ncnn"
REQUIRED = False

# The first number of every parameter file, and what says that weights are float32.
_MAGIC = 7767517
_FLOAT32 = b"\0\0\0\0"
_ADD, _SUBTRACT, _MULTIPLY = 0, 1, 2


class _Layers:
    """A net as ncnn's text: a line each layer, with its inputs and outputs by name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.made: set[str] = set()

    def add(self, kind: str, sources: str, results: str, parameters: str = "") -> None:
        counts = f"{len(sources.split())} {len(results.split())}"
        self.lines.append(f"{kind} layer{len(self.lines)} {counts} {sources} {results} {parameters}")
        self.made.update(results.split())

    def __str__(self) -> str:
        return "\n".join([str(_MAGIC), f"{len(self.lines)} {len(self.made)}", *self.lines]) + "\n"


def prepare(workload: Workload, threads: int) -> Iterator[Contender]:
    if isinstance(workload, ImageWorkload):
        # Winograd is for windows of 3x3 alone, and with it switched off other windows run faster.
        yield _contender(workload, _net(workload, threads))


def _convolution(layers: _Layers, workload: ImageWorkload, source: str, result: str, gates: int) -> None:
    height, width = workload.kernel
    count = gates * workload.outputs
    size = count * height * width * (workload.inputs + workload.outputs)
    around = f"4={width // 2} 15={(width - 1) // 2} 14={height // 2} 16={(height - 1) // 2}"
    layers.add("Convolution", source, result, f"0={count} 1={width} 11={height} {around} 5=1 6={size}")


def _step(workload: ImageWorkload) -> str:
    """One step; a blob that two layers read is split in two, for in ncnn a blob has one reader."""
    layers = _Layers()
    equal_parts = "-23300={0},{1} 1=0"
    layers.add("Input", "", "x")
    layers.add("Input", "", "h")
    if workload.is_lstm:
        layers.add("Input", "", "c")
        layers.add("Concat", "x h", "pixels", "0=0")
        _convolution(layers, workload, "pixels", "gates", 4)
        layers.add("Slice", "gates", "i f g o", equal_parts.format(4, ",".join(["-233"] * 4)))
        for gate, function in (("i", "Sigmoid"), ("f", "Sigmoid"), ("g", "TanH"), ("o", "Sigmoid")):
            layers.add(function, gate, f"{gate}1")
        layers.add("BinaryOp", "f1 c", "kept", f"0={_MULTIPLY}")
        layers.add("BinaryOp", "i1 g1", "added", f"0={_MULTIPLY}")
        layers.add("BinaryOp", "kept added", "sum", f"0={_ADD}")
        layers.add("Split", "sum", "c1 c2")
        layers.add("TanH", "c2", "c3")
        layers.add("BinaryOp", "o1 c3", "h1", f"0={_MULTIPLY}")
        return str(layers)
    layers.add("Split", "x", "x1 x2")
    layers.add("Split", "h", "h2 h3 h4 h5")
    layers.add("Concat", "x1 h2", "pixels", "0=0")
    _convolution(layers, workload, "pixels", "gates", 2)
    layers.add("Sigmoid", "gates", "gates1")
    layers.add("Slice", "gates1", "z r", equal_parts.format(2, "-233,-233"))
    layers.add("BinaryOp", "r h3", "reset", f"0={_MULTIPLY}")
    layers.add("Concat", "x2 reset", "pixels1", "0=0")
    _convolution(layers, workload, "pixels1", "candidate", 1)
    layers.add("TanH", "candidate", "n")
    layers.add("Split", "n", "n1 n2")
    layers.add("BinaryOp", "h4 n1", "difference", f"0={_SUBTRACT}")
    layers.add("BinaryOp", "z difference", "kept", f"0={_MULTIPLY}")
    layers.add("BinaryOp", "n2 kept", "h1", f"0={_ADD}")
    return str(layers)


def _weights(workload: ImageWorkload) -> bytes:
    """What the convolutions read, one after the other: weights (output, input, height, width), then biases."""
    cell = workload.data.cells[0]
    joined = np.moveaxis(np.concatenate([cell.input, cell.recurrent], axis=-1), -1, 2)
    parts = [slice(None)] if workload.is_lstm else [slice(2), slice(2, None)]
    return b"".join(_FLOAT32 + joined[part].tobytes() + cell.bias[part].tobytes() for part in parts)


def _net(workload: ImageWorkload, threads: int) -> ncnn.Net:
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = net.opt.use_vulkan_compute = False
    net.opt.use_winograd_convolution = workload.kernel == (3, 3)
    # From memory, ncnn would go on reading bytes that Python has released.
    with tempfile.NamedTemporaryFile() as file:
        file.write(_weights(workload))
        file.flush()
        if net.load_param_mem(_step(workload)) != 0 or net.load_model(file.name) != 0:
            raise RuntimeError(f"ncnn {ncnn.__version__} refuses the net")
    return net


def _contender(workload: ImageWorkload, net: ncnn.Net) -> Contender:
    def mat(array: NDArray[np.float32]) -> ncnn.Mat:
        # A Mat of an array does not keep it alive, which has to last until its clone has memory of its own.
        contiguous = np.ascontiguousarray(array)
        return ncnn.Mat(contiguous).clone()

    frames = [[mat(np.moveaxis(image, -1, 0)) for image in frame] for frame in workload.data.x]
    zeros = mat(np.zeros((workload.outputs, *workload.extent), np.float32))
    made = np.empty((workload.steps, workload.batch, workload.outputs, *workload.extent), np.float32)

    def run() -> None:
        for index in range(workload.batch):
            h = c = zeros
            for step, frame in enumerate(frames):
                extractor = net.create_extractor()
                extractor.input("x", frame[index])
                extractor.input("h", h)
                if workload.is_lstm:
                    extractor.input("c", c)
                made[step, index] = extractor.extract("h1")[1].numpy()
                h = extractor.extract("h1", 1)[1]
                if workload.is_lstm:
                    c = extractor.extract("c1", 1)[1]

    return Contender(NAME, "", ncnn.__version__, run, lambda: np.moveaxis(made, 2, -1))
