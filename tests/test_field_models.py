"""Cells of the field that are Apple's exactly, once their gates are told apart: both compute the same."""

from __future__ import annotations

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from field_weights import MODELS, Model, half

INPUTS, HIDDEN, STEPS = 3, 5, 4

IMAGES = {name: model for name, model in MODELS.items() if model.is_image}
VECTORS = {name: model for name, model in MODELS.items() if not model.is_image}


def weights_of(model: Model, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: half(rng, shape) for name, shape in model.shapes(INPUTS, HIDDEN).items()}


def hold(outputs: np.ndarray, model: Model, weights: dict[str, np.ndarray], xs: np.ndarray) -> None:
    """Hold a layer's outputs against the model's, within the bound of the oracle for the same cell."""
    cell = model.cell(weights, INPUTS, HIDDEN)
    theirs = model.run(xs.astype(np.float64), weights, HIDDEN)
    images = xs if model.is_image else xs[:, :, None, None]
    bounds = oracle.run([cell], images).outputs
    for t, (ours, exact, bounded) in enumerate(zip(outputs, theirs, bounds, strict=True)):
        oracle.assert_close(ours, oracle.Bounded(exact, bounded.err.reshape(exact.shape)), f"output {t}")


@pytest.mark.parametrize("model", IMAGES.values(), ids=IMAGES)
def test_image_layer(device: mps.MTLDevice, model: Model) -> None:
    rng = np.random.default_rng(40)
    weights = weights_of(model, rng)
    xs = rng.standard_normal((STEPS, 2, 6, 7, INPUTS)).astype(np.float32)
    layer = conversion.layer(device, [model.cell(weights, INPUTS, HIDDEN)])
    hold(layer.predict(xs), model, weights, xs)


@pytest.mark.parametrize("model", VECTORS.values(), ids=VECTORS)
def test_image_layer_over_single_pixels(device: mps.MTLDevice, model: Model) -> None:
    rng = np.random.default_rng(41)
    weights = weights_of(model, rng)
    xs = rng.standard_normal((STEPS, 3, INPUTS)).astype(np.float32)
    layer = conversion.layer(device, [model.cell(weights, INPUTS, HIDDEN)])
    hold(layer.predict(xs[:, :, None, None])[:, :, 0, 0], model, weights, xs)


@pytest.mark.parametrize("model", VECTORS.values(), ids=VECTORS)
def test_matrix_layer(device: mps.MTLDevice, model: Model) -> None:
    rng = np.random.default_rng(43)
    weights = weights_of(model, rng)
    xs = rng.standard_normal((STEPS, 3, INPUTS)).astype(np.float32)
    descriptor = conversion.descriptor(model.cell(weights, INPUTS, HIDDEN))
    hold(mps.MPSRNNMatrixInferenceLayer(device, descriptor).predict(xs), model, weights, xs)


@pytest.mark.parametrize("model", [MODELS["RAFT ConvGRU"]], ids=["RAFT ConvGRU"])
def test_without_the_flip_it_is_another(device: mps.MTLDevice, model: Model) -> None:
    rng = np.random.default_rng(42)
    weights = weights_of(model, rng)
    xs = rng.standard_normal((STEPS, 1, 4, 4, INPUTS)).astype(np.float32)
    descriptor = conversion.descriptor(model.cell(weights, INPUTS, HIDDEN))
    assert isinstance(descriptor, mps.MPSGRUDescriptor)
    descriptor.flip_output_gates = False
    outputs = mps.MPSRNNImageInferenceLayer(device, descriptor).predict(xs)
    with pytest.raises(AssertionError, match="times the bound"):
        hold(outputs, model, weights, xs)
