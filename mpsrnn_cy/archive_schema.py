"""The cells of an archive: between the dataclasses and the JSON and tensors that say the same.

Keys of the JSON are the names of the dataclasses' fields. An array is a tensor under the name of its place; that there
is one is said by a flag, by the convolution it belongs to, or by a neuron of type PReLU. Enumerations are integers.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .archive_reader import Fields, Tensors
from .arguments import integer, positive_real, real
from .cells import IMAGE_CELLS, Cell, CellFamily, CellKind, GateWeights, StackChecks
from .convolution import check_groups, check_window
from .descriptors import Gate, MPSGRUDescriptor, MPSLSTMDescriptor, MPSRNNSingleGateDescriptor
from .enums import MPSCNNNeuronType, MPSRNNSequenceDirection
from .errors import BadArgumentError
from .weight_reader import ConvolutionWeights, Neuron

__all__ = ["build_cells", "describe_cells"]

_CELL = (
    "kind",
    "input_channels",
    "output_channels",
    "direction",
    "use_float32_weights",
    "unit_transform",
    "flip_output_gates",
    "gate_pnorm_value",
    "output_neuron",
    "gates",
)
_GATE = ("input", "recurrent", "memory", "diagonal", "bias", "neuron")
_CONVOLUTION = ("dilation", "groups")
_NEURON = ("type", "a", "b", "c")

_GATES: dict[CellKind, tuple[Gate, ...]] = {
    CellKind.SINGLE_GATE: MPSRNNSingleGateDescriptor.GATES,
    CellKind.GRU: MPSGRUDescriptor.GATES,
    CellKind.LSTM: MPSLSTMDescriptor.GATES,
}

_Arrays = dict[str, npt.NDArray[Any]]


def describe_cells(cells: Sequence[Cell]) -> tuple[list[dict[str, Any]], _Arrays]:
    """Take cells apart into JSON and the tensors that belong to it."""
    arrays: _Arrays = {}
    return [_describe_cell(cell, f"cells.{index}", arrays) for index, cell in enumerate(cells)], arrays


def build_cells(descriptions: Sequence[object], tensors: Tensors, family: CellFamily = IMAGE_CELLS) -> list[Cell]:
    """Put cells together again, a stack such as `read_cells` makes.

    Raises
    ------
    BadArgumentError
        If `read_cells` could not have made it.
    """
    if not descriptions:
        raise BadArgumentError("data: cells: got an empty array, expected at least one layer")
    cells: list[Cell] = []
    stacks = StackChecks()
    for index, description in enumerate(descriptions):
        cell = _build_cell(Fields(description, f"cells.{index}", _CELL), tensors, family)
        stacks.add(cell.direction, cell.input_channels, cell.output_channels, f"data: cells.{index}")
        cells.append(cell)
    return cells


# Each pair below is one dataclass, there and back. ------------------------------------------------------------


def _describe_cell(cell: Cell, place: str, arrays: _Arrays) -> dict[str, Any]:
    return {
        "kind": int(cell.kind),
        "input_channels": cell.input_channels,
        "output_channels": cell.output_channels,
        "direction": int(cell.direction),
        "use_float32_weights": cell.use_float32_weights,
        "unit_transform": cell.unit_transform,
        "flip_output_gates": cell.flip_output_gates,
        "gate_pnorm_value": cell.gate_pnorm_value,
        "output_neuron": _describe_neuron(cell.output_neuron, f"{place}.output_neuron", arrays),
        "gates": [_describe_gate(gate, f"{place}.gates.{index}", arrays) for index, gate in enumerate(cell.gates)],
    }


def _build_cell(fields: Fields, tensors: Tensors, family: CellFamily) -> Cell:
    kind = fields.take_enum("kind", CellKind)
    outputs = _take_channels(fields, "output_channels", family)
    cell = Cell(
        kind=kind,
        input_channels=_take_channels(fields, "input_channels", family),
        output_channels=outputs,
        direction=fields.take_enum("direction", MPSRNNSequenceDirection),
        use_float32_weights=fields.take("use_float32_weights", bool),
        unit_transform=fields.take("unit_transform", bool),
        flip_output_gates=fields.take("flip_output_gates", bool),
        gate_pnorm_value=positive_real(fields.take("gate_pnorm_value", float), fields.where("gate_pnorm_value")),
        output_neuron=_build_neuron(fields.take_fields("output_neuron", _NEURON), outputs, tensors),
        gates=(),
    )
    where = f"data: {fields.place}"
    if cell.unit_transform and cell.input_channels != outputs:
        raise BadArgumentError(
            f"{where}: got {cell.input_channels} input and {outputs} output channels, "
            "expected equal numbers in unit-transform mode"
        )
    if kind is not CellKind.GRU and (cell.flip_output_gates or cell.gate_pnorm_value != 1.0):
        raise BadArgumentError(
            f"{where}: got flip_output_gates {cell.flip_output_gates} and gate_pnorm_value {cell.gate_pnorm_value} "
            f"for {kind.name}, expected False and 1.0, for GRU alone has them"
        )
    if kind is not CellKind.LSTM and not _is_identity(cell.output_neuron):
        raise BadArgumentError(f"{where}.output_neuron: got one for {kind.name}, expected the identity but for LSTM")
    if cell.output_neuron.type == MPSCNNNeuronType.PRELU:
        raise BadArgumentError(f"{where}.output_neuron: got PRELU, expected one set of parameters for all channels")
    return replace(cell, gates=_build_gates(fields, cell, tensors, family))


def _build_gates(fields: Fields, cell: Cell, tensors: Tensors, family: CellFamily) -> tuple[GateWeights, ...]:
    descriptions = fields.take("gates", list)
    where = fields.where("gates")
    slots = _GATES[cell.kind]
    if len(descriptions) != len(slots):
        raise BadArgumentError(f"{where}: got {len(descriptions)}, expected the {len(slots)} of {cell.kind.name}")
    gates = []
    for index, (description, slot) in enumerate(zip(descriptions, slots, strict=True)):
        gate = Fields(description, f"{fields.place}.gates.{index}", _GATE)
        gates.append(_build_gate(gate, cell, slot.memory_weights is not None, tensors))
        _check_gate(gates[-1], family, f"data: {gate.place}")
    if any(gate.memory is not None for gate in gates) and any(gate.diagonal is not None for gate in gates):
        raise BadArgumentError(f"{where}: got memory weights and diagonal ones, expected one kind in all gates")
    return tuple(gates)


def _describe_gate(gate: GateWeights, place: str, arrays: _Arrays) -> dict[str, Any]:
    for name, array in (("diagonal", gate.diagonal), ("bias", gate.bias)):
        if array is not None:
            arrays[f"{place}.{name}"] = array
    return {
        "input": _describe_convolution(gate.input, f"{place}.input", arrays),
        "recurrent": _describe_convolution(gate.recurrent, f"{place}.recurrent", arrays),
        "memory": _describe_convolution(gate.memory, f"{place}.memory", arrays),
        "diagonal": gate.diagonal is not None,
        "bias": gate.bias is not None,
        "neuron": _describe_neuron(gate.neuron, f"{place}.neuron", arrays),
    }


def _build_gate(fields: Fields, cell: Cell, has_memory: bool, tensors: Tensors) -> GateWeights:
    outputs, where = cell.output_channels, f"data: {fields.place}"
    bias = tensors.take_channels(f"{fields.place}.bias", outputs) if fields.take("bias", bool) else None
    diagonal = tensors.take_channels(f"{fields.place}.diagonal", outputs) if fields.take("diagonal", bool) else None
    neuron = _build_neuron(fields.take_fields("neuron", _NEURON), outputs, tensors)
    gate = GateWeights(
        input=_build_convolution(fields, "input", cell, tensors),
        recurrent=_build_convolution(fields, "recurrent", cell, tensors),
        memory=_build_convolution(fields, "memory", cell, tensors),
        diagonal=diagonal,
        bias=bias,
        neuron=neuron,
    )
    if not has_memory and (gate.memory is not None or diagonal is not None):
        raise BadArgumentError(f"{where}: got memory weights, expected none in this gate of {cell.kind.name}")
    if diagonal is not None:
        if cell.kind is not CellKind.LSTM:
            raise BadArgumentError(f"{where}.diagonal: got true for {cell.kind.name}, expected it for LSTM alone")
        _check_rounded(diagonal, cell.use_float32_weights, f"{where}.diagonal")
    if gate.input is not None:
        if cell.unit_transform:
            raise BadArgumentError(f"{where}.input: got weights in unit-transform mode, expected null")
        # They come with the input weights, where the layer does not look for them.
        return replace(gate, input=replace(gate.input, bias=bias, neuron=neuron))
    if not cell.unit_transform and not (bias is None and _is_identity(neuron)):
        raise BadArgumentError(f"{where}: got a bias or a neuron without input weights, expected neither")
    return gate


def _check_gate(gate: GateWeights, family: CellFamily, where: str) -> None:
    """Check what a family of layers asks for beyond what makes a gate."""
    for name, convolution in (("input", gate.input), ("recurrent", gate.recurrent), ("memory", gate.memory)):
        if convolution is not None:
            kernel = (convolution.kernel_height, convolution.kernel_width)
            family.check_convolution(kernel, convolution.groups, f"{where}.{name}")
    if family.is_trained and gate.input is not None and gate.bias is None:
        raise BadArgumentError(f"{where}.bias: got none beside input weights, expected one in a layer that is trained")


def _describe_convolution(convolution: ConvolutionWeights | None, place: str, arrays: _Arrays) -> dict[str, Any] | None:
    """Describe what is a convolution's own: its bias and its neuron are those of the gate."""
    if convolution is None:
        return None
    arrays[f"{place}.weights"] = convolution.weights
    return {"dilation": list(convolution.dilation), "groups": convolution.groups}


def _build_convolution(gate: Fields, key: str, cell: Cell, tensors: Tensors) -> ConvolutionWeights | None:
    fields = gate.take_optional_fields(key, _CONVOLUTION)
    if fields is None:
        return None
    where = f"data: {fields.place}"
    inputs = cell.input_channels if key == "input" else cell.output_channels
    groups = integer(fields.take("groups", int), fields.where("groups"), minimum=1)
    check_groups(groups, inputs, cell.output_channels, where)
    dilation = _take_dilation(fields)
    dtype = "F32" if cell.use_float32_weights else "F16"
    shape = (cell.output_channels, None, None, inputs // groups)
    weights = tensors.take(f"{fields.place}.weights", dtype, shape)
    check_window(weights.shape[1:3], dilation, where)
    return ConvolutionWeights(weights, None, Neuron(), dilation, groups)


def _describe_neuron(neuron: Neuron, place: str, arrays: _Arrays) -> dict[str, Any]:
    if neuron.data is not None:
        arrays[f"{place}.data"] = neuron.data
    return {"type": int(neuron.type), "a": neuron.a, "b": neuron.b, "c": neuron.c}


def _build_neuron(fields: Fields, channels: int, tensors: Tensors) -> Neuron:
    neuron_type = fields.take_enum("type", MPSCNNNeuronType)
    a, b, c = (real(fields.take(key, float), fields.where(key)) for key in ("a", "b", "c"))
    data = None
    if neuron_type == MPSCNNNeuronType.PRELU:
        data = tensors.take_channels(f"{fields.place}.data", channels)
    return Neuron(neuron_type, a, b, c, data)


# Single values. -----------------------------------------------------------------------------------------------


def _take_channels(fields: Fields, key: str, family: CellFamily) -> int:
    channels = integer(fields.take(key, int), fields.where(key), minimum=1)
    if channels > family.channels_maximum:
        raise BadArgumentError(f"{fields.where(key)}: got {channels}, expected at most {family.channels_maximum}")
    return channels


def _take_dilation(fields: Fields) -> tuple[int, int]:
    rates = fields.take("dilation", list)
    if len(rates) != 2 or not all(type(rate) is int for rate in rates):
        raise BadArgumentError(f"{fields.where('dilation')}: got {reprlib.repr(rates)}, expected [y, x], two integers")
    y, x = (integer(rate, fields.where("dilation"), minimum=1) for rate in rates)
    return y, x


def _is_identity(neuron: Neuron) -> bool:
    """Whether a neuron is what a gate without input weights has."""
    return (neuron.type, neuron.a, neuron.b, neuron.c) == (MPSCNNNeuronType.NONE, 0.0, 0.0, 0.0)


def _check_rounded(array: npt.NDArray[np.float32], use_float32_weights: bool, where: str) -> None:
    """Check that weights which are kept as float32 have been rounded to the precision of the layer."""
    if use_float32_weights:
        return
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    if not np.array_equal(rounded, array):
        raise BadArgumentError(f"{where}: got numbers that float16 does not have, expected ones rounded to float16")
