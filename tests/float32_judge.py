"""An implementation in float32 that makes every choice the oracle's bounds allow for at random.

The order of a sum, fused multiply-adds, and as large an error of each elementary function as its accuracy permits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import strategies
from oracle import FUNCTION_ULPS, GRU, Cell, Gate, Neuron, NeuronType, SingleGate, Slot, State, exact_state

Float32 = NDArray[np.float32]
f32 = np.float32


class Judge:
    """Float32 implementation of the cells."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def function(self, name: str, exact: Callable[..., NDArray], *operands: NDArray) -> Float32:
        """Elementary function, wrong by up to what its accuracy allows; the last rounding takes half a unit of it."""
        value = np.asarray(exact(*[np.asarray(x, np.float64) for x in operands]))
        most = (FUNCTION_ULPS[name] - 0.5) * 2.0**-24
        return (value * (1.0 + self.rng.choice([-1.0, 0.3, 1.0]) * most)).astype(f32)

    def products(self, image: Float32, slot: Slot, single: bool) -> list[tuple[NDArray, NDArray | None]]:
        """Pairs of a pixel's and a weight's factor whose products make up a convolution."""
        weights = slot.weights if single else slot.weights.astype(np.float16)
        outputs, kernel_height, kernel_width, per_group = weights.shape
        made = []
        for ky, kx, i in np.ndindex(kernel_height, kernel_width, per_group):
            top = ky * slot.dilation[0] - ((kernel_height - 1) * slot.dilation[0] + 1) // 2
            left = kx * slot.dilation[1] - ((kernel_width - 1) * slot.dilation[1] + 1) // 2
            # Twenty zeros all around are more than any window reaches out.
            around = np.pad(image, ((0, 0), (20, 20), (20, 20), (0, 0)))
            shifted = np.roll(around, (-top, -left), axis=(1, 2))[:, 20:-20, 20:-20]
            channels = np.arange(outputs) // (outputs // slot.groups) * per_group + i
            made.append((shifted[..., channels], weights[:, ky, kx, i].astype(f32)))
        return made

    def gate(self, cell: Cell, gate: Gate, x: Float32, h: Float32, memory: Float32 | None = None) -> Float32:
        """Everything a gate adds up, in random order, and its neuron."""
        single = cell.float32_weights
        leaves: list[tuple[NDArray, NDArray | None]] = []
        if cell.unit_transform:
            leaves.append((x, None))
        elif gate.input is not None:
            leaves += self.products(x, gate.input, single)
        if gate.recurrent is not None:
            leaves += self.products(h, gate.recurrent, single)
        if isinstance(gate.memory, Slot):
            leaves += self.products(memory, gate.memory, single)
        elif gate.memory is not None:
            leaves.append((memory, gate.memory if single else gate.memory.astype(np.float16).astype(f32)))
        if gate.bias is not None:
            leaves.append((gate.bias, None))
        return self.neuron(gate.neuron, self.add(leaves, (*x.shape[:3], cell.outputs)))

    def add(self, leaves: list[tuple[NDArray, NDArray | None]], shape: tuple[int, ...]) -> Float32:
        """Sum of products and plain numbers in random order."""
        self.rng.shuffle(leaves)
        partial = [np.zeros(shape, f32) for _ in range(self.rng.choice([1, 1, 3]))]
        fused = self.rng.random() < 0.5
        for k, (a, b) in enumerate(leaves):
            product = a.astype(np.float64) if b is None else a.astype(np.float64) * b
            at = k % len(partial)
            partial[at] = (partial[at] + (product if fused else product.astype(f32))).astype(f32)
        while len(partial) > 1:
            partial.append(partial.pop() + partial.pop())
        return partial[0]

    def neuron(self, neuron: Neuron, x: Float32) -> Float32:
        """Neuron function as its formula says, in float32."""
        a, b, c = f32(neuron.a), f32(neuron.b), f32(neuron.c)
        one = f32(1)
        match neuron.type:
            case NeuronType.RELU:
                return np.where(x >= 0, x, a * x)
            case NeuronType.LINEAR:
                return a * x + b
            case NeuronType.SIGMOID:
                return self.function("divide", np.divide, one, one + self.function("exp", np.exp, -x))
            case NeuronType.HARD_SIGMOID:
                return np.minimum(np.maximum(a * x + b, f32(0)), one)
            case NeuronType.TANH:
                return a * self.function("tanh", np.tanh, b * x)
            case NeuronType.ABSOLUTE:
                return np.abs(x)
            case NeuronType.SOFT_PLUS:
                y = b * x
                if self.rng.random() < 0.5 and (y < 80).all():
                    return a * self.function("log", np.log, one + self.function("exp", np.exp, y))
                rest = self.function("log", np.log, one + self.function("exp", np.exp, -np.abs(y)))
                return a * (np.maximum(y, f32(0)) + rest)
            case NeuronType.SOFT_SIGN:
                return self.function("divide", np.divide, x, one + np.abs(x))
            case NeuronType.ELU:
                return np.where(x >= 0, x, a * (self.function("exp", np.exp, np.minimum(x, f32(0))) - one))
            case NeuronType.PRELU:
                return np.where(x >= 0, x, neuron.alpha * x)
            case NeuronType.RELUN:
                return np.minimum(np.where(x >= 0, x, a * x), b)
            case NeuronType.POWER:
                return self.function("pow", np.power, a * x + b, c)
            case NeuronType.EXPONENTIAL:
                y = a * x + b
                return self.function("exp", np.exp, y) if c == -1 else self.function("pow", np.power, c, y)
            case NeuronType.LOGARITHM:
                y = self.function("log", np.log, a * x + b)
                return y if c == -1 else self.function("divide", np.divide, y, self.function("log", np.log, c))
            case NeuronType.GELU:
                erf = self.function("erf", np.vectorize(math.erf, otypes=[float]), x * f32(math.sqrt(0.5)))
                return f32(0.5) * x * (one + erf)
        return x

    def step(self, cell: Cell, x: Float32, h0: Float32, c0: Float32 | None) -> tuple[Float32, Float32 | None]:
        """New h and c."""
        if isinstance(cell, SingleGate):
            return self.gate(cell, cell.gate, x, h0), None
        if isinstance(cell, GRU):
            z, r = self.gate(cell, cell.input_gate, x, h0), self.gate(cell, cell.recurrent_gate, x, h0)
            candidate = self.gate(cell, cell.output_gate, x, r * h0, z * h0)
            s = f32(1) - z
            if cell.p_norm != 1:
                powered = f32(1) - self.function("pow", np.power, z, f32(cell.p_norm))
                s = self.function("pow", np.power, powered, f32(1) / f32(cell.p_norm))
            return (s * h0 + z * candidate if cell.flip else s * candidate + z * h0), None
        i, f, c = (self.gate(cell, g, x, h0, c0) for g in (cell.input_gate, cell.forget_gate, cell.cell_gate))
        c1 = f * c0 + i * c
        return self.gate(cell, cell.output_gate, x, h0, c1) * self.neuron(cell.output_neuron, c1), c1

    def run(self, case: strategies.Case) -> list[list[State]]:
        """States of every layer after every step."""
        extent = case.sequence.shape[1:4]
        zeros = [np.zeros((*extent, cell.outputs), f32) for cell in case.cells]
        current = [(z, z) for z in zeros]
        if case.initial is not None:
            pairs = zip(case.initial, zeros, strict=True)
            current = [(s.h.value.astype(f32), z if s.c is None else s.c.value.astype(f32)) for s, z in pairs]
        states = []
        with np.errstate(all="ignore"):
            for x in case.sequence:
                following = []
                for cell, (h, c) in zip(case.cells, current, strict=True):
                    following.append(self.step(cell, x, h, c))
                    x = following[-1][0]
                current = following
                states.append([exact_state(h, c) for h, c in following])
        return states
