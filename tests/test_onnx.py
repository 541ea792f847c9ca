"""ONNX as an outside judge: its reference evaluator, which defines the operators, and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import judging
import mpsrnn_cy as mps
import oracle
import strategies
from judging import RELU, SIGMOID, TANH, exploring
from oracle.bounded import tanh

onnx = pytest.importorskip("onnx", reason="the judges extra is not installed")
reference = pytest.importorskip("onnx.reference", reason="the judges extra is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the judges extra is not installed")

# Gates in the order in which ONNX concatenates their weights: i, o, f, c and z, r, h; and peepholes: i, o, f.
GATE_ORDER = {
    oracle.SingleGate: ("gate",),
    oracle.GRU: ("input_gate", "recurrent_gate", "output_gate"),
    oracle.LSTM: ("input_gate", "output_gate", "forget_gate", "cell_gate"),
}
PEEPHOLE_ORDER = ("input_gate", "output_gate", "forget_gate")

OPERATORS = {oracle.SingleGate: "RNN", oracle.GRU: "GRU", oracle.LSTM: "LSTM"}

HARD_SIGMOID = oracle.Neuron(oracle.NeuronType.HARD_SIGMOID, 0.2, 0.5)
AFFINE = oracle.Neuron(oracle.NeuronType.LINEAR, 0.75, 0.25)

# Names of the activations, and how many parameters each has: alpha, beta.
ACTIVATIONS = {
    oracle.NeuronType.SIGMOID: ("Sigmoid", 0),
    oracle.NeuronType.HARD_SIGMOID: ("HardSigmoid", 2),
    oracle.NeuronType.TANH: ("Tanh", 0),
    oracle.NeuronType.RELU: ("Relu", 0),
    oracle.NeuronType.LINEAR: ("Affine", 2),
}

# Any that both judges have: the operators change little from one to the next.
OPSET = 22
IR_VERSION = 10

Feeds = Mapping[str, NDArray[np.float32]]


class RationalNeuron(oracle.Neuron):
    """Neuron as ONNX Runtime's LSTM and GRU compute it."""

    def _sigmoid(self, x: oracle.Bounded) -> oracle.Bounded:
        # A rational approximation of the odd part is added to one half, so the error is relative to the half and not
        # to what little may be left of it.
        return 0.5 * tanh(0.5 * x) + 0.5


class LogisticNeuron(oracle.Neuron):
    """Neuron as ONNX Runtime's RNN computes it."""

    def _tanh(self, x: oracle.Bounded) -> oracle.Bounded:
        # Near zero, almost all digits cancel.
        return 2.0 * self._sigmoid(2.0 * x) - 1.0


def evaluate(model: onnx.ModelProto, feeds: Feeds) -> list[NDArray[np.float32]]:
    return reference.ReferenceEvaluator(model).run(None, dict(feeds))


def execute(model: onnx.ModelProto, feeds: Feeds) -> list[NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the models are too small for more
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


class Operator(NamedTuple):
    """How a judge does an operator: neurons that it has for the gates and for the others, and how it computes them."""

    gating: st.SearchStrategy[oracle.Neuron]
    others: st.SearchStrategy[oracle.Neuron]
    neurons: type[oracle.Neuron]


@dataclass(frozen=True)
class Judge:
    """An implementation of ONNX.

    Attributes
    ----------
    name : str
    run : runs a model
    operators : by the cell that they are
    """

    name: str
    run: Callable[[onnx.ModelProto, Feeds], list[NDArray[np.float32]]]
    operators: Mapping[type[oracle.Cell], Operator]


ONLY_SIGMOID, ONLY_TANH = st.just(SIGMOID), st.just(TANH)
GATING = st.sampled_from([SIGMOID, HARD_SIGMOID])
OTHERS = st.sampled_from([TANH, RELU, AFFINE])
JUDGES = (
    # It takes LSTM and GRU to have their default activations, and knows two for RNN.
    Judge(
        "reference evaluator",
        evaluate,
        {
            oracle.SingleGate: Operator(ONLY_SIGMOID, st.sampled_from([TANH, AFFINE]), oracle.Neuron),
            oracle.GRU: Operator(ONLY_SIGMOID, ONLY_TANH, oracle.Neuron),
            oracle.LSTM: Operator(ONLY_SIGMOID, ONLY_TANH, oracle.Neuron),
        },
    ),
    Judge(
        "ONNX Runtime",
        execute,
        {
            oracle.SingleGate: Operator(GATING, OTHERS | GATING, LogisticNeuron),
            oracle.GRU: Operator(GATING, OTHERS, RationalNeuron),
            oracle.LSTM: Operator(GATING, OTHERS, RationalNeuron),
        },
    ),
)

each_judge = pytest.mark.parametrize("judge", JUDGES, ids=lambda judge: judge.name)


def model(node: onnx.NodeProto, constants: Feeds, inputs: Feeds) -> onnx.ModelProto:
    """A graph of one node, whose outputs take the shape that they get."""
    shapes = {name: array.shape for name, array in inputs.items()} | dict.fromkeys(node.output)
    values = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()
    }
    graph = onnx.helper.make_graph(
        [node],
        "judged",
        [values[name] for name in inputs],
        [values[name] for name in node.output],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def activations(cell: oracle.Cell) -> dict[str, list]:
    """Attributes for the neurons: f of the gates, g of the candidate or the only gate, h from cell to output."""
    if isinstance(cell, oracle.SingleGate):
        neurons = [cell.gate.neuron]
    elif isinstance(cell, oracle.GRU):
        neurons = [cell.input_gate.neuron, cell.output_gate.neuron]
    else:
        neurons = [cell.input_gate.neuron, cell.cell_gate.neuron, cell.output_neuron]
    parametric = [neuron for neuron in neurons if ACTIVATIONS[neuron.type][1]]
    attributes = {"activations": [ACTIVATIONS[neuron.type][0] for neuron in neurons]}
    if parametric:
        attributes |= {
            "activation_alpha": [neuron.a for neuron in parametric],
            "activation_beta": [neuron.b for neuron in parametric],
        }
    return attributes


def fused(cell: oracle.Cell, name: str) -> NDArray[np.float32]:
    """Input or recurrent weights of all gates as (1 direction, gates * outputs, inputs)."""
    weights = [getattr(cell.gates[gate], name).weights[:, 0, 0] for gate in GATE_ORDER[type(cell)]]
    return judging.kept(cell, np.concatenate(weights))[None]


def constants(cell: oracle.Cell) -> dict[str, NDArray[np.float32]]:
    """Weights W and R, biases B of both, and peepholes P if there are any."""
    none = np.zeros(cell.outputs, np.float32)
    gates = [cell.gates[name] for name in GATE_ORDER[type(cell)]]
    biases = np.concatenate([none if gate.bias is None else gate.bias for gate in gates])
    result = {
        "W": fused(cell, "input"),
        "R": fused(cell, "recurrent"),
        "B": np.concatenate([biases, np.zeros_like(biases)])[None],
    }
    if any(gate.memory is not None for gate in gates):
        memory = [cell.gates[gate].memory for gate in PEEPHOLE_ORDER]
        weights = np.concatenate([none if vector is None else vector for vector in memory])
        result["P"] = judging.kept(cell, weights)[None]
    return result


def recurrent(judge: Judge, case: strategies.Case, **attributes: int) -> judging.Outcome:
    """What a judge makes of a cell with 1x1 kernels, each pixel being a vector of a batch."""
    (cell,) = case.cells
    weights = constants(cell)
    inputs = {"X": judging.rows(case.sequence)}
    for name, array in zip(("initial_h", "initial_c"), judging.initial_arrays(case), strict=False):
        inputs[name] = judging.rows(array)[None]
    order = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
    operator = OPERATORS[type(cell)]
    known = weights | inputs
    # An empty name stands for an input that is left out; trailing ones may not be there at all.
    names = [name if name in known else "" for name in order]
    while not names[-1]:
        names.pop()
    results = ["Y", "Y_h", "Y_c"] if cell.has_memory else ["Y", "Y_h"]
    node = onnx.helper.make_node(operator, names, results, hidden_size=cell.outputs, **activations(cell), **attributes)
    y, *states = judge.run(model(node, weights, inputs), inputs)
    extent = case.sequence.shape[1:4]
    states = [state.reshape(*extent, cell.outputs) for state in states]
    return judging.Outcome(y.reshape(len(y), *extent, cell.outputs), *states)


@st.composite
def cases(draw: st.DrawFn, judge: Judge, kind: type[oracle.Cell]) -> strategies.Case:
    """Cells of a kind that the judge has."""
    operator = judge.operators[kind]
    return draw(judging.cases(kind, operator.gating, operator.others, peepholes=True, untied=True))


@each_judge
@pytest.mark.parametrize("kind", OPERATORS, ids=OPERATORS.get)
@exploring
@given(data=st.data())
def test_recurrent_operators(
    each_build: mps.MTLDevice, judge: Judge, kind: type[oracle.Cell], data: st.DataObject
) -> None:
    case = data.draw(cases(judge, kind))
    neurons = judge.operators[kind].neurons
    judging.hold(each_build, case, recurrent(judge, case), neurons, judging.IMAGES_AND_MATRICES)


@pytest.mark.parametrize("kind", OPERATORS, ids=OPERATORS.get)
@exploring
@given(data=st.data(), rng=strategies.generators())
def test_bidirectional_operators(
    each_build: mps.MTLDevice, kind: type[oracle.Cell], data: st.DataObject, rng: np.random.Generator
) -> None:
    """Of ONNX Runtime alone: the reference evaluator knows one direction."""
    _, judge = JUDGES
    case = data.draw(cases(judge, kind))
    (cell,) = case.cells
    pair = [cell, judging.reordered(cell, rng)]
    both = [constants(each) for each in pair]
    weights = {name: np.concatenate([each[name] for each in both]) for name in both[0]}
    inputs = {"X": judging.rows(case.sequence)}
    order = ["X", "W", "R", "B", "", "", "", "P"]
    names = order if "P" in weights else order[:4]
    attributes = {name: values * 2 for name, values in activations(cell).items()}
    node = onnx.helper.make_node(
        OPERATORS[kind], names, ["Y"], hidden_size=cell.outputs, direction="bidirectional", **attributes
    )
    (y,) = judge.run(model(node, weights, inputs), inputs)
    outputs = np.concatenate([y[:, 0], y[:, 1]], axis=-1)
    neurons = judge.operators[kind].neurons
    judging.hold_both_directions(each_build, pair, inputs["X"], judging.Mode.CONCATENATE, outputs, neurons)


@each_judge
@pytest.mark.parametrize("seed", range(3))
def test_gru_that_resets_after_the_product_is_another(judge: Judge, seed: int) -> None:
    case = judging.control(np.random.default_rng(seed))
    outputs = recurrent(judge, case, linear_before_reset=1).outputs
    judging.part_ways(case, outputs, judge.operators[oracle.GRU].neurons)


@st.composite
def windows(draw: st.DrawFn) -> strategies.Case:
    """Single gates without recurrence and neuron: convolutions, of odd and even sizes, in one or more groups."""
    groups = draw(st.sampled_from([1, 2, 3]))
    quantum = 1 if groups == 1 else groups * strategies.GROUP_QUANTUM
    inputs, outputs = (quantum * draw(st.integers(1, 12 // quantum)) for _ in range(2))
    shape = (outputs, draw(st.integers(1, 6)), draw(st.integers(1, 6)), inputs // groups)
    rng = draw(strategies.generators())
    slot = oracle.Slot(rng.standard_normal(shape).astype(np.float32), groups=groups)
    gate = oracle.Gate(slot, rng.standard_normal(outputs).astype(np.float32))
    cell = oracle.SingleGate(inputs=inputs, outputs=outputs, float32_weights=draw(st.booleans()), gate=gate)
    extent = (draw(st.integers(1, 3)), draw(st.integers(1, 11)), draw(st.integers(1, 11)))
    sequence = rng.standard_normal((draw(st.integers(1, 2)), *extent, inputs)).astype(np.float32)
    return strategies.Case([cell], sequence, None)


@each_judge
@exploring
@given(case=windows())
def test_window_is_that_of_same_lower(each_build: mps.MTLDevice, judge: Judge, case: strategies.Case) -> None:
    (cell,) = case.cells
    slot = cell.gate.input
    weights = {
        "W": np.ascontiguousarray(judging.kept(cell, slot.weights).transpose(0, 3, 1, 2)),
        "B": cell.gate.bias,
    }
    images = case.sequence.reshape(-1, *case.sequence.shape[2:])
    inputs = {"X": np.ascontiguousarray(images.transpose(0, 3, 1, 2))}
    node = onnx.helper.make_node("Conv", ["X", "W", "B"], ["Y"], auto_pad="SAME_LOWER", group=slot.groups)
    (y,) = judge.run(model(node, weights, inputs), inputs)
    outputs = y.transpose(0, 2, 3, 1).reshape(*case.sequence.shape[:-1], cell.outputs)
    judging.hold(each_build, case, judging.Outcome(outputs))
