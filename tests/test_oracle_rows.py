"""The oracle over batches whose sequences have different lengths, and in both directions: sequence by sequence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import matrix_strategies
import oracle
import strategies
from matrix_strategies import MatrixCase, Windows

exploring = settings(deadline=None, max_examples=25)


def alone(case: MatrixCase, row: int) -> MatrixCase:
    """The case of one sequence of the batch."""
    initial = case.initial
    if initial is not None:
        initial = [oracle.State(*(None if p is None else p[row : row + 1] for p in state)) for state in initial]
    return MatrixCase(case.cells, [x[row : row + 1] for x in case.sequence if len(x) > row], initial)


def assert_same(a: oracle.Bounded, b: oracle.Bounded) -> None:
    """Values but for how NumPy adds up rows of different matrices, far below what the bounds are of.

    The bounds may differ: where a whole state is zero, the oracle knows that its products are exact.
    """
    limit = oracle.Bounded(a.value, np.maximum(a.err, b.err) * 2.0**-20)
    oracle.assert_close(b.value, limit, "row")


@exploring
@given(case=matrix_strategies.matrix_cases())
def test_every_row_is_a_sequence_of_its_own(case: MatrixCase) -> None:
    """Also after its end: the last states are those after each row's own last step."""
    together = oracle.run(case.cells, case.images, case.initial)
    for row in range(case.rows[0]):
        own = alone(case, row)
        apart = oracle.run(own.cells, own.images, own.initial)
        for a, b in zip(together.outputs, apart.outputs, strict=False):
            assert_same(a[row : row + 1], b)
        for t in range(len(apart.states) - 1, len(together.states)):
            for state, last in zip(together.states[t], apart.states[-1], strict=True):
                for a, b in zip(state, last, strict=True):
                    if a is not None:
                        assert_same(a[row : row + 1], b)


@exploring
@given(
    data=st.data(),
    rows=matrix_strategies.row_counts(5, 4),
    rng=strategies.generators(),
    inputs=strategies.channel_counts(),
)
def test_backward_cells_begin_at_the_end_of_each_row(
    data: st.DataObject, rows: list[int], rng: np.random.Generator, inputs: int
) -> None:
    """Any mixture of directions is two stacks."""
    backward = data.draw(st.lists(st.booleans(), min_size=1, max_size=4))
    below = {False: inputs, True: inputs}
    cells = []
    for is_backward in backward:
        cells.append(data.draw(strategies.cells(below[is_backward], windows=Windows.POINTS)))
        below[is_backward] = cells[-1].outputs
    sequence = [rng.uniform(-1.0, 1.0, (count, inputs)) for count in rows]
    found = oracle.run_bidirectional(cells, backward, [oracle.as_images(x) for x in sequence])
    for is_backward, outputs in zip((False, True), found, strict=True):
        stack = [cell for cell, direction in zip(cells, backward, strict=True) if direction == is_backward]
        assert len(outputs) == (len(sequence) if stack else 0)
        for row in range(rows[0] if stack else 0):
            own = [oracle.as_images(x[row : row + 1]) for x in sequence if len(x) > row]
            order = slice(None, None, -1 if is_backward else 1)
            apart = oracle.run(stack, own[order]).outputs[order]
            for a, b in zip(outputs, apart, strict=False):
                assert_same(a[row : row + 1], b)


def test_state_of_other_rows_is_refused() -> None:
    cell = oracle.SingleGate(inputs=1, outputs=1)
    state = oracle.exact_state(np.zeros((2, 1, 1, 1)))
    with pytest.raises(ValueError, match="state is"):
        oracle.run([cell], [np.zeros((3, 1, 1, 1))], [state])
