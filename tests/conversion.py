"""From the oracle's models to the package's descriptors, layers and states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import mpsrnn_cy as mps
import oracle

# Names of the descriptors' slots, by the oracle's names of the gates.
_SLOTS = {
    oracle.SingleGate: {"gate": ("input_weights", "recurrent_weights", None)},
    oracle.GRU: {
        "input_gate": ("input_gate_input_weights", "input_gate_recurrent_weights", None),
        "recurrent_gate": ("recurrent_gate_input_weights", "recurrent_gate_recurrent_weights", None),
        "output_gate": ("output_gate_input_weights", "output_gate_recurrent_weights", "output_gate_input_gate_weights"),
    },
    oracle.LSTM: {
        name: tuple(f"{name}_{kind}_weights" for kind in ("input", "recurrent", "memory"))
        for name in ("input_gate", "forget_gate", "cell_gate", "output_gate")
    },
}


def neuron_descriptor(neuron: oracle.Neuron) -> mps.MPSNNNeuronDescriptor:
    """The package's form of a neuron."""
    if neuron.type == oracle.NeuronType.PRELU:
        return mps.MPSNNNeuronDescriptor.cnn_neuron_prelu_descriptor(np.asarray(neuron.alpha, np.float32))
    return mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(int(neuron.type), neuron.a, neuron.b, neuron.c)


def source(slot: oracle.Slot, gate: oracle.Gate | None = None) -> mps.ArrayDataSource:
    """A data source of a slot; with the bias and neuron of `gate` if given."""
    if gate is None:
        return mps.ArrayDataSource(slot.weights, dilation_rate=slot.dilation, groups=slot.groups)
    neuron = neuron_descriptor(gate.neuron)
    return mps.ArrayDataSource(slot.weights, gate.bias, neuron, dilation_rate=slot.dilation, groups=slot.groups)


def descriptor(cell: oracle.Cell) -> mps.MPSRNNDescriptor:
    """The package's form of a cell."""
    if isinstance(cell, oracle.SingleGate):
        result = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(cell.inputs, cell.outputs)
    elif isinstance(cell, oracle.GRU):
        result = mps.MPSGRUDescriptor.create_gru_descriptor(cell.inputs, cell.outputs)
        result.gate_pnorm_value = cell.p_norm
        result.flip_output_gates = cell.flip
    else:
        assert isinstance(cell, oracle.LSTM)
        result = mps.MPSLSTMDescriptor.create_lstm_descriptor(cell.inputs, cell.outputs)
        result.memory_weights_are_diagonal = cell.diagonal
        result.cell_to_output_neuron_type = int(cell.output_neuron.type)
        result.cell_to_output_neuron_param_a = cell.output_neuron.a
        result.cell_to_output_neuron_param_b = cell.output_neuron.b
        result.cell_to_output_neuron_param_c = cell.output_neuron.c
    result.use_layer_input_unit_transform_mode = cell.unit_transform
    result.use_float32_weights = cell.float32_weights
    for name, gate in cell.gates.items():
        input_slot, recurrent_slot, memory_slot = _SLOTS[type(cell)][name]
        if gate.input is not None:
            setattr(result, input_slot, source(gate.input, gate))
        if gate.recurrent is not None:
            setattr(result, recurrent_slot, source(gate.recurrent))
        if gate.diagonal:
            setattr(result, memory_slot, mps.ArrayDataSource(np.reshape(gate.memory, (-1, 1, 1, 1))))
        elif gate.memory is not None:
            setattr(result, memory_slot, source(gate.memory))
    return result


def layer(device: mps.MTLDevice, cells: Sequence[oracle.Cell]) -> mps.MPSRNNImageInferenceLayer:
    """The package's form of a stack."""
    return mps.MPSRNNImageInferenceLayer(device, [descriptor(cell) for cell in cells])


def state(device: mps.MTLDevice, states: Sequence[oracle.State] | None) -> mps.MPSRNNRecurrentImageState | None:
    """The package's form of the states of a stack."""
    if states is None:
        return None
    outputs = [np.asarray(s.h.value, np.float32) for s in states]
    memories = [None if s.c is None else np.asarray(s.c.value, np.float32) for s in states]
    return mps.MPSRNNRecurrentImageState.from_numpy(device, outputs, memories)


def batched(image: mps.MPSImage) -> np.ndarray:
    """An image's pixels with an axis for the batch, also where that is one image."""
    pixels = image.to_numpy()
    return pixels if pixels.ndim == 4 else pixels[None]


def oracle_states(package_state: mps.MPSRNNRecurrentImageState, cells: Sequence[oracle.Cell]) -> list[oracle.State]:
    """The oracle's form of a state."""
    result = []
    for index, cell in enumerate(cells):
        h = batched(package_state.get_recurrent_output_image(index))
        memory = package_state.get_memory_cell_image(index)
        assert (memory is not None) == cell.has_memory
        result.append(oracle.exact_state(h, None if memory is None else batched(memory)))
    return result


def matrix_layer(
    device: mps.MTLDevice, cells: Sequence[oracle.Cell], backward: Sequence[bool] | None = None
) -> mps.MPSRNNMatrixInferenceLayer:
    """A stack, or two if some of its cells run backward, over matrices."""
    descriptors = [descriptor(cell) for cell in cells]
    for made, is_backward in zip(descriptors, backward or [False] * len(descriptors), strict=True):
        if is_backward:
            made.layer_sequence_direction = mps.MPSRNNSequenceDirection.BACKWARD
    return mps.MPSRNNMatrixInferenceLayer(device, descriptors)


def matrix_state(device: mps.MTLDevice, states: Sequence[oracle.State] | None) -> mps.MPSRNNRecurrentMatrixState | None:
    """The package's form of the states of a stack over matrices."""
    if states is None:
        return None
    outputs = [oracle.as_rows(s.h).value.astype(np.float32) for s in states]
    memories = [None if s.c is None else oracle.as_rows(s.c).value.astype(np.float32) for s in states]
    return mps.MPSRNNRecurrentMatrixState.from_numpy(device, outputs, memories)


def oracle_matrix_states(
    package_state: mps.MPSRNNRecurrentMatrixState, cells: Sequence[oracle.Cell]
) -> list[oracle.State]:
    """The oracle's form of a state over matrices."""
    result = []
    for index, cell in enumerate(cells):
        h = package_state.get_recurrent_output_matrix(index)
        c = package_state.get_memory_cell_matrix(index)
        assert (c is not None) == cell.has_memory
        parts = [None if matrix is None else oracle.as_images(matrix.to_numpy()) for matrix in (h, c)]
        result.append(oracle.State(*parts))
    return result
