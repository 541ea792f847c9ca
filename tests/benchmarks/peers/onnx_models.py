"""The workloads as ONNX models, for the peers that read those."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from ..workloads import ImageWorkload, MatrixWorkload, Parameters, Workload

OPSET = 17
IR_VERSION = 8

Shapes = dict[str, tuple[int, ...]]

# The operators' orders of gates: i, o, f, c and z, r, h.
_OPERATOR_ORDER = {"LSTM": [0, 3, 1, 2], "GRU": [0, 1, 2]}


class Graph:
    """Nodes and constants of a model in the making."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, array: NDArray) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        return self.add_many(operator, 1, *inputs, **attributes)[0]

    def add_many(self, operator: str, count: int, *inputs: str, **attributes: object) -> list[str]:
        made = [f"{operator}{len(self.nodes)}_{index}" for index in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), made, **attributes))
        return made

    def split(self, source: str, counts: list[int], axis: int) -> list[str]:
        return self.add_many("Split", len(counts), source, self.constant(np.array(counts)), axis=axis)

    def model(self, inputs: Shapes, outputs: Shapes, results: dict[str, str]) -> ModelProto:
        """The model, whose outputs are the values that `results` names."""
        for name, value in results.items():
            self.nodes.append(helper.make_node("Identity", [value], [name]))
        declared, made = (
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
            for shapes in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, "sequence", declared, made, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        checker.check_model(model, full_check=True)
        return model


def operator_model(workload: MatrixWorkload, reset_after: bool) -> ModelProto:
    """The LSTM or GRU operator, one for each layer: X and Y are (time, rows, channels)."""
    graph = Graph()
    order = _OPERATOR_ORDER[workload.cell]
    count = workload.directions
    source = "X"
    for first in range(0, len(workload.data.cells), count):
        cells = workload.data.cells[first : first + count]
        w, u, bias = (np.stack([getattr(cell, name)[order] for cell in cells]) for name in Parameters._fields)
        w, u = (array.reshape(count, -1, array.shape[-1]) for array in (w, u))
        bias = bias.reshape(count, -1)
        constants = [graph.constant(a) for a in (w, u, np.concatenate([bias, np.zeros_like(bias)], axis=1))]
        attributes = {"hidden_size": workload.outputs, "direction": "bidirectional" if count == 2 else "forward"}
        if workload.cell == "GRU":
            attributes["linear_before_reset"] = int(reset_after)
        made = graph.add(workload.cell, source, *constants, **attributes)  # (time, direction, rows, units)
        if count == 2:
            moved = graph.add("Transpose", made, perm=[0, 2, 1, 3])
            joined = np.array([workload.steps, workload.batch, count * workload.outputs])
            source = graph.add("Reshape", moved, graph.constant(joined))
        else:
            source = graph.add("Squeeze", made, graph.constant(np.array([1])))
    shape = (workload.steps, workload.batch)
    return graph.model({"X": (*shape, workload.inputs)}, {"Y": (*shape, count * workload.outputs)}, {"Y": source})


class _Convolutions:
    """The gates' sums, of the pixels and the state together or, where `hoisted`, of the pixels in advance."""

    def __init__(self, graph: Graph, workload: ImageWorkload, hoisted: bool) -> None:
        self.graph, self.workload, self.hoisted = graph, workload, hoisted
        cell = workload.data.cells[0]
        first, last = (np.moveaxis(array, -1, 2) for array in (cell.input, cell.recurrent))
        self.biases = [graph.constant(bias) for bias in cell.bias]
        if hoisted:
            self.input = [graph.constant(weights) for weights in first]
            self.recurrent = [graph.constant(weights) for weights in last]
        else:
            self.joined = [graph.constant(weights) for weights in np.concatenate([first, last], axis=2)]

    def steps(self) -> list[list[str]]:
        """What the gates have of each frame: the frame itself, or its part of each gate's sum."""
        graph, workload = self.graph, self.workload
        if not self.hoisted:
            axis = graph.constant(np.array([0]))
            frames = graph.split("X", [1] * workload.steps, axis=0)
            return [[graph.add("Squeeze", frame, axis)] * len(workload.gates) for frame in frames]
        every = np.array([workload.steps * workload.batch, workload.inputs, *workload.extent])
        frames = graph.add("Reshape", "X", graph.constant(every))
        biased = zip(self.input, self.biases, strict=True)
        parts = [convolve(graph, workload, frames, weights, bias) for weights, bias in biased]
        by_gate = [graph.split(part, [workload.batch] * workload.steps, axis=0) for part in parts]
        return [list(step) for step in zip(*by_gate, strict=True)]

    def gate(self, index: int, x: list[str], h: str) -> str:
        if self.hoisted:
            recurrent = convolve(self.graph, self.workload, h, self.recurrent[index])
            return self.graph.add("Add", recurrent, x[index])
        joined = self.graph.add("Concat", x[index], h, axis=1)
        return convolve(self.graph, self.workload, joined, self.joined[index], self.biases[index])


def convolve(graph: Graph, workload: ImageWorkload, source: str, weights: str, *bias: str) -> str:
    height, width = workload.kernel
    pads = [height // 2, width // 2, (height - 1) // 2, (width - 1) // 2]
    return graph.add("Conv", source, weights, *bias, kernel_shape=[height, width], pads=pads)


def lstm_state(graph: Graph, gates: list[str], c: str) -> tuple[str, str]:
    """New h and c from the sums of i, f, g and o."""
    i, f, o = (graph.add("Sigmoid", gates[index]) for index in (0, 1, 3))
    c = graph.add("Add", graph.add("Mul", f, c), graph.add("Mul", i, graph.add("Tanh", gates[2])))
    return graph.add("Mul", o, graph.add("Tanh", c)), c


def gru_state(graph: Graph, z: str, n: str, h: str) -> str:
    """New h: (1 - z) n + z h with one product."""
    return graph.add("Add", n, graph.add("Mul", z, graph.add("Sub", h, n)))


def convolutional_model(workload: ImageWorkload, hoisted: bool) -> ModelProto:
    """A ConvLSTM or ConvGRU, unrolled, with a convolution a gate: X and Y are (time, batch, channels, height, width).

    The state is an input, so that no optimiser takes the first step's zeros for constants.
    """
    graph = Graph()
    convolutions = _Convolutions(graph, workload, hoisted)
    h, c = "H", "C"
    hidden = []
    axis = graph.constant(np.array([0]))
    for x in convolutions.steps():
        if workload.is_lstm:
            h, c = lstm_state(graph, [convolutions.gate(index, x, h) for index in range(4)], c)
        else:
            z, r = (graph.add("Sigmoid", convolutions.gate(index, x, h)) for index in range(2))
            n = graph.add("Tanh", convolutions.gate(2, x, graph.add("Mul", r, h)))
            h = gru_state(graph, z, n, h)
        hidden.append(graph.add("Unsqueeze", h, axis))
    sequence = graph.add("Concat", *hidden, axis=0)
    state = _state(workload)
    inputs = {"X": (workload.steps, workload.batch, workload.inputs, *workload.extent)} | _states(workload, "HC")
    return graph.model(inputs, {"Y": (workload.steps, *state)}, {"Y": sequence})


def step_model(workload: ImageWorkload) -> ModelProto:
    """One step, with one convolution of all gates that read the same pixels: x, h and c to h1 and c1."""
    graph = Graph()
    cell = workload.data.cells[0]
    joined = np.moveaxis(np.concatenate([cell.input, cell.recurrent], axis=-1), -1, 2)

    def sums(gates: slice, h: str) -> str:
        weights = graph.constant(joined[gates].reshape(-1, *joined.shape[2:]))
        pixels = graph.add("Concat", "x", h, axis=1)
        return convolve(graph, workload, pixels, weights, graph.constant(cell.bias[gates].ravel()))

    if workload.is_lstm:
        gates = graph.split(sums(slice(None), "h"), [workload.outputs] * 4, axis=1)
        h, c = lstm_state(graph, gates, "c")
        results = {"h1": h, "c1": c}
    else:
        z, r = graph.split(graph.add("Sigmoid", sums(slice(2), "h")), [workload.outputs] * 2, axis=1)
        n = graph.add("Tanh", sums(slice(2, None), graph.add("Mul", r, "h")))
        results = {"h1": gru_state(graph, z, n, "h")}
    inputs = {"x": (workload.batch, workload.inputs, *workload.extent)} | _states(workload, "hc")
    return graph.model(inputs, dict.fromkeys(results, _state(workload)), results)


def _state(workload: ImageWorkload) -> tuple[int, ...]:
    return (workload.batch, workload.outputs, *workload.extent)


def _states(workload: ImageWorkload, names: str) -> Shapes:
    """Shapes of the state's parts: a GRU has but the first."""
    return dict.fromkeys(names if workload.is_lstm else names[0], _state(workload))


def feeds(workload: Workload) -> dict[str, NDArray[np.float32]]:
    """The models' inputs."""
    if not workload.extent:
        return {"X": workload.data.x}
    zeros = np.zeros((workload.batch, workload.outputs, *workload.extent), np.float32)
    made = {"X": np.ascontiguousarray(np.moveaxis(workload.data.x, -1, 2)), "H": zeros}
    return made | ({"C": zeros.copy()} if workload.is_lstm else {})


def models(workload: Workload) -> list[tuple[str, bool, ModelProto]]:
    """The models worth running: what sets each apart, whether its reset is after the product, and the model."""
    if isinstance(workload, ImageWorkload):
        # Few input channels fill a vector badly, and less so in one convolution of all frames.
        if workload.inputs < 8:
            return [("frames in advance", False, convolutional_model(workload, hoisted=True))]
        return [("", False, convolutional_model(workload, hoisted=False))]
    assert isinstance(workload, MatrixWorkload)
    if workload.is_lstm:
        return [("", False, operator_model(workload, False))]
    after = operator_model(workload, True)
    return [("reset before", False, operator_model(workload, False)), ("reset after", True, after)]


def channels_last(workload: Workload, result: NDArray[np.float32]) -> NDArray[np.float32]:
    """A model's Y with the axes of the workload's data."""
    return np.moveaxis(result, 2, -1) if workload.extent else result
