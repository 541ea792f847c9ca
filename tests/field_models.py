"""Recurrent cells as the field writes them, in plain NumPy: each with its own order of gates and of concatenation.

They share nothing with the package or with the oracle. Weights are those of PyTorch, ``(out, in, height, width)`` with
the gates one after the other, or those of Keras, ``(height, width, in, out)``. Images are ``(N, H, W, C)``, vectors
``(N, C)``; everything is computed in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "conv_same",
    "e2vid_gru",
    "e2vid_lstm",
    "keras_conv_lstm",
    "keras_gru",
    "keras_lstm",
    "ndrplz_lstm",
    "pytorch_lstm",
    "raft_gru",
    "rvm_gru",
    "sigmoid",
]

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + np.exp(-x))


def conv_same(image: Array, weights: Array, bias: Array | float = 0.0) -> Array:
    """Cross-correlate with an odd kernel of PyTorch's layout, with as many zeros around as keep the size."""
    height, width = weights.shape[2:]
    y, x = height // 2, width // 2
    padded = np.pad(np.asarray(image, np.float64), ((0, 0), (y, y), (x, x), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))
    return np.einsum("nhwcij,ocij->nhwo", windows, np.asarray(weights, np.float64)) + bias


def raft_gru(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """RAFT's ConvGRU: h before x in every concatenation, three convolutions."""
    h = np.zeros((*xs.shape[1:4], hidden))
    outputs = []
    for x in xs:
        hx = np.concatenate([h, x], -1)
        z = sigmoid(conv_same(hx, weights["convz"], weights["bz"]))
        r = sigmoid(conv_same(hx, weights["convr"], weights["br"]))
        q = np.tanh(conv_same(np.concatenate([r * h, x], -1), weights["convq"], weights["bq"]))
        h = (1 - z) * h + z * q
        outputs.append(h)
    return outputs


def rvm_gru(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """Robust Video Matting's ConvGRU: x before h; one convolution for both gates, reset first."""
    h = np.zeros((*xs.shape[1:4], hidden))
    outputs = []
    for x in xs:
        both = sigmoid(conv_same(np.concatenate([x, h], -1), weights["ih"], weights["b_ih"]))
        r, z = np.split(both, 2, -1)
        c = np.tanh(conv_same(np.concatenate([x, r * h], -1), weights["hh"], weights["b_hh"]))
        h = (1 - z) * h + z * c
        outputs.append(h)
    return outputs


def e2vid_gru(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """E2VID's ConvGRU: x before h, three convolutions."""
    h = np.zeros((*xs.shape[1:4], hidden))
    outputs = []
    for x in xs:
        stacked = np.concatenate([x, h], -1)
        update = sigmoid(conv_same(stacked, weights["update"], weights["bu"]))
        reset = sigmoid(conv_same(stacked, weights["reset"], weights["br"]))
        out = np.tanh(conv_same(np.concatenate([x, h * reset], -1), weights["out"], weights["bo"]))
        h = h * (1 - update) + out * update
        outputs.append(h)
    return outputs


def _fused_lstm(xs: Array, weights: Array, bias: Array, hidden: int) -> list[Array]:
    """One convolution over x and h for all gates, in the order input, forget, output, cell."""
    h = c = np.zeros((*xs.shape[1:4], hidden))
    outputs = []
    for x in xs:
        i, f, o, g = np.split(conv_same(np.concatenate([x, h], -1), weights, bias), 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return outputs


def e2vid_lstm(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """E2VID's ConvLSTM: in, remember, out and cell gates of one convolution."""
    return _fused_lstm(xs, weights["gates"], weights["bias"], hidden)


def ndrplz_lstm(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """The ConvLSTM of ndrplz/ConvLSTM_pytorch: i, f, o, g of one convolution."""
    return _fused_lstm(xs, weights["conv"], weights["bias"], hidden)


def keras_conv_lstm(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """Keras' ConvLSTM2D with padding "same": gates i, f, c, o."""
    kernel, recurrent = (weights[name].transpose(3, 2, 0, 1) for name in ("kernel", "recurrent_kernel"))
    h = c = np.zeros((*xs.shape[1:4], hidden))
    outputs = []
    for x in xs:
        i, f, g, o = np.split(conv_same(x, kernel, weights["bias"]) + conv_same(h, recurrent), 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return outputs


def keras_lstm(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """Keras' LSTM over vectors: gates i, f, c, o."""
    h = c = np.zeros((xs.shape[1], hidden))
    outputs = []
    for x in xs:
        i, f, g, o = np.split(x @ weights["kernel"] + h @ weights["recurrent_kernel"] + weights["bias"], 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return outputs


def keras_gru(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """Keras' GRU with reset_after=False over vectors: gates z, r, h; the new state is the one that z keeps out."""
    (wz, wr, wh), (uz, ur, uh) = (np.split(weights[name], 3, -1) for name in ("kernel", "recurrent_kernel"))
    bz, br, bh = np.split(weights["bias"], 3)
    h = np.zeros((xs.shape[1], hidden))
    outputs = []
    for x in xs:
        z = sigmoid(x @ wz + h @ uz + bz)
        r = sigmoid(x @ wr + h @ ur + br)
        h = z * h + (1 - z) * np.tanh(x @ wh + (r * h) @ uh + bh)
        outputs.append(h)
    return outputs


def pytorch_lstm(xs: Array, weights: dict[str, Array], hidden: int) -> list[Array]:
    """PyTorch's nn.LSTM of one layer over vectors: gates i, f, g, o, and two biases."""
    h = c = np.zeros((xs.shape[1], hidden))
    outputs = []
    for x in xs:
        sums = x @ weights["weight_ih"].T + weights["bias_ih"] + h @ weights["weight_hh"].T + weights["bias_hh"]
        i, f, g, o = np.split(sums, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return outputs
