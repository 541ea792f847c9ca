"""A NaN in the input is data, not an error: it reaches what depends on it and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mpsrnn_cy as mps

INPUTS, OUTPUTS = 5, 6
STEPS, BATCH, HEIGHT, WIDTH = 3, 3, 13, 15
Y, X = 6, 7


def source(rng: np.random.Generator, inputs: int, neuron: mps.MPSCNNNeuronType) -> mps.ArrayDataSource:
    """Taps of 3 x 3 pixels, none of them zero."""
    weights = rng.uniform(0.1, 0.2, (OUTPUTS, 3, 3, inputs)) * rng.choice([-1.0, 1.0], (OUTPUTS, 3, 3, inputs))
    return mps.ArrayDataSource(
        weights.astype(np.float32), neuron=mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(neuron)
    )


def with_weights(made: mps.MPSRNNDescriptor, last_neuron: mps.MPSCNNNeuronType) -> mps.MPSRNNDescriptor:
    rng = np.random.default_rng(0)
    for gate in made.GATES:
        neuron = last_neuron if gate is made.GATES[-1] else mps.MPSCNNNeuronType.SIGMOID
        setattr(made, gate.input_weights, source(rng, INPUTS, neuron))
        setattr(made, gate.recurrent_weights, source(rng, OUTPUTS, neuron))
    return made


Neuron = mps.MPSCNNNeuronType
# What is made, and how far a NaN gets in one step: a GRU convolves h for r, and then r * h for the candidate.
CELLS: dict[str, tuple[Callable[[], mps.MPSRNNDescriptor], int]] = {
    "single gate": (
        lambda: with_weights(
            mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(INPUTS, OUTPUTS), Neuron.TANH
        ),
        1,
    ),
    "gru": (lambda: with_weights(mps.MPSGRUDescriptor.create_gru_descriptor(INPUTS, OUTPUTS), Neuron.TANH), 2),
    "lstm": (lambda: with_weights(mps.MPSLSTMDescriptor.create_lstm_descriptor(INPUTS, OUTPUTS), Neuron.SIGMOID), 1),
}


@pytest.mark.parametrize(("make", "reach"), CELLS.values(), ids=CELLS)
def test_nan_stays_in_its_image_and_receptive_field(
    each_build: mps.MTLDevice, make: Callable[[], mps.MPSRNNDescriptor], reach: int
) -> None:
    layer = mps.MPSRNNImageInferenceLayer(each_build, make())
    x = np.random.default_rng(1).uniform(-1.0, 1.0, (STEPS, BATCH, HEIGHT, WIDTH, INPUTS)).astype(np.float32)
    clean = layer.predict(x)
    assert np.isfinite(clean).all()
    x[0, 1, Y, X, 4] = np.nan
    found = layer.predict(x)
    expected = clean.copy()
    for t in range(STEPS):
        radius = 1 + t * reach
        expected[t, 1, Y - radius : Y + radius + 1, X - radius : X + radius + 1] = np.nan
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.isfinite(found[~np.isnan(expected)]).all()
    # Its neighbours may be computed another way, and round another way; other images of the batch may not.
    np.testing.assert_array_equal(found[:, ::2], clean[:, ::2])
    # A layer has no memory of its own that could keep it.
    x[0, 1, Y, X, 4] = 0.0
    assert np.isfinite(layer.predict(x)).all()
