"""Checks of what is passed to a training layer besides the matrices of time steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .arguments import enum_member, instance_of, integer
from .device import MTLDevice
from .enums import MPSDataType, MPSRNNMatrixId
from .errors import BadArgumentError, BadTypeError
from .matrix import MPSMatrix
from .matrix_checks import MatrixChecks, View
from .structures import MTLOrigin, structure_of
from .training_state import MPSRNNMatrixTrainingState
from .training_weights import CellLayout, WeightSlot

__all__ = [
    "FLOATS",
    "check_appended",
    "check_origin",
    "check_training_states",
    "check_weights",
    "find_slot",
    "float_data_type",
]

FLOATS = (MPSDataType.FLOAT16, MPSDataType.FLOAT32)
"""Element types of gradients."""


def check_appended(value: object, name: str) -> list[Any]:
    """Check a list that is appended to."""
    if not isinstance(value, list):
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected a list to append to")
    return value


def float_data_type(value: object, name: str) -> MPSDataType:
    """Check an element type of gradients."""
    data_type = enum_member(value, name, MPSDataType)
    if data_type not in FLOATS:
        raise BadArgumentError(f"{name}: got {data_type.name}, expected FLOAT16 or FLOAT32")
    return data_type


def check_weights(
    checks: MatrixChecks,
    value: object,
    name: str,
    slots: Sequence[WeightSlot],
    data_types: Sequence[MPSDataType],
) -> dict[str, View]:
    """Check a list of weights or of their gradients: in the layer's order, all of one element type."""
    if not isinstance(value, (list, tuple)):
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected a list of MPSMatrix")
    if len(value) != len(slots):
        raise BadArgumentError(f"{name}: got {len(value)} matrices, expected {len(slots)}, as trainable_weights has")
    views = {}
    for index, (matrix, slot) in enumerate(zip(value, slots, strict=True)):
        where = f"{name}[{index}]"
        views[where] = checks.matrix(
            instance_of(matrix, where, MPSMatrix), where, (slot.rows, slot.columns), data_types
        )
        data_types = (matrix.data_type,)
    return views


def check_training_states(
    checks: MatrixChecks, value: object, sources: Sequence[View], layout: CellLayout, device: MTLDevice
) -> list[MPSRNNMatrixTrainingState]:
    """Check the training states of a gradient call, one for every source, and count them as read."""
    name = "training_states"
    if not isinstance(value, (list, tuple)):
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected a list of MPSRNNMatrixTrainingState")
    if len(value) != len(sources):
        raise BadArgumentError(f"{name}: got {len(value)} states, expected {len(sources)}, one per source matrix")
    states = []
    for index, (given, source) in enumerate(zip(value, sources, strict=True)):
        where = f"{name}[{index}]"
        state = instance_of(given, where, MPSRNNMatrixTrainingState)
        if state.device != device:
            raise BadArgumentError(f"{where}: got a state of {state.device!r}, expected one of {device!r}")
        if state._layout != layout:
            raise BadArgumentError(f"{where}: got the state of another kind of layer, expected one of this or a copy")
        if state.rows != source.rows:
            raise BadArgumentError(f"{where}: got {state.rows} rows, expected {source.rows}, as its source has")
        checks.read_state(state, where)
        states.append(state)
    return states


def find_slot(slots: Sequence[WeightSlot], matrix_id: object) -> tuple[int, WeightSlot]:
    """Find the weights of an id, and their place in the list."""
    wanted = enum_member(matrix_id, "matrix_id", MPSRNNMatrixId)
    for index, slot in enumerate(slots):
        if slot.id == wanted:
            return index, slot
    expected = "one of " + ", ".join(slot.id.name for slot in slots) if slots else "none: the layer has no weights"
    raise BadArgumentError(f"matrix_id: got {wanted.name}, which this layer does not have, expected {expected}")


def check_origin(value: object, name: str) -> MTLOrigin:
    """Check an origin: column, row and number of the matrix."""
    origin = structure_of(value, name, MTLOrigin)
    numbers = zip(MTLOrigin._fields, origin, strict=True)
    return MTLOrigin(*(integer(number, f"{name}.{field}") for field, number in numbers))
