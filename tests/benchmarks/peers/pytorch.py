"""PyTorch: its own LSTM and GRU, and convolutional cells written with its functions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from ..contender import Contender
from ..workloads import ImageWorkload, MatrixWorkload, Workload

NAME = "PyTorch"
REQUIRED = True


class ConvolutionalCell(nn.Module):
    """A ConvLSTM or ConvGRU over frames (time, batch, channels, height, width)."""

    def __init__(self, workload: ImageWorkload) -> None:
        super().__init__()
        parameters = workload.data.cells[0]
        joined = np.concatenate([parameters.input, parameters.recurrent], axis=-1)
        self.is_lstm = workload.is_lstm
        # What lies around the pixels: left and right, then above and below, as `pad` takes it.
        height, width = workload.kernel
        self.around = (width // 2, (width - 1) // 2, height // 2, (height - 1) // 2)
        # Gates that read the same pixels are one convolution: all of an LSTM, and two of a GRU.
        together = len(workload.gates) if self.is_lstm else 2
        for name, part in (("first", slice(together)), ("second", slice(together, None))):
            weights = torch.from_numpy(joined[part]).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
            self.register_buffer(name, weights)
            self.register_buffer(f"{name}_bias", torch.from_numpy(parameters.bias[part].ravel().copy()))

    def convolve(self, x: Tensor, h: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        pixels = torch.cat([x, h], 1)
        left, right, above, below = self.around
        if (left, above) != (right, below):
            return conv2d(pad(pixels, self.around), weights, bias)
        return conv2d(pixels, weights, bias, padding=(above, left))

    def forward(self, frames: Tensor, h: Tensor, c: Tensor) -> Tensor:
        hidden = []
        for x in frames:
            if self.is_lstm:
                i, f, g, o = self.convolve(x, h, self.first, self.first_bias).chunk(4, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
            else:
                z, r = self.convolve(x, h, self.first, self.first_bias).sigmoid().chunk(2, 1)
                n = self.convolve(x, r * h, self.second, self.second_bias).tanh()
                h = (1 - z) * n + z * h
            hidden.append(h)
        return torch.stack(hidden)


def prepare(workload: Workload, threads: int) -> Iterator[Contender]:
    torch.set_num_threads(threads)
    if isinstance(workload, ImageWorkload):
        yield _eager(workload)
        yield _traced(workload)
    else:
        assert isinstance(workload, MatrixWorkload)
        yield _sequence(workload)


def _contender(
    variant: str, module: nn.Module, arguments: tuple[Tensor, ...], is_image: bool, **more: bool
) -> Contender:
    made: list[Tensor] = []

    def run() -> None:
        with torch.inference_mode():
            made[:] = [module(*arguments)]

    def outputs() -> NDArray[np.float32]:
        result = made[0][0] if isinstance(made[0], tuple) else made[0]
        return (result.permute(0, 1, 3, 4, 2) if is_image else result).numpy()

    return Contender(NAME, variant, torch.__version__, run, outputs, **more)


def _arguments(workload: ImageWorkload) -> tuple[Tensor, Tensor, Tensor]:
    """Frames and the state, which are arguments so that no optimiser takes the first step's zeros for constants."""
    frames = torch.from_numpy(workload.data.x).permute(0, 1, 4, 2, 3)
    zeros = torch.zeros(workload.batch, workload.outputs, *workload.extent)
    return frames, zeros, zeros.clone()


def _eager(workload: ImageWorkload) -> Contender:
    module = ConvolutionalCell(workload).eval()
    for name in ("first", "second"):
        weights = getattr(module, name)
        setattr(module, name, weights.to(memory_format=torch.channels_last))
    frames, *states = _arguments(workload)
    states = [state.to(memory_format=torch.channels_last) for state in states]
    return _contender("eager, channels last", module, (frames, *states), True)


def _traced(workload: ImageWorkload) -> Contender:
    """Traced, frozen and optimised: weights and activations in oneDNN's blocked layouts."""
    frames, *states = _arguments(workload)
    arguments = (frames.contiguous(), *states)
    with torch.inference_mode(), warnings.catch_warnings():
        # It has been announced that these will go; the replacement compiles for minutes.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(ConvolutionalCell(workload).eval(), arguments, check_trace=False)
        module = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        for _ in range(2):
            module(*arguments)
    return _contender("traced", module, arguments, True)


def _sequence(workload: MatrixWorkload) -> Contender:
    """Its LSTM, or its GRU, which is the one with the reset after the product."""
    kind = nn.LSTM if workload.is_lstm else nn.GRU
    module = kind(workload.inputs, workload.outputs, workload.layers, bidirectional=workload.bidirectional)
    # PyTorch's order of gates is i, f, g, o and r, z, n.
    order = list(range(4)) if workload.is_lstm else [1, 0, 2]
    for tensors, cell in zip(module.all_weights, workload.data.cells, strict=True):
        w, u, bias = (torch.from_numpy(array[order]).flatten(0, 1) for array in cell)
        for tensor, values in zip(tensors, (w, u, bias, torch.zeros_like(bias)), strict=True):
            tensor.data.copy_(values)
    x = torch.from_numpy(workload.data.x)
    return _contender("", module.eval(), (x,), False, reset_after=not workload.is_lstm)
