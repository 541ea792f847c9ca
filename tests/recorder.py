"""A data source under a test's control, and the reading of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpsrnn_cy.convolution import MPSCNNConvolutionDescriptor
from mpsrnn_cy.enums import MPSDataType
from mpsrnn_cy.weight_reader import ConvolutionWeights, SourceRole, read_source

SHAPE = (8, 3, 2, 4)
COUNT = 8 * 3 * 2 * 4
GIVEN = (np.arange(COUNT, dtype=np.float32).reshape(SHAPE) - 90) / 7


class Recorder:
    """A data source whose methods answer what the test says, or raise it, and are written down."""

    def __init__(self, **answers: Any) -> None:
        self.calls: list[str] = []
        self.answers: dict[str, Any] = {
            "load": True,
            "purge": None,
            "label": "conv1",
            "data_type": MPSDataType.FLOAT32,
            "descriptor": MPSCNNConvolutionDescriptor(2, 3, 4, 8),
            "weights": GIVEN,
            "bias_terms": None,
            **answers,
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self.__dict__.get("answers", {}):
            raise AttributeError(name)

        def method() -> Any:
            self.calls.append(name)
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return method


def read(source: Any, **changes: Any) -> ConvolutionWeights:
    """Read a source of `SHAPE` as input weights in float32, or as the changes say."""
    arguments: dict[str, Any] = {
        "role": SourceRole.INPUT,
        "input_channels": 4,
        "output_channels": 8,
        "use_float32_weights": True,
        **changes,
    }
    return read_source(source, "forget_gate_weights", **arguments)


def descriptor(*sizes: int, **properties: Any) -> MPSCNNConvolutionDescriptor:
    """Describe a convolution, of `SHAPE` unless told."""
    made = MPSCNNConvolutionDescriptor(*(sizes or (2, 3, 4, 8)))
    for name, value in properties.items():
        setattr(made, name, value)
    return made
