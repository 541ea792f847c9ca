"""What the matrix layer takes at its construction, and what its properties take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused
from test_matrix_layer_errors import Type, Value, two_layers


def described(**sources: Any) -> mps.MPSRNNSingleGateDescriptor:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(8, 8)
    for name, value in sources.items():
        setattr(descriptor, name, mps.ArrayDataSource(np.zeros(value, np.float32)))
    return descriptor


def wide(channels: int) -> mps.MPSRNNSingleGateDescriptor:
    return mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(channels, 1)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (
            lambda: described(input_weights=(8, 3, 1, 8)),
            Value,
            r"^rnn_descriptors\[0\].input_weights: got a kernel of \(3, 1\), expected \(1, 1\): matrices are fully",
        ),
        (
            lambda: described(input_weights=(8, 1, 1, 8), recurrent_weights=(8, 1, 2, 8)),
            Value,
            r"^rnn_descriptors\[0\].recurrent_weights: got a kernel of \(1, 2\), expected \(1, 1\)",
        ),
        (lambda: wide(2**16 + 1), Value, r"^rnn_descriptors\[0\]: got 65537 input and 1 output channels, expected at"),
        (lambda: None, Type, r"^rnn_descriptor: got neither or both"),
        (list, Value, r"^rnn_descriptor: got an empty list"),
    ],
    ids=["window over rows", "window over columns", "channels", "none", "no descriptors"],
)
def test_bad_descriptors(
    device: mps.MTLDevice, no_leaks: None, make: Callable[[], Any], error: type[mps.Error], words: str
) -> None:
    refused(lambda: mps.MPSRNNMatrixInferenceLayer(device, make()), error, words)


def test_most_channels(device: mps.MTLDevice) -> None:
    assert mps.MPSRNNMatrixInferenceLayer(device, wide(2**16)).input_feature_channels == 2**16


def test_attributes(device: mps.MTLDevice) -> None:
    layer = two_layers(device)
    for name in ("store_all_intermediate_states", "recurrent_output_is_temporary"):
        refused(lambda name=name: setattr(layer, name, 1), Type, rf"^{name}: got 1 \(int\), expected a bool$")
        assert getattr(layer, name) is False
    refused(lambda: setattr(layer, "bidirectional_combine_mode", 3), Value, "^bidirectional_combine_mode: got 3")
    for name in ("device", "input_feature_channels", "output_feature_channels", "number_of_layers"):
        with pytest.raises(AttributeError):
            setattr(layer, name, getattr(layer, name))
