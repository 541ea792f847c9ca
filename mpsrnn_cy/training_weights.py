"""The trainable matrices of a cell: which there are, in which order, and what they start with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from .cells import Cell, CellKind, GateWeights
from .enums import MPSDataType, MPSRNNMatrixId
from .errors import BadArgumentError

__all__ = [
    "CellLayout",
    "WeightKind",
    "WeightSlot",
    "cell_layout",
    "initial_values",
    "weight_data_type",
    "weight_slots",
]


class WeightKind(IntEnum):
    """What a matrix is to its gate, in the order of the native interface."""

    INPUT = 0
    """W: output channels x input channels."""
    RECURRENT = 1
    """U: output channels x output channels."""
    MEMORY = 2
    """V: output channels x output channels."""
    DIAGONAL = 3
    """V with one factor per channel: 1 x output channels."""
    BIAS = 4
    """b: 1 x output channels."""


@dataclass(frozen=True)
class WeightSlot:
    """One trainable matrix of a cell."""

    id: MPSRNNMatrixId
    gate: int
    """Index of its gate in the cell."""
    kind: WeightKind
    rows: int
    columns: int


@dataclass(frozen=True)
class _GateIds:
    """What Apple calls the matrices of one gate; memory weights have one id, full or diagonal."""

    input: MPSRNNMatrixId
    recurrent: MPSRNNMatrixId
    bias: MPSRNNMatrixId
    memory: MPSRNNMatrixId | None = None


_Id = MPSRNNMatrixId
# By the index of the gate. What the descriptor of an LSTM calls its cell gate, the ids call the memory gate.
_IDS: dict[CellKind, tuple[_GateIds, ...]] = {
    CellKind.SINGLE_GATE: (
        _GateIds(_Id.SINGLE_GATE_INPUT_WEIGHTS, _Id.SINGLE_GATE_RECURRENT_WEIGHTS, _Id.SINGLE_GATE_BIAS_TERMS),
    ),
    CellKind.GRU: (
        _GateIds(_Id.GRU_INPUT_GATE_INPUT_WEIGHTS, _Id.GRU_INPUT_GATE_RECURRENT_WEIGHTS, _Id.GRU_INPUT_GATE_BIAS_TERMS),
        _GateIds(
            _Id.GRU_RECURRENT_GATE_INPUT_WEIGHTS,
            _Id.GRU_RECURRENT_GATE_RECURRENT_WEIGHTS,
            _Id.GRU_RECURRENT_GATE_BIAS_TERMS,
        ),
        _GateIds(
            _Id.GRU_OUTPUT_GATE_INPUT_WEIGHTS,
            _Id.GRU_OUTPUT_GATE_RECURRENT_WEIGHTS,
            _Id.GRU_OUTPUT_GATE_BIAS_TERMS,
            _Id.GRU_OUTPUT_GATE_INPUT_GATE_WEIGHTS,
        ),
    ),
    CellKind.LSTM: (
        _GateIds(
            _Id.LSTM_INPUT_GATE_INPUT_WEIGHTS,
            _Id.LSTM_INPUT_GATE_RECURRENT_WEIGHTS,
            _Id.LSTM_INPUT_GATE_BIAS_TERMS,
            _Id.LSTM_INPUT_GATE_MEMORY_WEIGHTS,
        ),
        _GateIds(
            _Id.LSTM_FORGET_GATE_INPUT_WEIGHTS,
            _Id.LSTM_FORGET_GATE_RECURRENT_WEIGHTS,
            _Id.LSTM_FORGET_GATE_BIAS_TERMS,
            _Id.LSTM_FORGET_GATE_MEMORY_WEIGHTS,
        ),
        _GateIds(
            _Id.LSTM_MEMORY_GATE_INPUT_WEIGHTS,
            _Id.LSTM_MEMORY_GATE_RECURRENT_WEIGHTS,
            _Id.LSTM_MEMORY_GATE_BIAS_TERMS,
            _Id.LSTM_MEMORY_GATE_MEMORY_WEIGHTS,
        ),
        _GateIds(
            _Id.LSTM_OUTPUT_GATE_INPUT_WEIGHTS,
            _Id.LSTM_OUTPUT_GATE_RECURRENT_WEIGHTS,
            _Id.LSTM_OUTPUT_GATE_BIAS_TERMS,
            _Id.LSTM_OUTPUT_GATE_MEMORY_WEIGHTS,
        ),
    ),
}


def _arrays(gate: GateWeights) -> dict[WeightKind, npt.NDArray[Any]]:
    """What the data sources of a gate delivered."""
    found: dict[WeightKind, npt.NDArray[Any] | None] = {
        WeightKind.INPUT: None if gate.input is None else gate.input.weights,
        WeightKind.RECURRENT: None if gate.recurrent is None else gate.recurrent.weights,
        WeightKind.MEMORY: None if gate.memory is None else gate.memory.weights,
        WeightKind.DIAGONAL: gate.diagonal,
        WeightKind.BIAS: gate.bias,
    }
    return {kind: array for kind, array in found.items() if array is not None}


def weight_slots(cell: Cell) -> tuple[WeightSlot, ...]:
    """List the trainable matrices of a cell, in the order of their ids.

    There is one for every data source, and a bias beside every source of input weights, which the layers see to. In
    unit-transform mode an input source has its bias alone. PReLU's parameters are not trained.
    """
    inputs, outputs = cell.input_channels, cell.output_channels
    sizes = {
        WeightKind.INPUT: (outputs, inputs),
        WeightKind.RECURRENT: (outputs, outputs),
        WeightKind.MEMORY: (outputs, outputs),
        WeightKind.DIAGONAL: (1, outputs),
        WeightKind.BIAS: (1, outputs),
    }
    slots: list[WeightSlot] = []
    for index, (gate, ids) in enumerate(zip(cell.gates, _IDS[cell.kind], strict=True)):
        slots += [WeightSlot(_id(ids, kind), index, kind, *sizes[kind]) for kind in _arrays(gate)]
    return tuple(sorted(slots, key=lambda slot: slot.id))


def _id(ids: _GateIds, kind: WeightKind) -> MPSRNNMatrixId:
    memory = ids.memory
    if kind in (WeightKind.MEMORY, WeightKind.DIAGONAL) and memory is not None:
        return memory
    return {WeightKind.INPUT: ids.input, WeightKind.RECURRENT: ids.recurrent, WeightKind.BIAS: ids.bias}[kind]


@dataclass(frozen=True)
class CellLayout:
    """What two layers have in common that can use each other's training states."""

    kind: CellKind
    input_channels: int
    output_channels: int
    unit_transform: bool
    slots: tuple[WeightSlot, ...]


def cell_layout(cell: Cell) -> CellLayout:
    """Describe a cell without its numbers."""
    return CellLayout(cell.kind, cell.input_channels, cell.output_channels, cell.unit_transform, weight_slots(cell))


def weight_data_type(cell: Cell) -> MPSDataType:
    """Element type of all trainable matrices of a cell."""
    return MPSDataType.FLOAT32 if cell.use_float32_weights else MPSDataType.FLOAT16


def initial_values(cell: Cell, slot: WeightSlot) -> npt.NDArray[Any]:
    """Get what the data sources delivered for a slot: (rows, columns), of the element type of the cell's weights."""
    array = _arrays(cell.gates[slot.gate])[slot.kind]
    dtype = np.float32 if cell.use_float32_weights else np.float16
    with np.errstate(over="ignore"):
        values = array.reshape(slot.rows, slot.columns).astype(dtype)
    # Weights have been rounded when they were read, biases have not.
    if not np.isfinite(values).all():
        raise BadArgumentError(
            f"{slot.id.name}: got a magnitude of {float(np.abs(array).max()):g}, expected at most "
            f"{float(np.finfo(np.float16).max):g} for float16; use_float32_weights=True keeps larger ones"
        )
    return values
