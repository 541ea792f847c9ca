"""Which matrices of a cell are trained, in which order, and what they start with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from mpsrnn_cy.cells import TRAINING_CELLS, Cell, read_cells
from mpsrnn_cy.training_weights import WeightKind, cell_layout, initial_values, weight_data_type, weight_slots
from refusal import refused

Id = mps.MPSRNNMatrixId
INPUTS, OUTPUTS = 3, 5

SINGLE = ("input_weights", "recurrent_weights")
GRU = (
    "input_gate_input_weights",
    "input_gate_recurrent_weights",
    "recurrent_gate_input_weights",
    "recurrent_gate_recurrent_weights",
    "output_gate_input_weights",
    "output_gate_recurrent_weights",
    "output_gate_input_gate_weights",
)
LSTM = tuple(
    f"{gate}_gate_{kind}_weights"
    for gate in ("input", "forget", "cell", "output")
    for kind in ("input", "recurrent", "memory")
)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def source(slot: str, rows: int, columns: int, bias: bool = True) -> mps.ArrayDataSource:
    has_bias = slot.endswith("_input_weights") or slot == "input_weights"
    return mps.ArrayDataSource(numbers(rows, 1, 1, columns), numbers(rows) if has_bias and bias else None)


def cell(kind: str, slots: tuple[str, ...], bias: bool = True, **settings: Any) -> Cell:
    inputs = OUTPUTS if settings.get("use_layer_input_unit_transform_mode") else INPUTS
    descriptor = {
        "single": mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor,
        "gru": mps.MPSGRUDescriptor.create_gru_descriptor,
        "lstm": mps.MPSLSTMDescriptor.create_lstm_descriptor,
    }[kind](inputs, OUTPUTS)
    for name, value in settings.items():
        setattr(descriptor, name, value)
    for slot in slots:
        columns = inputs if slot.endswith("_input_weights") or slot == "input_weights" else OUTPUTS
        if settings.get("memory_weights_are_diagonal") and slot.endswith("memory_weights"):
            columns = 1
        setattr(descriptor, slot, source(slot, OUTPUTS, columns, bias))
    return read_cells([descriptor], TRAINING_CELLS)[0]


def ids(made: Cell) -> list[int]:
    return [slot.id for slot in weight_slots(made)]


def test_every_id_belongs_to_one_kind_of_cell() -> None:
    found = ids(cell("single", SINGLE)) + ids(cell("lstm", LSTM)) + ids(cell("gru", GRU))
    assert found == list(Id)


@pytest.mark.parametrize(
    ("kind", "slot", "expected"),
    [
        ("single", "recurrent_weights", [Id.SINGLE_GATE_RECURRENT_WEIGHTS]),
        ("single", "input_weights", [Id.SINGLE_GATE_INPUT_WEIGHTS, Id.SINGLE_GATE_BIAS_TERMS]),
        ("gru", "recurrent_gate_recurrent_weights", [Id.GRU_RECURRENT_GATE_RECURRENT_WEIGHTS]),
        ("gru", "output_gate_input_gate_weights", [Id.GRU_OUTPUT_GATE_INPUT_GATE_WEIGHTS]),
        ("lstm", "cell_gate_input_weights", [Id.LSTM_MEMORY_GATE_INPUT_WEIGHTS, Id.LSTM_MEMORY_GATE_BIAS_TERMS]),
        ("lstm", "cell_gate_memory_weights", [Id.LSTM_MEMORY_GATE_MEMORY_WEIGHTS]),
        ("lstm", "output_gate_memory_weights", [Id.LSTM_OUTPUT_GATE_MEMORY_WEIGHTS]),
    ],
)
def test_ids_of_single_sources(kind: str, slot: str, expected: list[int]) -> None:
    assert ids(cell(kind, (slot,))) == expected


def test_sizes_and_gates() -> None:
    slots = {slot.id: (slot.gate, slot.kind, slot.rows, slot.columns) for slot in weight_slots(cell("lstm", LSTM))}
    assert slots[Id.LSTM_FORGET_GATE_INPUT_WEIGHTS] == (1, WeightKind.INPUT, OUTPUTS, INPUTS)
    assert slots[Id.LSTM_MEMORY_GATE_RECURRENT_WEIGHTS] == (2, WeightKind.RECURRENT, OUTPUTS, OUTPUTS)
    assert slots[Id.LSTM_OUTPUT_GATE_MEMORY_WEIGHTS] == (3, WeightKind.MEMORY, OUTPUTS, OUTPUTS)
    assert slots[Id.LSTM_OUTPUT_GATE_BIAS_TERMS] == (3, WeightKind.BIAS, 1, OUTPUTS)


def test_diagonal_memory_weights_are_one_row() -> None:
    made = cell("lstm", LSTM, memory_weights_are_diagonal=True)
    assert ids(made) == ids(cell("lstm", LSTM))
    for slot in weight_slots(made):
        if slot.id.name.endswith("MEMORY_WEIGHTS"):
            assert (slot.kind, slot.rows, slot.columns) == (WeightKind.DIAGONAL, 1, OUTPUTS)
            assert initial_values(made, slot).tolist() == [numbers(OUTPUTS, 1, 1, 1).ravel().astype("f2").tolist()]


@pytest.mark.parametrize("is_float32", [False, True])
def test_they_start_with_what_the_sources_delivered(is_float32: bool) -> None:
    made = cell("single", SINGLE, use_float32_weights=is_float32)
    dtype = np.float32 if is_float32 else np.float16
    data_type = mps.MPSDataType.FLOAT32 if is_float32 else mps.MPSDataType.FLOAT16
    assert weight_data_type(made) == data_type
    expected = [
        numbers(OUTPUTS, 1, 1, INPUTS)[:, 0, 0],
        numbers(OUTPUTS, 1, 1, OUTPUTS)[:, 0, 0],
        numbers(OUTPUTS)[None],
    ]
    for slot, array in zip(weight_slots(made), expected, strict=True):
        found = initial_values(made, slot)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, array.astype(dtype))


def test_a_bias_of_zeros_beside_input_weights_without_one() -> None:
    made = cell("single", SINGLE, bias=False)
    assert ids(made) == ids(cell("single", SINGLE))
    assert initial_values(made, weight_slots(made)[2]).tolist() == [[0.0] * OUTPUTS]


@pytest.mark.parametrize("bias", [False, True])
def test_unit_transform_leaves_the_bias(bias: bool) -> None:
    made = cell("single", SINGLE, bias, use_layer_input_unit_transform_mode=True)
    assert ids(made) == [Id.SINGLE_GATE_RECURRENT_WEIGHTS, Id.SINGLE_GATE_BIAS_TERMS]
    assert ids(cell("gru", (), use_layer_input_unit_transform_mode=True)) == []


def test_layouts_compare_without_numbers() -> None:
    assert cell_layout(cell("gru", GRU)) == cell_layout(cell("gru", GRU, bias=False))
    assert cell_layout(cell("gru", GRU)) != cell_layout(cell("gru", GRU[:-1]))
    assert cell_layout(cell("single", ())) != cell_layout(cell("lstm", ()))


def test_a_bias_that_float16_does_not_have() -> None:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    weights, bias = np.ones((1, 1, 1, 1), np.float32), np.array([1e6], np.float32)
    descriptor.input_weights = mps.ArrayDataSource(weights, bias)
    (made,) = read_cells([descriptor], TRAINING_CELLS)
    words = r"^SINGLE_GATE_BIAS_TERMS: got a magnitude of 1e\+06, expected at most 65504 for float16"
    refused(lambda: initial_values(made, weight_slots(made)[1]), mps.BadArgumentError, words)


def test_groups_are_refused() -> None:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(8, 8)
    descriptor.recurrent_weights = mps.ArrayDataSource(np.ones((8, 1, 1, 4), np.float32), groups=2)
    words = r"^rnn_descriptors\[0\].recurrent_weights: got 2 groups, expected 1 in a layer that is trained$"
    refused(lambda: read_cells([descriptor], TRAINING_CELLS), mps.BadArgumentError, words)
