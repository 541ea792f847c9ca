"""Gradients in float32, with every choice the gradient oracle's bounds allow for made at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finite_differences import Problem, keys
from float32_judge import Float32, Judge
from oracle import GRU, LSTM, Cell, Gate, Gradients, Key, Neuron, NeuronType, Slot, State, exact_state, weight_of
from oracle import Bounded as Exact

f32 = np.float32
one = f32(1)
Leaves = list[tuple[NDArray, NDArray | None]]


@dataclass
class Memory:
    """What a forward pass keeps of a step: what each gate reads and its sum, and the state after."""

    read: dict[str, tuple[Float32, Float32, Float32 | None]]
    sums: dict[str, Float32]
    after: tuple[Float32, Float32 | None]


class GradientJudge(Judge):
    """Float32 implementation of the cells' gradients, for batches that keep their rows."""

    def differentiate(self, problem: Problem) -> tuple[list[State], Gradients]:
        """States after every step, and all gradients, each held exactly."""
        cell = problem.cell
        parts = [None if p is None else p.value.astype(f32) for p in problem.initial]
        memories: list[Memory] = []
        for x in problem.images:
            memories.append(self.forward(cell, x.astype(f32), *parts))
            parts = list(memories[-1].after)
        carry = [None if p is None else p.value.astype(f32) for p in problem.after]
        deltas: list[dict[str, Float32]] = []
        inputs, carries = [], []
        for memory, above in zip(memories[::-1], problem.above[::-1], strict=True):
            delta, carry = self.backward(cell, memory, above.astype(f32), *carry)
            deltas.append(delta)
            carries.append(exact_state(*carry))
            inputs.append(Exact.exact(self.by_input(cell, delta)))
        weights = {key: self.by_weights(cell, key, memories[::-1], deltas) for key in keys(cell)}
        states = [exact_state(*memory.after) for memory in memories]
        return states, Gradients(inputs[::-1], carries[::-1], weights)

    def forward(self, cell: Cell, x: Float32, h0: Float32, c0: Float32 | None) -> Memory:
        """One step of a cell."""
        if isinstance(cell, GRU):
            return self.gru_forward(cell, x, h0)
        if not isinstance(cell, LSTM):
            total = self.total(cell, cell.gates["gate"], x, h0)
            return Memory(
                {"gate": (x, h0, None)}, {"gate": total}, (self.neuron(cell.gates["gate"].neuron, total), None)
            )
        names = ("input_gate", "forget_gate", "cell_gate")
        sums = {name: self.total(cell, cell.gates[name], x, h0, c0) for name in names}
        i, f, c = (self.neuron(cell.gates[name].neuron, sums[name]) for name in names)
        c1 = f * c0 + i * c
        sums["output_gate"] = self.total(cell, cell.output_gate, x, h0, c1)
        h1 = self.neuron(cell.output_gate.neuron, sums["output_gate"]) * self.neuron(cell.output_neuron, c1)
        return Memory(dict.fromkeys(names, (x, h0, c0)) | {"output_gate": (x, h0, c1)}, sums, (h1, c1))

    def gru_forward(self, cell: GRU, x: Float32, h0: Float32) -> Memory:
        """One step of a GRU."""
        names = ("input_gate", "recurrent_gate")
        sums = {name: self.total(cell, cell.gates[name], x, h0) for name in names}
        z, r = (self.neuron(cell.gates[name].neuron, sums[name]) for name in names)
        last = (x, r * h0, z * h0)
        sums["output_gate"] = self.total(cell, cell.output_gate, *last)
        h = self.neuron(cell.output_gate.neuron, sums["output_gate"])
        s = self.complement(cell, z)
        h1 = s * h0 + z * h if cell.flip else s * h + z * h0
        return Memory(dict.fromkeys(names, (x, h0, None)) | {"output_gate": last}, sums, (h1, None))

    def backward(
        self, cell: Cell, memory: Memory, above: Float32, dh: Float32, dc: Float32 | None
    ) -> tuple[dict[str, Float32], list[Float32 | None]]:
        """Derivatives by the sums of the gates and by the state before."""
        d = above + dh
        if isinstance(cell, GRU):
            return self.gru_backward(cell, memory, d)
        delta: dict[str, Float32] = {}
        if not isinstance(cell, LSTM):
            delta["gate"] = d * self.slope(cell.gates["gate"].neuron, memory.sums["gate"])
            return delta, [self.add(self.back(cell, delta, "recurrent", ["gate"]), d.shape), None]
        i, f, c, o = (self.neuron(gate.neuron, memory.sums[name]) for name, gate in cell.gates.items())
        slopes = {name: self.slope(gate.neuron, memory.sums[name]) for name, gate in cell.gates.items()}
        c0, c1 = memory.read["input_gate"][2], memory.after[1]
        delta["output_gate"] = d * self.neuron(cell.output_neuron, c1) * slopes["output_gate"]
        leaves = [(dc, None), (d * o * self.slope(cell.output_neuron, c1), None)]
        dc1 = self.add(leaves + self.back(cell, delta, "memory", ["output_gate"]), d.shape)
        delta["input_gate"] = dc1 * c * slopes["input_gate"]
        delta["forget_gate"] = dc1 * c0 * slopes["forget_gate"]
        delta["cell_gate"] = dc1 * i * slopes["cell_gate"]
        leaves = [(dc1, f), *self.back(cell, delta, "memory", ["input_gate", "forget_gate", "cell_gate"])]
        return delta, [
            self.add(self.back(cell, delta, "recurrent", list(cell.gates)), d.shape),
            self.add(leaves, d.shape),
        ]

    def gru_backward(self, cell: GRU, memory: Memory, d: Float32) -> tuple[dict[str, Float32], list[Float32 | None]]:
        """The same of a GRU."""
        z, r, h = (self.neuron(gate.neuron, memory.sums[name]) for name, gate in cell.gates.items())
        h0 = memory.read["input_gate"][1]
        slopes = {name: self.slope(gate.neuron, memory.sums[name]) for name, gate in cell.gates.items()}
        s, ds = self.complement(cell, z), np.full_like(z, -1)
        if cell.p_norm != 1:
            p = f32(cell.p_norm)
            powered = one - self.function("pow", np.power, z, p)
            ds = -(self.function("pow", np.power, z, p - one) * self.function("pow", np.power, powered, one / p - one))
        delta = {"output_gate": d * (z if cell.flip else s) * slopes["output_gate"]}
        u = self.add(self.back(cell, delta, "recurrent", ["output_gate"]), d.shape)
        v = self.add(self.back(cell, delta, "memory", ["output_gate"]), d.shape)
        other, scaled = (h, h0 * ds) if cell.flip else (h0, h * ds)
        if self.rng.random() < 0.5:
            dz = self.add([(d, other + scaled), (v, h0)], d.shape)
        else:
            dz = self.add([(d, other), (d, scaled), (v, h0)], d.shape)
        delta["input_gate"] = dz * slopes["input_gate"]
        delta["recurrent_gate"] = u * h0 * slopes["recurrent_gate"]
        leaves = [(d, s if cell.flip else z), (u, r), (v, z)]
        leaves += self.back(cell, delta, "recurrent", ["input_gate", "recurrent_gate"])
        return delta, [self.add(leaves, d.shape), None]

    def back(self, cell: Cell, delta: dict[str, Float32], kind: str, names: list[str]) -> Leaves:
        """Products of deltas with the gates' weights of a kind."""
        leaves: Leaves = []
        for name in names:
            weights = getattr(cell.gates[name], kind)
            if isinstance(weights, Slot):
                matrix = self.kept(cell, weights.weights[:, 0, 0])
                leaves += [(delta[name][..., k : k + 1], row) for k, row in enumerate(matrix)]
            elif weights is not None:
                leaves.append((delta[name], self.kept(cell, weights)))
        return leaves

    def by_input(self, cell: Cell, delta: dict[str, Float32]) -> Float32:
        """Derivative by the input."""
        shape = (*next(iter(delta.values())).shape[:3], cell.inputs)
        plain: Leaves = [(d, None) for d in delta.values()]
        return self.add(plain if cell.unit_transform else self.back(cell, delta, "input", list(delta)), shape)

    def by_weights(self, cell: Cell, key: Key, memories: list[Memory], deltas: list[dict[str, Float32]]) -> Exact:
        """Derivative by some weights, over all steps and rows."""
        name, kind = key
        leaves: Leaves = []
        for memory, delta in zip(memories, deltas, strict=True):
            read = dict(zip(("input", "recurrent", "memory"), memory.read[name], strict=True)).get(kind)
            for row, d in enumerate(delta[name][:, 0, 0]):
                factor = None if read is None else read[row, 0, 0]
                is_matrix = isinstance(getattr(cell.gates[name], kind), Slot)
                leaves.append((d[:, None], factor) if is_matrix else (d, factor))
        return Exact.exact(self.add(leaves, weight_of(cell, key).shape))

    def kept(self, cell: Cell, weights: NDArray) -> Float32:
        """Weights as a layer keeps them."""
        return weights if cell.float32_weights else weights.astype(np.float16).astype(f32)

    def complement(self, cell: GRU, z: Float32) -> Float32:
        """(1 - z^p)^(1/p)."""
        if cell.p_norm == 1:
            return one - z
        powered = one - self.function("pow", np.power, z, f32(cell.p_norm))
        return self.function("pow", np.power, powered, one / f32(cell.p_norm))

    def slope(self, neuron: Neuron, x: Float32) -> Float32:
        """Derivative of a neuron, of those that have several forms in one of them."""
        a, b = f32(neuron.a), f32(neuron.b)
        from_value = self.rng.random() < 0.5
        match neuron.type:
            case NeuronType.NONE:
                return np.ones_like(x)
            case NeuronType.SIGMOID:
                y = self.neuron(neuron, x)
                return y * (one - y) if from_value else self.bell(x)
            case NeuronType.TANH if from_value:
                y = self.function("tanh", np.tanh, b * x)
                return a * b * (one - y * y)
            case NeuronType.TANH:
                return a * b * f32(4) * self.bell(f32(2) * b * x)
            case NeuronType.RELU:
                return np.where(x >= 0, one, a)
            case NeuronType.HARD_SIGMOID:
                y = a * x + b
                return np.where((y >= 0) & (y <= 1), a, f32(0))
            case NeuronType.SOFT_SIGN:
                y = one + np.abs(x)
                return self.function("divide", np.divide, one, y * y)
        raise ValueError(f"{neuron.type.name} is none of this judge's neurons")

    def bell(self, x: Float32) -> Float32:
        """Sigmoid's derivative from its argument, e / (1 + e)^2."""
        e = self.function("exp", np.exp, -np.abs(x))
        return self.function("divide", np.divide, e, (one + e) * (one + e))

    def total(self, cell: Cell, gate: Gate, x: Float32, h: Float32, memory: Float32 | None = None) -> Float32:
        """Everything a gate adds up."""
        return self.gate(cell, _bare(gate), x, h, memory)


def _bare(gate: Gate) -> Gate:
    """The gate without its neuron."""
    return Gate(gate.input, gate.bias, Neuron(), gate.recurrent, gate.memory)
