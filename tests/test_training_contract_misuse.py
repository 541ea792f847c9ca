"""What a C caller of the training layer can get wrong is refused, and the refused call has changed nothing."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from ctypes import c_bool, c_size_t, c_void_p
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
import oracle
from contract import (
    BAD_ARGUMENT,
    FLOAT16,
    Cell,
    Command,
    Device,
    Handle,
    Matrix,
    MatrixState,
    NativeCell,
    Refusal,
    Rows,
    call,
    plain,
    pointer,
    views,
)

INPUTS, OUTPUTS, ROWS, STEPS = 3, 5, 4, 3
UNSUPPORTED = 3
PARTS = ("input", "recurrent", "memory", "diagonal", "bias")


class GateMatrices(ctypes.Structure):
    _fields_ = [(part, Matrix) for part in PARTS]


def lstm() -> oracle.LSTM:
    """Every gate with W, U and b; the input gate with a peephole too."""
    rng = np.random.default_rng(1)

    def weights(inputs: int) -> oracle.Slot:
        return oracle.Slot(rng.standard_normal((OUTPUTS, 1, 1, inputs)).astype(np.float32))

    def gate(memory: oracle.Slot | None = None) -> oracle.Gate:
        neuron = oracle.Neuron(oracle.NeuronType.SIGMOID)
        return oracle.Gate(weights(INPUTS), np.ones(OUTPUTS, np.float32), neuron, weights(OUTPUTS), memory)

    gates = {name: gate() for name in ("forget_gate", "cell_gate", "output_gate")}
    return oracle.LSTM(inputs=INPUTS, outputs=OUTPUTS, input_gate=gate(weights(OUTPUTS)), **gates, float32_weights=True)


def gru() -> oracle.GRU:
    """A GRU of no weights at all."""
    return oracle.GRU(inputs=INPUTS, outputs=OUTPUTS, float32_weights=True)


class TrainingLayer(Handle):
    def __init__(self, device: Handle, cell: NativeCell) -> None:
        super().__init__("training_layer_create", device.value, pointer(cell.struct))


class Training:
    """Arguments of a forward and a gradient call that would succeed, for a test to spoil one of them."""

    def __init__(self) -> None:
        self.device = Device()
        self.queue = Handle("queue_create", self.device.value)
        self.command = Command(self.queue)
        self.layer = TrainingLayer(self.device, NativeCell(lstm()))
        self.memory: list[Rows] = []
        self.sources: Any = self.matrices(STEPS, INPUTS)
        self.destinations: Any = self.matrices(STEPS, OUTPUTS)
        self.gradients: Any = self.matrices(STEPS, OUTPUTS)
        self.source_gradients: Any = self.matrices(STEPS, INPUTS)
        self.weights: Any = self.weight_set()
        self.weight_gradients: Any = self.weight_set()
        self.state_in: Any = self.states(1)
        self.states_out: Any = self.states(1)
        self.count, self.state_count = STEPS, 1
        self.training: Any = (c_void_p * STEPS)()

    def matrices(self, count: int, columns: int, rows: int = ROWS) -> ctypes.Array[Matrix]:
        made = [Rows(self.device, rows, columns) for _ in range(count)]
        for matrix in made:
            matrix.array = np.zeros(matrix.shape)
        self.memory += made
        return views(made)

    def states(self, count: int) -> ctypes.Array[MatrixState]:
        return (MatrixState * count)(*[MatrixState(*self.matrices(2, OUTPUTS)) for _ in range(count)])

    def weight_set(self) -> ctypes.Array[GateMatrices]:
        gates = (GateMatrices * 4)()
        for gate in gates:
            gate.input = self.matrices(1, INPUTS, OUTPUTS)[0]
            gate.recurrent = self.matrices(1, OUTPUTS, OUTPUTS)[0]
            gate.bias = self.matrices(1, OUTPUTS, 1)[0]
        gates[0].memory = self.matrices(1, OUTPUTS, OUTPUTS)[0]
        return gates

    def forward(self) -> None:
        call(
            "training_layer_encode_forward",
            *(self.layer.value, self.command.value, pointer(self.weights)),
            *(pointer(self.sources), pointer(self.destinations), c_size_t(self.count)),
            *(pointer(self.state_in), pointer(self.states_out), c_size_t(self.state_count)),
            pointer(self.training),
        )

    def gradient(self) -> None:
        call(
            "training_layer_encode_gradient",
            *(self.layer.value, self.command.value, pointer(self.weights)),
            *(pointer(self.sources), pointer(self.gradients), pointer(self.source_gradients), c_size_t(self.count)),
            *(pointer(self.weight_gradients), c_bool(False), pointer(self.training)),
            *(pointer(self.state_in), pointer(self.states_out), c_size_t(self.state_count)),
        )

    def release_training(self) -> None:
        for state in self.training or []:
            if state:
                plain("release", None, c_void_p(state))


@pytest.fixture
def ready(device: mps.MTLDevice) -> Any:
    """After the forward pass, before the gradient's."""
    training = Training()
    training.forward()
    made = training.training
    yield training
    training.training = made
    training.release_training()


def assert_refused(encode: Callable[[], None], message: str) -> None:
    gc.collect()
    handles = plain("live_handle_count", c_size_t)
    with pytest.raises(Refusal, match=message) as refusal:
        encode()
    assert refusal.value.status == BAD_ARGUMENT
    assert plain("live_handle_count", c_size_t) == handles


def test_what_is_not_misuse(ready: Training) -> None:
    ready.gradient()
    ready.source_gradients = ready.weight_gradients = ready.state_in = ready.states_out = None
    ready.state_count = 0
    ready.gradient()
    ready.command.commit_and_wait()


WRONG_MATRICES: dict[str, tuple[Callable[[Matrix], None], str]] = {
    "type": (lambda m: setattr(m, "data_type", 8), "data type 0x8"),
    "no rows": (lambda m: setattr(m, "rows", 0), "0 x"),
    "columns": (lambda m: setattr(m, "columns", m.columns - 1), "columns expected"),
    "more rows than the buffer": (lambda m: setattr(m, "rows", 9), "the buffer has|rows expected|rows \\(0"),
    "offset beyond the buffer": (lambda m: setattr(m, "offset", 1 << 20), "the buffer has"),
    "row bytes too short": (lambda m: setattr(m, "row_bytes", 4 * (m.columns - 1)), "rows of"),
    "offset not aligned": (lambda m: setattr(m, "offset", 2), "multiples of 4 expected"),
}
# Where a matrix of each call can be, and what the message calls it.
COMMON: dict[str, tuple[Callable[[Training], Matrix], str]] = {
    "source": (lambda t: t.sources[1], "source matrix 1"),
    "weights W": (lambda t: t.weights[1].input, "weight matrix 5"),
    "weights U": (lambda t: t.weights[2].recurrent, "weight matrix 11"),
    "weights V": (lambda t: t.weights[0].memory, "weight matrix 2"),
    "weights b": (lambda t: t.weights[3].bias, "weight matrix 19"),
    "state in": (lambda t: t.state_in[0].memory, "input state matrix 0"),
    "state out": (lambda t: t.states_out[0].output, "output state matrix 0"),
}
FORWARD = {**COMMON, "destination": (lambda t: t.destinations[2], "destination matrix 2")}
GRADIENT = {
    **COMMON,
    "gradient": (lambda t: t.gradients[2], "gradient matrix 2"),
    "source gradient": (lambda t: t.source_gradients[0], "source gradient matrix 0"),
    "weight gradient": (lambda t: t.weight_gradients[1].recurrent, "weight gradient matrix 6"),
}


@pytest.mark.parametrize("place", FORWARD)
@pytest.mark.parametrize("wrong", WRONG_MATRICES)
def test_a_matrix_of_a_forward_pass_that_is_wrong(device: mps.MTLDevice, place: str, wrong: str) -> None:
    training = Training()
    find, where = FORWARD[place]
    spoil, what = WRONG_MATRICES[wrong]
    spoil(find(training))
    assert_refused(training.forward, f"^{where}: .*({what})")
    assert training.command.dispatch_count == 0
    assert list(training.training) == [None] * STEPS


@pytest.mark.parametrize("place", GRADIENT)
@pytest.mark.parametrize("wrong", WRONG_MATRICES)
def test_a_matrix_of_a_gradient_that_is_wrong(ready: Training, place: str, wrong: str) -> None:
    find, where = GRADIENT[place]
    spoil, what = WRONG_MATRICES[wrong]
    dispatches = ready.command.dispatch_count
    spoil(find(ready))
    assert_refused(ready.gradient, f"^{where}: .*({what})")
    assert ready.command.dispatch_count == dispatches


def swap(training: Training) -> None:
    """Training states of other rows than the sources."""
    training.sources[2].rows = ROWS - 1


def of_another_cell(training: Training) -> None:
    training.layer = TrainingLayer(training.device, NativeCell(gru()))
    training.weights = (GateMatrices * 4)()
    training.weight_gradients = training.state_in = training.states_out = None
    training.state_count = 0


GRADIENT_MISTAKES: dict[str, tuple[Callable[[Training], None], str]] = {
    "no steps": (lambda t: setattr(t, "count", 0), "0 matrices; at least 1 expected"),
    "no weights": (lambda t: setattr(t, "weights", None), "with sources, gradients, weights and training states"),
    "no sources": (lambda t: setattr(t, "sources", None), "with sources, gradients, weights and training states"),
    "no gradients": (lambda t: setattr(t, "gradients", None), "with sources, gradients, weights and training states"),
    "no training": (lambda t: setattr(t, "training", None), "with sources, gradients, weights and training states"),
    "a state is absent": (lambda t: setattr(t, "training", (c_void_p * STEPS)()), "training state 0: not of this"),
    "states of another cell": (of_another_cell, "training state 0: not of this kind of layer"),
    "states of other rows": (swap, "training state 2: of 4 rows, its source has 3"),
    "rows that increase": (lambda t: setattr(t.sources[0], "rows", 3), "source matrix 1: 4 rows; no more than the 3"),
    "a gradient of fewer rows": (lambda t: setattr(t.gradients[1], "rows", 3), "gradient matrix 1: 3 rows"),
    "source gradients of two types": (
        lambda t: setattr(t.source_gradients[1], "data_type", FLOAT16),
        "source gradient matrix 1: .* one type",
    ),
    "weight gradients of two types": (
        lambda t: setattr(t.weight_gradients[1].bias, "data_type", FLOAT16),
        "weight gradient matrix 9: data type",
    ),
    "a weight gradient of nothing": (
        lambda t: setattr(t.weight_gradients[1], "diagonal", t.weight_gradients[1].bias),
        "weight gradient matrix 8: the cell has none",
    ),
    "weights of another type": (lambda t: setattr(t.weights[1].bias, "data_type", FLOAT16), "weight matrix 9: data"),
    "weights that are absent": (lambda t: setattr(t.weights[1], "bias", Matrix()), "weight matrix 9: absent"),
    "too many states": (lambda t: setattr(t, "state_count", 2), "2 output states of 3 time steps; 0, 1 or all"),
    "no matrices for states": (lambda t: setattr(t, "states_out", None), "no matrices for 1 output states"),
    "a state without c": (lambda t: setattr(t.states_out[0], "memory", Matrix()), "output state matrix 0: absent"),
    "a state of half": (
        lambda t: setattr(t.state_in[0].output, "data_type", FLOAT16),
        "input state matrix 0: .* float32 expected",
    ),
}


@pytest.mark.parametrize("mistake", GRADIENT_MISTAKES)
def test_a_gradient_call_that_is_wrong(ready: Training, mistake: str) -> None:
    spoil, message = GRADIENT_MISTAKES[mistake]
    spoil(ready)
    assert_refused(ready.gradient, message)


@pytest.mark.parametrize("name", ["weights", "destinations", "training"])
def test_a_forward_call_without_an_array(device: mps.MTLDevice, name: str) -> None:
    training = Training()
    setattr(training, name, None)
    assert_refused(training.forward, "no (weights|destination matrices|room for training states)")


def test_a_command_buffer_that_is_committed(ready: Training) -> None:
    ready.command.commit_and_wait()
    assert_refused(ready.gradient, "already committed")
    assert_refused(ready.forward, "already committed")


@pytest.mark.parametrize(
    ("spoil", "status", "message"),
    [
        (lambda cell: setattr(cell.gates[1].recurrent, "groups", 5), UNSUPPORTED, "groups cannot be trained"),
        (lambda cell: setattr(cell.gates[1].recurrent, "width", 3), BAD_ARGUMENT, "1 x 1 expected"),
        (lambda cell: setattr(cell, "output_channels", 0), BAD_ARGUMENT, "0 output channels"),
        (lambda cell: setattr(cell, "unit_transform", True), BAD_ARGUMENT, "equal numbers expected"),
    ],
)
def test_a_cell_that_is_wrong(device: mps.MTLDevice, spoil: Callable[[Cell], None], status: int, message: str) -> None:
    native = Device()
    cell = NativeCell(lstm())
    spoil(cell.struct)
    with pytest.raises(Refusal, match=message) as refusal:
        TrainingLayer(native, cell)
    assert refusal.value.status == status


def test_training_states_outlive_the_layer_and_the_command_buffer(ready: Training) -> None:
    ready.command.commit_and_wait()
    ready.layer = TrainingLayer(ready.device, NativeCell(lstm()))
    ready.command = Command(ready.queue)
    ready.gradient()
    ready.command.commit_and_wait()
