"""Values with a bound on the error of a float32 implementation.

The model of float32 arithmetic is the usual one: an operation's result is off by at most half a unit in the last
place, or by as much as a subnormal if those are flushed to zero. Elementary functions are off by as much as Metal's
precise mathematics allows. Bounds are carried through operations by their worst case.

Three kinds of element are told apart:

* decided: ``err`` is finite; the implementation is within ``err`` of ``value``;
* decided and not finite: ``value`` is NaN or an infinity and ``err`` is 0; the implementation has the same;
* undecided: ``err`` is infinite; rounding decides (a pole, the edge of a domain, overflow), nothing can be demanded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

ROUNDOFF = 2.0**-24  # half a unit in the last place, relative
ULP = 2.0 * ROUNDOFF
SMALLEST = 2.0**-126  # Metal may flush subnormals, so this is what underflow can cost
LARGEST = float(np.finfo(np.float32).max)

erf64 = np.vectorize(math.erf, otypes=[np.float64])

# Units in the last place an implementation may be off. exp, log, tanh and pow: the accuracy of single precision
# functions without fast mathematics in the Metal Shading Language Specification. It has division correctly rounded; 1
# leaves room for the product with a reciprocal. It has no erf; 4 is what it grants most of its transcendental
# functions.
FUNCTION_ULPS = {"exp": 4, "log": 4, "tanh": 5, "pow": 16, "erf": 4, "divide": 1}


@dataclass(frozen=True, eq=False)
class Bounded:
    """Array of exact values and of the errors a float32 implementation may make in each.

    Attributes
    ----------
    value, err : float64 arrays of one shape
        See the module for what non-finite elements mean.
    """

    value: Float64
    err: Float64

    # An ndarray on the left of an operator must leave the operation to this class.
    __array_ufunc__ = None

    def __post_init__(self) -> None:
        value = np.asarray(self.value, np.float64)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "err", np.broadcast_to(np.asarray(self.err, np.float64), value.shape))

    @classmethod
    def exact(cls, value: ArrayLike | Bounded) -> Bounded:
        """Value an implementation holds exactly; a `Bounded` passes through."""
        return value if isinstance(value, Bounded) else cls(np.asarray(value, np.float64), np.float64(0.0))

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> Bounded:
        """Exact zeros."""
        return cls.exact(np.zeros(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.value.shape

    @property
    def undecided(self) -> NDArray[np.bool_]:
        """Elements of which nothing can be demanded."""
        return np.isinf(self.err)

    @property
    def is_zero(self) -> bool:
        """Whether the whole array is exactly zero."""
        return not self.value.any() and not self.err.any()

    def __getitem__(self, index: object) -> Bounded:
        """Part of the array, by NumPy's indexing rules."""
        return Bounded(self.value[index], self.err[index])  # type: ignore[index]

    def __neg__(self) -> Bounded:
        return Bounded(-self.value, self.err)

    def __abs__(self) -> Bounded:
        return _apply(np.abs, self)

    def __add__(self, other: ArrayLike | Bounded) -> Bounded:
        other = Bounded.exact(other)
        with np.errstate(all="ignore"):
            value = self.value + other.value
        # Of opposite infinities one may be a product too large for float32, which an implementation that multiplies and
        # adds in one operation never rounds.
        unsure = np.isinf(self.value) & np.isinf(other.value) & np.isnan(value)
        return _rounded(value, self.err + other.err, ROUNDOFF, unsure | self.undecided | other.undecided)

    def __sub__(self, other: ArrayLike | Bounded) -> Bounded:
        return self + -Bounded.exact(other)

    def __mul__(self, other: ArrayLike | Bounded) -> Bounded:
        a, b = self, Bounded.exact(other)
        with np.errstate(all="ignore"):
            value = a.value * b.value
            err = np.abs(a.value) * b.err + np.abs(b.value) * a.err + a.err * b.err
        # Zero times infinity is NaN; but an implementation may leave a zero operand, an absent state, out altogether.
        unsure = _may_be_zero(a) & ~np.isfinite(b.value) | _may_be_zero(b) & ~np.isfinite(a.value)
        return _rounded(value, err, ROUNDOFF, unsure | a.undecided | b.undecided)

    def __truediv__(self, other: ArrayLike | Bounded) -> Bounded:
        a, b = self, Bounded.exact(other)
        with np.errstate(all="ignore"):
            value = a.value / b.value
            err = (a.err + np.abs(value) * b.err) / (np.abs(b.value) - b.err)
        pole = _may_be_zero(b) & (b.err > 0)
        return _rounded(value, err, FUNCTION_ULPS["divide"] * ULP, pole | a.undecided | b.undecided)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: ArrayLike) -> Bounded:
        return Bounded.exact(other) - self

    def __rtruediv__(self, other: ArrayLike) -> Bounded:
        return Bounded.exact(other) / self

    def __pow__(self, exponent: ArrayLike | Bounded) -> Bounded:
        exponent = Bounded.exact(exponent)
        pole = _may_be_zero(self) & (self.err > 0) & (exponent.value < 0)
        return _apply(np.power, self, exponent, ulps=FUNCTION_ULPS["pow"], unsure=pole)

    def __rpow__(self, base: ArrayLike) -> Bounded:
        return Bounded.exact(base) ** self


def _may_be_zero(x: Bounded) -> NDArray[np.bool_]:
    return np.abs(x.value) <= x.err


def _rounded(value: Float64, err: Float64, relative: float, unsure: NDArray[np.bool_]) -> Bounded:
    """Result of one float32 operation: its own rounding added, float32's range applied."""
    with np.errstate(all="ignore"):
        err = err + relative * (np.abs(value) + err) + SMALLEST
        decided = np.isfinite(value)
        beyond = decided & (np.abs(value) - err > LARGEST)
        edge = decided & ~beyond & ~(np.abs(value) + err <= LARGEST)
        value = np.where(beyond, np.copysign(np.inf, value), value)
    err = np.where(decided & ~beyond, err, 0.0)
    return Bounded(value, np.where(unsure | edge, np.inf, err))


def distance(a: Float64, b: Float64) -> Float64:
    """|a - b| where equal infinities and NaN and NaN are 0 apart, and NaN and a number infinitely far."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _apply(
    function: Callable[..., Float64], *operands: Bounded, ulps: float = 0, unsure: NDArray[np.bool_] | bool = False
) -> Bounded:
    """Function evaluated at the corners of its operands' intervals.

    A function that is not monotone still moves farther towards one end of an interval than to an extremum inside it,
    because the value lies in the middle.
    """
    unsure = np.asarray(unsure)
    for operand in operands:
        unsure = unsure | operand.undecided
    corners = itertools.product(*[(0,) if not x.err.any() else (0, -1, 1) for x in operands])
    with np.errstate(all="ignore"):
        value, *others = (function(*[x.value + k * x.err for x, k in zip(operands, ks, strict=True)]) for ks in corners)
    err = np.zeros_like(value)
    for other in others:
        err = np.maximum(err, distance(other, value))
    unsure = unsure | np.isinf(err)  # NaN or infinite at one end and not at another
    if ulps == 0:  # abs, minimum, maximum: nothing to round
        return Bounded(value, np.where(unsure, np.inf, err))
    return _rounded(value, err, ulps * ULP, unsure)


def exp(x: Bounded) -> Bounded:
    """Exponential function."""
    return _apply(np.exp, x, ulps=FUNCTION_ULPS["exp"])


def log(x: Bounded) -> Bounded:
    """Natural logarithm."""
    return _apply(np.log, x, ulps=FUNCTION_ULPS["log"])


def tanh(x: Bounded) -> Bounded:
    """Hyperbolic tangent."""
    return _apply(np.tanh, x, ulps=FUNCTION_ULPS["tanh"])


def erf(x: Bounded) -> Bounded:
    """Error function."""
    return _apply(erf64, x, ulps=FUNCTION_ULPS["erf"])


def minimum(x: Bounded, limit: float) -> Bounded:
    """The smaller one of x and an exact limit."""
    return _apply(lambda v: np.minimum(v, limit), x)


def maximum(x: Bounded, limit: float) -> Bounded:
    """The larger one of x and an exact limit."""
    return _apply(lambda v: np.maximum(v, limit), x)


def select(condition: NDArray[np.bool_], a: Bounded, b: Bounded) -> Bounded:
    """Elements of a where the condition holds, else of b; the condition must not hang on a rounding error."""
    return Bounded(np.where(condition, a.value, b.value), np.where(condition, a.err, b.err))


def concatenate(parts: Sequence[Bounded], axis: int) -> Bounded:
    """Arrays one behind the other along an axis."""
    return Bounded(
        np.concatenate([part.value for part in parts], axis), np.concatenate([part.err for part in parts], axis)
    )


def propagate(function: Callable[[Bounded], Bounded], x: Bounded) -> Bounded:
    """Function in which x occurs more than once.

    Operation by operation the error of x would be counted once per occurrence, and a branch would be taken on one
    side of its edge. So the function is evaluated without input error at the value and at both ends of its interval:
    the largest deviation is what the input error does, the bound at each point what the function's own operations
    add.
    """
    if not x.err.any():
        return function(x)
    with np.errstate(invalid="ignore"):
        points = np.stack([x.value, x.value - x.err, x.value + x.err])
    result = function(Bounded.exact(points))
    err = (distance(result.value, result.value[0]) + result.err).max(axis=0)
    return Bounded(result.value[0], np.where(x.undecided, np.inf, err))
