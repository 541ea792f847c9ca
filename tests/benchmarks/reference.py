"""The workloads in float64, from the formulae, on NumPy's matrix products: what every result is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .workloads import Parameters, Workload

Float64 = NDArray[np.float64]


def outputs(workload: Workload, reset_after: bool = False) -> Float64:
    """Hidden states of the last layer, with the axes of the data's `x`.

    `reset_after` has the other GRU, whose reset gate comes after the product with the recurrent weights; it has as many
    operations.
    """
    sequence = workload.data.x.astype(np.float64)
    for layer in range(len(workload.data.cells) // workload.directions):
        made = []
        for direction in range(workload.directions):
            cell = workload.data.cells[layer * workload.directions + direction]
            order = slice(None, None, -1 if direction else 1)
            made.append(_run(cell, sequence[order], reset_after)[order])
        sequence = np.concatenate(made, axis=-1)
    return sequence


def _run(cell: Parameters, sequence: Float64, reset_after: bool) -> Float64:
    """One cell over a sequence, from a state of zeros."""
    w, u, bias = (np.asarray(array, np.float64) for array in cell)
    gates, units = bias.shape
    # All gates at once: one product with the input's weights, and one with the recurrent ones.
    w, u = (array.reshape(gates * units, *array.shape[2:]) for array in (w, u))
    h = np.zeros((*sequence.shape[1:-1], units))
    c = np.zeros_like(h)
    hidden = []
    for x in sequence:
        from_input = np.split(_product(x, w) + bias.ravel(), gates, axis=-1)
        if gates == 4:
            i, f, g, o = (a + b for a, b in zip(from_input, np.split(_product(h, u), 4, axis=-1), strict=True))
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        else:
            z, r = np.split(_sigmoid(np.concatenate(from_input[:2], -1) + _product(h, u[: 2 * units])), 2, axis=-1)
            recurrent = r * _product(h, u[2 * units :]) if reset_after else _product(r * h, u[2 * units :])
            h = (1.0 - z) * np.tanh(from_input[2] + recurrent) + z * h
        hidden.append(h)
    return np.stack(hidden)


def _product(x: Float64, weights: Float64) -> Float64:
    """Rows times weights, or images convolved with them."""
    if weights.ndim == 2:
        return x @ weights.T
    outputs_, height, width, _ = weights.shape
    padding = ((0, 0), (height // 2, (height - 1) // 2), (width // 2, (width - 1) // 2), (0, 0))
    around = np.pad(x, padding)
    total = np.zeros((x[..., 0].size, outputs_))
    for row, column in np.ndindex(height, width):
        shifted = around[:, row : row + x.shape[1], column : column + x.shape[2]]
        total += shifted.reshape(-1, x.shape[-1]) @ weights[:, row, column].T
    return total.reshape(*x.shape[:-1], outputs_)


def _sigmoid(x: Float64) -> Float64:
    return 0.5 * np.tanh(0.5 * x) + 0.5
