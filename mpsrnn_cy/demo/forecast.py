"""Observe, then forecast: each predicted frame is fed back, and the recurrent state carries the motion."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import mpsrnn_cy as mps

from .patches import from_patches, to_patches


def forecast(layer: mps.MPSRNNImageInferenceLayer, observed: np.ndarray, steps: int) -> Iterator[np.ndarray]:
    """Continue observed sequences frame by frame.

    Parameters
    ----------
    layer : MPSRNNImageInferenceLayer
        A stack that predicts from each frame the next one.
    observed : (frames, sequences, height, width, 1) float32 array
        What has been seen; all sequences go through the stack together.
    steps : int
        How many frames to forecast.

    Yields
    ------
    (sequences, height, width, 1) float32 arrays, the first one for the moment after the last observed frame.
    """
    source = to_patches(observed)
    state = None
    for _ in range(steps):
        predictions, state = layer.predict(source, state=state, return_state=True)
        # Of the predictions about observed frames nothing is needed but the state that they left.
        source = predictions[-1:]
        yield from_patches(source[0])


def persistence(observed: np.ndarray, steps: int) -> np.ndarray:
    """Return the forecast that any other has to beat: nothing moves, ``(steps, sequences, height, width, 1)``."""
    return np.repeat(observed[-1:], steps, axis=0)
