"""The sixteen neuron functions, each as a composition of float32 operations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .bounded import FUNCTION_ULPS, ROUNDOFF, ULP, Bounded, erf, exp, log, maximum, minimum, propagate, select, tanh

HALF_SQRT2 = Bounded(np.float64(np.sqrt(0.5)), np.float64(np.sqrt(0.5) * ROUNDOFF))


class NeuronType(IntEnum):
    """Numbers of MPSCNNNeuronType."""

    NONE = 0
    RELU = 1
    LINEAR = 2
    SIGMOID = 3
    HARD_SIGMOID = 4
    TANH = 5
    ABSOLUTE = 6
    SOFT_PLUS = 7
    SOFT_SIGN = 8
    ELU = 9
    PRELU = 10
    RELUN = 11
    POWER = 12
    EXPONENTIAL = 13
    LOGARITHM = 14
    GELU = 15


@dataclass(frozen=True, eq=False)
class Neuron:
    """Neuron function and its parameters, which float32 holds exactly.

    Attributes
    ----------
    type : NeuronType
    a, b, c : float
        Rounded to float32 here; what a type does not use has no effect.
    alpha : float32 array of one element per channel, only for PReLU
    """

    type: NeuronType = NeuronType.NONE
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    alpha: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", NeuronType(self.type))
        for name in ("a", "b", "c"):
            object.__setattr__(self, name, float(np.float32(getattr(self, name))))
        if (self.alpha is not None) != (self.type == NeuronType.PRELU):
            raise ValueError(f"alpha belongs to PReLU and to no other neuron, type is {self.type.name}")
        if self.alpha is not None:
            object.__setattr__(self, "alpha", np.asarray(self.alpha, np.float32))

    def __call__(self, x: Bounded) -> Bounded:
        """Function value of every element; the last axis holds the channels."""
        return getattr(self, f"_{self.type.name.lower()}")(x)

    def _none(self, x: Bounded) -> Bounded:
        return x

    def _relu(self, x: Bounded) -> Bounded:
        return propagate(lambda x: select(x.value >= 0, x, self.a * x), x)

    def _linear(self, x: Bounded) -> Bounded:
        return self.a * x + self.b

    def _sigmoid(self, x: Bounded) -> Bounded:
        return 1.0 / (1.0 + exp(-x))

    def _hard_sigmoid(self, x: Bounded) -> Bounded:
        return minimum(maximum(self.a * x + self.b, 0.0), 1.0)

    def _tanh(self, x: Bounded) -> Bounded:
        return self.a * tanh(self.b * x)

    def _absolute(self, x: Bounded) -> Bounded:
        return abs(x)

    def _soft_plus(self, x: Bounded) -> Bounded:
        # Beyond 80 the function is its argument to far below float32's precision, while e^x soon overflows: an
        # implementation has to take care of that, so the oracle does not follow the formula into infinity.
        y = self.b * x
        near = log(1.0 + exp(minimum(y, 80.0)))
        far = Bounded(y.value, y.err + FUNCTION_ULPS["log"] * ULP * np.abs(y.value))
        return self.a * select(y.value > 80.0, far, near)

    def _soft_sign(self, x: Bounded) -> Bounded:
        return propagate(lambda x: x / (1.0 + abs(x)), x)

    def _elu(self, x: Bounded) -> Bounded:
        return propagate(lambda x: select(x.value >= 0, x, self.a * (exp(minimum(x, 0.0)) - 1.0)), x)

    def _prelu(self, x: Bounded) -> Bounded:
        return propagate(lambda x: select(x.value >= 0, x, Bounded.exact(self.alpha) * x), x)

    def _relun(self, x: Bounded) -> Bounded:
        return minimum(self._relu(x), self.b)

    def _power(self, x: Bounded) -> Bounded:
        return (self.a * x + self.b) ** self.c

    def _exponential(self, x: Bounded) -> Bounded:
        y = self.a * x + self.b
        return exp(y) if self.c == -1.0 else self.c**y

    def _logarithm(self, x: Bounded) -> Bounded:
        y = log(self.a * x + self.b)
        return y if self.c == -1.0 else y / log(Bounded.exact(self.c))

    def _gelu(self, x: Bounded) -> Bounded:
        return propagate(lambda x: 0.5 * x * (1.0 + erf(x * HALF_SQRT2)), x)
