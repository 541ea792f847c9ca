"""Comparison of an implementation's numbers with the oracle's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .bounded import Bounded, distance


@dataclass(frozen=True)
class Agreement:
    """How well two arrays agreed.

    Attributes
    ----------
    worst : float
        Largest error relative to its bound, at most 1. Near 0 over many comparisons, the bounds are too loose to find
        faults.
    compared, skipped : int
        Elements held against their bound, and elements the oracle could not decide.
    """

    worst: float
    compared: int
    skipped: int


def assert_close(actual: ArrayLike, expected: Bounded, what: str) -> Agreement:
    """Hold numbers against the oracle's.

    Parameters
    ----------
    actual
        Numbers of an implementation, of the same shape.
    expected
        The oracle's. NaN and infinities that it has decided must be met exactly; what it has not decided may be
        anything.
    what
        Name of the numbers, for the message.

    Raises
    ------
    AssertionError
        With the worst element, where it is, and by how much it is off.
    """
    actual = np.asarray(actual, np.float64)
    if actual.shape != expected.shape:
        raise AssertionError(f"{what}: shape is {actual.shape}, expected {expected.shape}")
    skipped = expected.undecided
    off = distance(actual, expected.value)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(off == 0.0, 0.0, off / expected.err)
    ratio = np.where(skipped, 0.0, ratio)
    worst = float(ratio.max(initial=0.0))
    if worst > 1.0:
        at = np.unravel_index(int(ratio.argmax()), ratio.shape)
        index = tuple(int(i) for i in at)
        faulty = int((ratio > 1.0).sum())
        raise AssertionError(
            f"{what}{list(index)}: got {actual[at]:.9g}, not {expected.value[at]:.9g} within {expected.err[at]:.3g}, "
            f"off by {off[at]:.3g}, {worst:.4g} times the bound; {faulty} of {ratio.size} elements are off"
        )
    return Agreement(worst, int(skipped.size - skipped.sum()), int(skipped.sum()))
