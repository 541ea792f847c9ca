"""A training layer with all that its two passes take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import conversion
import mpsrnn_cy as mps
import oracle
from matrices import assert_same_bits, blanks, matrices, run
from matrix_stacks import gru, inputs, lstm, single_gate

Layer = mps.MPSRNNMatrixTrainingLayer
FLOAT16, FLOAT32 = mps.MPSDataType.FLOAT16, mps.MPSDataType.FLOAT32
INPUTS, OUTPUTS = 3, 5
ROWS = (4, 3, 3, 1)

CELLS = {
    "single gate": lambda rng: single_gate(rng, INPUTS, OUTPUTS, float32_weights=True),
    "gru": lambda rng: gru(rng, INPUTS, OUTPUTS, memory=True, float32_weights=True),
    "lstm, full": lambda rng: lstm(rng, INPUTS, OUTPUTS, peepholes="full", float32_weights=True),
    "lstm, diagonal": lambda rng: lstm(rng, INPUTS, OUTPUTS, peepholes="diagonal", float32_weights=True),
    "half": lambda rng: single_gate(rng, INPUTS, OUTPUTS),
}


@dataclass
class Training:
    """A layer and all that its two passes take."""

    device: mps.MTLDevice
    cell: oracle.Cell
    rows: tuple[int, ...] = ROWS
    weights: list[mps.MPSMatrix] = field(default_factory=list)
    states: list[mps.MPSRNNMatrixTrainingState] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layer = Layer(self.device, conversion.descriptor(self.cell), self.weights)
        self.sources = matrices(self.device, inputs([self.cell], self.rows))
        above = np.random.default_rng(5).standard_normal((sum(self.rows), OUTPUTS)).astype(np.float32)
        self.above = matrices(self.device, np.split(above, np.cumsum(self.rows)[:-1]))
        self.below = blanks(self.device, self.rows, INPUTS)
        self.destinations = blanks(self.device, self.rows, OUTPUTS)
        self.gradients: list[mps.MPSMatrix] = []
        self.layer.create_weight_gradient_matrices(self.gradients, FLOAT32)
        self.command = self.new_command()

    def new_command(self) -> mps.MTLCommandBuffer:
        return self.device.make_command_queue().make_command_buffer()

    def forward(self, **changes: Any) -> None:
        arguments = {
            "command_buffer": self.command,
            "source_matrices": self.sources,
            "destination_matrices": self.destinations,
            "training_states": self.states,
            "weights": self.weights,
            **changes,
        }
        self.layer.encode_forward_sequence(**arguments)

    def gradient(self, **changes: Any) -> None:
        arguments = {
            "command_buffer": self.command,
            "forward_sources": self.sources,
            "source_gradients": self.above,
            "destination_gradients": self.below,
            "weight_gradients": self.gradients,
            "training_states": self.states,
            "weights": self.weights,
            **changes,
        }
        self.layer.encode_gradient_sequence(**arguments)

    def run(self) -> None:
        run(self.command)
        self.command = self.new_command()


def arrays(made: list[mps.MPSMatrix]) -> list[np.ndarray]:
    return [matrix.to_numpy() for matrix in made]


def assert_same_arrays(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for x, y in zip(a, b, strict=True):
        assert_same_bits(x, y)
