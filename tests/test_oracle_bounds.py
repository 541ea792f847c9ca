"""The oracle's error bounds: they hold for float32 implementations of every kind, and they are not loose.

The judge is a float32 implementation that makes every choice the bounds allow for at random: the order of a sum, fused
multiply-adds, and as large an error of each elementary function as its accuracy permits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import strategies
from oracle import (
    FUNCTION_ULPS,
    GRU,
    LSTM,
    Agreement,
    Bounded,
    Cell,
    Format,
    Gate,
    Neuron,
    NeuronType,
    SingleGate,
    Slot,
    State,
    assert_close,
    convolve,
    decode,
    encode,
    exact_state,
    run,
    store,
)
from oracle.bounded import LARGEST, exp, log
from oracle.convolution import total

Float32 = NDArray[np.float32]
f32 = np.float32


class Judge:
    """Float32 implementation of the cells."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def function(self, name: str, exact: Callable[..., NDArray], *operands: NDArray) -> Float32:
        """Elementary function, wrong by up to what its accuracy allows; the last rounding takes half a unit of it."""
        value = np.asarray(exact(*[np.asarray(x, np.float64) for x in operands]))
        most = (FUNCTION_ULPS[name] - 0.5) * 2.0**-24
        return (value * (1.0 + self.rng.choice([-1.0, 0.3, 1.0]) * most)).astype(f32)

    def products(self, image: Float32, slot: Slot, single: bool) -> list[tuple[NDArray, NDArray | None]]:
        """Pairs of a pixel's and a weight's factor whose products make up a convolution."""
        weights = slot.weights if single else slot.weights.astype(np.float16)
        outputs, kernel_height, kernel_width, per_group = weights.shape
        made = []
        for ky, kx, i in np.ndindex(kernel_height, kernel_width, per_group):
            top = ky * slot.dilation[0] - ((kernel_height - 1) * slot.dilation[0] + 1) // 2
            left = kx * slot.dilation[1] - ((kernel_width - 1) * slot.dilation[1] + 1) // 2
            # Twenty zeros all around are more than any window reaches out.
            around = np.pad(image, ((0, 0), (20, 20), (20, 20), (0, 0)))
            shifted = np.roll(around, (-top, -left), axis=(1, 2))[:, 20:-20, 20:-20]
            channels = np.arange(outputs) // (outputs // slot.groups) * per_group + i
            made.append((shifted[..., channels], weights[:, ky, kx, i].astype(f32)))
        return made

    def gate(self, cell: Cell, gate: Gate, x: Float32, h: Float32, memory: Float32 | None = None) -> Float32:
        """Everything a gate adds up, in random order, and its neuron."""
        single = cell.float32_weights
        leaves: list[tuple[NDArray, NDArray | None]] = []
        if cell.unit_transform:
            leaves.append((x, None))
        elif gate.input is not None:
            leaves += self.products(x, gate.input, single)
        if gate.recurrent is not None:
            leaves += self.products(h, gate.recurrent, single)
        if isinstance(gate.memory, Slot):
            leaves += self.products(memory, gate.memory, single)
        elif gate.memory is not None:
            leaves.append((memory, gate.memory if single else gate.memory.astype(np.float16).astype(f32)))
        if gate.bias is not None:
            leaves.append((gate.bias, None))
        self.rng.shuffle(leaves)
        partial = [np.zeros((*x.shape[:3], cell.outputs), f32) for _ in range(self.rng.choice([1, 1, 3]))]
        fused = self.rng.random() < 0.5
        for k, (a, b) in enumerate(leaves):
            product = a.astype(np.float64) if b is None else a.astype(np.float64) * b
            at = k % len(partial)
            partial[at] = (partial[at] + (product if fused else product.astype(f32))).astype(f32)
        while len(partial) > 1:
            partial.append(partial.pop() + partial.pop())
        return self.neuron(gate.neuron, partial[0])

    def neuron(self, neuron: Neuron, x: Float32) -> Float32:
        """Neuron function as its formula says, in float32."""
        a, b, c = f32(neuron.a), f32(neuron.b), f32(neuron.c)
        one = f32(1)
        match neuron.type:
            case NeuronType.RELU:
                return np.where(x >= 0, x, a * x)
            case NeuronType.LINEAR:
                return a * x + b
            case NeuronType.SIGMOID:
                return self.function("divide", np.divide, one, one + self.function("exp", np.exp, -x))
            case NeuronType.HARD_SIGMOID:
                return np.minimum(np.maximum(a * x + b, f32(0)), one)
            case NeuronType.TANH:
                return a * self.function("tanh", np.tanh, b * x)
            case NeuronType.ABSOLUTE:
                return np.abs(x)
            case NeuronType.SOFT_PLUS:
                y = b * x
                if self.rng.random() < 0.5 and (y < 80).all():
                    return a * self.function("log", np.log, one + self.function("exp", np.exp, y))
                rest = self.function("log", np.log, one + self.function("exp", np.exp, -np.abs(y)))
                return a * (np.maximum(y, f32(0)) + rest)
            case NeuronType.SOFT_SIGN:
                return self.function("divide", np.divide, x, one + np.abs(x))
            case NeuronType.ELU:
                return np.where(x >= 0, x, a * (self.function("exp", np.exp, np.minimum(x, f32(0))) - one))
            case NeuronType.PRELU:
                return np.where(x >= 0, x, neuron.alpha * x)
            case NeuronType.RELUN:
                return np.minimum(np.where(x >= 0, x, a * x), b)
            case NeuronType.POWER:
                return self.function("pow", np.power, a * x + b, c)
            case NeuronType.EXPONENTIAL:
                y = a * x + b
                return self.function("exp", np.exp, y) if c == -1 else self.function("pow", np.power, c, y)
            case NeuronType.LOGARITHM:
                y = self.function("log", np.log, a * x + b)
                return y if c == -1 else self.function("divide", np.divide, y, self.function("log", np.log, c))
            case NeuronType.GELU:
                erf = self.function("erf", np.vectorize(math.erf, otypes=[float]), x * f32(math.sqrt(0.5)))
                return f32(0.5) * x * (one + erf)
        return x

    def step(self, cell: Cell, x: Float32, h0: Float32, c0: Float32 | None) -> tuple[Float32, Float32 | None]:
        """New h and c."""
        if isinstance(cell, SingleGate):
            return self.gate(cell, cell.gate, x, h0), None
        if isinstance(cell, GRU):
            z, r = self.gate(cell, cell.input_gate, x, h0), self.gate(cell, cell.recurrent_gate, x, h0)
            candidate = self.gate(cell, cell.output_gate, x, r * h0, z * h0)
            s = f32(1) - z
            if cell.p_norm != 1:
                powered = f32(1) - self.function("pow", np.power, z, f32(cell.p_norm))
                s = self.function("pow", np.power, powered, f32(1) / f32(cell.p_norm))
            return (s * h0 + z * candidate if cell.flip else s * candidate + z * h0), None
        i, f, c = (self.gate(cell, g, x, h0, c0) for g in (cell.input_gate, cell.forget_gate, cell.cell_gate))
        c1 = f * c0 + i * c
        return self.gate(cell, cell.output_gate, x, h0, c1) * self.neuron(cell.output_neuron, c1), c1

    def run(self, case: strategies.Case) -> list[list[State]]:
        """States of every layer after every step."""
        extent = case.sequence.shape[1:4]
        zeros = [np.zeros((*extent, cell.outputs), f32) for cell in case.cells]
        current = [(z, z) for z in zeros]
        if case.initial is not None:
            pairs = zip(case.initial, zeros, strict=True)
            current = [(s.h.value.astype(f32), z if s.c is None else s.c.value.astype(f32)) for s, z in pairs]
        states = []
        with np.errstate(all="ignore"):
            for x in case.sequence:
                following = []
                for cell, (h, c) in zip(case.cells, current, strict=True):
                    following.append(self.step(cell, x, h, c))
                    x = following[-1][0]
                current = following
                states.append([exact_state(h, c) for h, c in following])
        return states


def compare(case: strategies.Case, made: list[list[State]], follow: bool) -> list[Agreement]:
    """Agreement of all states with the oracle's."""
    result = run(case.cells, case.sequence, case.initial, made if follow else None)
    agreements = []
    for t, (got, expected) in enumerate(zip(made, result.states, strict=True)):
        for layer, (g, e) in enumerate(zip(got, expected, strict=True)):
            agreements += [
                assert_close(image.value, bounded, f"{name} of layer {layer} after step {t}")
                for name, image, bounded in zip("hc", g, e, strict=True)
                if bounded is not None
            ]
    return agreements


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=strategies.cases(max_layers=2, max_steps=3), rng=strategies.generators(), follow=st.booleans())
def test_bounds_hold_for_any_implementation(case: strategies.Case, rng: np.random.Generator, follow: bool) -> None:
    compare(case, Judge(rng).run(case), follow)


def plain_case(kind: type[Cell], rng: np.random.Generator, channels: int = 4) -> strategies.Case:
    """Two layers of 3 x 3 cells with the usual neurons."""

    def slot() -> Slot:
        return Slot(rng.standard_normal((channels, 3, 3, channels)) * 1.5 / np.sqrt(9 * channels))

    def gate(neuron: Neuron) -> Gate:
        return Gate(slot(), rng.uniform(-0.5, 0.5, channels), neuron, slot())

    gates = {
        SingleGate: ["gate"],
        GRU: ["input_gate", "recurrent_gate", "output_gate"],
        LSTM: ["input_gate", "forget_gate", "cell_gate", "output_gate"],
    }[kind]
    squash, tanh = Neuron(NeuronType.SIGMOID), Neuron(NeuronType.TANH, 1.0, 1.0)
    candidate = {SingleGate: "gate", GRU: "output_gate", LSTM: "cell_gate"}[kind]
    fields = [{g: gate(tanh if g == candidate else squash) for g in gates} for _ in range(2)]
    sequence = rng.uniform(-1, 1, (3, 1, 5, 6, channels)).astype(f32)
    return strategies.Case([kind(inputs=channels, outputs=channels, **f) for f in fields], sequence, None)


@pytest.mark.parametrize("kind", [SingleGate, GRU, LSTM])
def test_bounds_of_plain_cells_are_not_loose(kind: type[Cell]) -> None:
    worst = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        case = plain_case(kind, rng)
        worst.append(max(a.worst for a in compare(case, Judge(rng).run(case), follow=True)))
    print(f"{kind.__name__}: {min(worst):.3f} to {max(worst):.3f} of the bound used")
    assert min(worst) > 0.02


def with_gate(cell: Cell, name: str, **changes: object) -> Cell:
    """Cell with some fields of one gate changed."""
    return replace(cell, **{name: replace(cell.gates[name], **changes)})


def shifted(slot: Slot) -> Slot:
    """Same kernel with its window one pixel to the right."""
    return Slot(np.roll(slot.weights, 1, axis=2), slot.dilation, slot.groups)


MISTAKES: dict[str, tuple[type[Cell], Callable[[Cell], Cell]]] = {
    "weights are not rounded": (SingleGate, lambda cell: replace(cell, float32_weights=True)),
    "window is one pixel off": (SingleGate, lambda cell: with_gate(cell, "gate", input=shifted(cell.gate.input))),
    "bias is left out": (LSTM, lambda cell: with_gate(cell, "forget_gate", bias=None)),
    "two gates change places": (
        LSTM,
        lambda cell: replace(cell, input_gate=cell.forget_gate, forget_gate=cell.input_gate),
    ),
    "tanh for sigmoid": (LSTM, lambda cell: with_gate(cell, "output_gate", neuron=Neuron(NeuronType.TANH, 1.0, 1.0))),
    "output is flipped": (GRU, lambda cell: replace(cell, flip=True)),
    "gate norm is off": (GRU, lambda cell: replace(cell, p_norm=1.001)),
    "weights on z * h are taken for weights on r * h": (
        GRU,
        lambda cell: with_gate(cell, "output_gate", memory=cell.output_gate.recurrent, recurrent=None),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bounds_tell_mistakes(mistake: str) -> None:
    kind, spoil = MISTAKES[mistake]
    rng = np.random.default_rng(7)
    case = plain_case(kind, rng)
    spoilt = replace(case, cells=[spoil(case.cells[0]), *case.cells[1:]])
    with pytest.raises(AssertionError, match="times the bound"):
        compare(case, Judge(rng).run(spoilt), follow=True)


@pytest.mark.parametrize("kind", [SingleGate, GRU, LSTM])
def test_bounds_tell_states_in_half_precision(kind: type[Cell]) -> None:
    rng = np.random.default_rng(8)
    case = plain_case(kind, rng)
    half = [
        [
            State(*(None if image is None else Bounded.exact(image.value.astype(np.float16)) for image in state))
            for state in row
        ]
        for row in Judge(rng).run(case)
    ]
    with pytest.raises(AssertionError, match="times the bound"):
        compare(case, half, follow=True)


# What is not a number, and what rounding decides


@pytest.mark.parametrize(
    ("made", "value"),
    [
        (Neuron(NeuronType.POWER, 1.0, 0.0, 0.5)(Bounded.exact([-1.0])), math.nan),
        (Neuron(NeuronType.EXPONENTIAL, 1.0, 0.0, -1.0)(Bounded.exact([100.0])), math.inf),
        (Neuron(NeuronType.LOGARITHM, 1.0, 0.0, -1.0)(Bounded(np.array([-1.0]), np.array([0.5]))), math.nan),
        (1.0 / Bounded.exact([0.0]), math.inf),
        (Bounded.exact([LARGEST]) * 2.0, math.inf),
    ],
)
def test_decided_results_that_are_not_finite(made: Bounded, value: float) -> None:
    np.testing.assert_array_equal(made.value, [value])
    assert made.err.item() == 0.0


@pytest.mark.parametrize(
    "made",
    [
        log(Bounded(np.array([1.0]), np.array([1.0]))),
        1.0 / Bounded(np.array([1e-9]), np.array([1e-7])),
        Bounded(np.array([1e-9]), np.array([1e-7])) ** -1.0,
        (1.0 - Bounded(np.array([1.0]), np.array([1e-7]))) ** 0.5,
        exp(Bounded(np.array([math.log(LARGEST)]), np.array([1e-5]))),
        Bounded.exact([0.0]) * np.inf,
    ],
)
def test_results_that_rounding_decides(made: Bounded) -> None:
    assert made.undecided.all()
    assert assert_close([np.nan], made, "anything").skipped == 1


def test_what_is_not_finite_spoils_its_own_image_only() -> None:
    image = np.zeros((3, 2, 2, 1))
    image[1, 0, 0, 0] = np.nan
    made = total([convolve(Bounded.exact(image), Slot(np.ones((1, 1, 1, 1))), False)], image.shape)
    assert made.undecided.all(axis=(1, 2, 3)).tolist() == [False, True, False]
    assert not made.undecided[[0, 2]].any()


# Formats and comparison


@pytest.mark.parametrize("fmt", Format, ids=lambda fmt: fmt.name)
def test_formats_keep_what_they_can_hold(fmt: Format) -> None:
    stored = np.arange(0, 256).astype(fmt.dtype)
    read = decode(stored, fmt)
    assert (encode(read.value, fmt) == stored).all()
    assert (store(Bounded.exact(read.value), fmt).value == read.value).all()
    assert (store(Bounded.exact(read.value), fmt).err == 0.0).all()


@pytest.mark.parametrize("fmt", Format, ids=lambda fmt: fmt.name)
def test_stored_results_stay_within_their_bound(fmt: Format) -> None:
    rng = np.random.default_rng(5)
    exact = rng.uniform(-0.2, 1.2, 4000)
    err = 10.0 ** rng.uniform(-8, -2, exact.shape)
    made = (exact + err * rng.uniform(-1, 1, exact.shape)).astype(np.float32)
    read = encode(made, fmt).astype(np.float64) / (fmt.steps if fmt.is_normalised else 1)
    agreement = assert_close(read, store(Bounded(exact, err + 1e-7), fmt), fmt.name)
    assert agreement.worst > 0.9


def test_formats_at_the_edges_of_their_ranges() -> None:
    odd = np.array([-1.0, 2.0, np.nan, np.inf, -np.inf])
    assert encode(odd, Format.UNORM8).tolist() == [0, 255, 0, 255, 0]
    half = store(Bounded.exact([65519.0, 65521.0, np.nan]), Format.FLOAT16)
    np.testing.assert_array_equal(half.value, [65504.0, np.inf, np.nan])
    assert not half.err.any()
    assert store(Bounded(np.array([65520.0]), np.array([1.0])), Format.FLOAT16).undecided.all()


@pytest.mark.parametrize(
    ("actual", "value", "err"),
    [(1.2, 1.0, 0.1), (math.nan, 1.0, 0.1), (1.0, math.nan, 0.0), (math.inf, 1.0, 0.1), (-math.inf, math.inf, 0.0)],
)
def test_comparison_rejects(actual: float, value: float, err: float) -> None:
    with pytest.raises(AssertionError, match=r"^h\[1\]: got "):
        assert_close([1.0, actual], Bounded(np.array([1.0, value]), np.array([0.0, err])), "h")


def test_comparison_reports_how_much_of_the_bound_is_used() -> None:
    expected = Bounded(np.array([1.0, np.nan, np.inf, 5.0]), np.array([0.5, 0.0, 0.0, np.inf]))
    agreement = assert_close([1.25, np.nan, np.inf, -7.0], expected, "h")
    assert (agreement.worst, agreement.compared, agreement.skipped) == (0.5, 3, 1)


def test_comparison_rejects_another_shape() -> None:
    with pytest.raises(AssertionError, match="shape"):
        assert_close(np.zeros((2, 1)), Bounded.zeros((2,)), "h")
