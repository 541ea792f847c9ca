"""The oracle against closed forms and against judges that share nothing with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import strategies
from oracle import (
    GRU,
    LSTM,
    Bounded,
    Cell,
    Gate,
    Neuron,
    NeuronType,
    SingleGate,
    Slot,
    convolve,
    exact_state,
    round_weights,
    run,
)

SIGMOID = Neuron(NeuronType.SIGMOID)
TANH = Neuron(NeuronType.TANH, 1.0, 1.0)


def pixels(*values: float) -> NDArray[np.float32]:
    """Sequence of 1 x 1 images of one channel."""
    return np.array(values, np.float32).reshape(-1, 1, 1, 1, 1)


def slot_1x1(matrix: NDArray) -> Slot:
    """1 x 1 convolution of a matrix (outputs, inputs)."""
    return Slot(np.asarray(matrix)[:, None, None, :])


def numbers(images: list[Bounded]) -> NDArray[np.float64]:
    """Values of all images in one array, every element of which must be decided and near exact for 1 x 1 images."""
    assert not any(image.undecided.any() for image in images)
    return np.stack([image.value for image in images])


# Closed forms


@pytest.mark.parametrize("cell", [SingleGate(inputs=3, outputs=5), GRU(inputs=3, outputs=5), LSTM(inputs=3, outputs=5)])
def test_cell_without_weights_makes_zeros(cell: Cell) -> None:
    result = run([cell], np.random.default_rng(0).standard_normal((3, 2, 4, 3, 3)))
    for state in (states[0] for states in result.states):
        for image in filter(None, state):
            assert not image.value.any()
            assert image.err.max() < 1e-30


def test_unit_transform_without_weights_is_the_identity() -> None:
    result = run([SingleGate(inputs=1, outputs=1, unit_transform=True)], pixels(0.25, 0.75))
    assert numbers(result.outputs).ravel().tolist() == [0.25, 0.75]
    assert not any(image.err.any() for image in result.outputs)


def test_unit_recurrence_is_a_running_sum() -> None:
    cell = SingleGate(inputs=1, outputs=1, unit_transform=True, gate=Gate(recurrent=slot_1x1(np.ones((1, 1)))))
    assert numbers(run([cell], pixels(1, 1, 1)).outputs).ravel().tolist() == [1, 2, 3]


def test_input_weights_and_bias() -> None:
    cell = SingleGate(inputs=1, outputs=1, gate=Gate(slot_1x1(np.full((1, 1), 2.0)), np.array([0.5])))
    assert numbers(run([cell], pixels(1, 2, 3, 4)).outputs).ravel().tolist() == [2.5, 4.5, 6.5, 8.5]


def test_bias_and_neuron_apply_in_unit_transform() -> None:
    gate = Gate(slot_1x1(np.full((1, 1), 7.0)), np.array([1.0]), Neuron(NeuronType.ABSOLUTE))
    result = run([SingleGate(inputs=1, outputs=1, unit_transform=True, gate=gate)], pixels(-3, 2))
    assert numbers(result.outputs).ravel().tolist() == [2, 3]


@pytest.mark.parametrize("flip", [False, True])
def test_gru_of_unit_transforms(flip: bool) -> None:
    x, h0 = 0.3, 0.7
    state = exact_state(np.full((1, 1, 1, 1), h0))
    result = run([GRU(inputs=1, outputs=1, unit_transform=True, flip=flip)], [Bounded.exact(pixels(x)[0])], [state])
    x = float(np.float32(x))
    expected = (1 - x) * h0 + x * x if flip else (1 - x) * x + x * h0
    assert result.outputs[0].value.item() == pytest.approx(expected, rel=1e-15)


def test_saturated_lstm_keeps_its_memory() -> None:
    def constant(bias: float, neuron: Neuron) -> Gate:
        return Gate(slot_1x1(np.zeros((2, 2))), np.full(2, bias, np.float32), neuron)

    cell = LSTM(
        inputs=2,
        outputs=2,
        input_gate=constant(-60.0, SIGMOID),
        forget_gate=constant(60.0, SIGMOID),
        cell_gate=constant(0.8, TANH),
        output_gate=constant(60.0, SIGMOID),
    )
    c0 = np.array([0.4, -1.5]).reshape(1, 1, 1, 2)
    result = run([cell], np.ones((4, 1, 1, 1, 2)), [exact_state(np.zeros_like(c0), c0)])
    np.testing.assert_allclose(result.states[-1][0].c.value, c0, rtol=1e-15)
    np.testing.assert_allclose(result.outputs[-1].value, np.tanh(c0), rtol=1e-15)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 2), (4, 5)])
def test_impulse_kernel_is_the_identity(kernel: tuple[int, int]) -> None:
    weights = np.zeros((3, *kernel, 3))
    weights[:, kernel[0] // 2, kernel[1] // 2] = np.eye(3)
    image = np.random.default_rng(1).standard_normal((1, 2, 4, 6, 3)).astype(np.float32)
    result = run([SingleGate(inputs=3, outputs=3, gate=Gate(Slot(weights)))], image)
    assert (result.outputs[0].value == image[0]).all()


@pytest.mark.parametrize(
    ("taps", "dilation", "first"), [(1, 1, 0), (2, 1, -1), (3, 1, -1), (4, 1, -2), (5, 1, -2), (2, 2, -1), (2, 3, -2)]
)
def test_window_starts_left_of_the_pixel(taps: int, dilation: int, first: int) -> None:
    row = np.arange(1.0, 10.0).reshape(1, 1, 9, 1)
    weights = np.zeros((1, 1, taps, 1))
    weights[0, 0, 0, 0] = 1.0  # the leftmost tap
    for transpose in ((0, 1, 2, 3), (0, 2, 1, 3)):
        slot = Slot(weights.transpose(transpose), (dilation, dilation))
        seen = convolve(Bounded.exact(row.transpose(transpose)), slot, False).value.ravel()
        assert seen[4] == 5.0 + first


# Independent judges


def looped_convolution(image: NDArray, slot: Slot) -> NDArray[np.float64]:
    """Cross-correlation pixel by pixel."""
    out = np.zeros((*image.shape[:3], slot.outputs))
    per_group_in, per_group_out = slot.inputs // slot.groups, slot.outputs // slot.groups
    for (n, y, x, o), _ in np.ndenumerate(out):
        for ky, kx, i in np.ndindex(slot.weights.shape[1:]):
            dy, dx = slot.dilation
            row = y + ky * dy - ((slot.weights.shape[1] - 1) * dy + 1) // 2
            column = x + kx * dx - ((slot.weights.shape[2] - 1) * dx + 1) // 2
            if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                channel = o // per_group_out * per_group_in + i
                out[n, y, x, o] += image[n, row, column, channel] * float(slot.weights[o, ky, kx, i])
    return out


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_convolution_equals_loops(data: st.DataObject) -> None:
    inputs, outputs = data.draw(st.sampled_from([(1, 1), (2, 3), (8, 8)]))
    slot = data.draw(strategies.slots(inputs, outputs))
    shape = (data.draw(st.integers(1, 2)), data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3)), inputs)
    image = data.draw(strategies.generators()).standard_normal(shape)
    term = convolve(Bounded.exact(image), slot, float32_weights=True)
    np.testing.assert_allclose(term.value, looped_convolution(image, slot), atol=1e-14)
    magnitude = looped_convolution(abs(image), Slot(abs(slot.weights), slot.dilation, slot.groups))
    np.testing.assert_allclose(term.magnitude, magnitude, atol=1e-14)


def sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x))


def vector_weights(rng: np.random.Generator, gates: str, inputs: int, outputs: int) -> dict[str, NDArray]:
    """Matrices W, U, V, vectors v and biases b of every gate, all exact in half precision."""
    sizes = {"W": (outputs, inputs), "U": (outputs, outputs), "V": (outputs, outputs), "v": (outputs,), "b": (outputs,)}
    return {name + g: np.float16(rng.normal(size=s) * 0.4).astype(float) for g in gates for name, s in sizes.items()}


def vector_gate(p: dict[str, NDArray], g: str, neuron: Neuron, memory: str | None = None) -> Gate:
    """Gate of 1 x 1 convolutions; `memory` names the matrix or vector of its memory weights."""
    peephole = None if memory is None else p[memory + g]
    peephole = slot_1x1(peephole) if memory == "V" else peephole
    return Gate(slot_1x1(p["W" + g]), p["b" + g], neuron, slot_1x1(p["U" + g]), peephole)


def vectors(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Random vectors as 1 x 1 images."""
    return rng.standard_normal((*shape[:-1], 1, 1, shape[-1])).astype(np.float32)


@pytest.mark.parametrize("diagonal", [False, True], ids=["full", "diagonal"])
def test_lstm_of_vectors(diagonal: bool) -> None:
    rng = np.random.default_rng(2)
    p = vector_weights(rng, "ifco", 4, 5)
    kind = "v" if diagonal else "V"
    i, f, o = (vector_gate(p, g, SIGMOID, kind) for g in "ifo")
    cell = LSTM(
        inputs=4, outputs=5, input_gate=i, forget_gate=f, cell_gate=vector_gate(p, "c", TANH, kind), output_gate=o
    )
    xs, h0, c0 = vectors(rng, 4, 3, 4), vectors(rng, 3, 5), vectors(rng, 3, 5)
    result = run([cell], xs, [exact_state(h0, c0)])

    def before(g: str, x: NDArray, h: NDArray, c: NDArray) -> NDArray:
        peephole = c * p["v" + g] if diagonal else c @ p["V" + g].T
        return x @ p["W" + g].T + h @ p["U" + g].T + peephole + p["b" + g]

    h, c = h0[:, 0, 0].astype(float), c0[:, 0, 0].astype(float)
    for t, x in enumerate(xs[:, :, 0, 0].astype(float)):
        i, f, candidate = sigmoid(before("i", x, h, c)), sigmoid(before("f", x, h, c)), np.tanh(before("c", x, h, c))
        c = f * c + i * candidate
        h = sigmoid(before("o", x, h, c)) * np.tanh(c)  # this peephole sees the new c
        np.testing.assert_allclose(result.outputs[t].value[:, 0, 0], h, atol=1e-14)
        np.testing.assert_allclose(result.states[t][0].c.value[:, 0, 0], c, atol=1e-14)


@pytest.mark.parametrize("p_norm", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("flip", [False, True])
def test_gru_of_vectors(p_norm: float, flip: bool) -> None:
    rng = np.random.default_rng(3)
    p = vector_weights(rng, "zrh", 4, 5)
    z, r = (vector_gate(p, g, SIGMOID) for g in "zr")
    cell = GRU(
        inputs=4,
        outputs=5,
        input_gate=z,
        recurrent_gate=r,
        output_gate=vector_gate(p, "h", TANH, "V"),
        p_norm=p_norm,
        flip=flip,
    )
    xs, h0 = vectors(rng, 4, 3, 4), vectors(rng, 3, 5)
    result = run([cell], xs, [exact_state(h0)])

    h = h0[:, 0, 0].astype(float)
    for t, x in enumerate(xs[:, :, 0, 0].astype(float)):
        z, r = (sigmoid(x @ p["W" + g].T + h @ p["U" + g].T + p["b" + g]) for g in "zr")
        candidate = np.tanh(x @ p["Wh"].T + (r * h) @ p["Uh"].T + (z * h) @ p["Vh"].T + p["bh"])
        s = (1 - z**p_norm) ** (1 / p_norm)
        h = s * h + z * candidate if flip else s * candidate + z * h
        np.testing.assert_allclose(result.outputs[t].value[:, 0, 0], h, atol=1e-14)


def test_convolutional_lstm_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    inputs, outputs = 3, 6
    cell_gates = {}
    for name, neuron in (("input", SIGMOID), ("forget", SIGMOID), ("cell", TANH), ("output", SIGMOID)):
        w, u = (Slot(rng.normal(size=(outputs, 3, 3, n)) * 0.2) for n in (inputs, outputs))
        cell_gates[f"{name}_gate"] = Gate(w, rng.normal(size=outputs), neuron, u)
    xs = rng.standard_normal((3, 2, 7, 5, inputs)).astype(np.float32)
    result = run([LSTM(inputs=inputs, outputs=outputs, float32_weights=True, **cell_gates)], xs)

    def tensor(array: NDArray, *axes: int) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(np.asarray(array, np.float64).transpose(axes)))

    gates = list(cell_gates.values())
    weights = torch.cat(
        [torch.cat([tensor(s.weights, 0, 3, 1, 2) for s in (g.input, g.recurrent)], dim=1) for g in gates]
    )
    bias = torch.cat([tensor(g.bias, 0) for g in gates])
    h = c = torch.zeros((2, outputs, 7, 5), dtype=torch.float64)
    for t, x in enumerate(xs):
        joined = torch.cat([tensor(x, 0, 3, 1, 2), h], dim=1)
        i, f, g, o = torch.chunk(torch.nn.functional.conv2d(joined, weights, bias, padding=1), 4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        np.testing.assert_allclose(result.outputs[t].value, h.permute(0, 2, 3, 1).numpy(), atol=1e-13)


NEURON_FORMULAE = {
    NeuronType.NONE: lambda x, a, b, c: x,
    NeuronType.RELU: lambda x, a, b, c: x if x >= 0 else a * x,
    NeuronType.LINEAR: lambda x, a, b, c: a * x + b,
    NeuronType.SIGMOID: lambda x, a, b, c: 1 / (1 + math.exp(-x)),
    NeuronType.HARD_SIGMOID: lambda x, a, b, c: min(max(a * x + b, 0), 1),
    NeuronType.TANH: lambda x, a, b, c: a * math.tanh(b * x),
    NeuronType.ABSOLUTE: lambda x, a, b, c: abs(x),
    NeuronType.SOFT_PLUS: lambda x, a, b, c: a * math.log1p(math.exp(b * x)),
    NeuronType.SOFT_SIGN: lambda x, a, b, c: x / (1 + abs(x)),
    NeuronType.ELU: lambda x, a, b, c: x if x >= 0 else a * math.expm1(x),
    NeuronType.PRELU: lambda x, a, b, c: x if x >= 0 else 0.25 * x,
    NeuronType.RELUN: lambda x, a, b, c: min(x if x >= 0 else a * x, b),
    NeuronType.POWER: lambda x, a, b, c: math.pow(a * x + b, c),
    NeuronType.EXPONENTIAL: lambda x, a, b, c: math.pow(c, a * x + b),
    NeuronType.LOGARITHM: lambda x, a, b, c: math.log(a * x + b, c),
    NeuronType.GELU: lambda x, a, b, c: x / 2 * math.erfc(-x / math.sqrt(2)),
}


@pytest.mark.parametrize("kind", NeuronType, ids=lambda kind: kind.name)
def test_neuron_formula(kind: NeuronType) -> None:
    a, b, c = 0.125, 4.0, 3.0
    alpha = np.array([0.25]) if kind == NeuronType.PRELU else None
    xs = np.linspace(-20.0, 120.0, 141)
    result = Neuron(kind, a, b, c, alpha)(Bounded.exact(xs[:, None]))
    expected = [NEURON_FORMULAE[kind](x, a, b, c) for x in xs]
    # The two ways to write a function themselves differ by a few roundings of float64, 2^29 times smaller ones.
    np.testing.assert_allclose(result.value[:, 0], expected, rtol=1e-12, atol=1e-14)
    assert np.isfinite(result.err).all()


@pytest.mark.parametrize(
    ("neuron", "x", "expected"),
    [
        (Neuron(NeuronType.EXPONENTIAL, 1.0, 0.0, -1.0), 2.0, math.exp(2.0)),
        (Neuron(NeuronType.LOGARITHM, 1.0, 0.0, -1.0), 2.0, math.log(2.0)),
        (Neuron(NeuronType.POWER, 1.0, 0.0, 2.0), -3.0, 9.0),
        (Neuron(NeuronType.SOFT_PLUS, 1.0, 1.0), 1000.0, 1000.0),
        (Neuron(NeuronType.SIGMOID), 1000.0, 1.0),
        (Neuron(NeuronType.SIGMOID), -1000.0, 0.0),
    ],
)
def test_special_cases_of_neurons(neuron: Neuron, x: float, expected: float) -> None:
    assert neuron(Bounded.exact([x])).value.item() == pytest.approx(expected, rel=1e-14)


def test_gelu_equals_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    x = np.linspace(-6, 6, 101)
    result = Neuron(NeuronType.GELU)(Bounded.exact(x))
    np.testing.assert_allclose(result.value, x / 2 * (1 + special.erf(x / np.sqrt(2))), atol=1e-15)


def test_weights_are_rounded_to_half_unless_float32() -> None:
    weights = np.array([0.1, 1 / 3, 2.0], np.float32)
    assert (round_weights(weights, True) == weights).all()
    assert (round_weights(weights, False) == [0.0999755859375, 0.333251953125, 2.0]).all()


def test_diagonal_peephole_is_a_weight_and_rounded_like_one() -> None:
    gates = {"input_gate": Gate(slot_1x1(np.ones((1, 1)))), "cell_gate": Gate(memory=np.full(1, 0.1))}
    state = exact_state(np.zeros((1, 1, 1, 1)), np.ones((1, 1, 1, 1)))
    for float32_weights, weight in ((True, np.float32(0.1)), (False, np.float16(0.1))):
        cell = LSTM(inputs=1, outputs=1, float32_weights=float32_weights, **gates)
        assert run([cell], pixels(1), [state]).states[0][0].c.value.item() == weight
