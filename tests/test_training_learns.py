"""The training layer in use: with an optimiser in NumPy on its weight matrices, losses fall and digits are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import mpsrnn_cy as mps

datasets = pytest.importorskip("sklearn.datasets", reason="the demo extra is not installed")

Kind = mps.MPSCNNNeuronType
Loss = Callable[[NDArray[np.float32]], tuple[float, NDArray[np.float32]]]


class Adam:
    """Adam on arrays that it changes in place; what they hold in less than float32 is kept in float32 beside them."""

    def __init__(self, parameters: list[NDArray]) -> None:
        self.parameters = parameters
        self.exact = [array.astype(np.float32) for array in parameters]
        self.moments = [(np.zeros_like(array), np.zeros_like(array)) for array in self.exact]
        self.count = 0

    def step(self, gradients: list[NDArray], rate: float) -> None:
        self.count += 1
        for parameter, exact, (mean, square), gradient in zip(
            self.parameters, self.exact, self.moments, gradients, strict=True
        ):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            scale = np.sqrt(square / (1 - 0.999**self.count)) + 1e-8
            exact -= rate / (1 - 0.9**self.count) * mean / scale
            parameter[...] = exact


class Step(NamedTuple):
    """What one forward and backward pass gave."""

    loss: float
    gradients: list[NDArray]


class Learner:
    """A training layer whose last output goes into a loss."""

    def __init__(self, device: mps.MTLDevice, descriptor: mps.MPSRNNDescriptor) -> None:
        self.device = device
        self.queue = device.make_command_queue()
        self.weights: list[mps.MPSMatrix] = []
        self.layer = mps.MPSRNNMatrixTrainingLayer(device, descriptor, self.weights)
        self.gradients: list[mps.MPSMatrix] = []
        self.layer.create_weight_gradient_matrices(self.gradients, mps.MPSDataType.FLOAT32)

    @property
    def parameters(self) -> list[NDArray]:
        """The weights themselves, not copies."""
        return [matrix.to_numpy(copy=False) for matrix in self.weights]

    def forward(
        self, x: NDArray[np.float32], training: list[mps.MPSRNNMatrixTrainingState]
    ) -> tuple[list[mps.MPSMatrix], NDArray[np.float32]]:
        """Source matrices and last outputs of sequences (T, N, inputs)."""
        sources = [mps.MPSMatrix.from_numpy(self.device, matrix) for matrix in x]
        blank = np.zeros((x.shape[1], self.layer.output_feature_channels), np.float32)
        destinations = [mps.MPSMatrix.from_numpy(self.device, blank) for _ in x]
        command = self.queue.make_command_buffer()
        self.layer.encode_forward_sequence(command, sources, destinations, training, self.weights)
        command.commit()
        command.wait_until_completed()
        return sources, destinations[-1].to_numpy()

    def outputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Last outputs of sequences, and nothing for a gradient."""
        return self.forward(x, [])[1]

    def step(self, x: NDArray[np.float32], loss: Loss) -> Step:
        """Loss of the last outputs and the gradients of all weights."""
        training: list[mps.MPSRNNMatrixTrainingState] = []
        sources, last = self.forward(x, training)
        value, gradient = loss(last)
        above = [mps.MPSMatrix.from_numpy(self.device, np.zeros_like(gradient)) for _ in sources[1:]]
        above.append(mps.MPSMatrix.from_numpy(self.device, gradient))
        command = self.queue.make_command_buffer()
        self.layer.encode_gradient_sequence(command, sources, above, None, self.gradients, training, self.weights)
        command.commit()
        command.wait_until_completed()
        return Step(value, [matrix.to_numpy() for matrix in self.gradients])


def source(rng: np.random.Generator, outputs: int, inputs: int, neuron: Kind | None = None) -> mps.ArrayDataSource:
    """Weights as PyTorch starts with; with a neuron they are input weights."""
    limit = 1 / np.sqrt(outputs)
    weights = rng.uniform(-limit, limit, (outputs, 1, 1, inputs)).astype(np.float32)
    if neuron is None:
        return mps.ArrayDataSource(weights)
    return mps.ArrayDataSource(weights, None, mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(neuron, 1.0, 1.0))


def filled(descriptor: mps.MPSRNNDescriptor, gates: dict[str, Kind], rng: np.random.Generator) -> mps.MPSRNNDescriptor:
    """The descriptor with sources for all gates, which have these neurons."""
    inputs, outputs = descriptor.input_feature_channels, descriptor.output_feature_channels
    for gate, neuron in gates.items():
        setattr(descriptor, f"{gate}_input_weights", source(rng, outputs, inputs, neuron))
        setattr(descriptor, f"{gate}_recurrent_weights", source(rng, outputs, outputs))
    return descriptor


class ReadOut:
    """A linear layer on the last output with the cross entropy of its softmax."""

    def __init__(self, features: int, classes: int, rng: np.random.Generator) -> None:
        self.weights = (rng.standard_normal((features, classes)) / np.sqrt(features)).astype(np.float32)
        self.bias = np.zeros(classes, np.float32)
        self.gradients: list[NDArray] = []

    def loss(self, labels: NDArray[np.int64]) -> Loss:
        """Loss for these labels; it leaves the gradients of weights and bias behind."""

        def evaluate(features: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
            scores = features @ self.weights + self.bias
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            rows = np.arange(len(labels))
            value = -float(np.log(shares[rows, labels]).mean())
            shares[rows, labels] -= 1
            shares /= len(labels)
            self.gradients = [features.T @ shares, shares.sum(axis=0)]
            return value, shares @ self.weights.T

        return evaluate


@pytest.fixture
def fast_device(monkeypatch: pytest.MonkeyPatch) -> mps.MTLDevice:
    """A device whose kernels do not check their accesses; other tests see to those."""
    monkeypatch.setenv("MPSRNN_VALIDATION", "0")
    return mps.MTLCopyAllDevices()[0]


def test_lstm_reads_digits(fast_device: mps.MTLDevice) -> None:
    """The scans of handwritten digits, a row of pixels a time step: more than 95 % of those held out are read right."""
    rng = np.random.default_rng(0)
    scans = datasets.load_digits()
    x, labels = scans.images.astype(np.float32) / 16, scans.target
    held_out = np.arange(len(x)) % 5 == 4
    gates = {
        "input_gate": Kind.SIGMOID,
        "forget_gate": Kind.SIGMOID,
        "cell_gate": Kind.TANH,
        "output_gate": Kind.SIGMOID,
    }
    descriptor = filled(mps.MPSLSTMDescriptor.create_lstm_descriptor(8, 64), gates, rng)
    descriptor.use_float32_weights = True
    learner, read_out = Learner(fast_device, descriptor), ReadOut(64, 10, rng)
    adam = Adam([*learner.parameters, read_out.weights, read_out.bias])
    epochs, batch, train = 24, 64, np.flatnonzero(~held_out)
    for epoch in range(epochs):
        order = rng.permutation(train)
        for chosen in np.split(order[: len(order) // batch * batch], len(order) // batch):
            made = learner.step(x[chosen].swapaxes(0, 1), read_out.loss(labels[chosen]))
            adam.step(made.gradients + read_out.gradients, 0.01 * (1 - epoch / epochs))
    scores = learner.outputs(x[held_out].swapaxes(0, 1)) @ read_out.weights + read_out.bias
    assert (scores.argmax(axis=1) == labels[held_out]).mean() > 0.95


@pytest.mark.parametrize("flip", [False, True], ids=["", "flipped"])
@pytest.mark.parametrize("p_norm", [1.0, 2.0])
def test_gru_of_half_weights_learns_to_remember(fast_device: mps.MTLDevice, p_norm: float, flip: bool) -> None:
    """The first element of a sequence has to come out at its end; the loss falls to a twentieth."""
    rng = np.random.default_rng(1)
    gates = {"input_gate": Kind.SIGMOID, "recurrent_gate": Kind.SIGMOID, "output_gate": Kind.TANH}
    descriptor = filled(mps.MPSGRUDescriptor.create_gru_descriptor(2, 12), gates, rng)
    descriptor.output_gate_input_gate_weights = source(rng, 12, 12)
    descriptor.gate_pnorm_value, descriptor.flip_output_gates = p_norm, flip
    learner = Learner(fast_device, descriptor)
    assert all(parameter.dtype == np.float16 for parameter in learner.parameters)
    adam = Adam(learner.parameters)
    losses = []
    for count in range(300):
        x = rng.uniform(-1, 1, (6, 32, 2)).astype(np.float32)
        x[..., 1] = 0.0
        x[0, :, 1] = 1.0  # marks what is to be remembered

        def loss(outputs: NDArray[np.float32], wanted: NDArray[np.float32] = x[0, :, 0]) -> tuple[float, NDArray]:
            gradient = np.zeros_like(outputs)
            gradient[:, 0] = 2 * (outputs[:, 0] - wanted) / len(wanted)
            return float(((outputs[:, 0] - wanted) ** 2).mean()), gradient

        made = learner.step(x, loss)
        adam.step(made.gradients, 0.02 * (1 - count / 300))
        losses.append(made.loss)
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) / 20
