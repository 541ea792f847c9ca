"""From the descriptor of a layer to the arrays that a native layer is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from .arguments import Float32Array, read_only_copy
from .descriptors import (
    Gate,
    MPSGRUDescriptor,
    MPSLSTMDescriptor,
    MPSRNNDescriptor,
    MPSRNNSingleGateDescriptor,
)
from .enums import MPSRNNSequenceDirection
from .errors import BadArgumentError, BadTypeError
from .weight_reader import ConvolutionWeights, Neuron, SourceRole, read_source

__all__ = [
    "CHANNELS_MAXIMUM",
    "IMAGE_CELLS",
    "MATRIX_CELLS",
    "TRAINING_CELLS",
    "Cell",
    "CellFamily",
    "CellKind",
    "GateWeights",
    "StackChecks",
    "read_cells",
]


CHANNELS_MAXIMUM = 8192
"""Channels of an image: a texture has 2048 slices."""


@dataclass(frozen=True)
class CellFamily:
    """What the cells of one class of layers may be."""

    channels_maximum: int
    has_windows: bool
    """Kernels reach over neighbours; without, every one is 1 x 1."""
    is_trained: bool = False
    """Weights are single matrices, without groups, and where there is an input source there is a bias to be learnt."""

    def check_convolution(self, kernel: tuple[int, int], groups: int, name: str) -> None:
        """Check the kernel, (height, width), and the groups of the convolution that messages call `name`."""
        if not self.has_windows and kernel != (1, 1):
            raise BadArgumentError(f"{name}: got a kernel of {kernel}, expected (1, 1): matrices are fully connected")
        if self.is_trained and groups != 1:
            raise BadArgumentError(f"{name}: got {groups} groups, expected 1 in a layer that is trained")


IMAGE_CELLS = CellFamily(CHANNELS_MAXIMUM, has_windows=True)
MATRIX_CELLS = CellFamily(2**16, has_windows=False)
"""Kernels index weights with 32 bits, which is enough for an LSTM of 2**16 inputs and 2**12 outputs, or 2**14 each."""
TRAINING_CELLS = CellFamily(MATRIX_CELLS.channels_maximum, has_windows=False, is_trained=True)


class CellKind(IntEnum):
    """Kind of a cell, with the numbers of the native interface."""

    SINGLE_GATE = 0
    GRU = 1
    LSTM = 2


_KINDS: dict[type[MPSRNNDescriptor], CellKind] = {
    MPSRNNSingleGateDescriptor: CellKind.SINGLE_GATE,
    MPSGRUDescriptor: CellKind.GRU,
    MPSLSTMDescriptor: CellKind.LSTM,
}


@dataclass(frozen=True, eq=False)
class GateWeights:
    """What the data sources of one gate delivered; None where a convolution is absent."""

    input: ConvolutionWeights | None
    recurrent: ConvolutionWeights | None
    memory: ConvolutionWeights | None
    diagonal: Float32Array | None
    """Memory weights that are one factor per channel."""
    bias: Float32Array | None
    neuron: Neuron


@dataclass(frozen=True, eq=False)
class Cell:
    """One layer of a stack."""

    kind: CellKind
    input_channels: int
    output_channels: int
    direction: MPSRNNSequenceDirection
    use_float32_weights: bool
    unit_transform: bool
    flip_output_gates: bool
    gate_pnorm_value: float
    output_neuron: Neuron
    gates: tuple[GateWeights, ...]


class StackChecks:
    """Checks that every layer reads what the layer below it makes.

    Layers of one direction are a stack. Lists of both directions are for bidirectional sequences.
    """

    def __init__(self) -> None:
        self._below: dict[MPSRNNSequenceDirection, int] = {}

    def add(self, direction: MPSRNNSequenceDirection, input_channels: int, output_channels: int, name: str) -> None:
        """Put a layer on top of its stack; `name` is what messages call it."""
        below = self._below.get(direction, input_channels)
        if input_channels != below:
            raise BadArgumentError(
                f"{name}: got {input_channels} input channels, expected the {below} output channels of the layer below"
            )
        self._below[direction] = output_channels


def read_cells(descriptors: Sequence[MPSRNNDescriptor], family: CellFamily = IMAGE_CELLS) -> list[Cell]:
    """Read the data sources of a stack of layers, the bottom one first.

    Raises
    ------
    BadArgumentError, BadTypeError
        If the channels of the stack do not fit together, or a data source fails; see `read_source`.
    """
    stacks = StackChecks()
    for index, descriptor in enumerate(descriptors):
        name = f"rnn_descriptors[{index}]"
        _check_channels(descriptor, name, family.channels_maximum)
        direction = descriptor.layer_sequence_direction
        stacks.add(direction, descriptor.input_feature_channels, descriptor.output_feature_channels, name)
    return [_read_cell(descriptor, family, f"rnn_descriptors[{index}]") for index, descriptor in enumerate(descriptors)]


def _check_channels(descriptor: MPSRNNDescriptor, name: str, maximum: int) -> None:
    """Check what can be said before any data source is loaded."""
    if type(descriptor) not in _KINDS:
        raise BadTypeError(
            f"{name}: got {descriptor!r} ({type(descriptor).__name__}), expected an MPSRNNSingleGateDescriptor, "
            "MPSGRUDescriptor or MPSLSTMDescriptor"
        )
    inputs, outputs = descriptor.input_feature_channels, descriptor.output_feature_channels
    if max(inputs, outputs) > maximum:
        raise BadArgumentError(f"{name}: got {inputs} input and {outputs} output channels, expected at most {maximum}")
    if inputs < 1 or outputs < 1:
        raise BadArgumentError(f"{name}: got {inputs} input and {outputs} output channels, expected at least 1 of each")
    if descriptor.use_layer_input_unit_transform_mode and inputs != outputs:
        raise BadArgumentError(
            f"{name}: got {inputs} input and {outputs} output channels, "
            "expected equal numbers in unit-transform mode, where the input takes the place of W*x"
        )


def _read_cell(descriptor: MPSRNNDescriptor, family: CellFamily, name: str) -> Cell:
    gru = descriptor if isinstance(descriptor, MPSGRUDescriptor) else None
    return Cell(
        kind=_KINDS[type(descriptor)],
        input_channels=descriptor.input_feature_channels,
        output_channels=descriptor.output_feature_channels,
        direction=descriptor.layer_sequence_direction,
        use_float32_weights=descriptor.use_float32_weights,
        unit_transform=descriptor.use_layer_input_unit_transform_mode,
        flip_output_gates=gru.flip_output_gates if gru else False,
        gate_pnorm_value=gru.gate_pnorm_value if gru else 1.0,
        output_neuron=_output_neuron(descriptor),
        gates=tuple(_read_gate(descriptor, gate, family, name) for gate in descriptor.GATES),
    )


def _output_neuron(descriptor: MPSRNNDescriptor) -> Neuron:
    if not isinstance(descriptor, MPSLSTMDescriptor):
        return Neuron()
    return Neuron(
        descriptor.cell_to_output_neuron_type,
        descriptor.cell_to_output_neuron_param_a,
        descriptor.cell_to_output_neuron_param_b,
        descriptor.cell_to_output_neuron_param_c,
    )


def _read_gate(descriptor: MPSRNNDescriptor, gate: Gate, family: CellFamily, name: str) -> GateWeights:
    is_diagonal = isinstance(descriptor, MPSLSTMDescriptor) and descriptor.memory_weights_are_diagonal
    read_input = _read_slot(descriptor, gate.input_weights, SourceRole.INPUT, family, name)
    if family.is_trained and read_input is not None and read_input.bias is None:
        zeros = read_only_copy(np.zeros(descriptor.output_feature_channels, np.float32))
        read_input = replace(read_input, bias=zeros)
    recurrent = _read_slot(descriptor, gate.recurrent_weights, SourceRole.RECURRENT, family, name)
    memory = None
    if gate.memory_weights is not None:
        role = SourceRole.DIAGONAL_MEMORY if is_diagonal else SourceRole.MEMORY
        memory = _read_slot(descriptor, gate.memory_weights, role, family, name)
    diagonal = None
    if is_diagonal and memory is not None:
        # Already rounded to the precision of the layer; the kernels keep these few numbers as float32.
        diagonal = read_only_copy(memory.weights.reshape(-1), np.float32)
        memory = None
    return GateWeights(
        # The unit transform replaces the weights, not the bias and the neuron that come with them.
        input=None if descriptor.use_layer_input_unit_transform_mode else read_input,
        recurrent=recurrent,
        memory=memory,
        diagonal=diagonal,
        bias=None if read_input is None else read_input.bias,
        neuron=Neuron() if read_input is None else read_input.neuron,
    )


def _read_slot(
    descriptor: MPSRNNDescriptor, slot: str, role: SourceRole, family: CellFamily, name: str
) -> ConvolutionWeights | None:
    source = getattr(descriptor, slot)
    if source is None:
        return None
    outputs = descriptor.output_feature_channels
    weights = read_source(
        source,
        f"{name}.{slot}",
        role=role,
        input_channels=descriptor.input_feature_channels if role is SourceRole.INPUT else outputs,
        output_channels=outputs,
        use_float32_weights=descriptor.use_float32_weights,
    )
    family.check_convolution((weights.kernel_height, weights.kernel_width), weights.groups, f"{name}.{slot}")
    return weights
