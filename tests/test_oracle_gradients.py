"""The gradient oracle against finite differences of the forward oracle, which know nothing of derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import finite_differences
import matrix_strategies
import oracle
import strategies
from finite_differences import NotSmoothError, Problem, along, difference, keys, random_direction
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
