"""Gradients of the training layer: against the gradient oracle, and against differences that know no derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import finite_differences
import matrix_strategies
import mpsrnn_cy as mps
import oracle
import strategies
from finite_differences import NotSmoothError, Problem, along, difference, random_direction
from matrix_strategies import Windows
from test_cells import exploring
from training import FLOAT32, Passes, Trained, assert_gradients, expected, trainable

CELLS = {
    "single gate": strategies.single_gates(windows=Windows.UNGROUPED_POINTS),
    "gru": strategies.grus(windows=Windows.UNGROUPED_POINTS),
    "lstm": strategies.lstms(windows=Windows.UNGROUPED_POINTS),
}
each_cell = pytest.mark.parametrize("kinds", CELLS.values(), ids=CELLS)
formats = st.sampled_from([oracle.Format.FLOAT16, oracle.Format.FLOAT32])

usual = settings(exploring, max_examples=30)
large = settings(exploring, max_examples=8)
many = settings(exploring, max_examples=1000)


@st.composite
def problems(
    draw: st.DrawFn, kinds: st.SearchStrategy[oracle.Cell], max_steps: int = 5, smooth: bool = False
) -> Problem:
    """A trainable cell with a sequence and a loss; for differences, of weights that half precision holds."""
    cell = trainable(draw(kinds))
    rows = draw(matrix_strategies.row_counts(max_steps, matrix_strategies.MAX_ROWS))
    rng = draw(strategies.generators())

    def images(channels: int) -> list[np.ndarray]:
        return [rng.uniform(-1.0, 1.0, (count, 1, 1, channels)).astype(np.float32) for count in rows]

    zero = cell.zero_state(rows[0], 1, 1)
    initial, after = (
        matrix_strategies.random_state(cell, rows[0], rng) if draw(st.booleans()) else zero for _ in range(2)
    )
    made = finite_differences.quantised(cell) if smooth else cell
    return Problem(made, images(cell.inputs), images(cell.outputs), initial, after)


def check(
    device: mps.MTLDevice, problem: Problem, fmt: oracle.Format = FLOAT32, gradient_fmt: oracle.Format = FLOAT32
) -> float:
    """Forward states and outputs, then all gradients; return how much of the gradients' bounds was used at most."""
    found = Trained(device, problem.cell).passes(problem, fmt, gradient_fmt)
    images = [oracle.decode(oracle.encode(x, fmt), fmt) for x in problem.images]
    true = oracle.run([problem.cell], images, [problem.initial], [[state] for state in found.states])
    for t, output in enumerate(found.outputs):
        limit = oracle.store(oracle.as_rows(true.outputs[t]), fmt)
        oracle.assert_close(oracle.decode(output, fmt).value, limit, f"output {t}")
        for name, part, bounded in zip("hc", found.states[t], true.states[t][0], strict=True):
            if bounded is not None:
                oracle.assert_close(part.value, bounded, f"{name} at {t}")
    return assert_gradients(found, expected(problem, found, fmt), fmt, gradient_fmt)


@each_cell
@usual
@given(data=st.data())
def test_cell(each_build: mps.MTLDevice, kinds: st.SearchStrategy[oracle.Cell], data: st.DataObject) -> None:
    check(each_build, data.draw(problems(kinds)))


@usual
@given(data=st.data(), fmt=formats, gradient_fmt=formats)
def test_formats(
    each_build: mps.MTLDevice, data: st.DataObject, fmt: oracle.Format, gradient_fmt: oracle.Format
) -> None:
    kinds = strategies.cells(windows=Windows.UNGROUPED_POINTS)
    check(each_build, data.draw(problems(kinds, max_steps=3)), fmt, gradient_fmt)


@large
@given(problem=problems(matrix_strategies.large_cells(Windows.UNGROUPED_POINTS), max_steps=2))
def test_layer_too_large_for_one_dispatch(each_build: mps.MTLDevice, problem: Problem) -> None:
    check(each_build, problem)


@pytest.mark.slow
@many
@given(data=st.data(), fmt=formats, gradient_fmt=formats)
def test_many_cells(
    each_build: mps.MTLDevice, data: st.DataObject, fmt: oracle.Format, gradient_fmt: oracle.Format
) -> None:
    check(each_build, data.draw(problems(strategies.cells(windows=Windows.UNGROUPED_POINTS))), fmt, gradient_fmt)


@pytest.mark.parametrize("kind", list(oracle.NeuronType), ids=lambda kind: kind.name)
@settings(exploring, max_examples=10)
@given(rng=strategies.generators(), hard=st.booleans())
def test_derivatives_of_neurons(
    device: mps.MTLDevice, kind: oracle.NeuronType, rng: np.random.Generator, hard: bool
) -> None:
    """Each function over a wide range of arguments, its kinks and the edges of float32 among them."""
    channels = 5
    neuron = strategies.random_neuron(kind, channels, rng, hard)
    slot = oracle.Slot(np.eye(channels, dtype=np.float32)[:, None, None, :])
    cell = trainable(oracle.SingleGate(inputs=channels, outputs=channels, gate=oracle.Gate(slot, neuron=neuron)))
    wide = rng.uniform(-1.0, 1.0, (40, 1, 1, channels)) * 10.0 ** rng.integers(-6, 2, (40, 1, 1, 1))
    wide[:7, 0, 0, 0] = [0.0, -0.0, 1e-40, -1e-40, 80.0, -80.0, 1.0]
    zero = cell.zero_state(40, 1, 1)
    above = rng.uniform(-1.0, 1.0, wide.shape).astype(np.float32)
    check(device, Problem(cell, [wide.astype(np.float32)], [above], zero, zero))


@each_cell
@usual
@given(data=st.data(), rng=strategies.generators())
def test_gradients_are_what_differences_come_to(
    device: mps.MTLDevice, kinds: st.SearchStrategy[oracle.Cell], data: st.DataObject, rng: np.random.Generator
) -> None:
    """No derivative is in here but the layer's own: its gradients along a direction beside quotients of the oracle.

    The layer may be off by its bound over the whole sequence, the quotient by its own error.
    """
    problem = data.draw(problems(kinds, max_steps=3, smooth=True))
    found = Trained(device, problem.cell).passes(problem)
    limits = expected(problem)
    directions = [random_direction(problem, rng, []), random_direction(problem, rng, others=False)]
    for direction in directions:
        bound = float(along(limits, direction).err)
        if not np.isfinite(bound):
            assume(False)
        try:
            value, err = difference(problem, direction)
        except NotSmoothError:
            assume(False)
        images = [oracle.as_images(x) for x in found.inputs]
        weights = {key: oracle.Bounded.exact(values) for key, values in found.weights.items()}
        mine = float(along(oracle.Gradients(images, found.carries, weights), direction).value)
        assert abs(mine - value) <= bound + err, f"{mine} is not {value} within {bound:.3g} and {err:.3g}"


def split(problem: Problem, at: int) -> tuple[Problem, Problem]:
    """The steps before, and those from there on, of which the first do not know the loss."""
    zero = problem.cell.zero_state(*problem.after.h.shape[:3])
    first = replace(problem, images=problem.images[:at], above=problem.above[:at], after=zero)
    return first, replace(problem, images=problem.images[at:], above=problem.above[at:])


@each_cell
@usual
@given(data=st.data())
def test_sequence_in_two_parts(
    each_build: mps.MTLDevice, kinds: st.SearchStrategy[oracle.Cell], data: st.DataObject
) -> None:
    """The state is handed on, its gradient handed back, and weight gradients add up: as if in one call.

    Nothing of what recurs is rounded in between, so states and gradients by them are the same bits. Gradients by
    weights are summed in another order.
    """
    problem = data.draw(problems(kinds))
    assume(len({len(x) for x in problem.images}) == 1 and len(problem.images) > 1)
    at = data.draw(st.integers(1, len(problem.images) - 1))
    whole = Trained(each_build, problem.cell).passes(problem)
    first, second = split(problem, at)
    trained = Trained(each_build, problem.cell)
    into = trained.gradient_matrices()
    ahead = trained.passes(first)
    late = trained.passes(replace(second, initial=ahead.states[-1]), into=into)
    early = trained.passes(replace(first, after=late.carries[0]), into=into)
    together = Passes(*(a + b for a, b in zip(early[:4], late[:4], strict=True)), early.weights)
    for a, b in zip(together.states + together.carries, whole.states + whole.carries, strict=True):
        for part, other in zip(a, b, strict=True):
            assert (part is None) == (other is None)
            if part is not None:
                np.testing.assert_array_equal(part.value, other.value)
    for a, b in zip(together.outputs + together.inputs, whole.outputs + whole.inputs, strict=True):
        np.testing.assert_array_equal(a, b)
    after_second = replace(second, initial=ahead.states[-1])
    between = expected(after_second, late)
    assert_gradients(late, between)
    previous = {key: values.astype(np.float64) for key, values in late.weights.items()}
    assert_gradients(early, expected(replace(first, after=late.carries[0]), early, previous=previous))


@usual
@given(data=st.data(), gradient_fmt=formats)
def test_accumulation(device: mps.MTLDevice, data: st.DataObject, gradient_fmt: oracle.Format) -> None:
    """Added to what is there if asked for, in its place otherwise."""
    problem = data.draw(problems(strategies.cells(windows=Windows.UNGROUPED_POINTS), max_steps=3))
    trained = Trained(device, problem.cell)
    into = trained.gradient_matrices(gradient_fmt)
    once = trained.passes(problem, gradient_fmt=gradient_fmt, into=into)
    twice = trained.passes(problem, gradient_fmt=gradient_fmt, into=into)
    with np.errstate(over="ignore"):
        previous = {key: values.astype(np.float64) for key, values in once.weights.items()}
    assert_gradients(once, expected(problem, once), gradient_fmt=gradient_fmt)
    assert_gradients(twice, expected(problem, twice, previous=previous), gradient_fmt=gradient_fmt)
    for key, values in trained.passes(problem, gradient_fmt=gradient_fmt).weights.items():
        np.testing.assert_array_equal(values, once.weights[key])


def test_bounds_are_sharp(device: mps.MTLDevice) -> None:
    """A bound of which next to nothing is used would find no fault."""
    rng = np.random.default_rng(0)
    sigmoid, tanh = oracle.Neuron(oracle.NeuronType.SIGMOID), oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)

    def slot() -> oracle.Slot:
        return oracle.Slot((rng.standard_normal((8, 1, 1, 8)) * 0.3).astype(np.float32))

    def gate(neuron: oracle.Neuron) -> oracle.Gate:
        return oracle.Gate(slot(), rng.standard_normal(8).astype(np.float32), neuron, slot())

    z, r, h, o = gate(sigmoid), gate(sigmoid), gate(tanh), gate(sigmoid)
    cells = [
        oracle.SingleGate(inputs=8, outputs=8, gate=h),
        oracle.GRU(inputs=8, outputs=8, input_gate=z, recurrent_gate=r, output_gate=h),
        oracle.LSTM(inputs=8, outputs=8, input_gate=z, forget_gate=r, cell_gate=h, output_gate=o),
    ]
    for cell in map(trainable, cells):
        images, above = (list(rng.standard_normal((3, 9, 1, 1, 8)).astype(np.float32)) for _ in range(2))
        zero = cell.zero_state(9, 1, 1)
        assert check(device, Problem(cell, images, above, zero, zero)) > 0.02, type(cell).__name__
