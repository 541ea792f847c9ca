"""Stacks of layers over matrices, small and fixed: what structural tests run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import oracle
from matrix_strategies import SEQUENCE_CHANNELS

SIGMOID = oracle.Neuron(oracle.NeuronType.SIGMOID)
TANH = oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)


def slot(rng: np.random.Generator, outputs: int, inputs: int, groups: int = 1) -> oracle.Slot:
    weights = rng.standard_normal((outputs, 1, 1, inputs // groups)) / np.sqrt(inputs)
    return oracle.Slot(weights.astype(np.float32), groups=groups)


def gate(
    rng: np.random.Generator, inputs: int, outputs: int, neuron: oracle.Neuron, memory: Any = None, groups: int = 1
) -> oracle.Gate:
    bias = rng.standard_normal(outputs).astype(np.float32)
    recurrent = slot(rng, outputs, outputs, groups)
    return oracle.Gate(slot(rng, outputs, inputs, groups), bias, neuron, recurrent, memory)


def single_gate(rng: np.random.Generator, inputs: int, outputs: int, **options: Any) -> oracle.SingleGate:
    return oracle.SingleGate(inputs=inputs, outputs=outputs, gate=gate(rng, inputs, outputs, TANH), **options)


def gru(rng: np.random.Generator, inputs: int, outputs: int, *, memory: bool = False, **options: Any) -> oracle.GRU:
    return oracle.GRU(
        inputs=inputs,
        outputs=outputs,
        input_gate=gate(rng, inputs, outputs, SIGMOID),
        recurrent_gate=gate(rng, inputs, outputs, SIGMOID),
        output_gate=gate(rng, inputs, outputs, TANH, slot(rng, outputs, outputs) if memory else None),
        **options,
    )


def lstm(
    rng: np.random.Generator, inputs: int, outputs: int, *, peepholes: str = "", groups: int = 1, **options: Any
) -> oracle.LSTM:
    """An LSTM with no peepholes, diagonal or full ones."""

    def peephole() -> Any:
        if peepholes == "diagonal":
            return rng.standard_normal(outputs).astype(np.float32)
        return slot(rng, outputs, outputs, groups) if peepholes else None

    return oracle.LSTM(
        inputs=inputs,
        outputs=outputs,
        input_gate=gate(rng, inputs, outputs, SIGMOID, peephole(), groups),
        forget_gate=gate(rng, inputs, outputs, SIGMOID, peephole(), groups),
        cell_gate=gate(rng, inputs, outputs, TANH, peephole(), groups),
        output_gate=gate(rng, inputs, outputs, SIGMOID, peephole(), groups),
        **options,
    )


STACKS: dict[str, Callable[[np.random.Generator], list[oracle.Cell]]] = {
    "single-gate": lambda rng: [single_gate(rng, 3, 5)],
    "single-gate-unit": lambda rng: [single_gate(rng, 6, 6, unit_transform=True)],
    "gru": lambda rng: [gru(rng, 3, 5)],
    "gru-float32": lambda rng: [gru(rng, 7, 9, memory=True, float32_weights=True, p_norm=2.0, flip=True)],
    "lstm": lambda rng: [lstm(rng, 3, 5)],
    "lstm-float32": lambda rng: [lstm(rng, 5, 6, peepholes="diagonal", float32_weights=True)],
    "lstm-full": lambda rng: [lstm(rng, 3, 6, peepholes="full")],
    "lstm-groups": lambda rng: [lstm(rng, 16, 8, peepholes="full", groups=2)],
    "large": lambda rng: [lstm(rng, 3, SEQUENCE_CHANNELS + 5, peepholes="full")],
    "stack": lambda rng: [lstm(rng, 3, 6), gru(rng, 6, 4, memory=True), single_gate(rng, 4, 2)],
}
SMALL_STACKS = [name for name in STACKS if name != "large"]


def inputs(cells: Sequence[oracle.Cell], rows: Sequence[int], dtype: Any = np.float32, seed: int = 4) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((n, cells[0].inputs)).astype(dtype) for n in rows]
