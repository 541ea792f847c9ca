"""What is measured: cells, their sizes, and data made from a seed.

Weights are values that half precision holds exactly. Every library then computes the same function, whatever it keeps
its weights in, and the errors of all can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

# Gates in the order in which `Parameters` holds them.
GATES = {"ConvLSTM": "ifgo", "LSTM": "ifgo", "ConvGRU": "zrn", "GRU": "zrn"}


class Parameters(NamedTuple):
    """Weights of one cell: every array starts with an axis for the gates and one for the outputs.

    Those of image cells go on with the window's height, its width and the channels read; of matrix cells, with the
    channels.
    """

    input: Float32
    recurrent: Float32
    bias: Float32


class Data(NamedTuple):
    """`x` is (time, batch, height, width, channels) or (time, rows, channels); a cell each layer and direction."""

    x: Float32
    cells: list[Parameters]


@dataclass(frozen=True)
class Workload:
    """A sequence through a cell. Its name is what bars are looked up by."""

    cell: str
    inputs: int
    outputs: int
    steps: int
    batch: int = 1

    @property
    def gates(self) -> str:
        return GATES[self.cell]

    @property
    def is_lstm(self) -> bool:
        return len(self.gates) == 4

    @property
    def window(self) -> tuple[int, ...]:
        return ()

    @property
    def extent(self) -> tuple[int, ...]:
        return ()

    @property
    def directions(self) -> int:
        return 1

    @property
    def cell_inputs(self) -> list[int]:
        """Channels that every cell reads, by layer and direction."""
        return [self.inputs]

    @property
    def reduction(self) -> int:
        """Products that add up to one number before its activation: the most of any cell."""
        return int((max(self.cell_inputs) + self.outputs) * np.prod(self.window, dtype=int))

    @property
    def operations(self) -> int:
        """Floating-point operations of the products, evaluated directly: two each."""
        positions = (
            self.steps * self.batch * int(np.prod(self.extent, dtype=int)) * int(np.prod(self.window, dtype=int))
        )
        return sum(2 * positions * len(self.gates) * self.outputs * (n + self.outputs) for n in self.cell_inputs)

    @cached_property
    def data(self) -> Data:
        rng = np.random.default_rng(0)
        cells = []
        for inputs in self.cell_inputs:
            limit = 1.0 / np.sqrt((inputs + self.outputs) * np.prod(self.window))
            arrays = []
            for trailing in ((*self.window, inputs), (*self.window, self.outputs), ()):
                shape = (len(self.gates), self.outputs, *trailing)
                arrays.append(rng.uniform(-limit, limit, shape).astype(np.float16).astype(np.float32))
            cells.append(Parameters(*arrays))
        x = rng.standard_normal((self.steps, self.batch, *self.extent, self.inputs)).astype(np.float32)
        return Data(x, cells)


@dataclass(frozen=True)
class ImageWorkload(Workload):
    """A cell of images; `height`, `width` of them, and of the kernel's window."""

    height: int = 0
    width: int = 0
    kernel: tuple[int, int] = (3, 3)

    @property
    def window(self) -> tuple[int, ...]:
        return self.kernel

    @property
    def extent(self) -> tuple[int, ...]:
        return (self.height, self.width)

    @property
    def name(self) -> str:
        parts = [
            f"{self.cell} {self.kernel[0]}x{self.kernel[1]}",
            f"{self.height}x{self.width}",
            f"{self.inputs} to {self.outputs} channels",
            f"{self.steps} frames",
        ]
        return ", ".join(parts + ([f"batch of {self.batch}"] if self.batch > 1 else []))


@dataclass(frozen=True)
class MatrixWorkload(Workload):
    """A stack of cells over sequences of vectors, each layer in one direction or both."""

    layers: int = 1
    bidirectional: bool = False

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def cell_inputs(self) -> list[int]:
        above = self.outputs * self.directions
        return [self.inputs if n == 0 else above for n in range(self.layers) for _ in range(self.directions)]

    @property
    def name(self) -> str:
        rows = "one sequence" if self.batch == 1 else f"batch of {self.batch}"
        size = f"{self.outputs} units" if self.inputs == self.outputs else f"{self.inputs} to {self.outputs} units"
        stack = [f"{self.layers} layers"] if self.layers > 1 else []
        directions = ["both directions"] if self.bidirectional else []
        return ", ".join([self.cell, *stack, *directions, rows, size, f"{self.steps} steps"])


def image(cell: str, side: int, inputs: int, outputs: int, kernel: int = 3, **more: int) -> ImageWorkload:
    """Square images and a square window, ten frames."""
    more = {"steps": 10} | more
    return ImageWorkload(cell, inputs, outputs, height=side, width=side, kernel=(kernel, kernel), **more)


def matrix(cell: str, units: int, steps: int, batch: int = 1, **more: int) -> MatrixWorkload:
    """A cell that reads as many channels as it makes."""
    return MatrixWorkload(cell, units, units, steps, batch, **more)


IMAGE_WORKLOADS = [
    image("ConvLSTM", 64, 16, 64),
    image("ConvLSTM", 128, 64, 64),
    image("ConvLSTM", 32, 128, 128),
    image("ConvLSTM", 64, 1, 64, kernel=5),
    image("ConvGRU", 64, 64, 64),
]
MATRIX_WORKLOADS = [
    matrix("LSTM", 128, 100),
    matrix("LSTM", 512, 100),
    matrix("LSTM", 1024, 100),
    matrix("LSTM", 512, 50, 32),
    matrix("LSTM", 1024, 20, 64),
    matrix("LSTM", 256, 50, 8, layers=2, bidirectional=True),
    matrix("GRU", 256, 100),
    matrix("GRU", 512, 50, 32),
]
