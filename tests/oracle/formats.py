"""Texture formats: what storing a number and reading it back makes of it."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .bounded import ROUNDOFF, ULP, Bounded, Float64, distance

# A channel of a normalised integer format that is neither 0 nor 1 may be read this far off, by the Metal Shading
# Language Specification's conversion rules.
UNORM_READ_ULPS = 1.5


class Format(IntEnum):
    """Numbers of MPSImageFeatureChannelFormat."""

    UNORM8 = 1
    UNORM16 = 2
    FLOAT16 = 3
    FLOAT32 = 4

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored numbers."""
        return np.dtype({1: np.uint8, 2: np.uint16, 3: np.float16, 4: np.float32}[self.value])

    @property
    def is_normalised(self) -> bool:
        """Whether integers stand for the range from 0 to 1."""
        return self.dtype.kind == "u"

    @property
    def steps(self) -> int:
        """Largest integer of a normalised format."""
        return int(np.iinfo(self.dtype).max)


def encode(values: ArrayLike, fmt: Format) -> NDArray:
    """Numbers as a texture stores them, rounded to the nearest that the format has."""
    values = np.asarray(values, np.float64)
    if fmt.is_normalised:
        return np.rint(np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0) * fmt.steps).astype(fmt.dtype)
    with np.errstate(over="ignore"):
        return values.astype(fmt.dtype)


def decode(stored: NDArray, fmt: Format) -> Bounded:
    """What a kernel reads from a texture."""
    if stored.dtype != fmt.dtype:
        raise ValueError(f"{fmt.name} stores {fmt.dtype}, got {stored.dtype}")
    if not fmt.is_normalised:
        return Bounded.exact(stored)
    value = stored / np.float64(fmt.steps)
    inexact = (stored != 0) & (stored != fmt.steps)
    return Bounded(value, np.where(inexact, UNORM_READ_ULPS * ULP * value, 0.0))


def _nearest(values: Float64, fmt: Format) -> Float64:
    stored = encode(values, fmt).astype(np.float64)
    return stored / fmt.steps if fmt.is_normalised else stored


def store(result: Bounded, fmt: Format) -> Bounded:
    """Result after it was written to a texture.

    Rounding is monotone: whatever the float32 result within its bound is, it is stored as something between what the
    two ends of the interval are stored as.
    """
    if fmt == Format.FLOAT32:
        return result
    # The product with the number of steps is rounded before it is rounded to an integer.
    err = result.err + (ROUNDOFF * np.abs(result.value) if fmt.is_normalised else 0.0)
    with np.errstate(invalid="ignore"):
        value, low, high = (_nearest(result.value + k * err, fmt) for k in (0, -1, 1))
    err = np.maximum(distance(low, value), distance(high, value))
    return Bounded(value, np.where(result.undecided, np.inf, err))
