"""Layers of a few numbers, and data sources that describe unusual convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps

__all__ = [
    "Described",
    "Normalised",
    "each_layer",
    "ended",
    "frames",
    "image_layer",
    "outputs",
    "single",
    "source",
    "temporaries",
]


def source(weights: Any, bias: Any = None, activation: Any = None, **geometry: Any) -> mps.ArrayDataSource:
    array = np.asarray(weights, np.float32)
    shaped = array.reshape(array.shape if array.ndim == 4 else (-1, 1, 1, 1))
    return mps.ArrayDataSource(shaped, None if bias is None else np.asarray(bias, np.float32), activation, **geometry)


def single(inputs: int = 1, outputs: int = 1, **properties: Any) -> mps.MPSRNNSingleGateDescriptor:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(inputs, outputs)
    for name, value in properties.items():
        setattr(descriptor, name, value)
    return descriptor


def image_layer(device: mps.MTLDevice, *descriptors: mps.MPSRNNDescriptor) -> mps.MPSRNNImageInferenceLayer:
    return mps.MPSRNNImageInferenceLayer(device, list(descriptors))


LAYERS = [mps.MPSRNNImageInferenceLayer, mps.MPSRNNMatrixInferenceLayer]
each_layer = pytest.mark.parametrize("layer_type", LAYERS, ids=["image", "matrix"])


def outputs(layer: Any, *values: float) -> list[list[float]]:
    """What a layer of one input channel makes of a sequence of numbers: its output channels at every time step."""
    x = np.array(values, np.float32)[:, None]
    if isinstance(layer, mps.MPSRNNImageInferenceLayer):
        x = x[:, None, None]
    return layer.predict(x).reshape(len(values), -1).tolist()  # type: ignore[no-any-return]


def ended(command: mps.MTLCommandBuffer) -> None:
    command.commit()
    command.wait_until_completed()


def frames(*values: float) -> np.ndarray:
    """One pixel with one channel a time step."""
    return np.array(values, np.float32).reshape(-1, 1, 1, 1)


def temporaries(command: mps.MTLCommandBuffer, layer_type: Any, count: int) -> list[Any]:
    """Temporary images or matrices of one number."""
    if layer_type is mps.MPSRNNImageInferenceLayer:
        described: Any = mps.MPSImageDescriptor(mps.MPSImageFeatureChannelFormat.FLOAT32, 1, 1, 1)
        return [mps.MPSTemporaryImage(command, described) for _ in range(count)]
    described = mps.MPSMatrixDescriptor(rows=1, columns=1, row_bytes=4, data_type=mps.MPSDataType.FLOAT32)
    return [mps.MPSTemporaryMatrix(command, described) for _ in range(count)]


class Described:
    """A source of given weights, and of any description: `ArrayDataSource` only has those that layers take."""

    def __init__(self, inputs: int, outputs: int, weights: Any = 1, **properties: Any) -> None:
        self._weights = np.array(weights, np.float32).reshape(-1)
        self._descriptor = mps.MPSCNNConvolutionDescriptor(1, 1, inputs, outputs)
        for name, value in properties.items():
            setattr(self._descriptor, name, value)

    def data_type(self) -> mps.MPSDataType:
        return mps.MPSDataType.FLOAT32

    def descriptor(self) -> mps.MPSCNNConvolutionDescriptor:
        return self._descriptor

    def weights(self) -> np.ndarray:
        return self._weights

    def bias_terms(self) -> None:
        return None

    def load(self) -> bool:
        return True

    def purge(self) -> None:
        pass

    def label(self) -> None:
        return None


class Normalised(Described):
    """A source of one weight, 1, with a batch normalisation: 4 (x - 3) / sqrt(3 + 1) + 0.5."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        one = {name: np.full(1, value, np.float32) for name, value in (("mean", 3), ("variance", 3), ("gamma", 4))}
        self._descriptor.set_batch_normalization_parameters_for_inference_with_mean(
            **one, beta=np.full(1, 0.5, np.float32), epsilon=1.0
        )
