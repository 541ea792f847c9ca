"""Moving digits: pairs of scanned handwritten digits that drift across a square canvas and bounce off its walls.

The digits are the 8x8 scans of :func:`sklearn.datasets.load_digits`. The split into training and test digits is made
here and nowhere else, so that a forecast is always judged on handwriting that the weights have never seen.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from sklearn.datasets import load_digits

CANVAS = 32
"""Side of the square canvas, in pixels."""

DIGIT = 14
"""Side of a digit on the canvas, in pixels."""

DIGITS_PER_SEQUENCE = 2

SPEED = (1.5, 2.5)
"""Slowest and fastest drift, in pixels per frame."""

OBSERVED = 10
"""Frames that the network is shown."""

FORECAST = 10
"""Frames that it has to continue on its own."""

# The scans are stored writer by writer, so the tail holds hands that are mostly absent from the head.
_FIRST_TEST_SCAN = 1437


def load_scans(split: Literal["train", "test"]) -> np.ndarray:
    """Return the scans of one side of the split, ``(count, 8, 8)`` float32 from 0 (paper) to 1 (ink)."""
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    scans = load_digits().images.astype(np.float32) / 16
    return scans[:_FIRST_TEST_SCAN] if split == "train" else scans[_FIRST_TEST_SCAN:]


def moving_digits(scans: np.ndarray, sequences: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Draw sequences of two digits that move in straight lines between bounces; where they overlap, ink is ink.

    Parameters
    ----------
    scans : (count, side, side) array
        The digits to choose from, with replacement.
    sequences, frames : int
        How many sequences, and how many frames each.
    rng : numpy.random.Generator
        The only source of chance: equal generators give equal sequences.

    Returns
    -------
    (frames, sequences, CANVAS, CANVAS, 1) float32 array, from 0 to 1.
    """
    chosen = scans[rng.integers(len(scans), size=(sequences, DIGITS_PER_SEQUENCE))]
    room = CANVAS - DIGIT
    start = rng.uniform(0, room, size=(sequences, DIGITS_PER_SEQUENCE, 2))
    speed = rng.uniform(*SPEED, size=(sequences, DIGITS_PER_SEQUENCE))
    heading = rng.uniform(0, 2 * np.pi, size=(sequences, DIGITS_PER_SEQUENCE))
    velocity = speed[..., None] * np.stack((np.sin(heading), np.cos(heading)), axis=-1)

    steps = np.arange(frames).reshape(frames, 1, 1, 1)
    position = _bounce(start + steps * velocity, room)
    rows = _placement(position[..., 0], scans.shape[1])
    columns = _placement(position[..., 1], scans.shape[2])
    layers = np.einsum("tndyi,ndij,tndxj->tndyx", rows, chosen, columns, optimize=True)
    return layers.max(axis=2)[..., None].astype(np.float32)


def _bounce(position: np.ndarray, room: float) -> np.ndarray:
    """Fold an unbounded straight line into ``[0, room]``, as two facing mirrors would."""
    return room - np.abs(position % (2 * room) - room)


def _placement(position: np.ndarray, side: int) -> np.ndarray:
    """Return the ``(..., CANVAS, side)`` matrices that enlarge one axis of a scan and put it at ``position``.

    Enlarging and placing is one bilinear resampling, so that a digit drifts smoothly by fractions of a pixel.
    """
    pixel_centres = np.arange(CANVAS) + 0.5
    scan_coordinate = (pixel_centres - position[..., None]) * (side / DIGIT) - 0.5
    return np.maximum(0, 1 - np.abs(scan_coordinate[..., None] - np.arange(side)))
