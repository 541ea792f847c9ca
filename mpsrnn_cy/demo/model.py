"""The forecasting network: trained weights in, one layer object that runs the whole stack out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors import safe_open

import mpsrnn_cy as mps

WEIGHTS = Path(__file__).with_name("weights.safetensors")
"""The trained weights that come with the package; :mod:`mpsrnn_cy.demo.train` writes this file."""

GATES = ("input", "forget", "cell", "output")
"""The gates of an LSTM, as the names in the weights file begin."""

Tensors = Mapping[str, np.ndarray]


def load_layer(device: mps.MTLDevice, weights: Path = WEIGHTS) -> mps.MPSRNNImageInferenceLayer:
    """Build the stack that a weights file describes.

    The file lists its layers, bottom first, in the metadata entry ``network``, and names its tensors by layer, gate and
    slot, such as ``0.forget_gate.recurrent_weights``.
    """
    with safe_open(weights, framework="numpy") as file:
        kinds = json.loads(file.metadata()["network"])["layers"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    descriptors = [_DESCRIBE[kind](tensors, f"{layer}.") for layer, kind in enumerate(kinds)]
    return mps.MPSRNNImageInferenceLayer(device, descriptors)


def _lstm(tensors: Tensors, layer: str) -> mps.MPSLSTMDescriptor:
    """Describe a convolutional LSTM: every gate sees the input and the last output."""
    outputs, *_, inputs = tensors[f"{layer}input_gate.input_weights"].shape
    descriptor = mps.MPSLSTMDescriptor.create_lstm_descriptor(
        with_input_feature_channels=inputs, output_feature_channels=outputs
    )
    for gate in GATES:
        slot = f"{layer}{gate}_gate."
        neuron = mps.MPSCNNNeuronType.TANH if gate == "cell" else mps.MPSCNNNeuronType.SIGMOID
        # A gate takes its bias and its activation from the input weights alone.
        input_weights = mps.ArrayDataSource(
            tensors[f"{slot}input_weights"],
            bias=tensors[f"{slot}bias"],
            neuron=mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(neuron),
        )
        recurrent_weights = mps.ArrayDataSource(tensors[f"{slot}recurrent_weights"])
        setattr(descriptor, f"{gate}_gate_input_weights", input_weights)
        setattr(descriptor, f"{gate}_gate_recurrent_weights", recurrent_weights)
    return descriptor


def _readout(tensors: Tensors, layer: str) -> mps.MPSRNNSingleGateDescriptor:
    """Describe a single gate without recurrence, which is a plain convolution: it turns features into a frame."""
    weights = tensors[f"{layer}input_weights"]
    outputs, *_, inputs = weights.shape
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(
        with_input_feature_channels=inputs, output_feature_channels=outputs
    )
    sigmoid = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(mps.MPSCNNNeuronType.SIGMOID)
    descriptor.input_weights = mps.ArrayDataSource(weights, bias=tensors[f"{layer}bias"], neuron=sigmoid)
    return descriptor


_DESCRIBE: Mapping[str, Callable[[Tensors, str], mps.MPSRNNDescriptor]] = {"lstm": _lstm, "readout": _readout}
