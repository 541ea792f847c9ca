"""PyTorch as an outside judge: the same ConvLSTM and ConvGRU built from its conv2d."""

from __future__ import annotations

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from image_stacks import gate

torch = pytest.importorskip("torch", reason="the judges extra is not installed")

SIGMOID = oracle.Neuron(oracle.NeuronType.SIGMOID)
TANH = oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)


def conv(slot: oracle.Slot, image: torch.Tensor) -> torch.Tensor:
    """PyTorch's convolution of (N, C, H, W), with weights rounded to half as the layer rounds them."""
    weights = torch.from_numpy(slot.weights.astype(np.float16).astype(np.float32)).permute(0, 3, 1, 2)
    return torch.nn.functional.conv2d(image, weights, padding="same")


def gate_sum(g: oracle.Gate, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    return conv(g.input, x) + conv(g.recurrent, h) + torch.from_numpy(g.bias)[:, None, None]


def convlstm(cell: oracle.LSTM, sequence: torch.Tensor) -> torch.Tensor:
    h = c = torch.zeros(*sequence.shape[1:2], cell.outputs, *sequence.shape[3:])
    outputs = []
    for x in sequence:
        i = torch.sigmoid(gate_sum(cell.input_gate, x, h))
        f = torch.sigmoid(gate_sum(cell.forget_gate, x, h))
        g = torch.tanh(gate_sum(cell.cell_gate, x, h))
        o = torch.sigmoid(gate_sum(cell.output_gate, x, h))
        c = f * c + i * g
        h = o * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs)


def convgru(cell: oracle.GRU, sequence: torch.Tensor) -> torch.Tensor:
    """Reset before the product, the new state weighted by z: what the optical-flow networks use."""
    h = torch.zeros(*sequence.shape[1:2], cell.outputs, *sequence.shape[3:])
    outputs = []
    for x in sequence:
        z = torch.sigmoid(gate_sum(cell.input_gate, x, h))
        r = torch.sigmoid(gate_sum(cell.recurrent_gate, x, h))
        q = torch.tanh(gate_sum(cell.output_gate, x, r * h))
        h = (1 - z) * h + z * q
        outputs.append(h)
    return torch.stack(outputs)


def judge(device: mps.MTLDevice, cell: oracle.Cell, model, x: np.ndarray) -> None:
    """Both sides are float32, so each may be off from the truth by the oracle's bound."""
    ours = conversion.layer(device, [cell]).predict(x)
    sequence = torch.from_numpy(x).permute(0, 1, 4, 2, 3)
    theirs = model(cell, sequence).permute(0, 1, 3, 4, 2).numpy()
    expected = oracle.run([cell], x)
    for t, bounded in enumerate(expected.outputs):
        oracle.assert_close(theirs[t], bounded, f"PyTorch's output {t}")
        assert (np.abs(ours[t] - theirs[t]) <= 2.0 * bounded.err).all()


@pytest.mark.parametrize("extent", [(1, 8, 8), (2, 9, 13)])
def test_convlstm(each_build: mps.MTLDevice, extent: tuple[int, ...]) -> None:
    rng = np.random.default_rng(20)
    gates = [gate(rng, 3, 6, neuron) for neuron in (SIGMOID, SIGMOID, TANH, SIGMOID)]
    cell = oracle.LSTM(
        inputs=3, outputs=6, input_gate=gates[0], forget_gate=gates[1], cell_gate=gates[2], output_gate=gates[3]
    )
    judge(each_build, cell, convlstm, rng.standard_normal((3, *extent, 3)).astype(np.float32))


@pytest.mark.parametrize("extent", [(1, 8, 8), (2, 9, 13)])
def test_convgru(each_build: mps.MTLDevice, extent: tuple[int, ...]) -> None:
    rng = np.random.default_rng(21)
    gates = [gate(rng, 3, 6, neuron) for neuron in (SIGMOID, SIGMOID, TANH)]
    cell = oracle.GRU(
        inputs=3, outputs=6, input_gate=gates[0], recurrent_gate=gates[1], output_gate=gates[2], flip=True
    )
    judge(each_build, cell, convgru, rng.standard_normal((3, *extent, 3)).astype(np.float32))
