"""Results that are known without computing: of arithmetic in the head, or measured on Apple's hardware."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from small_layers import each_layer, outputs, single, source

DESCRIPTORS = {
    "single gate": mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor,
    "GRU": mps.MPSGRUDescriptor.create_gru_descriptor,
    "LSTM": mps.MPSLSTMDescriptor.create_lstm_descriptor,
}


@each_layer
def test_unit_transform_is_the_identity(device: mps.MTLDevice, layer_type: Any) -> None:
    layer = layer_type(device, single(use_layer_input_unit_transform_mode=True))
    assert outputs(layer, 0.25, 0.75) == [[0.25], [0.75]]


@each_layer
def test_pointwise_convolution(device: mps.MTLDevice, layer_type: Any) -> None:
    layer = layer_type(device, single(input_weights=source(2, [0.5])))
    assert outputs(layer, 1, 2, 3, 4) == [[2.5], [4.5], [6.5], [8.5]]


@each_layer
@pytest.mark.parametrize("kind", DESCRIPTORS)
def test_without_sources_everything_is_zero(device: mps.MTLDevice, layer_type: Any, kind: str) -> None:
    assert outputs(layer_type(device, DESCRIPTORS[kind](1, 2)), 3, -2) == [[0, 0], [0, 0]]


@each_layer
def test_running_sum(device: mps.MTLDevice, layer_type: Any) -> None:
    descriptor = single(use_layer_input_unit_transform_mode=True, recurrent_weights=source(1))
    assert outputs(layer_type(device, descriptor), 1, 1, 1) == [[1], [2], [3]]


@each_layer
def test_gru_of_unit_transforms(device: mps.MTLDevice, layer_type: Any) -> None:
    """Where z = r = h = x, h1 = (1 - x) x + x h0."""
    descriptor = DESCRIPTORS["GRU"](1, 1)
    descriptor.use_layer_input_unit_transform_mode = True
    assert outputs(layer_type(device, descriptor), 0.5, 0.25) == [[0.25], [0.75 * 0.25 + 0.25 * 0.25]]


def adding_lstm() -> mps.MPSLSTMDescriptor:
    """C1 = c0 + x and h1 = c1: all gates but the cell gate are 1."""
    descriptor = DESCRIPTORS["LSTM"](1, 1)
    descriptor.cell_to_output_neuron_type = mps.MPSCNNNeuronType.NONE
    for gate in ("input", "forget", "output"):
        setattr(descriptor, f"{gate}_gate_input_weights", source(0, [1]))
    descriptor.cell_gate_input_weights = source(1)
    return descriptor  # type: ignore[no-any-return]


def test_finished_rows_keep_their_state(device: mps.MTLDevice) -> None:
    """Lengths 4, 3 and 2: matrices of 3, 3, 2 and 1 rows."""
    layer = mps.MPSRNNMatrixInferenceLayer(device, adding_lstm())
    x = [np.full((rows, 1), 10.0**t, np.float32) for t, rows in enumerate((3, 3, 2, 1))]
    layer.store_all_intermediate_states = True
    sources = [mps.MPSMatrix.from_numpy(device, array) for array in x]
    destinations = [mps.MPSMatrix.from_numpy(device, np.full((3, 1), -1, np.float32)) for _ in x]
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, sources, destinations, recurrent_output_states=states)
    command.commit()
    command.wait_until_completed()
    expected = [[1, 1, 1], [11, 11, 11], [111, 111, 11], [1111, 111, 11]]
    for get in ("get_recurrent_output_matrix", "get_memory_cell_matrix"):
        assert [getattr(state, get)(0).to_numpy().ravel().tolist() for state in states] == expected
    # Of a destination, what lies below the rows of its source is left alone.
    assert [matrix.to_numpy().ravel().tolist() for matrix in destinations] == [
        [1, 1, 1],
        [11, 11, 11],
        [111, 111, -1],
        [1111, -1, -1],
    ]


@pytest.mark.parametrize(
    ("data_type", "columns", "expected"),
    [
        (mps.MPSDataType.FLOAT32, (0, 1, 2, 4, 5), (0, 4, 16, 16, 32)),
        (mps.MPSDataType.FLOAT16, (0, 1, 2, 8, 9), (0, 2, 16, 16, 32)),
        (mps.MPSDataType.INT8, (0, 1, 2, 4, 5), (0, 1, 4, 4, 8)),
        (mps.MPSDataType.UINT16, (1, 3, 5), (2, 8, 16)),
        (mps.MPSDataType.INT32, (1, 3, 5), (4, 16, 32)),
        (mps.MPSDataType.UINT64, (1, 3, 5), (8, 32, 64)),
    ],
    ids=lambda value: value.name if isinstance(value, mps.MPSDataType) else None,
)
def test_recommended_row_bytes(data_type: mps.MPSDataType, columns: tuple, expected: tuple) -> None:
    """What macOS 26 recommends: floats up to 16 bytes, integers up to four elements, a single column as it is."""
    found = tuple(mps.MPSMatrixDescriptor.row_bytes(for_columns=count, data_type=data_type) for count in columns)
    assert found == expected
