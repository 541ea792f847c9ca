"""Sums of products: convolutions, and everything else a gate adds up before its neuron."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from . import tiles
from .bounded import LARGEST, ROUNDOFF, SMALLEST, Bounded, Float64

# What rounding to bfloat16, whose significand has eight bits, may change in a number, relative.
BFLOAT16_ROUNDOFF = 2.0**-8

_is_reduced = ContextVar("_is_reduced", default=False)


@contextmanager
def reduced() -> Iterator[None]:
    """Within it, bounds hold for implementations that may round both factors of a product to bfloat16 as well."""
    token = _is_reduced.set(True)
    yield
    _is_reduced.reset(token)


@dataclass(frozen=True, eq=False)
class Slot:
    """Weights of one convolution, as a data source hands them out.

    Attributes
    ----------
    weights : float32 array (outputs, kernel height, kernel width, inputs / groups)
        Not yet rounded to half precision.
    dilation : (vertical, horizontal)
    groups : int
    """

    weights: NDArray[np.float32]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, np.float32)
        if weights.ndim != 4 or weights.shape[0] % self.groups:
            raise ValueError(
                f"weights are (outputs, height, width, inputs / groups), got {weights.shape}, {self.groups=}"
            )
        object.__setattr__(self, "weights", weights)

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.weights.shape[0]

    @property
    def inputs(self) -> int:
        """Input channels."""
        return self.weights.shape[3] * self.groups

    @property
    def offsets(self) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """Where the taps lie, rows and columns, from the pixel: the window is centred on its dilated width."""
        rows, columns = (
            np.arange(k) * d - ((k - 1) * d + 1) // 2
            for k, d in zip(self.weights.shape[1:3], self.dilation, strict=True)
        )
        return rows, columns

    @property
    def reach(self) -> tuple[int, int]:
        """How far the farthest tap is, up or down and left or right."""
        rows, columns = self.offsets
        return int(np.abs(rows).max()), int(np.abs(columns).max())


@dataclass(frozen=True, eq=False)
class Term:
    """One addend of a gate, itself a sum of `leaves` products or plain numbers.

    `err` is what the errors of the operands do; the roundings of the sum depend on all addends together and come
    later, from `magnitude`, the sum of the leaves' absolute values.
    """

    value: Float64
    err: Float64
    magnitude: Float64
    leaves: int
    has_products: bool


def round_weights(weights: ArrayLike, float32_weights: bool) -> NDArray[np.float64]:
    """Weights as the layer keeps them: rounded to half precision unless it keeps float32."""
    rounded = np.asarray(weights, np.float32)
    return (rounded if float32_weights else rounded.astype(np.float16)).astype(np.float64)


def _windows(image: Float64, slot: Slot) -> Float64:
    """(group, pixel, tap and channel) matrix of what the window of each pixel sees.

    The dilated window reaches floor(extent / 2) pixels to the left and to the top of its pixel; outside the image is
    zero.
    """
    n, height, width, channels = image.shape
    extents = [(k - 1) * d + 1 for k, d in zip(slot.weights.shape[1:3], slot.dilation, strict=True)]
    top, left = (extent // 2 for extent in extents)
    padded = np.zeros((n, height + extents[0] - 1, width + extents[1] - 1, channels))
    padded[:, top : top + height, left : left + width] = image
    taps = sliding_window_view(padded, extents, axis=(1, 2))[..., :: slot.dilation[0], :: slot.dilation[1]]
    grouped = taps.reshape(n * height * width, slot.groups, channels // slot.groups, *taps.shape[4:])
    return grouped.transpose(1, 0, 3, 4, 2).reshape(slot.groups, n * height * width, -1)


def _ungrouped(slot: Slot, float32_weights: bool) -> NDArray[np.float64]:
    """Weights (kernel height, kernel width, inputs, outputs) with zeros where a group does not read."""
    weights = round_weights(slot.weights, float32_weights).transpose(1, 2, 3, 0)
    inputs, outputs = slot.inputs // slot.groups, slot.outputs // slot.groups
    whole = np.zeros((*weights.shape[:2], slot.inputs, slot.outputs))
    for group in range(slot.groups):
        made = slice(group * outputs, (group + 1) * outputs)
        whole[:, :, group * inputs : (group + 1) * inputs, made] = weights[..., made]
    return whole


def convolve(image: Bounded, slot: Slot, float32_weights: bool, tile_sizes: Sequence[int] = ()) -> Term:
    """Cross-correlation of an image (N, H, W, C) with the weights of a slot.

    `tile_sizes` are the windows in which an implementation may convolve tiles instead of pixels.
    """
    n, height, width, channels = image.shape
    if channels != slot.inputs:
        raise ValueError(f"image has {channels} channels, weights have {slot.inputs}")
    if image.is_zero:  # adding exact zeros is exact
        zeros = np.zeros((n, height, width, slot.outputs))
        return Term(zeros, zeros, zeros, 0, False)

    usable = np.isfinite(image.value) & np.isfinite(image.err)
    weights = round_weights(slot.weights, float32_weights).reshape(slot.groups, slot.outputs // slot.groups, -1)
    weights = weights.transpose(0, 2, 1)
    values = _windows(np.where(usable, image.value, 0.0), slot)
    products = [values @ weights, np.abs(values) @ np.abs(weights)]
    if image.err.any():
        products.append(_windows(np.where(usable, image.err, 0.0), slot) @ np.abs(weights))
    shape = (n, height, width, slot.outputs)
    value, magnitude, *errors = (product.transpose(1, 0, 2).reshape(shape) for product in products)
    err = errors[0] if errors else np.zeros(shape)
    if _is_reduced.get():
        err = err + (magnitude + err) * ((1.0 + BFLOAT16_ROUNDOFF) ** 2 - 1.0)
    err = np.where(spoilt(image), np.inf, err)
    leaves = weights.shape[1]
    for taps in tile_sizes:
        if max(slot.reach) <= taps // 2:
            window = np.zeros((taps, taps, channels, slot.outputs))
            place = np.ix_(*(offsets + taps // 2 for offsets in slot.offsets))
            window[place] = np.abs(_ungrouped(slot, float32_weights))
            tiled, roundings = tiles.magnitude(np.abs(np.where(usable, image.value, 0.0)), window, taps)
            magnitude = np.maximum(magnitude, tiled)
            leaves = max(leaves, channels + roundings)
    return Term(value, err, magnitude + err, leaves, True)


def spoilt(image: Bounded) -> NDArray[np.bool_]:
    """Images of a batch (N, 1, 1, 1) of whose convolutions nothing can be demanded, as a pixel is not finite.

    Kernels may multiply pixels by zero weights, where those fill up a window, transform a tile, or stand for a gate
    that does not read an image which its neighbours read. Nothing is lost by that while pixels are finite.
    """
    usable = np.isfinite(image.value) & np.isfinite(image.err)
    return ~usable.all(axis=(1, 2, 3), keepdims=True)


def unread(image: Bounded, outputs: int) -> Term:
    """An image that other gates of the cell convolve, and this one does not."""
    zeros = np.zeros((*image.shape[:3], outputs))
    return Term(zeros, np.where(spoilt(image), np.inf, zeros), zeros, 0, False)


def scale(image: Bounded, factors: NDArray[np.float32], float32_weights: bool) -> Term:
    """Every channel of an image times its own weight: a diagonal peephole."""
    if image.is_zero:
        return Term(image.value, image.err, image.value, 0, False)
    weights = round_weights(factors, float32_weights)
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(image.value) & np.isfinite(image.err)
        value = np.where(usable, image.value, 0.0) * weights
        err = np.where(usable, image.err, 0.0) * np.abs(weights)
    return Term(value, np.where(usable, err, np.inf), np.abs(value) + err, 1, True)


def unscaled(image: Bounded) -> Term:
    """An image that other gates of the cell have a diagonal peephole for, and this one does not."""
    zeros = np.zeros(image.shape)
    usable = np.isfinite(image.value) & np.isfinite(image.err)
    return Term(zeros, np.where(usable, zeros, np.inf), zeros, 0, False)


def plain(value: Bounded) -> Term:
    """A number that is added as it is."""
    return Term(value.value, value.err, np.abs(value.value) + value.err, 1, False)


def total(terms: Sequence[Term], shape: tuple[int, ...]) -> Bounded:
    """Sum of all addends in any order and nesting, with fused multiply-adds or without.

    However n leaves are added, none passes through more than n - 1 additions; a product is rounded once more, itself.
    """
    leaves = sum(term.leaves for term in terms)
    roundings = max(leaves - 1, 0) + any(term.has_products for term in terms)
    gamma = roundings * ROUNDOFF / (1.0 - roundings * ROUNDOFF)
    value, err, magnitude = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    with np.errstate(invalid="ignore"):
        for term in terms:
            value = value + term.value
            err = err + term.err
            magnitude = magnitude + term.magnitude
        err = err + gamma * magnitude + roundings * SMALLEST
    decided = np.isfinite(value)
    overflow = decided & (magnitude > LARGEST)  # a partial sum may be infinite even if the whole is not
    unsure = overflow | np.isinf(sum((term.err for term in terms), np.zeros(shape)))
    return Bounded(value, np.where(unsure, np.inf, np.where(decided, err, 0.0)))
