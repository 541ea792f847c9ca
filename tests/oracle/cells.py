"""The three recurrent cells: one time step each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bounded import Bounded
from .convolution import Slot, Term, convolve, plain, scale, total, unread, unscaled
from .neurons import Neuron, NeuronType
from .tiles import tile_sizes


class State(NamedTuple):
    """What a layer hands on to the next time step: output h and, for an LSTM, memory cell c."""

    h: Bounded
    c: Bounded | None = None


class Step(NamedTuple):
    """Names of the images of one time step, in the order the gates read them."""

    x: Bounded
    h: Bounded
    memory: Bounded | None = None


@dataclass(frozen=True, eq=False)
class Gate:
    """Weights, bias and neuron of one gate.

    Attributes
    ----------
    input : Slot or None
        W. Without it the bias is zero and the neuron is the identity.
    bias : float32 array of one element per output channel, or None
    neuron : Neuron
    recurrent : Slot or None
        U.
    memory : Slot or float32 vector or None
        V: a peephole of the LSTM, full or diagonal, or the weights of the GRU's candidate on z * h.
    """

    input: Slot | None = None
    bias: NDArray[np.float32] | None = None
    neuron: Neuron = field(default_factory=Neuron)
    recurrent: Slot | None = None
    memory: Slot | NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.input is None and (self.bias is not None or self.neuron.type != NeuronType.NONE):
            raise ValueError("bias and neuron come from the input weights; without those there is neither")
        if self.bias is not None:
            object.__setattr__(self, "bias", np.asarray(self.bias, np.float32))

    @property
    def diagonal(self) -> bool:
        """Whether the memory weights are one number per channel."""
        return self.memory is not None and not isinstance(self.memory, Slot)


@dataclass(frozen=True, eq=False, kw_only=True)
class Cell:
    """What all cells have in common.

    Attributes
    ----------
    inputs, outputs : int
        Feature channels.
    unit_transform : bool
        Every W * x is x itself, also where W is None; the bias and the neuron of a W that is there still apply.
    float32_weights : bool
        Weights are not rounded to half precision.
    """

    inputs: int
    outputs: int
    unit_transform: bool = False
    float32_weights: bool = False

    def __post_init__(self) -> None:
        if self.unit_transform and self.inputs != self.outputs:
            raise ValueError(f"unit transform needs as many inputs as outputs, got {self.inputs} and {self.outputs}")

    @property
    def gates(self) -> dict[str, Gate]:
        """Gates by the names of their fields."""
        return {name: gate for name, gate in vars(self).items() if isinstance(gate, Gate)}

    @property
    def has_memory(self) -> bool:
        """Whether the state has a memory cell."""
        return False

    def zero_state(self, n: int, height: int, width: int) -> State:
        """State before the first step."""
        zeros = Bounded.zeros((n, height, width, self.outputs))
        return State(zeros, zeros if self.has_memory else None)

    def step(self, x: Bounded, state: State) -> State:
        """State after one more input."""
        raise TypeError(f"{type(self).__name__} is not one of the three cells")

    def sum(self, gate: Gate, images: Step) -> Bounded:
        """W * x + U * h + V * memory + b: what the gate's neuron is applied to."""
        terms = [] if self.unit_transform else self._convolutions(images.x, "input", gate)
        if self.unit_transform:
            terms.append(plain(images.x))
        terms += self._convolutions(images.h, "recurrent", gate)
        if gate.diagonal:
            terms.append(scale(images.memory, gate.memory, self.float32_weights))
        elif any(other.diagonal for other in self.gates.values()):
            terms.append(unscaled(images.memory))
        elif images.memory is not None:
            terms += self._convolutions(images.memory, "memory", gate)
        if gate.bias is not None:
            terms.append(plain(Bounded.exact(gate.bias)))
        return total(terms, (*images.x.shape[:3], self.outputs))

    def _activate(self, gate: Gate, images: Step) -> Bounded:
        return gate.neuron(self.sum(gate, images))

    def _convolutions(self, image: Bounded, name: str, gate: Gate) -> list[Term]:
        """A gate's convolution of an image, if it or any other gate of the cell has one there."""
        slot = getattr(gate, name)
        if isinstance(slot, Slot):
            slots = [getattr(other, kind) for other in self.gates.values() for kind in ("input", "recurrent", "memory")]
            sizes = tile_sizes([other.reach for other in slots if isinstance(other, Slot)])
            return [convolve(image, slot, self.float32_weights, sizes)]
        is_read = any(isinstance(getattr(other, name), Slot) for other in self.gates.values())
        return [unread(image, self.outputs)] if is_read else []


@dataclass(frozen=True, eq=False, kw_only=True)
class SingleGate(Cell):
    """h1 = g(W * x + U * h0 + b)."""

    gate: Gate = field(default_factory=Gate)

    def step(self, x: Bounded, state: State) -> State:
        """State after one more input."""
        return State(self._activate(self.gate, Step(x, state.h)))


@dataclass(frozen=True, eq=False, kw_only=True)
class GRU(Cell):
    """Gated recurrent unit that resets before the product; the gates have Apple's names.

    Attributes
    ----------
    input_gate, recurrent_gate, output_gate : Gate
        z (update), r (reset) and the candidate, whose `memory` acts on z * h0.
    p_norm : float
    flip : bool
        Exchanges the candidate and the previous output.
    """

    input_gate: Gate = field(default_factory=Gate)
    recurrent_gate: Gate = field(default_factory=Gate)
    output_gate: Gate = field(default_factory=Gate)
    p_norm: float = 1.0
    flip: bool = False

    def step(self, x: Bounded, state: State) -> State:
        """State after one more input."""
        h0 = state.h
        z = self._activate(self.input_gate, Step(x, h0))
        r = self._activate(self.recurrent_gate, Step(x, h0))
        candidate = self._activate(self.output_gate, Step(x, r * h0, z * h0))
        s = self.complement(z)
        return State(s * h0 + z * candidate if self.flip else s * candidate + z * h0)

    def complement(self, z: Bounded) -> Bounded:
        """(1 - z^p)^(1/p)."""
        if self.p_norm == 1.0:
            return 1.0 - z
        # The reciprocal is a quotient like any other and has its error.
        return (1.0 - z**self.p_norm) ** (1.0 / Bounded.exact(np.float32(self.p_norm)))


@dataclass(frozen=True, eq=False, kw_only=True)
class LSTM(Cell):
    """Long short-term memory with peepholes on all four gates; the output gate's sees the new memory cell.

    Attributes
    ----------
    input_gate, forget_gate, cell_gate, output_gate : Gate
        I, F, C and O; their `memory` is all diagonal or all full where present.
    output_neuron : Neuron
        From the memory cell to the output.
    """

    input_gate: Gate = field(default_factory=Gate)
    forget_gate: Gate = field(default_factory=Gate)
    cell_gate: Gate = field(default_factory=Gate)
    output_gate: Gate = field(default_factory=Gate)
    output_neuron: Neuron = field(default_factory=lambda: Neuron(NeuronType.TANH, 1.0, 1.0, 1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if len({gate.diagonal for gate in self.gates.values() if gate.memory is not None}) > 1:
            raise ValueError("memory weights are all diagonal or all full")

    @property
    def has_memory(self) -> bool:
        """Whether the state has a memory cell."""
        return True

    @property
    def diagonal(self) -> bool:
        """Whether memory weights are one number per channel."""
        return any(gate.diagonal for gate in self.gates.values())

    def step(self, x: Bounded, state: State) -> State:
        """State after one more input."""
        h0, c0 = state.h, state.c
        i = self._activate(self.input_gate, Step(x, h0, c0))
        f = self._activate(self.forget_gate, Step(x, h0, c0))
        c = self._activate(self.cell_gate, Step(x, h0, c0))
        c1 = f * c0 + i * c
        o = self._activate(self.output_gate, Step(x, h0, c1))
        return State(o * self.output_neuron(c1), c1)
