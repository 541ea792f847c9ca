"""The oracle's error bounds: they hold for float32 implementations of every kind, and they are not loose.

The judge of `float32_judge` makes every choice the bounds allow for at random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import strategies
from float32_judge import Judge
from oracle import (
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
    run,
    store,
)
from oracle.bounded import LARGEST, exp, log
from oracle.cells import Step
from oracle.convolution import total


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
    sequence = rng.uniform(-1, 1, (3, 1, 5, 6, channels)).astype(np.float32)
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
        Bounded.exact([LARGEST]) * 2.0 - Bounded.exact([LARGEST]) * 3.0,
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


def test_a_peephole_that_a_gate_has_not_may_be_one_of_zeros() -> None:
    peephole = Gate(input=Slot(np.ones((2, 1, 1, 1), np.float32)), memory=np.ones(2, np.float32))
    cell = LSTM(inputs=1, outputs=2, input_gate=peephole, forget_gate=Gate())
    memory = np.array([math.inf, 1.0]).reshape(1, 1, 1, 2)
    state = State(Bounded.zeros((1, 1, 1, 2)), Bounded.exact(memory))
    images = Step(Bounded.zeros((1, 1, 1, 1)), *state)
    assert cell.sum(cell.forget_gate, images).undecided.tolist() == [[[[True, False]]]]


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
