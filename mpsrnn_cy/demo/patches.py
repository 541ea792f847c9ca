"""Frames as the network sees them: each square of pixels becomes the feature channels of one cell.

The recurrent layers then work on a quarter of the positions, and one tap of a convolution reaches twice as far.
"""

from __future__ import annotations

import numpy as np

PATCH = 2
"""Side of the square of pixels that becomes one cell."""


def to_patches(frames: np.ndarray) -> np.ndarray:
    """Fold ``(..., height, width, 1)`` frames into ``(..., height / PATCH, width / PATCH, PATCH**2)``."""
    *leading, height, width, channels = frames.shape
    if channels != 1 or height % PATCH or width % PATCH:
        raise ValueError(f"frames must be (..., height, width, 1) with sides divisible by {PATCH}, not {frames.shape}")
    split = frames.reshape(*leading, height // PATCH, PATCH, width // PATCH, PATCH)
    return split.swapaxes(-3, -2).reshape(*leading, height // PATCH, width // PATCH, PATCH**2)


def from_patches(patches: np.ndarray) -> np.ndarray:
    """Undo :func:`to_patches`."""
    *leading, rows, columns, channels = patches.shape
    if channels != PATCH**2:
        raise ValueError(f"patches must have {PATCH**2} channels, not shape {patches.shape}")
    split = patches.reshape(*leading, rows, columns, PATCH, PATCH)
    return split.swapaxes(-3, -2).reshape(*leading, rows * PATCH, columns * PATCH, 1)
