"""PyTorch's automatic differentiation as an outside judge: of the gradient oracle, and of the training layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import matrix_strategies
import mpsrnn_cy as mps
import oracle
import strategies
from finite_differences import FLOAT64_TO_FLOAT32, Problem, keys
from judging import SIGMOID, TANH, exploring
from training import Passes, Trained, expected, trainable

torch = pytest.importorskip("torch", reason="the judges extra is not installed")

GATES = {
    oracle.SingleGate: ("gate",),
    oracle.GRU: ("input_gate", "recurrent_gate", "output_gate"),
    oracle.LSTM: ("input_gate", "forget_gate", "cell_gate", "output_gate"),
}
# Neurons that PyTorch's layers have; the candidate's by name.
CANDIDATES = {"gate", "cell_gate"}

judged = settings(exploring, max_examples=20)
Tensors = dict[oracle.Key, "torch.Tensor"]


@st.composite
def problems(draw: st.DrawFn, kind: type[oracle.Cell]) -> Problem:
    """A cell of the kind that can be built from PyTorch, with a sequence and a loss."""
    rng = draw(strategies.generators())
    inputs, outputs = draw(strategies.channel_counts()), draw(strategies.channel_counts())

    def slot(channels: int) -> oracle.Slot:
        scale = strategies.WEIGHT_SCALE / np.sqrt(channels)
        return oracle.Slot((rng.standard_normal((outputs, 1, 1, channels)) * scale).astype(np.float32))

    def gate(name: str) -> oracle.Gate:
        candidate = name in CANDIDATES or (kind is oracle.GRU and name == "output_gate")
        bias = rng.uniform(-0.5, 0.5, outputs).astype(np.float32)
        return oracle.Gate(slot(inputs), bias, TANH if candidate else SIGMOID, slot(outputs))

    fields = {"inputs": inputs, "outputs": outputs, "float32_weights": draw(st.booleans())}
    if kind is oracle.GRU:
        fields |= {"flip": draw(st.booleans()), "p_norm": draw(st.sampled_from([1.0, 2.0]))}
    cell = trainable(kind(**{name: gate(name) for name in GATES[kind]}, **fields))
    # Only of nn.LSTM and nn.RNN is there a form in which sequences end early.
    rows = draw(matrix_strategies.row_counts(5, 6))
    rows = [rows[0]] * len(rows) if kind is oracle.GRU else rows
    images, above = (
        [rng.uniform(-1.0, 1.0, (count, 1, 1, channels)).astype(np.float32) for count in rows]
        for channels in (inputs, outputs)
    )
    initial, after = (matrix_strategies.random_state(cell, rows[0], rng) for _ in range(2))
    return Problem(cell, images, above, initial, after)


def tensor(array: NDArray, dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor(np.asarray(array), dtype=dtype, requires_grad=True)


def weights_of(cell: oracle.Cell, dtype: torch.dtype) -> Tensors:
    """All weights as the layer keeps them, each a tensor of its own."""
    rounded = {key: oracle.round_weights(oracle.weight_of(cell, key), cell.float32_weights) for key in keys(cell)}
    return {key: tensor(values, dtype) for key, values in rounded.items()}


def module_outputs(
    cell: oracle.Cell, weights: Tensors, x: list[torch.Tensor], state: list[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Outputs of all rows of all steps, and the last state, by nn.LSTM or nn.RNN."""
    names = GATES[type(cell)]
    made = (torch.nn.LSTM if cell.has_memory else torch.nn.RNN)(cell.inputs, cell.outputs, dtype=x[0].dtype)
    fused = [torch.cat([weights[gate, kind] for gate in names]) for kind in ("input", "recurrent", "bias")]
    names_of_parameters = [name for name, _ in made.named_parameters()]  # input, recurrent, and two biases
    tensors = dict(zip(names_of_parameters, [*fused, torch.zeros_like(fused[2])], strict=True))
    packed = torch.nn.utils.rnn.PackedSequence(torch.cat(x), torch.tensor([len(matrix) for matrix in x]))
    given_state = tuple(part[None] for part in state)
    outputs, last = torch.func.functional_call(
        made, tensors, (packed, given_state if cell.has_memory else given_state[0])
    )
    return outputs.data, [part[0] for part in (last if cell.has_memory else [last])]


def gru_outputs(
    cell: oracle.GRU, weights: Tensors, x: list[torch.Tensor], state: list[torch.Tensor]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The same of a GRU that resets before the product, which PyTorch has no layer of."""

    def total(gate: str, matrix: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
        return matrix @ weights[gate, "input"].T + h @ weights[gate, "recurrent"].T + weights[gate, "bias"]

    (h,) = state
    outputs = []
    for matrix in x:
        z, r = (torch.sigmoid(total(gate, matrix, h)) for gate in ("input_gate", "recurrent_gate"))
        candidate = torch.tanh(total("output_gate", matrix, r * h))
        s = 1 - z if cell.p_norm == 1.0 else (1 - z**cell.p_norm) ** (1 / cell.p_norm)
        h = s * h + z * candidate if cell.flip else s * candidate + z * h
        outputs.append(h)
    return torch.cat(outputs), [h]


MODELS: dict[type[oracle.Cell], Callable] = {
    oracle.SingleGate: module_outputs,
    oracle.GRU: gru_outputs,
    oracle.LSTM: module_outputs,
}


def differentiated(problem: Problem, dtype: torch.dtype) -> tuple[list[NDArray], list[NDArray], dict]:
    """Gradients by inputs, by the parts of the initial state, and by weights."""
    cell = problem.cell
    weights = weights_of(cell, dtype)
    x = [tensor(image[:, 0, 0], dtype) for image in problem.images]
    state, after = (
        [tensor(oracle.as_rows(part).value, dtype) for part in parts if part is not None]
        for parts in (problem.initial, problem.after)
    )
    outputs, last = MODELS[type(cell)](cell, weights, x, state)
    above = tensor(np.concatenate([image[:, 0, 0] for image in problem.above]), dtype)
    loss = (outputs * above).sum() + sum((part * g).sum() for part, g in zip(last, after, strict=True))
    loss.backward()
    plain = [[t.grad.numpy() for t in tensors] for tensors in (x, state)]
    return *plain, {key: t.grad.numpy() for key, t in weights.items()}


def pairs(
    theirs: tuple[list[NDArray], list[NDArray], dict], true: oracle.Gradients
) -> list[tuple[str, NDArray, oracle.Bounded]]:
    """Name, PyTorch's gradient and the oracle's of everything."""
    inputs, state, weights = theirs
    carry = [oracle.as_rows(part) for part in true.carries[0] if part is not None]
    found = [(f"dL/dx {t}", a, oracle.as_rows(b)) for t, (a, b) in enumerate(zip(inputs, true.inputs, strict=True))]
    found += [(f"dL/d{name} before", a, b) for name, a, b in zip("hc", state, carry, strict=False)]
    return found + [(str(key), weights[key], bounded) for key, bounded in true.weights.items()]


kinds = pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.__name__)


@kinds
@judged
@given(data=st.data())
def test_oracle(kind: type[oracle.Cell], data: st.DataObject) -> None:
    """Both evaluate in float64, so each is off by the bound for float32 made smaller."""
    problem = data.draw(problems(kind))
    for what, theirs, bounded in pairs(differentiated(problem, torch.float64), expected(problem)):
        limit = oracle.Bounded(bounded.value, 2.0 * FLOAT64_TO_FLOAT32 * bounded.err)
        oracle.assert_close(theirs, limit, f"PyTorch's {what}")


@kinds
@judged
@given(data=st.data())
def test_layer(each_build: mps.MTLDevice, kind: type[oracle.Cell], data: st.DataObject) -> None:
    """Both are float32, so they may be as far apart as their bounds over the whole sequence together."""
    problem = data.draw(problems(kind))
    found = Trained(each_build, problem.cell).passes(problem)
    ours = _by_name(found)
    for what, theirs, bounded in pairs(differentiated(problem, torch.float32), expected(problem)):
        oracle.assert_close(theirs, bounded, f"PyTorch's {what}")
        oracle.assert_close(ours[what], oracle.Bounded(theirs, 2.0 * bounded.err), f"{what} beside PyTorch's")


def _by_name(found: Passes) -> dict[str, NDArray]:
    named = {f"dL/dx {t}": matrix for t, matrix in enumerate(found.inputs)}
    for name, part in zip("hc", found.carries[0], strict=True):
        if part is not None:
            named[f"dL/d{name} before"] = oracle.as_rows(part).value
    return named | {str(key): values for key, values in found.weights.items()}
