"""A stack of layers over a sequence of images, or of matrices: a row of a matrix is an image of one pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .bounded import Bounded, concatenate
from .cells import Cell, State


class Result(NamedTuple):
    """Outcome of a sequence in float32's precision: `outputs[t]` of the last layer, `states[t][layer]` after step t."""

    outputs: list[Bounded]
    states: list[list[State]]


def run(
    cells: Sequence[Cell],
    sequence: ArrayLike | Sequence[Bounded],
    initial: Sequence[State | None] | None = None,
    follow: Sequence[Sequence[State]] | None = None,
) -> Result:
    """Run a stack forward over a sequence.

    Parameters
    ----------
    cells
        First layer first.
    sequence
        Images (N, H, W, C), one per time step: an array (T, N, H, W, C) whose elements float32 holds, or `Bounded`
        images. N may differ from step to step: the last images of the batch are then not there in some steps, and the
        state of each stays what it was before.
    initial
        State of every layer before the first step; None stands for zero.
    follow
        States that an implementation had, `follow[t][layer]`. Every layer and step then goes on from those instead of
        the oracle's own, so that a bound covers one step of one layer: errors do not pile up over the sequence, and
        the bound stays sharp. What is right in every step is right as a whole.
    """
    images = [Bounded.exact(image) for image in sequence]
    for t, image in enumerate(images):
        if image.value.ndim != 4 or image.shape[1:] != (*images[0].shape[1:3], cells[0].inputs):
            raise ValueError(f"image {t} of the sequence is {image.shape}, layer 0 reads {cells[0].inputs} channels")
    for layer, (cell, below) in enumerate(zip(cells[1:], cells[:-1], strict=True)):
        if cell.inputs != below.outputs:
            raise ValueError(f"layer {layer + 1} reads {cell.inputs} channels, layer {layer} makes {below.outputs}")
    if initial is not None and len(initial) != len(cells):
        raise ValueError(f"initial has {len(initial)} states for {len(cells)} layers")

    outputs: list[Bounded] = []
    states: list[list[State]] = []
    if follow is not None and [len(states) for states in follow] != [len(cells)] * len(images):
        raise ValueError(f"follow needs {len(cells)} states for each of {len(images)} steps")
    if not images:
        return Result(outputs, states)
    given = initial if initial is not None else [None] * len(cells)
    extent = (max(image.shape[0] for image in images), *images[0].shape[1:3])
    current = [_checked(cell, state, extent) for cell, state in zip(cells, given, strict=True)]
    for t, x in enumerate(images):
        count = x.shape[0]
        made: list[State] = []
        held: list[State] = []
        for layer, (cell, state) in enumerate(zip(cells, current, strict=True)):
            made.append(_advanced(cell, x, state))
            held.append(made[-1] if follow is None else _checked(cell, follow[t][layer], extent))
            x = held[-1].h[:count]
        outputs.append(made[-1].h[:count])
        states.append(made)
        current = held
    return Result(outputs, states)


def run_bidirectional(
    cells: Sequence[Cell], backward: Sequence[bool], sequence: ArrayLike | Sequence[Bounded]
) -> tuple[list[Bounded], list[Bounded]]:
    """Outputs of the stack of forward cells, and of that of backward ones, which runs from the last step to the first.

    Parameters
    ----------
    cells, backward
        Cells of both stacks in any mixture, each stack's first layer first, and which of them run backward.
    sequence
        As of `run`. Both stacks read it, and start from zero.

    Returns
    -------
    tuple of lists
        Outputs by time step; an empty list for a stack without cells.
    """
    images = [Bounded.exact(image) for image in sequence]
    ahead = [cell for cell, is_backward in zip(cells, backward, strict=True) if not is_backward]
    behind = [cell for cell, is_backward in zip(cells, backward, strict=True) if is_backward]
    return (
        run(ahead, images).outputs if ahead else [],
        run(behind, images[::-1]).outputs[::-1] if behind else [],
    )


def _advanced(cell: Cell, x: Bounded, state: State) -> State:
    """State after one more input, which may lack the last images of the batch."""
    count = x.shape[0]
    new = cell.step(x, State(*(None if image is None else image[:count] for image in state)))
    return State(*(None if b is None else concatenate([a, b[count:]], axis=0) for a, b in zip(new, state, strict=True)))


def _checked(cell: Cell, state: State | None, extent: tuple[int, ...]) -> State:
    """State from outside, None being zero."""
    zero = cell.zero_state(*extent)
    if state is None:
        return zero
    if (state.c is not None) != cell.has_memory:
        raise ValueError(f"{type(cell).__name__}: a memory cell is {'missing' if cell.has_memory else 'out of place'}")
    for image in state:
        if image is not None and image.shape != zero.h.shape:
            raise ValueError(f"state is {image.shape}, expected {zero.h.shape}")
    return state


def exact_state(h: ArrayLike, c: ArrayLike | None = None) -> State:
    """State that an implementation holds exactly, from plain arrays (N, H, W, C)."""
    return State(Bounded.exact(np.asarray(h)), None if c is None else Bounded.exact(np.asarray(c)))


def as_images(matrix: ArrayLike | Bounded) -> Bounded:
    """Rows (N, C) as images (N, 1, 1, C)."""
    return Bounded.exact(matrix)[:, None, None, :]


def as_rows(images: Bounded) -> Bounded:
    """Images of one pixel (N, 1, 1, C) as the rows of a matrix (N, C)."""
    return images[:, 0, 0, :]
