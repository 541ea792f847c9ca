"""Central finite differences of the oracle's forward pass, with the error that they may have.

They know nothing of derivatives. A loss is differentiated along a direction through any of what a cell reads: at three
step sizes, extrapolated to none by Romberg's scheme. The last correction of the scheme bounds what the extrapolation
leaves; what float64 rounds is the oracle's own bound for float32, 2^29 times smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import oracle
import strategies

# Steps are powers of two and directions are small integers, so that a step from a number of half precision is exact.
STEP = 2.0**-10
LARGEST_COMPONENT = 3
# What three central differences, of steps h, h / 2 and h / 4, count in the extrapolation, and in the one before it.
ROMBERG = np.array([1.0, -20.0, 64.0]) / 45.0
COARSER = np.array([0.0, -1.0, 4.0]) / 3.0
FLOAT64_TO_FLOAT32 = 2.0**-29


class NotSmoothError(Exception):
    """Some neuron's argument passes a kink or a pole on the way: there is no derivative to extrapolate to."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A cell, what it reads, and a loss: the inner products of `above` and `after` with outputs and last state.

    Attributes
    ----------
    cell : of 1 x 1 kernels, with weights and biases that half precision holds, see `quantised`
    images : by time step (N, 1, 1, C)
    above : dL/dh of every output, by time step
    initial, after : state before the first step, and dL/d(state) after the last
    """

    cell: oracle.Cell
    images: list[NDArray[np.float64]]
    above: list[NDArray[np.float64]]
    initial: oracle.State
    after: oracle.State

    def __repr__(self) -> str:
        """Structure only; the arrays follow from the seed."""
        rows = [len(x) for x in self.images]
        return f"Problem({strategies.describe(self.cell)}, {rows=}, initial={not self.initial.h.is_zero})"


class Direction(NamedTuple):
    """Where a problem is moved to; what is None or missing stays."""

    weights: Mapping[oracle.Key, NDArray[np.float64]]
    images: list[NDArray[np.float64]] | None = None
    initial: oracle.State | None = None


def quantised(cell: oracle.Cell) -> oracle.Cell:
    """The cell with weights and biases of half precision, which float32 holds even after a step."""

    def rounded(weights: NDArray) -> NDArray[np.float32]:
        return weights.astype(np.float16).astype(np.float32)

    return changed(cell, lambda key, weights: rounded(weights))


def keys(cell: oracle.Cell) -> list[oracle.Key]:
    """All weights that a loss depends on."""
    names = ("input", "recurrent", "memory", "bias")
    return [(gate, name) for gate in cell.gates for name in names if oracle.weight_of(cell, (gate, name)) is not None]


def random_direction(
    problem: Problem, rng: np.random.Generator, chosen: Sequence[oracle.Key] | None = None, others: bool = True
) -> Direction:
    """A direction through the chosen weights, or all; and through images and initial state if wanted."""

    def integers(shape: tuple[int, ...]) -> NDArray[np.float64]:
        return rng.integers(-LARGEST_COMPONENT, LARGEST_COMPONENT + 1, shape).astype(float)

    weights = {}
    for key in keys(problem.cell) if chosen is None else chosen:
        values = oracle.weight_of(problem.cell, key)
        assert values is not None
        weights[key] = integers(values.shape)
    if not others:
        return Direction(weights)
    state = [None if part is None else integers(part.shape) for part in problem.initial]
    return Direction(weights, [integers(x.shape) for x in problem.images], oracle.exact_state(*state))


def along(gradients: oracle.Gradients, direction: Direction) -> oracle.Bounded:
    """Inner product of gradients with a direction: what finite differences have to come to."""
    pairs = [(gradients.weights[key], step) for key, step in direction.weights.items()]
    if direction.images is not None:
        pairs += list(zip(gradients.inputs, direction.images, strict=True))
    if direction.initial is not None:
        pairs += [
            (g, step.value) for g, step in zip(gradients.carries[0], direction.initial, strict=True) if step is not None
        ]
    with np.errstate(invalid="ignore"):  # of what is undecided
        value = sum(float((g.value * step).sum()) for g, step in pairs)
        err = sum(float((g.err * abs(step)).sum()) for g, step in pairs)
    return oracle.Bounded(np.float64(value), np.float64(err))


def difference(problem: Problem, direction: Direction) -> tuple[float, float]:
    """Derivative of the loss along a direction, and the error that it may have.

    Raises
    ------
    NotSmoothError
        If a neuron's argument passes a kink between the points, or rounding may decide what the loss is.
    """
    pieces = _pieces(problem)
    quotients, rounding = [], 0.0
    for step in (STEP, STEP / 2, STEP / 4):
        ends = [_moved(problem, direction, sign * step) for sign in (1, -1)]
        if any((a != b).any() for end in ends for a, b in zip(_pieces(end), pieces, strict=True)):
            raise NotSmoothError
        high, low = (loss(end) for end in ends)
        if not np.isfinite([high.value, high.err, low.value, low.err]).all():
            raise NotSmoothError
        quotients.append(float(high.value - low.value) / (2 * step))
        rounding = max(rounding, float(high.err + low.err) * FLOAT64_TO_FLOAT32 / (2 * step))
    value = float(ROMBERG @ quotients)
    return value, abs(value - float(COARSER @ quotients)) + float(abs(ROMBERG).sum()) * rounding


def loss(problem: Problem) -> oracle.Bounded:
    """The loss, with the bound of a float32 implementation of it."""
    made = oracle.run([problem.cell], [oracle.Bounded.exact(x) for x in problem.images], [problem.initial])
    ((last,),) = made.states[-1:]
    parts = [h * g for h, g in zip(made.outputs, problem.above, strict=True)]
    parts += [s * g for s, g in zip(last, problem.after, strict=True) if s is not None]
    count = sum(part.value.size for part in parts)
    magnitude = sum(float(abs(part.value).sum()) for part in parts)
    err = sum(float(part.err.sum()) for part in parts) + count * oracle.ROUNDOFF * magnitude
    return oracle.Bounded(np.float64(sum(float(part.value.sum()) for part in parts)), np.float64(err))


def changed(cell: oracle.Cell, change: Callable[[oracle.Key, NDArray], NDArray]) -> oracle.Cell:
    """The cell with other weights of the same shapes."""
    gates = {}
    for name, gate in cell.gates.items():
        fields: dict = {}
        for field in ("input", "recurrent", "memory", "bias"):
            weights = getattr(gate, field)
            if isinstance(weights, oracle.Slot):
                matrix = change((name, field), weights.weights[:, 0, 0, :])
                fields[field] = oracle.Slot(matrix[:, None, None, :])
            elif weights is not None:
                fields[field] = change((name, field), weights)
        gates[name] = replace(gate, **fields)
    return replace(cell, **gates)


def _moved(problem: Problem, direction: Direction, step: float) -> Problem:
    """The problem a step along the direction."""

    def change(key: oracle.Key, weights: NDArray) -> NDArray:
        moved = weights.astype(np.float64) + step * direction.weights.get(key, 0.0)
        assert (moved == moved.astype(np.float32)).all(), f"{key} cannot take the step exactly"
        return moved

    images, initial = problem.images, problem.initial
    if direction.images is not None:
        images = [x + step * d for x, d in zip(images, direction.images, strict=True)]
    if direction.initial is not None:
        parts = zip(initial, direction.initial, strict=True)
        initial = oracle.exact_state(*(None if a is None else a.value + step * b.value for a, b in parts))
    # The weights are of half precision, and not to be rounded to that again after the step.
    cell = replace(changed(problem.cell, change), float32_weights=True)
    return replace(problem, cell=cell, images=images, initial=initial)


def _pieces(problem: Problem) -> list[NDArray]:
    """Pieces of all neurons on which the forward pass lies."""
    found = []

    def watched(neuron: oracle.Neuron) -> oracle.Neuron:
        return _Watched(neuron.type, neuron.a, neuron.b, neuron.c, neuron.alpha, found=found)

    cell = problem.cell
    fields: dict = {name: replace(gate, neuron=watched(gate.neuron)) for name, gate in cell.gates.items()}
    if isinstance(cell, oracle.LSTM):
        fields["output_neuron"] = watched(cell.output_neuron)
    loss(replace(problem, cell=replace(cell, **fields)))
    return found


@dataclass(frozen=True, eq=False)
class _Watched(oracle.Neuron):
    """Neuron that notes on which piece each of its arguments lies."""

    found: list[NDArray] | None = None

    def __call__(self, x: oracle.Bounded) -> oracle.Bounded:
        assert self.found is not None
        self.found.append(oracle.piece(self, x.value))
        return super().__call__(x)
