"""Rounding errors of convolutions by Winograd's algorithm: tiles of 4 x 4 outputs, windows of 3 x 3 or 5 x 5 taps.

The algorithm is y = A^T ((G g G^T) . (B^T d B)) A for a tile's window d of the image and the weights g, summed over
channels before A is applied. It is exact but for rounding, and what rounding does is bounded by the same expression of
absolute values, times the number of roundings that a number can pass through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .bounded import Float64

TILE = 4

# Interpolation points besides infinity, by taps.
_POINTS = {
    3: (0.0, 0.5**0.5, -(0.5**0.5), 2.0**0.5, -(2.0**0.5)),
    5: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5),
}

_is_tiled = ContextVar("_is_tiled", default=False)


@contextmanager
def tiled() -> Iterator[None]:
    """Within it, bounds hold for implementations that may convolve by Winograd's algorithm as well."""
    token = _is_tiled.set(True)
    yield
    _is_tiled.reset(token)


def tile_sizes(reaches: list[tuple[int, int]]) -> tuple[int, ...]:
    """Taps of the algorithms that may convolve a cell whose windows reach so far, up or down and left or right."""
    if not _is_tiled.get() or not reaches:
        return ()
    return tuple(taps for taps in _POINTS if any(1 <= max(reach) <= taps // 2 for reach in reaches))


def _matrices(taps: int) -> tuple[Float64, Float64, Float64]:
    """A^T, G and B^T by Toom-Cook."""
    points = _POINTS[taps]
    size = TILE + taps - 1
    output, filters, inputs = np.zeros((TILE, size)), np.zeros((size, taps)), np.zeros((size, size))
    for i, point in enumerate(points):
        others = [other for other in points if other != point]
        output[:, i] = point ** np.arange(TILE)
        filters[i] = point ** np.arange(taps) / np.prod([point - other for other in others])
        inputs[i, : size - 1] = np.poly(others)[::-1]
    output[-1, -1] = filters[-1, -1] = 1.0
    inputs[-1] = np.poly(points)[::-1]
    return output, filters, inputs


def magnitude(image: Float64, weights: Float64, taps: int) -> tuple[Float64, int]:
    """The expression of absolute values for every output, and the roundings besides those of the sum over channels.

    Parameters
    ----------
    image : (N, H, W, C)
        Absolute values.
    weights : (taps, taps, C, O)
        Absolute values in the middle of a window of `taps`.
    """
    output, filters, inputs = (np.abs(matrix) for matrix in _matrices(taps))
    n, height, width, channels = image.shape
    size = TILE + taps - 1
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((n, rows * TILE + taps - 1, columns * TILE + taps - 1, channels))
    padded[:, taps // 2 : taps // 2 + height, taps // 2 : taps // 2 + width] = image
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))[:, ::TILE, ::TILE]
    values = np.einsum("ia,jb,nyxcab->ijnyxc", inputs, inputs, windows, optimize=True)
    factors = np.einsum("ia,jb,abco->ijco", filters, filters, weights, optimize=True)
    sums = np.einsum("ijnyxc,ijco->ijnyxo", values, factors, optimize=True)
    tiles = np.einsum("ai,bj,ijnyxo->nyaxbo", output, output, sums, optimize=True)
    whole = tiles.reshape(n, rows * TILE, columns * TILE, -1)
    # Each of a row's products is rounded, and so is its constant; then the sums. Weights are transformed more exactly
    # and rounded once.
    roundings = 2 * (2 + int((inputs > 1e-9).sum(axis=1).max())) + 2 * (2 + int((output > 1e-9).sum(axis=1).max())) + 1
    return whole[:, :height, :width], roundings
