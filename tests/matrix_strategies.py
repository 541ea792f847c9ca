"""Hypothesis strategies for matrix layers: the rows of a matrix are the batch, and may become fewer."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from oracle import Bounded, Cell, State, as_images, exact_state
from source_tree import ROOT
from strategies import Windows, cells, describe, generators

MAX_ROWS = 9
# Layers of more output channels than this are encoded as one dispatch per step and phase.
SEQUENCE_CHANNELS = int(
    re.findall(r"^#define MPSRNN_SEQUENCE_CHANNELS (\d+)$", (ROOT / "metal/params.h").read_text(), re.MULTILINE)[0]
)


@dataclass(frozen=True, eq=False)
class MatrixCase:
    """A stack of layers with everything it is run on.

    Attributes
    ----------
    cells : first layer first
    sequence : float32 matrices (rows, columns) by time step
    initial : state of every layer, of as many rows as the first matrix, or None to start from zero
    """

    cells: list[Cell]
    sequence: list[NDArray[np.float32]]
    initial: list[State] | None

    @property
    def images(self) -> list[Bounded]:
        """The sequence as the oracle reads it."""
        return [as_images(matrix) for matrix in self.sequence]

    @property
    def rows(self) -> list[int]:
        """Rows by time step."""
        return [len(matrix) for matrix in self.sequence]

    def __repr__(self) -> str:
        """Structure only; the arrays follow from the seed."""
        layers = ", ".join(describe(cell) for cell in self.cells)
        return f"MatrixCase([{layers}], rows={self.rows}, initial={self.initial is not None})"


@st.composite
def row_counts(draw: st.DrawFn, max_steps: int, max_rows: int) -> list[int]:
    """Rows by time step, mostly the same in all; otherwise none more than the one before."""
    steps, most = draw(st.integers(1, max_steps)), draw(st.integers(1, max_rows))
    if draw(st.booleans()):
        return [most] * steps
    return sorted(draw(st.lists(st.integers(1, most), min_size=steps, max_size=steps)), reverse=True)


def large_cells(windows: Windows = Windows.POINTS) -> st.SearchStrategy[Cell]:
    """Cells of more output channels than one dispatch computes over a whole sequence."""
    outputs = st.integers(SEQUENCE_CHANNELS + 1, SEQUENCE_CHANNELS + 13)
    return st.tuples(st.integers(1, 9), outputs).flatmap(lambda extent: cells(*extent, windows))


def random_state(cell: Cell, rows: int, rng: np.random.Generator) -> State:
    """State of a layer, its elements between -1 and 1."""
    h, c = rng.uniform(-1.0, 1.0, (2, rows, 1, 1, cell.outputs)).astype(np.float32)
    return exact_state(h, c if cell.has_memory else None)


@st.composite
def matrix_cases(
    draw: st.DrawFn,
    kinds: st.SearchStrategy[Cell] | None = None,
    max_layers: int = 3,
    max_steps: int = 5,
    max_rows: int = MAX_ROWS,
) -> MatrixCase:
    """Stacks with a source sequence and perhaps an initial state.

    Parameters
    ----------
    kinds
        Strategy of the first layer; the layers above are small ones of any kind.
    max_layers, max_steps, max_rows
        Largest stack, longest sequence and largest batch.
    """
    stack = [draw(kinds if kinds is not None else cells(windows=Windows.POINTS))]
    for _ in range(draw(st.integers(0, max_layers - 1))):
        stack.append(draw(cells(inputs=stack[-1].outputs, windows=Windows.POINTS)))
    rows = draw(row_counts(max_steps, max_rows))
    rng = draw(generators())
    sequence = [rng.uniform(-1.0, 1.0, (count, stack[0].inputs)).astype(np.float32) for count in rows]
    initial = [random_state(cell, rows[0], rng) for cell in stack] if draw(st.booleans()) else None
    return MatrixCase(stack, sequence, initial)
