"""The package's own contenders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import conversion
import mpsrnn_cy as mps
import oracle

from .contender import OURS, Contender
from .workloads import ImageWorkload, MatrixWorkload, Parameters, Workload

SIGMOID = oracle.Neuron(oracle.NeuronType.SIGMOID)
TANH = oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)

# Gates by the letters of `workloads.GATES`.
_LSTM = {"i": ("input_gate", SIGMOID), "f": ("forget_gate", SIGMOID), "g": ("cell_gate", TANH)}
_LSTM["o"] = ("output_gate", SIGMOID)
_GRU = {"z": ("input_gate", SIGMOID), "r": ("recurrent_gate", SIGMOID), "n": ("output_gate", TANH)}

Encode = Callable[[mps.MTLCommandBuffer], None]


def cell(workload: Workload, parameters: Parameters, float32_weights: bool) -> oracle.Cell:
    """A cell as the oracle and the package know it."""
    names = _LSTM if workload.is_lstm else _GRU
    gates = {}
    for letter, w, u, bias in zip(workload.gates, *parameters, strict=True):
        name, neuron = names[letter]
        window = workload.window or (1, 1)
        input_slot, recurrent_slot = (
            oracle.Slot(array.reshape(workload.outputs, *window, array.shape[-1])) for array in (w, u)
        )
        gates[name] = oracle.Gate(input_slot, bias, neuron, recurrent_slot)
    kind = oracle.LSTM if workload.is_lstm else oracle.GRU
    channels = {"inputs": parameters.input.shape[-1], "outputs": workload.outputs}
    return kind(**channels, float32_weights=float32_weights, **gates)


def has_bfloat16_products() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    path = Path("/proc/cpuinfo")
    return path.exists() and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(path.read_text().split()))


def prepare(workload: Workload, device: mps.MTLDevice, with_predict: bool = True) -> Iterator[Contender]:
    """What the package has to offer: images and matrices prepared, one command buffer a run; `predict` besides."""
    if isinstance(workload, ImageWorkload):
        yield _images(workload, device)
        if with_predict:
            layer = conversion.layer(device, [cell(workload, workload.data.cells[0], False)])
            yield _predict(workload, layer, "")
        return
    assert isinstance(workload, MatrixWorkload)
    yield from _matrices(workload, device, "half weights", with_predict)
    yield from _matrices(workload, device, "float32 weights", with_predict, float32_weights=True)
    if workload.batch >= 32 and has_bfloat16_products():
        yield from _matrices(workload, device, "reduced precision", with_predict, reduced=True)


def _contender(
    device: mps.MTLDevice,
    variant: str,
    encode: Encode,
    outputs: Callable[[], NDArray[np.floating]],
    reduced: bool = False,
) -> Contender:
    queue = device.make_command_queue()

    def run() -> None:
        command_buffer = queue.make_command_buffer()
        encode(command_buffer)
        command_buffer.commit()
        command_buffer.wait_until_completed()

    return Contender(OURS, variant, mps.__version__, run, outputs, reduced)


def _images(workload: ImageWorkload, device: mps.MTLDevice) -> Contender:
    layer = conversion.layer(device, [cell(workload, workload.data.cells[0], False)])
    blank = np.zeros((workload.batch, *workload.extent, workload.outputs), np.float32)
    sources = [mps.MPSImage.from_numpy(device, frame) for frame in workload.data.x]
    destinations = [mps.MPSImage.from_numpy(device, blank) for _ in sources]

    def encode(command_buffer: mps.MTLCommandBuffer) -> None:
        layer.encode_sequence(command_buffer, sources, destinations)

    return _contender(device, "", encode, lambda: np.stack([conversion.batched(image) for image in destinations]))


def _matrices(
    workload: MatrixWorkload,
    device: mps.MTLDevice,
    variant: str,
    with_predict: bool,
    float32_weights: bool = False,
    reduced: bool = False,
) -> Iterator[Contender]:
    cells = [cell(workload, parameters, float32_weights) for parameters in workload.data.cells]
    backward = [False, True] if workload.bidirectional else [False]
    stages = []
    source = sources = [mps.MPSMatrix.from_numpy(device, rows) for rows in workload.data.x]
    for first in range(0, len(cells), workload.directions):
        layer = conversion.matrix_layer(device, cells[first : first + workload.directions], backward)
        if reduced:
            layer.options = mps.MPSKernelOptions.ALLOW_REDUCED_PRECISION
        if workload.bidirectional:
            layer.bidirectional_combine_mode = mps.MPSRNNBidirectionalCombineMode.CONCATENATE
        blank = np.zeros((workload.batch, workload.outputs * workload.directions), np.float32)
        made = [mps.MPSMatrix.from_numpy(device, blank) for _ in sources]
        encode_layer = layer.encode_bidirectional_sequence if workload.bidirectional else layer.encode_sequence
        stages.append((encode_layer, source, made))
        source = made

    def encode(command_buffer: mps.MTLCommandBuffer) -> None:
        for encode_layer, read, written in stages:
            encode_layer(command_buffer, read, written)

    yield _contender(device, variant, encode, lambda: np.stack([rows.to_numpy() for rows in source]), reduced)
    if with_predict and len(cells) == 1:
        yield _predict(workload, layer, variant, reduced)


def _predict(
    workload: Workload,
    layer: mps.MPSRNNImageInferenceLayer | mps.MPSRNNMatrixInferenceLayer,
    variant: str,
    reduced: bool = False,
) -> Contender:
    """From NumPy to NumPy: copies in and out are part of it."""
    found: list[NDArray[np.float32]] = []

    def run() -> None:
        found[:] = [layer.predict(workload.data.x)]

    return Contender(OURS, variant, mps.__version__, run, lambda: found[0], reduced, call="predict")
