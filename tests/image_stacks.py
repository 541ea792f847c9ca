"""Stacks of small image cells with random weights, by what is special about them, and what to run them on."""

from __future__ import annotations

import numpy as np

import mpsrnn_cy as mps
import oracle

__all__ = [
    "SIGMOID",
    "STACKS",
    "TANH",
    "assert_same_bits",
    "frames",
    "gate",
    "gru",
    "lstm",
    "single_gate",
    "slot",
    "state_arrays",
]

SIGMOID = oracle.Neuron(oracle.NeuronType.SIGMOID)
TANH = oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)


def slot(rng: np.random.Generator, outputs: int, inputs: int, kernel: int = 3) -> oracle.Slot:
    scale = 1.0 / np.sqrt(inputs * kernel * kernel)
    return oracle.Slot((rng.standard_normal((outputs, kernel, kernel, inputs)) * scale).astype(np.float32))


def gate(
    rng: np.random.Generator,
    inputs: int,
    outputs: int,
    neuron: oracle.Neuron,
    memory: oracle.Slot | np.ndarray | None = None,
) -> oracle.Gate:
    bias = rng.standard_normal(outputs).astype(np.float32)
    return oracle.Gate(slot(rng, outputs, inputs), bias, neuron, slot(rng, outputs, outputs), memory)


def single_gate(rng: np.random.Generator, inputs: int, outputs: int) -> oracle.SingleGate:
    return oracle.SingleGate(inputs=inputs, outputs=outputs, gate=gate(rng, inputs, outputs, TANH))


def gru(rng: np.random.Generator, inputs: int, outputs: int, memory: oracle.Slot | None = None) -> oracle.GRU:
    return oracle.GRU(
        inputs=inputs,
        outputs=outputs,
        input_gate=gate(rng, inputs, outputs, SIGMOID),
        recurrent_gate=gate(rng, inputs, outputs, SIGMOID),
        output_gate=gate(rng, inputs, outputs, TANH, memory),
    )


def lstm(
    rng: np.random.Generator,
    inputs: int,
    outputs: int,
    peepholes: str = "",
    diagonal: bool = False,
) -> oracle.LSTM:
    """An LSTM with peepholes on the gates named by their letters: i, f, c, o."""

    def memory(letter: str) -> oracle.Slot | np.ndarray | None:
        if letter not in peepholes:
            return None
        return rng.standard_normal(outputs).astype(np.float32) if diagonal else slot(rng, outputs, outputs)

    return oracle.LSTM(
        inputs=inputs,
        outputs=outputs,
        input_gate=gate(rng, inputs, outputs, SIGMOID, memory("i")),
        forget_gate=gate(rng, inputs, outputs, SIGMOID, memory("f")),
        cell_gate=gate(rng, inputs, outputs, TANH, memory("c")),
        output_gate=gate(rng, inputs, outputs, SIGMOID, memory("o")),
    )


STACKS = {
    "single gate": lambda rng: [single_gate(rng, 3, 5)],
    "gru": lambda rng: [gru(rng, 3, 5, slot(rng, 5, 5))],
    "lstm": lambda rng: [lstm(rng, 3, 5)],
    "lstm, diagonal peepholes": lambda rng: [lstm(rng, 3, 5, "ifco", diagonal=True)],
    "lstm, full peepholes": lambda rng: [lstm(rng, 3, 5, "ifco")],
    "stack": lambda rng: [lstm(rng, 3, 6, "fo"), gru(rng, 6, 4), single_gate(rng, 4, 2)],
}


def frames(rng: np.random.Generator, cells: list[oracle.Cell], steps: int = 6, batch: int = 2) -> np.ndarray:
    return rng.standard_normal((steps, batch, 7, 9, cells[0].inputs)).astype(np.float32)


def state_arrays(state: mps.MPSRNNRecurrentImageState, layers: int) -> list[np.ndarray]:
    images = [state.get_recurrent_output_image(index) for index in range(layers)]
    images += [state.get_memory_cell_image(index) for index in range(layers)]
    return [image.to_numpy() for image in images if image is not None]


def assert_same_bits(a: np.ndarray, b: np.ndarray) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))
