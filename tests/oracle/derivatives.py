"""Derivatives of the sixteen neuron functions, and the smooth pieces that the functions are made of.

At a kink the derivative is that of the piece to which the neuron's own definition counts the point: ReLU and its kin
have 1 at zero, the hard sigmoid has its slope on the closed interval; |x|, which counts zero to neither side, has 0.
Near a kink rounding decides which piece an implementation sees, and the bound spans both. Of the derivative at what is
not a finite number nothing is demanded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .bounded import ROUNDOFF, Bounded, erf, exp, log, propagate, select, tanh
from .neurons import HALF_SQRT2, Neuron, NeuronType

INVERSE_SQRT_TAU = Bounded(np.float64(1.0 / np.sqrt(2.0 * np.pi)), np.float64(ROUNDOFF / np.sqrt(2.0 * np.pi)))


def derivative(neuron: Neuron, x: Bounded) -> Bounded:
    """Derivative of a neuron at its argument; the last axis holds the channels."""
    if neuron.type == NeuronType.NONE:
        return Bounded.exact(np.ones(x.shape))
    if neuron.type == NeuronType.LINEAR:
        return Bounded.exact(np.full(x.shape, neuron.a))
    found = propagate(lambda x: _DERIVATIVES[neuron.type](neuron, x), x)
    return Bounded(found.value, np.where(np.isfinite(x.value), found.err, np.inf))


def piece(neuron: Neuron, x: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of the smooth piece of the function that each argument lies on."""
    match neuron.type:
        case NeuronType.RELU | NeuronType.PRELU | NeuronType.ELU | NeuronType.ABSOLUTE | NeuronType.SOFT_SIGN:
            return (x >= 0).astype(int)
        case NeuronType.RELUN:
            return (x >= 0) + 2 * (np.where(x >= 0, x, neuron.a * x) > neuron.b)
        case NeuronType.HARD_SIGMOID:
            y = neuron.a * x + neuron.b
            return (y > 0).astype(int) + (y > 1)
        case _:
            return np.zeros(x.shape, int)


def _constants(x: Bounded, number: float) -> Bounded:
    return Bounded.exact(np.full(x.shape, number))


def _rectifier(neuron: Neuron, x: Bounded) -> Bounded:
    negative = neuron.a if neuron.alpha is None else neuron.alpha
    return Bounded.exact(np.where(x.value >= 0, 1.0, negative))


def _sigmoid(neuron: Neuron, x: Bounded) -> Bounded:
    y = neuron(x)
    return y * (1.0 - y)


def _hard_sigmoid(neuron: Neuron, x: Bounded) -> Bounded:
    y = neuron.a * x + neuron.b
    # The product and the sum round, which decides close to either edge.
    sides = [y.value + k * y.err for k in (0, -1, 1)]
    value, low, high = (np.where((side >= 0) & (side <= 1), neuron.a, 0.0) for side in sides)
    return Bounded(value, np.maximum(abs(low - value), abs(high - value)))


def _tanh(neuron: Neuron, x: Bounded) -> Bounded:
    y = tanh(neuron.b * x)
    return neuron.a * (neuron.b * (1.0 - y * y))


def _absolute(neuron: Neuron, x: Bounded) -> Bounded:
    return Bounded.exact(np.sign(x.value))


def _soft_plus(neuron: Neuron, x: Bounded) -> Bounded:
    return neuron.a * (neuron.b / (1.0 + exp(-(neuron.b * x))))


def _soft_sign(neuron: Neuron, x: Bounded) -> Bounded:
    y = 1.0 + abs(x)
    return 1.0 / (y * y)


def _elu(neuron: Neuron, x: Bounded) -> Bounded:
    return select(x.value >= 0, _constants(x, 1.0), neuron.a * exp(x))


def _relun(neuron: Neuron, x: Bounded) -> Bounded:
    rectified = Neuron(NeuronType.RELU, neuron.a)
    y = rectified(x)
    sides = [y.value + k * y.err for k in (0, -1, 1)]
    value, low, high = (np.where(side > neuron.b, 0.0, _rectifier(neuron, x).value) for side in sides)
    return Bounded(value, np.maximum(abs(low - value), abs(high - value)))


def _power(neuron: Neuron, x: Bounded) -> Bounded:
    exponent = np.float32(neuron.c) - np.float32(1.0)
    return neuron.a * (neuron.c * (neuron.a * x + neuron.b) ** exponent)


def _exponential(neuron: Neuron, x: Bounded) -> Bounded:
    if neuron.c == -1.0:
        return neuron.a * neuron(x)
    return neuron.a * (log(Bounded.exact(neuron.c)) * neuron(x))


def _logarithm(neuron: Neuron, x: Bounded) -> Bounded:
    y = neuron.a / (neuron.a * x + neuron.b)
    if neuron.c != -1.0:
        y = y / log(Bounded.exact(neuron.c))
    # Left of the pole the function is NaN; an implementation need not make its derivative NaN, too.
    return Bounded(y.value, np.where(neuron.a * x.value + neuron.b < 0, np.inf, y.err))


def _gelu(neuron: Neuron, x: Bounded) -> Bounded:
    density = INVERSE_SQRT_TAU * exp(-(0.5 * (x * x)))
    return 0.5 * (1.0 + erf(x * HALF_SQRT2)) + x * density


_DERIVATIVES: dict[NeuronType, Callable[[Neuron, Bounded], Bounded]] = {
    NeuronType.RELU: _rectifier,
    NeuronType.SIGMOID: _sigmoid,
    NeuronType.HARD_SIGMOID: _hard_sigmoid,
    NeuronType.TANH: _tanh,
    NeuronType.ABSOLUTE: _absolute,
    NeuronType.SOFT_PLUS: _soft_plus,
    NeuronType.SOFT_SIGN: _soft_sign,
    NeuronType.ELU: _elu,
    NeuronType.PRELU: _rectifier,
    NeuronType.RELUN: _relun,
    NeuronType.POWER: _power,
    NeuronType.EXPONENTIAL: _exponential,
    NeuronType.LOGARITHM: _logarithm,
    NeuronType.GELU: _gelu,
}
