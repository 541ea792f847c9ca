"""Keras as an outside judge: ConvLSTM2D, LSTM and GRU with random weights."""

from __future__ import annotations

import os
from collections.abc import Iterator

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
from oracle.bounded import ROUNDOFF, maximum, minimum

# Keras reads it when it is imported.
os.environ["KERAS_BACKEND"] = "torch"
torch = pytest.importorskip("torch", reason="the judges extra is not installed")
keras = pytest.importorskip("keras", reason="the judges extra is not installed")

# Gates in the order in which Keras concatenates them: i, f, c, o and z, r, h.
GATE_ORDER = {
    oracle.LSTM: ("input_gate", "forget_gate", "cell_gate", "output_gate"),
    oracle.GRU: ("input_gate", "recurrent_gate", "output_gate"),
}

# Keras' hard sigmoid is relu6(x + 3) / 6.
HARD_SIGMOID = oracle.Neuron(oracle.NeuronType.HARD_SIGMOID, 1.0 / 6.0, 0.5)

ACTIVATIONS = {
    oracle.NeuronType.SIGMOID: "sigmoid",
    oracle.NeuronType.HARD_SIGMOID: "hard_sigmoid",
    oracle.NeuronType.TANH: "tanh",
    oracle.NeuronType.RELU: "relu",
}
GATING = st.sampled_from([SIGMOID, HARD_SIGMOID])
CANDIDATES = st.sampled_from([TANH, RELU])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """The layers are so small that PyTorch's threads would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class KerasNeuron(oracle.Neuron):
    """Neuron in the operations of Keras."""

    def _hard_sigmoid(self, x: oracle.Bounded) -> oracle.Bounded:
        # A sixth is rounded on both sides: in the factor here, and in the layer's slope for |x| <= 3.
        sixth = oracle.Bounded(np.float64(1.0 / 6.0), np.float64(ROUNDOFF / 6.0))
        y = minimum(maximum(x + 3.0, 0.0), 6.0) * sixth
        return oracle.Bounded(y.value, y.err + 3.0 * abs(self.a - 1.0 / 6.0))


def fused(cell: oracle.Cell, name: str) -> NDArray[np.float32]:
    """Input or recurrent weights of all gates as (kernel height, kernel width, inputs, gates * outputs)."""
    weights = [getattr(cell.gates[gate], name).weights for gate in GATE_ORDER[type(cell)]]
    return judging.kept(cell, np.concatenate(weights)).transpose(1, 2, 3, 0)


def settings_of(cell: oracle.Cell) -> dict:
    """What every recurrent layer of Keras is constructed with."""
    candidate = cell.gates["output_gate" if isinstance(cell, oracle.GRU) else "cell_gate"]
    return {
        "activation": ACTIVATIONS[candidate.neuron.type],
        "recurrent_activation": ACTIVATIONS[cell.gates["input_gate"].neuron.type],
        "use_bias": candidate.bias is not None,
        "return_sequences": True,
        "return_state": True,
        "dtype": "float32",
    }


def run(layer: keras.Layer, weights: list[NDArray[np.float32]], x: NDArray, initial: list[NDArray]) -> list[NDArray]:
    """Outputs with time first, and the last states."""
    x = x.swapaxes(0, 1)
    layer.build(x.shape)
    layer.set_weights(weights)
    with torch.no_grad():
        outputs, *states = layer(x, initial_state=[keras.ops.convert_to_tensor(h) for h in initial] or None)
    # Keras' own conversion makes NumPy warn of PyTorch.
    outputs, *states = (array.numpy(force=True) for array in (outputs, *states))
    return [outputs.swapaxes(0, 1), *states]


def weights_of(cell: oracle.Cell) -> list[NDArray[np.float32]]:
    """Kernel, recurrent kernel and bias, if there is one."""
    gates = [cell.gates[name] for name in GATE_ORDER[type(cell)]]
    biases = [np.concatenate([gate.bias for gate in gates])] if gates[0].bias is not None else []
    return [fused(cell, "input"), fused(cell, "recurrent"), *biases]


def conv_lstm(case: strategies.Case) -> judging.Outcome:
    (cell,) = case.cells
    window = cell.cell_gate.input
    layer = keras.layers.ConvLSTM2D(
        cell.outputs,
        window.weights.shape[1:3],
        padding="same",
        data_format="channels_last",
        dilation_rate=window.dilation,
        **settings_of(cell),
    )
    return judging.Outcome(*run(layer, weights_of(cell), case.sequence, judging.initial_arrays(case)))


def on_rows(case: strategies.Case, layer: keras.Layer, weights: list[NDArray[np.float32]]) -> judging.Outcome:
    """Outcome of a layer that reads vectors, each pixel being one."""
    initial = [judging.rows(array) for array in judging.initial_arrays(case)]
    found = run(layer, weights, judging.rows(case.sequence), initial)
    extent = case.sequence.shape[1:4]
    return judging.Outcome(*(array.reshape(*array.shape[:-2], *extent, array.shape[-1]) for array in found))


def dense_weights(cell: oracle.Cell) -> list[NDArray[np.float32]]:
    """Weights of a cell with 1x1 kernels, as matrices."""
    kernel, recurrent_kernel, *biases = weights_of(cell)
    return [kernel[0, 0], recurrent_kernel[0, 0], *biases]


def lstm(case: strategies.Case) -> judging.Outcome:
    (cell,) = case.cells
    return on_rows(case, keras.layers.LSTM(cell.outputs, **settings_of(cell)), dense_weights(cell))


def gru(case: strategies.Case, reset_after: bool = False) -> judging.Outcome:
    (cell,) = case.cells
    kernel, recurrent_kernel, *biases = dense_weights(cell)
    if reset_after:
        # There is a second bias then, of the recurrent product.
        biases = [np.stack([bias, np.zeros_like(bias)]) for bias in biases]
    layer = keras.layers.GRU(cell.outputs, reset_after=reset_after, **settings_of(cell))
    return on_rows(case, layer, [kernel, recurrent_kernel, *biases])


def sizes(*sides: int) -> st.SearchStrategy[tuple[int, int]]:
    """Pairs of sides."""
    return st.tuples(st.sampled_from(sides), st.sampled_from(sides))


@exploring
@given(case=judging.cases(oracle.LSTM, GATING, CANDIDATES, kernels=sizes(1, 3, 5), dilations=sizes(1, 2, 3)))
def test_conv_lstm(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    judging.hold(each_build, case, conv_lstm(case), KerasNeuron)


def mirrored(case: strategies.Case) -> strategies.Case:
    """The same case seen in a mirror across both axes: images and kernels are reversed."""

    def slot(original: oracle.Slot) -> oracle.Slot:
        return oracle.Slot(original.weights[:, ::-1, ::-1], original.dilation)

    (cell,) = case.cells
    gates = {
        name: oracle.Gate(slot(gate.input), gate.bias, gate.neuron, slot(gate.recurrent))
        for name, gate in cell.gates.items()
    }
    seen = oracle.LSTM(
        inputs=cell.inputs,
        outputs=cell.outputs,
        float32_weights=cell.float32_weights,
        output_neuron=cell.output_neuron,
        **gates,
    )
    initial = case.initial
    if initial is not None:
        initial = [oracle.exact_state(*(image.value[:, ::-1, ::-1] for image in initial[0]))]
    return strategies.Case([seen], np.ascontiguousarray(case.sequence[:, :, ::-1, ::-1]), initial)


@exploring
@given(case=judging.cases(oracle.LSTM, GATING, CANDIDATES, kernels=sizes(2, 4)))
def test_conv_lstm_of_even_kernels_is_keras_in_a_mirror(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    """Keras' windows of even size reach farther down and to the right, Apple's up and to the left."""
    found = conv_lstm(mirrored(case))
    judging.hold(each_build, case, judging.Outcome(*(array[..., ::-1, ::-1, :] for array in found)), KerasNeuron)


@exploring
@given(case=judging.cases(oracle.LSTM, GATING, CANDIDATES))
def test_lstm(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    judging.hold(each_build, case, lstm(case), KerasNeuron, judging.IMAGES_AND_MATRICES)


@exploring
@given(case=judging.cases(oracle.GRU, GATING, CANDIDATES))
def test_gru(each_build: mps.MTLDevice, case: strategies.Case) -> None:
    judging.hold(each_build, case, gru(case), KerasNeuron, judging.IMAGES_AND_MATRICES)


@pytest.mark.parametrize(
    ("merge_mode", "mode"), [("sum", judging.Mode.ADD), ("concat", judging.Mode.CONCATENATE)], ids=["sum", "concat"]
)
@pytest.mark.parametrize("kind", GATE_ORDER, ids=lambda kind: kind.__name__)
@exploring
@given(data=st.data(), rng=strategies.generators())
def test_bidirectional(
    each_build: mps.MTLDevice,
    kind: type[oracle.Cell],
    merge_mode: str,
    mode: judging.Mode,
    data: st.DataObject,
    rng: np.random.Generator,
) -> None:
    case = data.draw(judging.cases(kind, GATING, CANDIDATES))
    (cell,) = case.cells
    pair = [cell, judging.reordered(cell, rng)]
    made, options = (keras.layers.LSTM, {}) if kind is oracle.LSTM else (keras.layers.GRU, {"reset_after": False})
    ahead, behind = (
        made(cell.outputs, go_backwards=is_backward, **options, **settings_of(cell)) for is_backward in (False, True)
    )
    layer = keras.layers.Bidirectional(ahead, merge_mode=merge_mode, backward_layer=behind)
    x = judging.rows(case.sequence)
    outputs, *_ = run(layer, [array for each in pair for array in dense_weights(each)], x, [])
    judging.hold_both_directions(each_build, pair, x, mode, outputs, KerasNeuron)


@pytest.mark.parametrize("seed", range(3))
def test_gru_that_resets_after_the_product_is_another(seed: int) -> None:
    case = judging.control(np.random.default_rng(seed))
    judging.part_ways(case, gru(case, reset_after=True).outputs)
