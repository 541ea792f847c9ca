"""The gradient oracle against finite differences of the forward oracle, which know nothing of derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import finite_differences
import matrix_strategies
import oracle
import strategies
from finite_differences import NotSmoothError, Problem, along, difference, keys, random_direction
from float32_gradient_judge import GradientJudge
from strategies import Windows

SIGMOID = oracle.Neuron(oracle.NeuronType.SIGMOID)
TANH = oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)

exploring = settings(deadline=None, max_examples=25)


def random_problem(cell: oracle.Cell, rows: list[int], rng: np.random.Generator) -> Problem:
    """A loss of random coefficients over a random sequence."""
    return Problem(
        finite_differences.quantised(cell),
        [rng.uniform(-1.0, 1.0, (count, 1, 1, cell.inputs)) for count in rows],
        [rng.standard_normal((count, 1, 1, cell.outputs)) for count in rows],
        matrix_strategies.random_state(cell, rows[0], rng),
        matrix_strategies.random_state(cell, rows[0], rng),
    )


def gradients(problem: Problem) -> oracle.Gradients:
    images, above = ([oracle.Bounded.exact(x) for x in arrays] for arrays in (problem.images, problem.above))
    return oracle.gradients(problem.cell, images, above, problem.initial, problem.after)


def compare(problem: Problem, found: oracle.Gradients, direction: finite_differences.Direction) -> float:
    """Hold the oracle's derivative along a direction against the quotient; return the quotient's error.

    The oracle evaluates in float64, so it is off by its bound for float32 made smaller.
    """
    mine = along(found, direction)
    if not np.isfinite(mine.err):
        raise NotSmoothError
    value, err = difference(problem, direction)
    tolerance = err + float(mine.err) * finite_differences.FLOAT64_TO_FLOAT32
    assert abs(mine.value - value) <= tolerance, f"{float(mine.value)} is not {value} within {tolerance:.3g}"
    return tolerance


def matrix(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) * 0.4).astype(np.float32)


def gate(rng: np.random.Generator, neuron: oracle.Neuron, memory: str | None = None) -> oracle.Gate:
    """Gate of four inputs and five outputs with everything a gate can have."""
    slots = [oracle.Slot(matrix(rng, 5, 1, 1, inputs)) for inputs in (4, 5, 5)]
    peephole = {"full": slots[2], "diagonal": matrix(rng, 5), None: None}[memory]
    return oracle.Gate(slots[0], matrix(rng, 5), neuron, slots[1], peephole)


def single_gate(rng: np.random.Generator) -> oracle.Cell:
    return oracle.SingleGate(inputs=4, outputs=5, gate=gate(rng, TANH))


def gru(rng: np.random.Generator, p_norm: float, flip: bool) -> oracle.Cell:
    z, r, h = gate(rng, SIGMOID), gate(rng, SIGMOID), gate(rng, TANH, "full")
    return oracle.GRU(inputs=4, outputs=5, input_gate=z, recurrent_gate=r, output_gate=h, p_norm=p_norm, flip=flip)


def lstm(rng: np.random.Generator, memory: str | None) -> oracle.Cell:
    i, f, c, o = (gate(rng, neuron, memory) for neuron in (SIGMOID, SIGMOID, TANH, SIGMOID))
    return oracle.LSTM(inputs=4, outputs=5, input_gate=i, forget_gate=f, cell_gate=c, output_gate=o)


CELLS = {
    "single gate": single_gate,
    "lstm": lambda rng: lstm(rng, None),
    "lstm, diagonal peepholes": lambda rng: lstm(rng, "diagonal"),
    "lstm, full peepholes": lambda rng: lstm(rng, "full"),
} | {
    f"gru, p = {p}{', flipped' * flip}": lambda rng, p=p, flip=flip: gru(rng, p, flip)
    for p in (1.0, 1.5, 2.0, 3.0)
    for flip in (False, True)
}


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize("rows", [[3, 3, 3, 3], [4, 2, 2, 1]], ids=["all rows", "fewer rows"])
def test_everything_that_a_cell_reads(make, rows: list[int]) -> None:
    """Weights one by one, then images and initial state, along random directions; the differences are sharp here."""
    rng = np.random.default_rng(1)
    problem = random_problem(make(rng), rows, rng)
    found = gradients(problem)
    assert set(found.weights) == set(keys(problem.cell))
    for key in keys(problem.cell):
        assert compare(problem, found, random_direction(problem, rng, [key], others=False)) < 1e-7
    for _ in range(3):
        assert compare(problem, found, random_direction(problem, rng, [])) < 1e-7


@exploring
@given(
    cell=strategies.cells(windows=Windows.UNGROUPED_POINTS),
    rows=matrix_strategies.row_counts(4, 3),
    rng=strategies.generators(),
)
def test_any_cell(cell: oracle.Cell, rows: list[int], rng: np.random.Generator) -> None:
    """Along a direction through everything, and along one through some weights alone."""
    problem = random_problem(cell, rows, rng)
    found = gradients(problem)
    assert set(found.weights) == set(keys(problem.cell))
    try:
        compare(problem, found, random_direction(problem, rng))
        for key in rng.permutation(keys(problem.cell))[:1]:
            compare(problem, found, random_direction(problem, rng, [tuple(key)], others=False))
    except NotSmoothError:
        assume(False)


@pytest.mark.parametrize("kind", oracle.NeuronType, ids=lambda kind: kind.name)
@exploring
@given(rng=strategies.generators(), hard=st.booleans())
def test_derivative_of_neuron(kind: oracle.NeuronType, rng: np.random.Generator, hard: bool) -> None:
    """Through the output of a cell that is one neuron, over a range in which all of its pieces lie."""
    neuron = strategies.random_neuron(kind, 3, rng, hard)
    slot = oracle.Slot(np.eye(3, dtype=np.float32)[:, None, None, :])
    cell = oracle.SingleGate(inputs=3, outputs=3, gate=oracle.Gate(slot, neuron=neuron))
    x = rng.uniform(-8.0, 8.0, (1, 1, 1, 3))
    zeros = cell.zero_state(1, 1, 1)
    problem = Problem(cell, [x], [np.ones_like(x)], zeros, zeros)
    try:
        compare(problem, gradients(problem), random_direction(problem, rng, []))
    except NotSmoothError:
        assume(False)


# Bounds: they hold for implementations in float32, and tell mistakes.

JUDGED = [
    oracle.NeuronType.NONE,
    oracle.NeuronType.SIGMOID,
    oracle.NeuronType.TANH,
    oracle.NeuronType.RELU,
    oracle.NeuronType.HARD_SIGMOID,
    oracle.NeuronType.SOFT_SIGN,
]


def with_judged_neurons(cell: oracle.Cell, rng: np.random.Generator) -> oracle.Cell:
    """The cell with neurons whose derivatives the judge of float32 has."""

    def neuron(gate: oracle.Gate) -> oracle.Neuron:
        known = gate.input is None or gate.neuron.type in JUDGED
        return gate.neuron if known else strategies.random_neuron(rng.choice(JUDGED), cell.outputs, rng)

    fields: dict = {name: replace(gate, neuron=neuron(gate)) for name, gate in cell.gates.items()}
    if isinstance(cell, oracle.LSTM) and cell.output_neuron.type not in JUDGED:
        fields["output_neuron"] = TANH
    return replace(cell, **fields)


def judge(problem: Problem, seed: int, follow: bool = True, spoilt: oracle.Cell | None = None) -> float:
    """Hold float32 gradients, perhaps of another cell, against the oracle's; return how much of a bound was used."""
    with np.errstate(all="ignore"):
        made = replace(problem, cell=problem.cell if spoilt is None else spoilt)
        states, found = GradientJudge(np.random.default_rng(seed)).differentiate(made)
    images, above = ([oracle.Bounded.exact(x) for x in arrays] for arrays in (problem.images, problem.above))
    followed = (states, found.carries) if follow else (None, None)
    true = oracle.gradients(problem.cell, images, above, problem.initial, problem.after, *followed)
    pairs = [(f"dL/dx {t}", a, b) for t, (a, b) in enumerate(zip(found.inputs, true.inputs, strict=True))]
    for t, (a, b) in enumerate(zip(found.carries, true.carries, strict=True)):
        pairs += [(f"dL/d{n} before {t}", p, q) for n, p, q in zip("hc", a, b, strict=True) if q is not None]
    pairs += [(str(key), found.weights[key], bounded) for key, bounded in true.weights.items()]
    return max(oracle.assert_close(a.value, b, what).worst for what, a, b in pairs)


@exploring
@given(
    cell=strategies.cells(windows=Windows.UNGROUPED_POINTS),
    steps=st.integers(1, 4),
    rng=strategies.generators(),
    follow=st.booleans(),
)
def test_bounds_hold_for_any_implementation(
    cell: oracle.Cell, steps: int, rng: np.random.Generator, follow: bool
) -> None:
    problem = in_float32(random_problem(with_judged_neurons(cell, rng), [3] * steps, rng))
    judge(problem, int(rng.integers(2**32)), follow)


def in_float32(problem: Problem) -> Problem:
    """The problem with images and gradients that float32 holds."""
    images, above = ([x.astype(np.float32) for x in arrays] for arrays in (problem.images, problem.above))
    return replace(problem, images=images, above=above)


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_bounds_are_not_loose(make) -> None:
    rng = np.random.default_rng(2)
    problem = in_float32(random_problem(make(rng), [5] * 3, rng))
    assert max(judge(problem, seed) for seed in range(4)) > 0.05


def other_gate(name: str, **changes: object):
    return lambda cell: replace(cell, **{name: replace(cell.gates[name], **changes)})


MISTAKES = {
    "weights are not rounded": ("lstm, full peepholes", lambda cell: replace(cell, float32_weights=True)),
    "no peephole on the cell gate": (
        "lstm, diagonal peepholes",
        other_gate("cell_gate", memory=np.zeros(5, np.float32)),
    ),
    "two gates change places": (
        "lstm, diagonal peepholes",
        lambda cell: replace(cell, input_gate=cell.forget_gate, forget_gate=cell.input_gate),
    ),
    "output is flipped": ("gru, p = 1.0", lambda cell: replace(cell, flip=True)),
    "gate norm is off": ("gru, p = 2.0", lambda cell: replace(cell, p_norm=2.001)),
    "another slope": ("single gate", other_gate("gate", neuron=oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.00001))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bounds_tell_mistakes(mistake: str) -> None:
    """Of a backward pass alone: it follows the states of a forward pass with the same mistake."""
    kind, spoil = MISTAKES[mistake]
    rng = np.random.default_rng(3)
    problem = in_float32(random_problem(CELLS[kind](rng), [5] * 3, rng))
    cell = replace_weights_by_float32(problem.cell, rng)
    problem = replace(problem, cell=cell)
    judge(problem, 0)
    with pytest.raises(AssertionError, match="times the bound"):
        judge(problem, 0, spoilt=spoil(cell))


def replace_weights_by_float32(cell: oracle.Cell, rng: np.random.Generator) -> oracle.Cell:
    """The cell with weights that half precision does not hold."""
    return finite_differences.changed(
        cell, lambda key, weights: (weights * (1.0 + 1e-3 * rng.random(weights.shape))).astype(np.float32)
    )
