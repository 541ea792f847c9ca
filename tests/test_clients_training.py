"""What an activity classifier does with the training layer: import, export, an optimiser of its own."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps

FLOAT32 = mps.MPSDataType.FLOAT32
NEURON = mps.MPSCNNNeuronType
SIGMOID = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(NEURON.SIGMOID, 0, 0)
TANH = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(NEURON.TANH, 1, 1)

INPUTS, HIDDEN = 3, 5


def source(rng: np.random.Generator, inputs: int, neuron: Any = None) -> mps.ArrayDataSource:
    weights = (rng.standard_normal((HIDDEN, 1, 1, inputs)) / np.sqrt(HIDDEN)).astype(np.float32)
    return mps.ArrayDataSource(weights, rng.standard_normal(HIDDEN).astype(np.float32), neuron)


def descriptor(kind: str, rng: np.random.Generator, diagonal: bool = False) -> mps.MPSRNNDescriptor:
    """A layer with every slot filled."""
    made: Any
    if kind == "SINGLE_GATE":
        made = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(INPUTS, HIDDEN)
        made.input_weights, made.recurrent_weights = source(rng, INPUTS, TANH), source(rng, HIDDEN)
    elif kind == "GRU":
        made = mps.MPSGRUDescriptor.create_gru_descriptor(INPUTS, HIDDEN)
        made.output_gate_input_gate_weights = source(rng, HIDDEN)
        gates = {"input": SIGMOID, "recurrent": SIGMOID, "output": TANH}
    else:
        made = mps.MPSLSTMDescriptor.create_lstm_descriptor(INPUTS, HIDDEN)
        made.memory_weights_are_diagonal = diagonal
        gates = {"input": SIGMOID, "forget": SIGMOID, "cell": TANH, "output": SIGMOID}
        for gate in gates:
            setattr(made, f"{gate}_gate_memory_weights", source(rng, 1 if diagonal else HIDDEN))
    if kind != "SINGLE_GATE":
        for gate, neuron in gates.items():
            setattr(made, f"{gate}_gate_input_weights", source(rng, INPUTS, neuron))
            setattr(made, f"{gate}_gate_recurrent_weights", source(rng, HIDDEN))
    made.use_float32_weights = True
    return made  # type: ignore[no-any-return]


def ids(kind: str) -> list[mps.MPSRNNMatrixId]:
    return [matrix_id for matrix_id in mps.MPSRNNMatrixId if matrix_id.name.startswith(f"{kind}_")]


def shape(matrix_id: mps.MPSRNNMatrixId, diagonal: bool) -> tuple[int, int]:
    """Row = output channel, column = input channel; biases and diagonals are one row."""
    name = matrix_id.name
    if name.endswith("BIAS_TERMS") or (diagonal and name.endswith("MEMORY_WEIGHTS")):
        return 1, HIDDEN
    of_input = name.endswith("INPUT_WEIGHTS")
    return HIDDEN, INPUTS if of_input else HIDDEN


def tight(device: mps.MTLDevice, array: np.ndarray) -> mps.MPSMatrix:
    """A matrix without padding between its rows, as the client makes them."""
    rows, columns = array.shape
    described = mps.MPSMatrixDescriptor(rows=rows, columns=columns, row_bytes=columns * 4, data_type=FLOAT32)
    return mps.MPSMatrix(buffer=device.make_buffer(bytes=np.ascontiguousarray(array)), descriptor=described)


def copied(
    layer: mps.MPSRNNMatrixTrainingLayer,
    weights: list[mps.MPSMatrix],
    matrices: dict[mps.MPSRNNMatrixId, mps.MPSMatrix],
    out: bool,
) -> dict[mps.MPSRNNMatrixId, np.ndarray]:
    """Copy every matrix out of the set, or into it."""
    command = layer.device.make_command_queue().make_command_buffer()
    for matrix_id, matrix in matrices.items():
        layer.encode_copy_weights(
            command,
            weights=weights,
            matrix_id=matrix_id,
            matrix=matrix,
            copy_from_weights_to_matrix=out,
            matrix_offset=mps.MTLOrigin(0, 0, 0),
        )
    command.commit()
    command.wait_until_completed()
    return {matrix_id: matrix.to_numpy().copy() for matrix_id, matrix in matrices.items()}


KINDS = [("SINGLE_GATE", False), ("GRU", False), ("LSTM", False), ("LSTM", True)]


@pytest.mark.parametrize(("kind", "diagonal"), KINDS)
def test_out_and_in_again_is_the_identity(device: mps.MTLDevice, kind: str, diagonal: bool) -> None:
    weights: list[mps.MPSMatrix] = []
    described = descriptor(kind, np.random.default_rng(70), diagonal)
    layer = mps.MPSRNNMatrixTrainingLayer(device, described, weights)

    def zeros() -> dict[mps.MPSRNNMatrixId, mps.MPSMatrix]:
        return {matrix_id: tight(device, np.zeros(shape(matrix_id, diagonal), np.float32)) for matrix_id in ids(kind)}

    exported = zeros()
    numbers = copied(layer, weights, exported, out=True)
    assert all(array.any() for array in numbers.values())
    copied(layer, weights, zeros(), out=False)
    assert not any(array.any() for array in copied(layer, weights, zeros(), out=True).values())
    copied(layer, weights, exported, out=False)
    for matrix_id, array in copied(layer, weights, zeros(), out=True).items():
        np.testing.assert_array_equal(array, numbers[matrix_id], err_msg=matrix_id.name)


def test_exported_matrices_are_those_of_the_sources(device: mps.MTLDevice) -> None:
    described: Any = descriptor("LSTM", np.random.default_rng(71))
    weights: list[mps.MPSMatrix] = []
    layer = mps.MPSRNNMatrixTrainingLayer(device, described, weights)
    wanted = {
        mps.MPSRNNMatrixId.LSTM_MEMORY_GATE_INPUT_WEIGHTS: described.cell_gate_input_weights.weights()[:, 0, 0],
        mps.MPSRNNMatrixId.LSTM_FORGET_GATE_BIAS_TERMS: described.forget_gate_input_weights.bias_terms()[None],
        mps.MPSRNNMatrixId.LSTM_OUTPUT_GATE_MEMORY_WEIGHTS: described.output_gate_memory_weights.weights()[:, 0, 0],
    }
    found = copied(
        layer, weights, {i: tight(device, np.zeros(array.shape, np.float32)) for i, array in wanted.items()}, out=True
    )
    for matrix_id, array in wanted.items():
        np.testing.assert_array_equal(found[matrix_id], array, err_msg=matrix_id.name)


def flat(matrix: mps.MPSMatrix) -> np.ndarray:
    """A matrix as the client's optimiser sees it: rows * row_bytes / 4 numbers, padding included."""
    count = matrix.rows * matrix.row_bytes // 4
    memory = np.frombuffer(matrix.data.contents(), np.float32, offset=matrix.offset)
    return memory[: min(count, memory.size)]


class Trainer:
    """A layer that learns to repeat a sequence, by plain gradient descent on flat vectors."""

    def __init__(self, device: mps.MTLDevice, kind: str) -> None:
        rng = np.random.default_rng(72)
        self.weights: list[mps.MPSMatrix] = []
        self.layer = mps.MPSRNNMatrixTrainingLayer(device, descriptor(kind, rng), self.weights)
        self.gradients: list[mps.MPSMatrix] = []
        self.layer.create_weight_gradient_matrices(self.gradients, FLOAT32)
        self.device = device
        self.xs = [rng.standard_normal((4, INPUTS)).astype(np.float32) for _ in range(3)]
        self.targets = [np.tanh(rng.standard_normal((4, HIDDEN))).astype(np.float32) / 2 for _ in range(3)]

    def step(self, rate: float) -> float:
        """One step down the gradient; returns the loss before it."""
        sources = [tight(self.device, x) for x in self.xs]
        outputs, losses, below = (
            [tight(self.device, np.zeros_like(a)) for a in arrays] for arrays in (self.targets, self.targets, self.xs)
        )
        states: list[mps.MPSRNNMatrixTrainingState] = []
        queue = self.device.make_command_queue()
        command = queue.make_command_buffer()
        self.layer.encode_forward_sequence(
            command,
            source_matrices=sources,
            destination_matrices=outputs,
            training_states=states,
            weights=self.weights,
        )
        command.commit()
        command.wait_until_completed()
        assert len(states) == 3
        errors = [output.to_numpy() - target for output, target in zip(outputs, self.targets, strict=True)]
        for matrix, error in zip(losses, errors, strict=True):
            np.frombuffer(matrix.data.contents(), np.float32).reshape(error.shape)[:] = error
        command = queue.make_command_buffer()
        self.layer.encode_gradient_sequence(
            command,
            forward_sources=sources,
            source_gradients=losses,
            destination_gradients=below,
            weight_gradients=self.gradients,
            training_states=states,
            weights=self.weights,
        )
        command.commit()
        command.wait_until_completed()
        assert all(matrix.to_numpy().any() for matrix in below)
        for weight, gradient in zip(self.weights, self.gradients, strict=True):
            assert (weight.rows, weight.columns, weight.row_bytes) == (
                gradient.rows,
                gradient.columns,
                gradient.row_bytes,
            )
            values = flat(weight)
            values -= np.float32(rate) * flat(gradient)
        return float(sum((error**2).sum() for error in errors) / 2)


@pytest.mark.parametrize("kind", ["SINGLE_GATE", "GRU", "LSTM"])
def test_training_lowers_the_loss(device: mps.MTLDevice, kind: str) -> None:
    trainer = Trainer(device, kind)
    losses = [trainer.step(0.05) for _ in range(30)]
    assert losses[-1] < losses[0] / 2
    # Gradient descent with a small rate goes down in every step.
    assert all(after < before for before, after in itertools.pairwise(losses))


def test_padding_stays_as_it_is(device: mps.MTLDevice) -> None:
    trainer = Trainer(device, "LSTM")
    trainer.step(0.05)
    for matrix in (*trainer.weights, *trainer.gradients):
        width = matrix.row_bytes // 4
        memory = np.frombuffer(matrix.data.contents(), np.float32, offset=matrix.offset)
        for row in range(matrix.rows):
            padding = memory[row * width + matrix.columns : (row + 1) * width]
            assert not padding.any(), "an optimiser of flat vectors would carry what lies here along"
    outputs = [trainer.step(0.0) for _ in range(2)]
    assert outputs[0] == outputs[1]


def test_matrices_for_moments_are_like_the_weights(device: mps.MTLDevice) -> None:
    trainer = Trainer(device, "LSTM")
    moments: list[mps.MPSMatrix] = []
    trainer.layer.create_weight_matrices(moments)
    assert [(m.rows, m.columns, m.row_bytes, m.data_type) for m in moments] == [
        (w.rows, w.columns, w.row_bytes, w.data_type) for w in trainer.weights
    ]
    assert not any(matrix.to_numpy().any() for matrix in moments)
