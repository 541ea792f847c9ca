"""Tuned twins of the image kernels: shapes that fill no panel, no block and no tile, and threads that share them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import mpsrnn_cy as mps
import oracle

Neuron = mps.MPSCNNNeuronType
GATE_NEURONS = {
    "input_gate": Neuron.SIGMOID,
    "forget_gate": Neuron.SIGMOID,
    "cell_gate": Neuron.TANH,
    "output_gate": Neuron.SIGMOID,
}


@dataclass(frozen=True)
class Shape:
    """An LSTM and its images; `kernel` is (height, width)."""

    inputs: int
    outputs: int
    kernel: tuple[int, int] = (3, 3)
    height: int = 9
    width: int = 11
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    images: int = 1


# One or more panels with every remainder; every algorithm; images below a tile; groups narrower than a vector.
SHAPES = [
    Shape(1, 4),
    Shape(3, 8),
    Shape(2, 12),
    Shape(5, 20),
    Shape(4, 24),
    Shape(1, 100),
    Shape(3, 6, (5, 5)),
    Shape(1, 24, (3, 5)),
    Shape(6, 16, (2, 2)),
    Shape(3, 12, (7, 7)),
    Shape(5, 20, (1, 1)),
    Shape(5, 20, (1, 3)),
    Shape(3, 8, (5, 1)),
    Shape(3, 8, (3, 3), dilation=(2, 2)),
    Shape(3, 8, (3, 3), dilation=(3, 1)),
    Shape(3, 24, (3, 3), 1, 1),
    Shape(3, 24, (3, 3), 2, 3, images=3),
    Shape(3, 24, (7, 1), 3, 2, images=3),
    Shape(5, 9, (1, 1), 3, 50),
    Shape(3, 9, (3, 3), 37, 5),
    Shape(3, 7, (1, 7), 4, 101),
    Shape(12, 12, groups=3),
    Shape(24, 24, (7, 1), groups=2),
    Shape(32, 48, (5, 5), 6, 6, groups=4),
]


SHARED = [Shape(3, 24, (3, 3), 37, 41), Shape(3, 24, (5, 5), 19, 40), Shape(3, 24, (7, 1), 29, 60)]


def lstm(shape: Shape, seed: int = 0) -> tuple[mps.MPSLSTMDescriptor, oracle.LSTM]:
    """The layer's descriptor and the oracle's cell, with the same weights."""
    rng = np.random.default_rng(seed)
    made = mps.MPSLSTMDescriptor.create_lstm_descriptor(shape.inputs, shape.outputs)
    made.use_float32_weights = True
    height, width = shape.kernel
    gates = {}
    for name, neuron in GATE_NEURONS.items():
        slots = {}
        for kind, inputs in (("input", shape.inputs), ("recurrent", shape.outputs)):
            depth = inputs // shape.groups
            weights = rng.standard_normal((shape.outputs, height, width, depth)) / np.sqrt(height * width * depth)
            slots[kind] = oracle.Slot(weights.astype(np.float32), shape.dilation, shape.groups)
        bias = rng.standard_normal(shape.outputs).astype(np.float32)
        activation = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(neuron, 1.0, 1.0)
        for kind, slot in slots.items():
            source = mps.ArrayDataSource(
                slot.weights,
                bias if kind == "input" else None,
                activation if kind == "input" else None,
                dilation_rate=shape.dilation,
                groups=shape.groups,
            )
            setattr(made, f"{name}_{kind}_weights", source)
        gates[name] = oracle.Gate(slots["input"], bias, oracle.Neuron(int(neuron), 1.0, 1.0), slots["recurrent"])
    return made, oracle.LSTM(inputs=shape.inputs, outputs=shape.outputs, float32_weights=True, **gates)


def frames(shape: Shape, steps: int = 3) -> np.ndarray:
    size = (steps, shape.images, shape.height, shape.width, shape.inputs)
    return np.random.default_rng(1).standard_normal(size).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_is_within_its_bound(each_build: mps.MTLDevice, shape: Shape) -> None:
    descriptor, cell = lstm(shape)
    x = frames(shape)
    found = mps.MPSRNNImageInferenceLayer(each_build, descriptor).predict(x)
    state = cell.zero_state(shape.images, shape.height, shape.width)
    for t, output in enumerate(found):
        state = cell.step(oracle.Bounded.exact(x[t]), state)
        oracle.assert_close(output, state.h, f"output {t}")


@pytest.mark.parametrize(
    "shape", [Shape(3, 24, (3, 3), 37, 41), Shape(3, 24, (5, 5), 19, 40), Shape(3, 24, (7, 1), 29, 60)]
)
def test_results_do_not_depend_on_the_number_of_threads(each_build: mps.MTLDevice, shape: Shape) -> None:
    layer = mps.MPSRNNImageInferenceLayer(each_build, lstm(shape)[0])
    x = frames(shape)
    results = []
    for each_build.number_of_threads in (1, 2, 3, 5):
        results.append(layer.predict(x).view(np.uint32))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_saturated_gates_and_large_memories_are_exact(each_build: mps.MTLDevice) -> None:
    """Arguments of the usual LSTM beyond those for which it takes products of denominators."""
    shape = Shape(4, 16, (1, 1), 1, 41)
    descriptor, cell = lstm(shape)
    x = np.repeat(np.linspace(-120.0, 120.0, shape.width, dtype=np.float32), 4).reshape(1, 1, 1, shape.width, 4)
    x = np.concatenate([x, x[..., ::-1, :] * np.float32(0.25), x])
    found = mps.MPSRNNImageInferenceLayer(each_build, descriptor).predict(x)
    state = cell.zero_state(1, 1, shape.width)
    for t, output in enumerate(found):
        state = cell.step(oracle.Bounded.exact(x[t]), state)
        oracle.assert_close(output, state.h, f"output {t}")
