"""What programs that use Apple's layers do with them, and what they report: the same here.

Each section is one client. Numbers are those that it measured on Apple's hardware, where it did.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
import oracle
from field_weights import MODELS

NEURON = mps.MPSCNNNeuronType
SIGMOID = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(NEURON.SIGMOID)
TANH = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(NEURON.TANH, 1, 1)

# In the order in which PyTorch has them.
GATES = {"input": SIGMOID, "forget": SIGMOID, "cell": TANH, "output": SIGMOID}
LAYERS = [mps.MPSRNNImageInferenceLayer, mps.MPSRNNMatrixInferenceLayer]


def single(**properties: Any) -> mps.MPSRNNSingleGateDescriptor:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    for name, value in properties.items():
        setattr(descriptor, name, value)
    return descriptor


def source(matrix: np.ndarray, *arguments: Any) -> mps.ArrayDataSource:
    return mps.ArrayDataSource(np.ascontiguousarray(matrix, np.float32)[:, None, None, :], *arguments)


def doubled() -> mps.ArrayDataSource:
    """W = 2, b = 0.5."""
    return source(np.array([[2.0]]), np.array([0.5], np.float32))


# A Rust binding: the only program to have published what the image layer computes. ------------------------------


def test_unit_transform_of_a_pixel_is_exact(device: mps.MTLDevice) -> None:
    layer = mps.MPSRNNImageInferenceLayer(device, single(use_layer_input_unit_transform_mode=True))
    assert (layer.input_feature_channels, layer.output_feature_channels, layer.number_of_layers) == (1, 1, 1)
    described = mps.MPSImageDescriptor(mps.MPSImageFeatureChannelFormat.FLOAT32, 1, 1, 1)
    sources, destinations = ([mps.MPSImage(device, described) for _ in range(2)] for _ in range(2))
    for image, value in zip(sources, (0.25, 0.75), strict=True):
        image.write_bytes(np.float32(value).tobytes(), mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS)
    states: list[mps.MPSRNNRecurrentImageState] = []
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, sources, destinations, None, states)
    command.commit()
    command.wait_until_completed()
    assert [image.to_numpy().item() for image in destinations] == [0.25, 0.75]
    assert len(states) == 1
    kept = states[0].get_recurrent_output_image(0)
    assert (kept.width, kept.height, kept.feature_channels, kept.number_of_images) == (1, 1, 1, 1)
    assert states[0].get_memory_cell_image(0) is None
    assert states[0].get_recurrent_output_image(1) is None


def test_pointwise_convolution_is_exact(device: mps.MTLDevice) -> None:
    values = np.array([1, 2, 3, 4], np.float32)
    expected = [2.5, 4.5, 6.5, 8.5]
    image_layer = mps.MPSRNNImageInferenceLayer(device, single(input_weights=doubled()))
    assert image_layer.predict(values.reshape(1, 2, 2, 1)).ravel().tolist() == expected
    matrix_layer = mps.MPSRNNMatrixInferenceLayer(device, single(input_weights=doubled()))
    assert matrix_layer.predict(values.reshape(1, 4, 1)).ravel().tolist() == expected


# Xamarin's tests: make both layers from nothing, and copy them. -------------------------------------------------


@pytest.mark.parametrize("layer_type", LAYERS)
@pytest.mark.parametrize("copied", [lambda layer: layer.copy(), lambda layer: layer.copy(None), copy.copy])
def test_construct_and_copy(device: mps.MTLDevice, layer_type: Any, copied: Any) -> None:
    layer = layer_type(device, single())
    other = copied(layer)
    assert type(other) is layer_type
    assert other is not layer
    assert other.device is device
    assert (other.input_feature_channels, other.output_feature_channels, other.number_of_layers) == (1, 1, 1)
    other.store_all_intermediate_states = True
    assert not layer.store_all_intermediate_states


# A compiler's bridge: PyTorch's LSTM of one layer, final h and c from states[0]. ---------------------------------


def pytorch_lstm(rng: np.random.Generator, inputs: int, hidden: int) -> tuple[mps.MPSLSTMDescriptor, dict[str, Any]]:
    """A descriptor of PyTorch's weights: rows of i, f, g, o one after the other, both biases into one."""
    shapes = MODELS["PyTorch LSTM"].shapes(inputs, hidden)
    weights = {name: rng.standard_normal(shape).astype(np.float32) / np.float32(2) for name, shape in shapes.items()}
    descriptor = mps.MPSLSTMDescriptor.create_lstm_descriptor(inputs, hidden)
    descriptor.use_float32_weights = True
    for part, (gate, neuron) in enumerate(GATES.items()):
        rows = slice(part * hidden, (part + 1) * hidden)
        bias = weights["bias_ih"][rows] + weights["bias_hh"][rows]
        setattr(descriptor, f"{gate}_gate_input_weights", source(weights["weight_ih"][rows], bias, neuron))
        setattr(descriptor, f"{gate}_gate_recurrent_weights", source(weights["weight_hh"][rows]))
    return descriptor, weights


def test_lstm_of_pytorch(device: mps.MTLDevice) -> None:
    torch = pytest.importorskip("torch", reason="the judges extra is not installed")
    rng = np.random.default_rng(60)
    descriptor, weights = pytorch_lstm(rng, 5, 7)
    theirs = torch.nn.LSTM(5, 7)
    x = rng.standard_normal((6, 3, 5)).astype(np.float32)
    with torch.no_grad():
        for name, array in weights.items():
            getattr(theirs, f"{name}_l0").copy_(torch.from_numpy(array))
        expected, (h, c) = theirs(torch.from_numpy(x))
    outputs, state = mps.MPSRNNMatrixInferenceLayer(device, descriptor).predict(x, return_state=True)
    cell = dataclasses.replace(MODELS["PyTorch LSTM"].cell(weights, 5, 7), float32_weights=True)
    truth = oracle.run([cell], x[:, :, None, None])
    bounds = [*(output[:, 0, 0] for output in truth.outputs), *(part[:, 0, 0] for part in truth.states[-1][0])]
    ours = [*outputs, state.get_recurrent_output_matrix(0).to_numpy(), state.get_memory_cell_matrix(0).to_numpy()]
    for index, (bounded, mine, judge) in enumerate(zip(bounds, ours, [*expected, h[0], c[0]], strict=True)):
        oracle.assert_close(judge.numpy(), bounded, f"PyTorch's result {index}")
        oracle.assert_close(mine, bounded, f"result {index}")


def test_final_state_is_the_last_output(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(61)
    descriptor, _ = pytorch_lstm(rng, 3, 5)
    x = rng.standard_normal((4, 2, 3)).astype(np.float32)
    outputs, state = mps.MPSRNNMatrixInferenceLayer(device, descriptor).predict(x, return_state=True)
    np.testing.assert_array_equal(state.get_recurrent_output_matrix(0).to_numpy(), outputs[-1])


def test_rows_of_a_state_lie_row_bytes_apart(device: mps.MTLDevice) -> None:
    # Five float32 are 20 bytes, which are not the distance of rows: who takes them for that reads padding.
    rng = np.random.default_rng(62)
    descriptor, _ = pytorch_lstm(rng, 3, 5)
    x = rng.standard_normal((2, 4, 3)).astype(np.float32)
    outputs, state = mps.MPSRNNMatrixInferenceLayer(device, descriptor).predict(x, return_state=True)
    matrix = state.get_recurrent_output_matrix(0)
    assert matrix.row_bytes % 16 == 0
    assert matrix.row_bytes > 5 * 4
    memory = np.frombuffer(matrix.data.contents(), np.uint8)
    for row in range(4):
        start = matrix.offset + row * matrix.row_bytes
        np.testing.assert_array_equal(memory[start : start + 20].view(np.float32), outputs[-1][row])


# A training toolkit's activity classifier. ----------------------------------------------------------------------


def activity_descriptor(rng: np.random.Generator, inputs: int, hidden: int) -> mps.MPSLSTMDescriptor:
    """As the toolkit describes it: sigmoids with a = b = 0, and TanH(1, 1) and a bias on recurrent sources too."""
    gated = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(NEURON.SIGMOID, 0, 0)
    descriptor = mps.MPSLSTMDescriptor.create_lstm_descriptor(inputs, hidden)
    descriptor.use_float32_weights = True
    for gate in ("input", "forget", "cell", "output"):
        w, u = (rng.standard_normal((hidden, n)) / np.sqrt(hidden) for n in (inputs, hidden))
        bias = rng.standard_normal(hidden).astype(np.float32)
        setattr(descriptor, f"{gate}_gate_input_weights", source(w, bias, TANH if gate == "cell" else gated))
        setattr(descriptor, f"{gate}_gate_recurrent_weights", source(u, bias, TANH))
    return descriptor


@pytest.mark.parametrize("layer_type", LAYERS)
def test_neuron_and_bias_of_recurrent_sources_change_nothing(device: mps.MTLDevice, layer_type: Any) -> None:
    descriptor = activity_descriptor(np.random.default_rng(63), 3, 4)
    plain = activity_descriptor(np.random.default_rng(63), 3, 4)
    for gate in ("input", "forget", "cell", "output"):
        weights = getattr(descriptor, f"{gate}_gate_recurrent_weights").weights()
        setattr(plain, f"{gate}_gate_recurrent_weights", mps.ArrayDataSource(weights))
        given = getattr(descriptor, f"{gate}_gate_input_weights")
        # A sigmoid has no parameters, so that those given do not matter either.
        neuron = TANH if gate == "cell" else SIGMOID
        setattr(plain, f"{gate}_gate_input_weights", mps.ArrayDataSource(given.weights(), given.bias_terms(), neuron))
    x = np.random.default_rng(64).standard_normal((5, 2, 3)).astype(np.float32)
    if layer_type is mps.MPSRNNImageInferenceLayer:
        x = x[:, None]
    np.testing.assert_array_equal(layer_type(device, descriptor).predict(x), layer_type(device, plain).predict(x))


def views_of(device: mps.MTLDevice, array: np.ndarray) -> tuple[Any, list[int]]:
    """One matrix over an (N, T, C) array, and the offset of every time step in it."""
    _, steps, channels = array.shape
    buffer = device.make_buffer(bytes=np.ascontiguousarray(array))
    described = mps.MPSMatrixDescriptor(
        rows=array.shape[0], columns=channels, row_bytes=steps * channels * 4, data_type=mps.MPSDataType.FLOAT32
    )
    return mps.MPSMatrix(buffer=buffer, descriptor=described), [t * channels * 4 for t in range(steps)]


def test_one_matrix_with_offsets_is_as_good_as_many(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(65)
    layer = mps.MPSRNNMatrixInferenceLayer(device, activity_descriptor(rng, 3, 4))
    ntc = rng.standard_normal((2, 5, 3)).astype(np.float32)
    expected = layer.predict(np.ascontiguousarray(ntc.swapaxes(0, 1)))
    source_matrix, source_offsets = views_of(device, ntc)
    destination, destination_offsets = views_of(device, np.zeros((2, 5, 4), np.float32))
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(
        command,
        source_matrices=[source_matrix] * 5,
        source_offsets=source_offsets,
        destination_matrices=[destination] * 5,
        destination_offsets=destination_offsets,
    )
    command.commit()
    command.wait_until_completed()
    found = np.frombuffer(destination.data.contents(), np.float32).reshape(2, 5, 4)
    np.testing.assert_array_equal(found.swapaxes(0, 1), expected)


# PyObjC, the bridge of Python programs to Apple's own: what of its ways holds here as well. ----------------------


@pytest.mark.parametrize("layer_type", LAYERS)
def test_flags_are_bool_and_enumerations_are_integers(device: mps.MTLDevice, layer_type: Any) -> None:
    layer = layer_type(device, rnn_descriptor=single())
    for flag in ("store_all_intermediate_states", "recurrent_output_is_temporary"):
        assert getattr(layer, flag) is False
        setattr(layer, flag, True)
        assert getattr(layer, flag) is True
    layer.bidirectional_combine_mode = 2
    assert layer.bidirectional_combine_mode == 2
    assert mps.MPSRNNMatrixId.LSTM_INPUT_GATE_BIAS_TERMS == 6


def test_tuples_are_structures_and_any_buffer_is_memory(device: mps.MTLDevice) -> None:
    layer = mps.MPSRNNImageInferenceLayer(device, single())
    layer.offset = (1, 2, 3)
    assert layer.offset == mps.MPSOffset(1, 2, 3)
    layer.clip_rect = ((0, 1, 0), (2, 3, 1))
    assert layer.clip_rect.size.height == 3
    image = mps.MPSImage.from_numpy(device, np.array([[[0.5]]], np.float32))
    into = bytearray(4)
    image.read_bytes(into, 0, region=((0, 0, 0), (1, 1, 1)), feature_channel_info=(0, 1), image_index=0)
    assert np.frombuffer(into, np.float32).tolist() == [0.5]


def test_data_source_in_python_is_asked_in_order(device: mps.MTLDevice) -> None:
    """The bridge cannot return weights from Python, which is why its users need Objective-C; here they do not."""
    calls: list[str] = []

    class Source:
        def __getattr__(self, name: str) -> Any:
            answers = {
                "load": True,
                "label": None,
                "descriptor": mps.MPSCNNConvolutionDescriptor(1, 1, 1, 1),
                "data_type": mps.MPSDataType.FLOAT32,
                "weights": np.array([2], np.float32),
                "bias_terms": np.array([0.5], np.float32),
                "purge": None,
            }
            if name not in answers:
                raise AttributeError(name)
            return lambda: calls.append(name) or answers[name]

    layer = mps.MPSRNNImageInferenceLayer(device, single(input_weights=Source()))
    assert (calls[0], calls[-1], calls.count("load"), calls.count("purge")) == ("load", "purge", 1, 1)
    calls.clear()
    assert layer.predict(np.ones((1, 1, 1, 1), np.float32)).item() == 2.5
    assert layer.copy().predict(np.ones((1, 1, 1, 1), np.float32)).item() == 2.5
    assert not calls
