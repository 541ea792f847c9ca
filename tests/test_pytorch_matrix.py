"""PyTorch's own nn.LSTM and nn.RNN as outside judges of matrix layers: stacks, both directions, rows that end."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import conversion
import judging
import matrix_strategies
import mpsrnn_cy as mps
import oracle
import strategies
from judging import RELU, SIGMOID, TANH, exploring

torch = pytest.importorskip("torch", reason="the judges extra is not installed")

CONCATENATE = mps.MPSRNNBidirectionalCombineMode.CONCATENATE

# Gates in the order in which PyTorch concatenates them: i, f, g, o.
GATE_ORDER = {oracle.LSTM: ("input_gate", "forget_gate", "cell_gate", "output_gate"), oracle.SingleGate: ("gate",)}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """The layers are so small that PyTorch's threads would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_cell(kind: type[oracle.Cell], rng: np.random.Generator, inputs: int, outputs: int) -> oracle.Cell:
    """A cell of the kind that PyTorch has, of half or float32 weights."""

    def slot(channels: int) -> oracle.Slot:
        scale = strategies.WEIGHT_SCALE / np.sqrt(channels)
        return oracle.Slot((rng.standard_normal((outputs, 1, 1, channels)) * scale).astype(np.float32))

    def gate(neuron: oracle.Neuron) -> oracle.Gate:
        return oracle.Gate(slot(inputs), rng.uniform(-0.5, 0.5, outputs).astype(np.float32), neuron, slot(outputs))

    fields = {"inputs": inputs, "outputs": outputs, "float32_weights": bool(rng.integers(2))}
    if kind is oracle.SingleGate:
        return oracle.SingleGate(gate=gate(TANH if rng.integers(2) else RELU), **fields)
    neurons = {"input_gate": SIGMOID, "forget_gate": SIGMOID, "cell_gate": TANH, "output_gate": SIGMOID}
    return oracle.LSTM(**{name: gate(neuron) for name, neuron in neurons.items()}, **fields)


def parameters(cell: oracle.Cell) -> list[NDArray[np.float32]]:
    """Input and recurrent weights, and both biases, of which the second is zero."""
    gates = [cell.gates[name] for name in GATE_ORDER[type(cell)]]
    weights = [np.concatenate([getattr(gate, name).weights[:, 0, 0] for gate in gates]) for name in SLOTS]
    bias = np.concatenate([gate.bias for gate in gates])
    return [*(judging.kept(cell, matrix) for matrix in weights), bias, np.zeros_like(bias)]


SLOTS = ("input", "recurrent")


def module(cells: list[oracle.Cell], bidirectional: bool = False) -> torch.nn.Module:
    """PyTorch's form of a stack, or of one forward and one backward cell."""
    first = cells[0]
    layers = 1 if bidirectional else len(cells)
    if isinstance(first, oracle.LSTM):
        made = torch.nn.LSTM(first.inputs, first.outputs, layers, bidirectional=bidirectional)
    else:
        nonlinearity = "tanh" if first.gate.neuron is TANH else "relu"
        made = torch.nn.RNN(first.inputs, first.outputs, layers, nonlinearity, bidirectional=bidirectional)
    for names, cell in zip(made.all_weights, cells, strict=True):
        for tensor, values in zip(names, parameters(cell), strict=True):
            tensor.data = torch.from_numpy(values)
    return made


def assert_both_close(ours: NDArray, theirs: NDArray, bounded: oracle.Bounded, what: str) -> None:
    """Both are float32, so they may be as far apart as their bounds together."""
    oracle.assert_close(theirs, bounded, f"PyTorch's {what}")
    oracle.assert_close(ours, oracle.Bounded(theirs, 2.0 * bounded.err), f"{what} beside PyTorch's")


kinds = pytest.mark.parametrize("kind", GATE_ORDER, ids=lambda kind: kind.__name__)
sizes = st.integers(1, strategies.MAX_CHANNELS)


@kinds
@exploring
@given(rng=strategies.generators(), layers=st.integers(1, 3), inputs=sizes, outputs=sizes, started=st.booleans())
def test_stack(
    each_build: mps.MTLDevice,
    kind: type[oracle.Cell],
    rng: np.random.Generator,
    layers: int,
    inputs: int,
    outputs: int,
    started: bool,
) -> None:
    cells = [random_cell(kind, rng, inputs if n == 0 else outputs, outputs) for n in range(layers)]
    if kind is oracle.SingleGate:  # all layers of an nn.RNN have the same neuron
        gates = [oracle.Gate(c.gate.input, c.gate.bias, cells[0].gate.neuron, c.gate.recurrent) for c in cells]
        cells = [
            oracle.SingleGate(inputs=c.inputs, outputs=outputs, float32_weights=c.float32_weights, gate=gate)
            for c, gate in zip(cells, gates, strict=True)
        ]
    steps, rows = rng.integers(1, 6), rng.integers(1, 10)
    x = rng.uniform(-1.0, 1.0, (steps, rows, inputs)).astype(np.float32)
    initial = [matrix_strategies.random_state(cell, rows, rng) for cell in cells] if started else None

    given_state = ()
    if initial is not None:
        parts = zip(*initial, strict=True)
        tensors = [
            torch.from_numpy(np.stack([oracle.as_rows(s).value for s in part]).astype(np.float32))
            for part in parts
            if part[0] is not None
        ]
        given_state = (tuple(tensors) if len(tensors) == 2 else tensors[0],)
    with torch.no_grad():
        outputs_found, last = module(cells)(torch.from_numpy(x), *given_state)
    last = last if isinstance(last, tuple) else (last,)

    layer = conversion.matrix_layer(each_build, cells)
    ours, state = layer.predict(x, conversion.matrix_state(each_build, initial), return_state=True)
    expected = oracle.run(cells, [oracle.as_images(matrix) for matrix in x], initial)
    for t, bounded in enumerate(expected.outputs):
        assert_both_close(ours[t], outputs_found[t].numpy(), oracle.as_rows(bounded), f"output {t}")
    states = conversion.oracle_matrix_states(state, cells)
    for index, (found, bounds) in enumerate(zip(states, expected.states[-1], strict=True)):
        for name, a, b, bound in zip("hc", found, last, bounds, strict=False):
            if bound is not None:
                what = f"{name} of layer {index}"
                assert_both_close(oracle.as_rows(a).value, b[index].numpy(), oracle.as_rows(bound), what)


def concatenated(device: mps.MTLDevice, pairs: list[list[oracle.Cell]], x: list[NDArray]) -> list[NDArray]:
    """Outputs of bidirectional layers on top of each other, the way PyTorch stacks them: each reads both directions.

    Intermediate matrices stay on the device, and all is in one command buffer.
    """
    command = device.make_command_queue().make_command_buffer()
    matrices = [mps.MPSMatrix.from_numpy(device, matrix) for matrix in x]
    for forward, backward in pairs:
        layer = conversion.matrix_layer(device, [forward, backward], [False, True])
        layer.bidirectional_combine_mode = CONCATENATE
        columns = forward.outputs + backward.outputs
        joined = [mps.MPSMatrix.from_numpy(device, np.full((len(m), columns), 7, np.float32)) for m in x]
        layer.encode_bidirectional_sequence(command, matrices, joined)
        matrices = joined
    command.commit()
    command.wait_until_completed()
    return [matrix.to_numpy() for matrix in matrices]


def expected_of(pairs: list[list[oracle.Cell]], x: list[NDArray]) -> list[oracle.Bounded]:
    images = [oracle.as_images(matrix) for matrix in x]
    for pair in pairs:
        directions = oracle.run_bidirectional(pair, [False, True], images)
        images = [oracle.concatenate(both, axis=-1) for both in zip(*directions, strict=True)]
    return [oracle.as_rows(image) for image in images]


@kinds
@exploring
@given(
    rng=strategies.generators(),
    layers=st.integers(1, 2),
    inputs=sizes,
    outputs=sizes,
    rows=matrix_strategies.row_counts(5, 5),
)
def test_bidirectional(
    each_build: mps.MTLDevice,
    kind: type[oracle.Cell],
    rng: np.random.Generator,
    layers: int,
    inputs: int,
    outputs: int,
    rows: list[int],
) -> None:
    """Sequences of unequal length are PyTorch's packed ones: a row's backward sequence starts where the row ends."""
    pairs = []
    for n in range(layers):
        forward, backward = (random_cell(kind, rng, inputs if n == 0 else 2 * outputs, outputs) for _ in range(2))
        if kind is oracle.SingleGate:  # both directions of an nn.RNN have the same neuron
            gate = oracle.Gate(backward.gate.input, backward.gate.bias, forward.gate.neuron, backward.gate.recurrent)
            single = backward.float32_weights
            backward = oracle.SingleGate(inputs=backward.inputs, outputs=outputs, gate=gate, float32_weights=single)
        pairs.append([forward, backward])
    x = [rng.uniform(-1.0, 1.0, (count, inputs)).astype(np.float32) for count in rows]

    packed = torch.nn.utils.rnn.PackedSequence(torch.from_numpy(np.concatenate(x)), torch.tensor(rows))
    with torch.no_grad():
        for pair in pairs:
            packed, _ = module(pair, bidirectional=True)(packed)
    theirs = np.split(packed.data.numpy(), np.cumsum(rows)[:-1])
    ours = concatenated(each_build, pairs, x)
    for t, bounded in enumerate(expected_of(pairs, x)):
        assert_both_close(ours[t], theirs[t], bounded, f"output {t}")
