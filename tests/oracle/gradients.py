"""Gradients of the cells with respect to everything they read, derived from their formulae by hand.

A loss L is known by its derivatives: dL/dh of every step's output, and dL/dh and dL/dc of the state after the last
step. Going back step by step, dL/da of the sum a of each gate is what all others follow from. Kernels are 1 x 1 and in
one group, for that is what can be trained; images of more than one pixel may be there all the same, each pixel being
a row of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .bounded import Bounded, concatenate
from .cells import GRU, LSTM, Cell, Gate, SingleGate, State, Step
from .convolution import Slot, Term, convolve, plain, scale, total
from .derivatives import derivative
from .stack import run

# Which of a cell's weights: the name of the gate's field, and "input", "recurrent", "memory" or "bias".
Key = tuple[str, str]


class Gradients(NamedTuple):
    """Derivatives of a loss.

    Attributes
    ----------
    inputs : by time step, with respect to the images
    carries : by time step, with respect to the state before the step
    weights : by key, (outputs, inputs) matrices or, for biases and diagonal memory weights, vectors
    """

    inputs: list[Bounded]
    carries: list[State]
    weights: dict[Key, Bounded]


@dataclass
class _Back:
    """What one step hands back: derivatives by its gates' sums, by the state before it, and what the gates read."""

    sums: dict[str, Bounded]
    carry: State
    read: dict[str, Step] = field(default_factory=dict)


def gradients(
    cell: Cell,
    sequence: Sequence[Bounded],
    above: Sequence[Bounded],
    initial: State | None = None,
    after: State | None = None,
    states: Sequence[State] | None = None,
    carries: Sequence[State] | None = None,
    previous: Mapping[Key, Bounded] | None = None,
) -> Gradients:
    """Gradients of one layer over a sequence.

    Parameters
    ----------
    cell
        Of 1 x 1 kernels without groups.
    sequence
        Images (N, H, W, C), as of `run`; N may change from step to step.
    above
        dL/dh of every step's output, as many images as the step has.
    initial
        State before the first step; None stands for zero.
    after
        dL/dh and dL/dc of the state after the last step, beyond what `above` says; None stands for zero.
    states
        States after every step that an implementation had in its forward pass: the backward pass goes on from those,
        so that only what it cannot see, like the gates' sums, has the error of one step. Otherwise the oracle's own,
        with all their errors.
    carries
        dL/d(state before) that an implementation had, likewise.
    previous
        Weight gradients to which those of this sequence are added, by key.
    """
    images = [Bounded.exact(image) for image in sequence]
    made = run([cell], images, [initial], None if states is None else [[state] for state in states])
    held = list(states) if states is not None else [state for (state,) in made.states]
    extent = held[-1].h.shape[:3]
    before = [cell.zero_state(*extent) if initial is None else initial, *held[:-1]]
    carry = cell.zero_state(*extent) if after is None else after

    inputs: list[Bounded] = []
    found: list[State] = []
    terms: defaultdict[Key, list[Term]] = defaultdict(list)
    for t in reversed(range(len(images))):
        n = images[t].shape[0]
        back = _BACKWARD[type(cell)](
            cell, images[t], _first(before[t], n), _first(held[t], n), above[t], _first(carry, n)
        )
        inputs.append(_by_input(cell, images[t], back))
        found.append(_joined(back.carry, carry, n))
        for name, gate in cell.gates.items():
            for kind, term in _by_weights(cell, gate, back.sums[name], back.read[name]):
                terms[name, kind].append(term)
        carry = found[-1] if carries is None else carries[t]
    weights = {}
    for key, addends in terms.items():
        if previous is not None:
            addends = [*addends, plain(previous[key])]
        weights[key] = total(addends, addends[0].value.shape)
    return Gradients(inputs[::-1], found[::-1], weights)


def weight_of(cell: Cell, key: Key) -> np.ndarray | None:
    """Weights by key: a matrix (outputs, inputs), a vector, or None where the cell has none that matter."""
    gate = cell.gates[key[0]]
    if key[1] == "input" and cell.unit_transform:
        return None
    weights = getattr(gate, key[1])
    return weights.weights[:, 0, 0, :] if isinstance(weights, Slot) else weights


def _single_gate(cell: SingleGate, x: Bounded, before: State, after: State, above: Bounded, carry: State) -> _Back:
    read = Step(x, before.h)
    sums = {"gate": (above + carry.h) * derivative(cell.gate.neuron, cell.sum(cell.gate, read))}
    return _Back(sums, State(_total([_by_recurrent(cell, "gate", sums)], before.h)), {"gate": read})


def _gru(cell: GRU, x: Bounded, before: State, after: State, above: Bounded, carry: State) -> _Back:
    h0 = before.h
    first = Step(x, h0)
    a_z, a_r = cell.sum(cell.input_gate, first), cell.sum(cell.recurrent_gate, first)
    z, r = cell.input_gate.neuron(a_z), cell.recurrent_gate.neuron(a_r)
    second = Step(x, r * h0, z * h0)
    a_h = cell.sum(cell.output_gate, second)
    h = cell.output_gate.neuron(a_h)
    s, ds = cell.complement(z), _complement_slope(cell, z)

    d = above + carry.h
    # The output is s * one + z * other.
    one, other = (h0, h) if cell.flip else (h, h0)
    d_h = d * (z if cell.flip else s)
    sums = {"output_gate": d_h * derivative(cell.output_gate.neuron, a_h)}
    u = _total([_by_recurrent(cell, "output_gate", sums)], h0)
    v = _total([_by_memory(cell, "output_gate", sums)], h0)
    d_z = _total([plain(d * _total([plain(other), plain(one * ds)], h0)), plain(v * h0)], h0)
    sums["input_gate"] = d_z * derivative(cell.input_gate.neuron, a_z)
    sums["recurrent_gate"] = (u * h0) * derivative(cell.recurrent_gate.neuron, a_r)
    d_h0 = [plain(d * (s if cell.flip else z)), plain(u * r), plain(v * z)]
    d_h0 += [_by_recurrent(cell, name, sums) for name in ("input_gate", "recurrent_gate")]
    read = {"input_gate": first, "recurrent_gate": first, "output_gate": second}
    return _Back(sums, State(_total(d_h0, h0)), read)


def _complement_slope(cell: GRU, z: Bounded) -> Bounded:
    """Derivative of (1 - z^p)^(1/p) by z."""
    if cell.p_norm == 1.0:
        return Bounded.exact(np.full(z.shape, -1.0))
    p = Bounded.exact(np.float32(cell.p_norm))
    one = np.float32(1.0)
    return -(z ** (np.float32(cell.p_norm) - one) * (1.0 - z**p) ** (1.0 / p - 1.0))


def _lstm(cell: LSTM, x: Bounded, before: State, after: State, above: Bounded, carry: State) -> _Back:
    (h0, c0), c1 = before, after.c
    first, last = Step(x, h0, c0), Step(x, h0, c1)
    read = {"input_gate": first, "forget_gate": first, "cell_gate": first, "output_gate": last}
    arguments = {name: cell.sum(gate, read[name]) for name, gate in cell.gates.items()}
    i, f, c, o = (gate.neuron(arguments[name]) for name, gate in cell.gates.items())

    def slope(name: str) -> Bounded:
        return derivative(cell.gates[name].neuron, arguments[name])

    d = above + carry.h
    sums = {"output_gate": d * cell.output_neuron(c1) * slope("output_gate")}
    through = d * o * derivative(cell.output_neuron, c1)
    d_c1 = _total([plain(carry.c), plain(through), _by_memory(cell, "output_gate", sums)], c1)
    sums["input_gate"] = d_c1 * c * slope("input_gate")
    sums["forget_gate"] = d_c1 * c0 * slope("forget_gate")
    sums["cell_gate"] = d_c1 * i * slope("cell_gate")
    d_c0 = [plain(d_c1 * f)] + [_by_memory(cell, name, sums) for name in ("input_gate", "forget_gate", "cell_gate")]
    d_h0 = [_by_recurrent(cell, name, sums) for name in cell.gates]
    return _Back(sums, State(_total(d_h0, h0), _total(d_c0, c0)), read)


_BACKWARD = {SingleGate: _single_gate, GRU: _gru, LSTM: _lstm}


def _total(terms: Sequence[Term | None], like: Bounded) -> Bounded:
    return total([term for term in terms if term is not None], like.shape)


def _transposed(slot: Slot) -> Slot:
    if slot.weights.shape[1:3] != (1, 1) or slot.groups != 1:
        raise ValueError(f"only 1 x 1 kernels in one group have gradients, got {slot.weights.shape}, {slot.groups=}")
    return Slot(slot.weights.transpose(3, 1, 2, 0))


def _by_recurrent(cell: Cell, name: str, sums: Mapping[str, Bounded]) -> Term | None:
    """dL/da * U of one gate."""
    slot = cell.gates[name].recurrent
    return None if slot is None else convolve(sums[name], _transposed(slot), cell.float32_weights)


def _by_memory(cell: Cell, name: str, sums: Mapping[str, Bounded]) -> Term | None:
    """dL/da * V of one gate."""
    memory = cell.gates[name].memory
    if memory is None:
        return None
    if isinstance(memory, Slot):
        return convolve(sums[name], _transposed(memory), cell.float32_weights)
    return scale(sums[name], memory, cell.float32_weights)


def _by_input(cell: Cell, x: Bounded, back: _Back) -> Bounded:
    """dL/dx."""
    if cell.unit_transform:
        return total([plain(d) for d in back.sums.values()], x.shape)
    slots = {name: gate.input for name, gate in cell.gates.items() if gate.input is not None}
    return total(
        [convolve(back.sums[name], _transposed(slot), cell.float32_weights) for name, slot in slots.items()], x.shape
    )


def _by_weights(cell: Cell, gate: Gate, d: Bounded, read: Step) -> list[tuple[str, Term]]:
    """What one step adds to the gradients of a gate's weights."""
    found = []
    if gate.input is not None and not cell.unit_transform:
        found.append(("input", _outer(d, read.x)))
    if gate.recurrent is not None:
        found.append(("recurrent", _outer(d, read.h)))
    if gate.diagonal:
        found.append(("memory", _column_sums(d, read.memory)))
    elif gate.memory is not None:
        found.append(("memory", _outer(d, read.memory)))
    if gate.bias is not None:
        found.append(("bias", _column_sums(d, None)))
    return found


def _parts(images: Bounded) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, errors and whether they are finite, of all pixels as rows (rows, C)."""
    value, err = (array.reshape(-1, images.shape[-1]) for array in (images.value, images.err))
    usable = np.isfinite(value) & np.isfinite(err)
    return np.where(usable, value, 0.0), np.where(usable, err, 0.0), usable


def _outer(d: Bounded, x: Bounded) -> Term:
    """Sum over all rows of d (row, outputs) times x (row, inputs)."""
    (a, a_err, a_usable), (b, b_err, b_usable) = _parts(d), _parts(x)
    value = a.T @ b
    err = abs(a).T @ b_err + a_err.T @ abs(b) + a_err.T @ b_err
    spoilt = ~a_usable.all(axis=0)[:, None] | ~b_usable.all(axis=0)
    return Term(value, np.where(spoilt, np.inf, err), abs(a).T @ abs(b) + err, len(a), True)


def _column_sums(d: Bounded, factor: Bounded | None) -> Term:
    """Sum over all rows of d, or of d times a factor."""
    a, a_err, usable = _parts(d)
    if factor is not None:
        b, b_err, b_usable = _parts(factor)
        a, a_err, usable = a * b, abs(a) * b_err + a_err * abs(b) + a_err * b_err, usable & b_usable
    err = a_err.sum(axis=0)
    spoilt = ~usable.all(axis=0)
    return Term(a.sum(axis=0), np.where(spoilt, np.inf, err), abs(a).sum(axis=0) + err, len(a), factor is not None)


def _first(state: State, count: int) -> State:
    return State(*(None if image is None else image[:count] for image in state))


def _joined(new: State, old: State, count: int) -> State:
    """The carry of the rows that a step has, and that of the others, which pass it by."""
    return State(*(None if b is None else concatenate([a, b[count:]], axis=0) for a, b in zip(new, old, strict=True)))
