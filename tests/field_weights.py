"""Weights for the cells of `field_models`, and how each becomes a cell of Apple's: which slice is which gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import field_models
import oracle

__all__ = ["MODELS", "Model", "half"]

Array = NDArray[Any]

SIGMOID = oracle.Neuron(oracle.NeuronType.SIGMOID)
TANH = oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)


class Model(NamedTuple):
    """A cell of the field.

    Attributes
    ----------
    run
        The function of `field_models`.
    shapes
        Shapes of its weights, by input and hidden channels.
    cell
        What it is in Apple's terms.
    is_image
        Whether it runs over images rather than vectors.
    """

    run: Callable[[Array, dict[str, Array], int], list[Array]]
    shapes: Callable[[int, int], dict[str, tuple[int, ...]]]
    cell: Callable[[dict[str, Array], int, int], oracle.Cell]
    is_image: bool = True


def half(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers that float16 has, so that a layer keeps them as they are; small enough for gates to stay open."""
    fan = max(1, int(np.prod(shape[1:])))
    return (rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float16).astype(np.float32)


def _slot(weights: Array) -> oracle.Slot:
    """From PyTorch's (out, in, height, width), or a matrix (out, in), to (out, height, width, in)."""
    if weights.ndim == 2:
        weights = weights[:, :, None, None]
    return oracle.Slot(np.ascontiguousarray(weights.transpose(0, 2, 3, 1)))


def _gate(w: Array, u: Array, bias: Array, neuron: oracle.Neuron) -> oracle.Gate:
    return oracle.Gate(_slot(w), np.asarray(bias, np.float32), neuron, _slot(u))


def _gru(i: int, o: int, gates: dict[str, tuple[Array, Array, Array]], flip: bool) -> oracle.Cell:
    """From (W, U, b) of z, r and h."""
    return oracle.GRU(
        inputs=i,
        outputs=o,
        input_gate=_gate(*gates["z"], SIGMOID),
        recurrent_gate=_gate(*gates["r"], SIGMOID),
        output_gate=_gate(*gates["h"], TANH),
        flip=flip,
    )


def _lstm(i: int, o: int, gates: dict[str, tuple[Array, Array, Array]]) -> oracle.Cell:
    """From (W, U, b) of i, f, g and o."""
    return oracle.LSTM(
        inputs=i,
        outputs=o,
        input_gate=_gate(*gates["i"], SIGMOID),
        forget_gate=_gate(*gates["f"], SIGMOID),
        cell_gate=_gate(*gates["g"], TANH),
        output_gate=_gate(*gates["o"], SIGMOID),
    )


def _raft(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
    """The first channels of every convolution read h."""
    names = {"z": ("convz", "bz"), "r": ("convr", "br"), "h": ("convq", "bq")}
    return _gru(i, o, {gate: (w[c][:, o:], w[c][:, :o], w[b]) for gate, (c, b) in names.items()}, flip=True)


def _rvm(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
    """The first half of the fused convolution is the reset gate."""
    r, z = slice(0, o), slice(o, 2 * o)
    gates = {name: (w["ih"][part, :i], w["ih"][part, i:], w["b_ih"][part]) for name, part in (("r", r), ("z", z))}
    return _gru(i, o, {**gates, "h": (w["hh"][:, :i], w["hh"][:, i:], w["b_hh"])}, flip=True)


def _e2vid(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
    names = {"z": ("update", "bu"), "r": ("reset", "br"), "h": ("out", "bo")}
    return _gru(i, o, {gate: (w[c][:, :i], w[c][:, i:], w[b]) for gate, (c, b) in names.items()}, flip=True)


def _fused(weights: Array, recurrent: Array, bias: Array, order: str) -> dict[str, tuple[Array, Array, Array]]:
    """The gates of weights that have them one after the other along the first axis."""
    parts = [np.split(array, len(order)) for array in (weights, recurrent, bias)]
    return {gate: (w, u, b) for gate, w, u, b in zip(order, *parts, strict=True)}


def _convolved(name: str) -> Callable[[dict[str, Array], int, int], oracle.Cell]:
    def cell(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
        return _lstm(i, o, _fused(w[name][:, :i], w[name][:, i:], w["bias"], "ifog"))

    return cell


def _keras_conv_lstm(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
    kernel, recurrent = (w[name].transpose(3, 2, 0, 1) for name in ("kernel", "recurrent_kernel"))
    return _lstm(i, o, _fused(kernel, recurrent, w["bias"], "ifgo"))


def _keras_lstm(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
    return _lstm(i, o, _fused(w["kernel"].T, w["recurrent_kernel"].T, w["bias"], "ifgo"))


def _keras_gru(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
    return _gru(i, o, _fused(w["kernel"].T, w["recurrent_kernel"].T, w["bias"], "zrh"), flip=False)


def _pytorch_lstm(w: dict[str, Array], i: int, o: int) -> oracle.Cell:
    """Both biases, summed; in the framework's order i, f, g, o."""
    return _lstm(i, o, _fused(w["weight_ih"], w["weight_hh"], w["bias_ih"] + w["bias_hh"], "ifgo"))


def _three(*names: str) -> Callable[[int, int], dict[str, tuple[int, ...]]]:
    convolutions, biases = names[:3], names[3:]
    return lambda i, o: {**dict.fromkeys(convolutions, (o, i + o, 3, 3)), **dict.fromkeys(biases, (o,))}


def _vectors(gates: int) -> Callable[[int, int], dict[str, tuple[int, ...]]]:
    return lambda i, o: {"kernel": (i, gates * o), "recurrent_kernel": (o, gates * o), "bias": (gates * o,)}


MODELS: dict[str, Model] = {
    "RAFT ConvGRU": Model(field_models.raft_gru, _three("convz", "convr", "convq", "bz", "br", "bq"), _raft),
    "RVM ConvGRU": Model(
        field_models.rvm_gru,
        lambda i, o: {"ih": (2 * o, i + o, 3, 3), "b_ih": (2 * o,), "hh": (o, i + o, 3, 3), "b_hh": (o,)},
        _rvm,
    ),
    "E2VID ConvGRU": Model(field_models.e2vid_gru, _three("update", "reset", "out", "bu", "br", "bo"), _e2vid),
    "E2VID ConvLSTM": Model(
        field_models.e2vid_lstm,
        lambda i, o: {"gates": (4 * o, i + o, 3, 3), "bias": (4 * o,)},
        _convolved("gates"),
    ),
    "ndrplz ConvLSTM": Model(
        field_models.ndrplz_lstm,
        lambda i, o: {"conv": (4 * o, i + o, 5, 5), "bias": (4 * o,)},
        _convolved("conv"),
    ),
    "Keras ConvLSTM2D": Model(
        field_models.keras_conv_lstm,
        lambda i, o: {"kernel": (3, 3, i, 4 * o), "recurrent_kernel": (3, 3, o, 4 * o), "bias": (4 * o,)},
        _keras_conv_lstm,
    ),
    "Keras LSTM": Model(field_models.keras_lstm, _vectors(4), _keras_lstm, is_image=False),
    "Keras GRU": Model(field_models.keras_gru, _vectors(3), _keras_gru, is_image=False),
    "PyTorch LSTM": Model(
        field_models.pytorch_lstm,
        lambda i, o: {"weight_ih": (4 * o, i), "weight_hh": (4 * o, o), "bias_ih": (4 * o,), "bias_hh": (4 * o,)},
        _pytorch_lstm,
        is_image=False,
    ),
}
