"""Archives to be read, to be taken apart, and to be held against what descriptors would have made."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

import mpsrnn_cy as mps
from mpsrnn_cy.archive import encode_layer
from mpsrnn_cy.archive_reader import ENTRY
from mpsrnn_cy.cells import (
    IMAGE_CELLS,
    MATRIX_CELLS,
    TRAINING_CELLS,
    Cell,
    CellFamily,
    CellKind,
    GateWeights,
    read_cells,
)
from mpsrnn_cy.weight_reader import Neuron

CLASS = "MPSRNNImageInferenceLayer"
SETTINGS = {"label": "näme \ud800", "store_all_intermediate_states": True, "direction": -(2**63), "nothing": None}

_DESCRIPTORS = {
    CellKind.SINGLE_GATE: mps.MPSRNNSingleGateDescriptor,
    CellKind.GRU: mps.MPSGRUDescriptor,
    CellKind.LSTM: mps.MPSLSTMDescriptor,
}


# Samples ------------------------------------------------------------------------------------------------------


def prelu(channels: int) -> mps.MPSNNNeuronDescriptor:
    return mps.MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(np.linspace(-0.5, 0.5, channels, dtype=np.float32))


def single_gate() -> list[Cell]:
    """The smallest layer that has an input and a bias."""
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    weights = np.full((1, 1, 1, 1), 0.75, np.float32)
    descriptor.input_weights = mps.ArrayDataSource(weights, np.array([0.1], np.float32))
    return read_cells([descriptor])


def stack() -> list[Cell]:
    """A GRU below an LSTM; both memory weights, groups, dilation, PReLU, both precisions."""
    rng = np.random.default_rng(1)

    def source(*shape: int, **options: Any) -> mps.ArrayDataSource:
        return mps.ArrayDataSource(rng.standard_normal(shape).astype(np.float32), **options)

    gru = mps.MPSGRUDescriptor.create_gru_descriptor(3, 8)
    gru.gate_pnorm_value = 1.7
    gru.flip_output_gates = True
    gru.use_float32_weights = True
    bias = rng.standard_normal(8).astype(np.float32)
    gru.input_gate_input_weights = source(8, 3, 2, 3, bias=bias, neuron=prelu(8), dilation_rate=(2, 3))
    gru.output_gate_recurrent_weights = source(8, 1, 1, 4, groups=2)
    gru.output_gate_input_gate_weights = source(8, 1, 1, 8)
    lstm = mps.MPSLSTMDescriptor.create_lstm_descriptor(8, 8)
    lstm.use_layer_input_unit_transform_mode = True
    lstm.memory_weights_are_diagonal = True
    lstm.cell_to_output_neuron_param_a = 0.1
    lstm.forget_gate_input_weights = source(8, 1, 1, 8, bias=bias)
    lstm.forget_gate_memory_weights = source(8, 1, 1, 1)
    lstm.cell_gate_recurrent_weights = source(8, 2, 1, 8)
    return read_cells([gru, lstm])


def bidirectional() -> list[Cell]:
    """A layer of each direction; both see the same input."""
    forward = mps.MPSLSTMDescriptor.create_lstm_descriptor(2, 3)
    forward.output_gate_memory_weights = mps.ArrayDataSource(np.ones((3, 1, 1, 3), np.float16))
    backward = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(2, 1)
    backward.layer_sequence_direction = mps.MPSRNNSequenceDirection.BACKWARD
    return read_cells([forward, backward])


def matrix_stack() -> list[Cell]:
    """A GRU below an LSTM as matrix layers may have them: groups, PReLU, memory weights of both kinds."""
    rng = np.random.default_rng(2)

    def source(outputs: int, inputs: int, **options: Any) -> mps.ArrayDataSource:
        return mps.ArrayDataSource(rng.standard_normal((outputs, 1, 1, inputs)).astype(np.float32), **options)

    gru = mps.MPSGRUDescriptor.create_gru_descriptor(3, 8)
    gru.gate_pnorm_value = 2.5
    gru.output_gate_input_weights = source(8, 3, neuron=prelu(8))
    gru.output_gate_recurrent_weights = source(8, 4, groups=2)
    gru.output_gate_input_gate_weights = source(8, 8)
    lstm = mps.MPSLSTMDescriptor.create_lstm_descriptor(8, 2)
    lstm.use_float32_weights = True
    lstm.memory_weights_are_diagonal = True
    lstm.input_gate_input_weights = source(2, 8, bias=np.array([0.5, -1.0], np.float32))
    lstm.output_gate_memory_weights = source(2, 1)
    return read_cells([gru, lstm], MATRIX_CELLS)


def trained() -> list[Cell]:
    """What a training layer may have: one layer without groups, and a bias wherever there is an input."""
    rng = np.random.default_rng(3)
    lstm = mps.MPSLSTMDescriptor.create_lstm_descriptor(2, 3)
    for slot, inputs in {"input_gate_input": 2, "cell_gate_input": 2, "cell_gate_recurrent": 3}.items():
        weights = rng.standard_normal((3, 1, 1, inputs)).astype(np.float32)
        setattr(lstm, f"{slot}_weights", mps.ArrayDataSource(weights))
    return read_cells([lstm], TRAINING_CELLS)


FAMILIES = {
    CLASS: IMAGE_CELLS,
    "MPSRNNMatrixInferenceLayer": MATRIX_CELLS,
    "MPSRNNMatrixTrainingLayer": TRAINING_CELLS,
}


def archive(cells: Sequence[Cell], class_name: str = CLASS) -> bytes:
    return encode_layer(class_name, cells, SETTINGS)


# Taken apart and put together ---------------------------------------------------------------------------------


@dataclasses.dataclass
class Parts:
    """What an archive consists of, for tests to change."""

    header: dict[str, Any]
    """The tensors, by name."""
    entry: Any
    """Our JSON."""
    data: bytes


def unpack(archived: bytes) -> Parts:
    end = 8 + int.from_bytes(archived[:8], "little")
    header = json.loads(archived[8:end])
    return Parts(header, json.loads(header.pop("__metadata__")[ENTRY]), archived[end:])


def pack(parts: Parts) -> bytes:
    return with_header(json.dumps({"__metadata__": {ENTRY: json.dumps(parts.entry)}, **parts.header}), parts.data)


def with_header(header: str | bytes, data: bytes = b"") -> bytes:
    """A safetensors file, whatever its header says."""
    text = header if isinstance(header, bytes) else header.encode()
    return len(text).to_bytes(8, "little") + text + data


def with_entry(text: str) -> bytes:
    """An archive without tensors, whatever its entry says."""
    return with_header(json.dumps({"__metadata__": {ENTRY: text}}))


# Comparison ---------------------------------------------------------------------------------------------------


def assert_same(found: Any, expected: Any, place: str = "") -> None:
    """Compare cells field by field, types and every bit of every array included."""
    assert type(found) is type(expected), place
    if dataclasses.is_dataclass(expected):
        for field in dataclasses.fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name), f"{place}.{field.name}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), place
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{place}[{index}]")
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, place
        assert found.dtype.isnative, place
        assert found.shape == expected.shape, place
        assert found.tobytes() == expected.tobytes(), place
        assert found.flags.c_contiguous, place
        assert not found.flags.writeable, place
    else:
        assert found == expected, place


def reread(cells: Sequence[Cell], family: CellFamily = IMAGE_CELLS) -> list[Cell]:
    """What `read_cells` makes of descriptors that say what the cells say; refuses cells it could not have made."""
    return read_cells([_descriptor(cell) for cell in cells], family)


def _descriptor(cell: Cell) -> mps.MPSRNNDescriptor:
    descriptor = _DESCRIPTORS[cell.kind]()
    descriptor.input_feature_channels = cell.input_channels
    descriptor.output_feature_channels = cell.output_channels
    descriptor.layer_sequence_direction = cell.direction
    descriptor.use_layer_input_unit_transform_mode = cell.unit_transform
    descriptor.use_float32_weights = cell.use_float32_weights
    if isinstance(descriptor, mps.MPSGRUDescriptor):
        descriptor.gate_pnorm_value = cell.gate_pnorm_value
        descriptor.flip_output_gates = cell.flip_output_gates
    if isinstance(descriptor, mps.MPSLSTMDescriptor):
        descriptor.cell_to_output_neuron_type = cell.output_neuron.type
        descriptor.cell_to_output_neuron_param_a = cell.output_neuron.a
        descriptor.cell_to_output_neuron_param_b = cell.output_neuron.b
        descriptor.cell_to_output_neuron_param_c = cell.output_neuron.c
        descriptor.memory_weights_are_diagonal = any(gate.diagonal is not None for gate in cell.gates)
    for names, gate in zip(descriptor.GATES, cell.gates, strict=True):
        setattr(descriptor, names.input_weights, _input_source(gate, cell))
        setattr(descriptor, names.recurrent_weights, _source(gate.recurrent))
        if names.memory_weights is not None and gate.diagonal is not None:
            setattr(descriptor, names.memory_weights, mps.ArrayDataSource(gate.diagonal.reshape(-1, 1, 1, 1)))
        elif names.memory_weights is not None:
            setattr(descriptor, names.memory_weights, _source(gate.memory))
    return descriptor


def _source(weights: Any, **options: Any) -> mps.ArrayDataSource | None:
    if weights is None:
        return None
    return mps.ArrayDataSource(weights.weights, dilation_rate=weights.dilation, groups=weights.groups, **options)


def _input_source(gate: GateWeights, cell: Cell) -> mps.ArrayDataSource | None:
    neuron = _neuron(gate.neuron)
    if gate.input is None and cell.unit_transform:
        # Its weights are not looked at; bias and neuron are.
        weights = np.zeros((cell.output_channels, 1, 1, cell.input_channels), np.float16)
        return mps.ArrayDataSource(weights, gate.bias, neuron)
    return _source(gate.input, bias=gate.bias, neuron=neuron)


def _neuron(neuron: Neuron) -> mps.MPSNNNeuronDescriptor:
    if neuron.data is None:
        return mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(neuron.type, neuron.a, neuron.b, neuron.c)
    descriptor = mps.MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(neuron.data)
    descriptor.a, descriptor.b, descriptor.c = neuron.a, neuron.b, neuron.c
    return descriptor
