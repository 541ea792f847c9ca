"""The image layer's encode calls: state handed on, dispatches counted, vectors known in advance."""

from __future__ import annotations

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from image_stacks import STACKS, assert_same_bits, frames, gru, lstm, single_gate, slot, state_arrays


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> list[oracle.Cell]:
    return STACKS[request.param](np.random.default_rng(3))


def test_one_call_equals_a_call_per_frame(each_build: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    layer = conversion.layer(each_build, stack)
    x = frames(np.random.default_rng(4), stack)
    together, last = layer.predict(x, return_state=True)
    state = None
    apart = []
    for frame in x:
        output, state = layer.predict(frame[None], state, return_state=True)
        apart.append(output[0])
    assert_same_bits(together, np.stack(apart))
    for a, b in zip(state_arrays(last, len(stack)), state_arrays(state, len(stack)), strict=True):
        assert_same_bits(a, b)


def test_batch_equals_its_images_one_by_one(each_build: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    layer = conversion.layer(each_build, stack)
    x = frames(np.random.default_rng(5), stack, batch=3)
    together = layer.predict(x)
    for index in range(3):
        assert_same_bits(together[:, index], layer.predict(x[:, index]))


def test_all_intermediate_states(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    layer = conversion.layer(device, stack)
    assert layer.store_all_intermediate_states is False
    layer.store_all_intermediate_states = True
    x = frames(np.random.default_rng(6), stack, steps=4)
    sources = [mps.MPSImage.from_numpy(device, frame) for frame in x]
    blank = np.zeros((*x.shape[1:-1], stack[-1].outputs), np.float32)
    destinations = [mps.MPSImage.from_numpy(device, blank) for _ in x]
    already = object()
    states: list = [already]
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, sources, destinations, None, states)
    command.commit()
    command.wait_until_completed()
    assert states[0] is already
    assert len(states) == 1 + len(x)
    for t, state in enumerate(states[1:]):
        output, expected = conversion.layer(device, stack).predict(x[: t + 1], return_state=True)
        assert_same_bits(output[-1], destinations[t].to_numpy())
        for a, b in zip(state_arrays(state, len(stack)), state_arrays(expected, len(stack)), strict=True):
            assert_same_bits(a, b)
        assert_same_bits(state_arrays(state, len(stack))[len(stack) - 1], destinations[t].to_numpy())


def test_state_is_only_read(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    layer = conversion.layer(device, stack)
    x = frames(np.random.default_rng(7), stack)
    _, state = layer.predict(x[:2], return_state=True)
    before = state_arrays(state, len(stack))
    first = layer.predict(x[2:], state)
    second = layer.predict(x[2:], state)
    assert_same_bits(first, second)
    for a, b in zip(before, state_arrays(state, len(stack)), strict=True):
        assert_same_bits(a, b)


def test_parts_of_a_state(device: mps.MTLDevice) -> None:
    cells = STACKS["stack"](np.random.default_rng(8))
    layer = conversion.layer(device, cells)
    _, state = layer.predict(frames(np.random.default_rng(8), cells), return_state=True)
    assert state.device is device
    for index, cell in enumerate(cells):
        image = state.get_recurrent_output_image(index)
        assert (image.width, image.height, image.number_of_images) == (9, 7, 2)
        assert image.feature_channels == cell.outputs
        assert image.feature_channel_format == mps.MPSImageFeatureChannelFormat.FLOAT32
        assert (state.get_memory_cell_image(index) is not None) == cell.has_memory
    assert state.get_recurrent_output_image(len(cells)) is None
    assert state.get_memory_cell_image(len(cells)) is None


def test_states_stay_float32_whatever_the_destination(device: mps.MTLDevice) -> None:
    """The destination's format rounds what is stored there, never what recurs."""
    cells = STACKS["stack"](np.random.default_rng(9))
    layer = conversion.layer(device, cells)
    x = frames(np.random.default_rng(9), cells, steps=30)
    exact, exact_state = layer.predict(x, return_state=True)
    sources = [mps.MPSImage.from_numpy(device, frame) for frame in x]
    blank = np.zeros((*x.shape[1:-1], cells[-1].outputs), np.float16)
    destinations = [mps.MPSImage.from_numpy(device, blank) for _ in x]
    states: list[mps.MPSRNNRecurrentImageState] = []
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, sources, destinations, None, states)
    command.commit()
    command.wait_until_completed()
    assert_same_bits(np.stack([image.to_numpy() for image in destinations]), exact.astype(np.float16))
    for a, b in zip(state_arrays(states[0], len(cells)), state_arrays(exact_state, len(cells)), strict=True):
        assert_same_bits(a, b)


def test_state_from_arrays_starts_a_sequence(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    layer = conversion.layer(device, stack)
    x = frames(np.random.default_rng(10), stack)
    _, state = layer.predict(x[:3], return_state=True)
    outputs = [state.get_recurrent_output_image(index).to_numpy() for index in range(len(stack))]
    memories = [state.get_memory_cell_image(index) for index in range(len(stack))]
    memory_arrays = [None if image is None else image.to_numpy() for image in memories]
    made = mps.MPSRNNRecurrentImageState.from_numpy(device, outputs, memory_arrays)
    assert_same_bits(layer.predict(x[3:], made), layer.predict(x[3:], state))


@pytest.mark.parametrize(
    ("make", "dispatches"),
    [
        (lambda rng: single_gate(rng, 3, 5), 1),
        (lambda rng: lstm(rng, 3, 5), 1),
        (lambda rng: lstm(rng, 3, 5, "ifco", diagonal=True), 1),
        (lambda rng: lstm(rng, 3, 5, "ifc"), 1),
        (lambda rng: lstm(rng, 3, 5, "ifco"), 2),
        (lambda rng: gru(rng, 3, 5), 2),
        (lambda rng: gru(rng, 3, 5, slot(rng, 5, 5)), 2),
    ],
    ids=["single gate", "lstm", "lstm diagonal", "lstm full on i f c", "lstm full on o", "gru", "gru with Vh"],
)
def test_dispatches_per_step(device: mps.MTLDevice, make, dispatches: int) -> None:
    cell = make(np.random.default_rng(11))
    layer = conversion.layer(device, [cell])
    images = [mps.MPSImage.from_numpy(device, np.zeros((4, 4, cell.inputs), np.float32)) for _ in range(5)]
    results = [mps.MPSImage.from_numpy(device, np.zeros((4, 4, cell.outputs), np.float32)) for _ in range(5)]
    command = device.make_command_queue().make_command_buffer()
    assert command.dispatch_count == 0
    layer.encode_sequence(command, images, results)
    assert command.dispatch_count == 5 * dispatches


def test_properties(device: mps.MTLDevice) -> None:
    cells = STACKS["stack"](np.random.default_rng(12))
    layer = conversion.layer(device, cells)
    assert layer.device is device
    assert (layer.input_feature_channels, layer.output_feature_channels, layer.number_of_layers) == (3, 2, 3)
    assert layer.label is None
    layer.label = "forecast"
    assert "forecast" in repr(layer)


def test_both_labels_of_the_constructor(device: mps.MTLDevice) -> None:
    descriptor = conversion.descriptor(single_gate(np.random.default_rng(13), 2, 2))
    x = np.random.default_rng(13).standard_normal((2, 3, 3, 2)).astype(np.float32)
    layers = [
        mps.MPSRNNImageInferenceLayer(device, descriptor),
        mps.MPSRNNImageInferenceLayer(device=device, rnn_descriptor=descriptor),
        mps.MPSRNNImageInferenceLayer(device=device, rnn_descriptors=[descriptor]),
        mps.MPSRNNImageInferenceLayer(device, [descriptor]),
    ]
    results = [layer.predict(x) for layer in layers]
    for other in results[1:]:
        assert_same_bits(results[0], other)


def test_half_weights_unless_asked(device: mps.MTLDevice) -> None:
    """Apple's image layer rounds weights to half; use_float32_weights, our extension, does not."""
    third = np.full((1, 1, 1, 1), 1.0 / 3.0, np.float32)
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    descriptor.input_weights = mps.ArrayDataSource(third)
    one = np.ones((1, 1, 1, 1), np.float32)
    assert mps.MPSRNNImageInferenceLayer(device, descriptor).predict(one).item() == np.float16(1.0 / 3.0)
    descriptor.use_float32_weights = True
    assert mps.MPSRNNImageInferenceLayer(device, descriptor).predict(one).item() == np.float32(1.0 / 3.0)


def test_sums_are_float32(device: mps.MTLDevice) -> None:
    """A count that half precision would lose: it stops at 2048."""
    channels = 513
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(channels, 1)
    descriptor.input_weights = mps.ArrayDataSource(np.ones((1, 3, 3, channels), np.float32))
    x = np.ones((1, 3, 3, channels), np.float32)
    assert mps.MPSRNNImageInferenceLayer(device, descriptor).predict(x)[0, 1, 1, 0] == 9 * channels


# Known beforehand, by plain arithmetic.


def single(device: mps.MTLDevice, **sources: mps.ArrayDataSource) -> mps.MPSRNNImageInferenceLayer:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    for name, source in sources.items():
        setattr(descriptor, name, source)
    return mps.MPSRNNImageInferenceLayer(device, descriptor)


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize(
    "descriptor",
    [
        mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1),
        mps.MPSGRUDescriptor.create_gru_descriptor(1, 1),
        mps.MPSLSTMDescriptor.create_lstm_descriptor(1, 1),
    ],
    ids=lambda descriptor: type(descriptor).__name__,
)
def test_without_sources_everything_is_zero(device: mps.MTLDevice, descriptor: mps.MPSRNNDescriptor) -> None:
    output, state = mps.MPSRNNImageInferenceLayer(device, descriptor).predict(column(3, -2), return_state=True)
    assert output.ravel().tolist() == [0.0, 0.0]
    assert [array.item() for array in state_arrays(state, 1)] in ([0.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("size", "dilation", "offsets"),
    [(1, 1, [0]), (2, 1, [-1, 0]), (3, 1, [-1, 0, 1]), (4, 1, [-2, -1, 0, 1]), (2, 2, [-1, 1]), (2, 3, [-2, 1])],
)
@pytest.mark.parametrize("axis", [0, 1], ids=["rows", "columns"])
def test_window_sits_left_of_the_centre(
    device: mps.MTLDevice, axis: int, size: int, dilation: int, offsets: list[int]
) -> None:
    """An impulse and a different weight on each tap show where a window lies."""
    taps = np.arange(1, size + 1, dtype=np.float32)
    weights = taps.reshape((1, size, 1, 1) if axis == 0 else (1, 1, size, 1))
    rate = (dilation, 1) if axis == 0 else (1, dilation)
    layer = single(device, input_weights=mps.ArrayDataSource(weights, dilation_rate=rate))
    x = np.zeros((1, 9, 9, 1), np.float32)
    x[0, 4, 4, 0] = 1.0
    line = layer.predict(x)[0, :, 4, 0] if axis == 0 else layer.predict(x)[0, 4, :, 0]
    expected = np.zeros(9, np.float32)
    for tap, offset in zip(taps, offsets, strict=True):
        expected[4 - offset] = tap
    assert line.tolist() == expected.tolist()


def test_recurrent_bias_and_neuron_are_ignored(device: mps.MTLDevice) -> None:
    sigmoid = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor(mps.MPSCNNNeuronType.SIGMOID)
    weights = np.full((1, 1, 1, 1), 0.5, np.float32)
    plain = mps.ArrayDataSource(weights)
    adorned = mps.ArrayDataSource(weights, np.array([9.0], np.float32), sigmoid)
    a = single(device, input_weights=plain, recurrent_weights=plain).predict(column(1, 2, 3))
    b = single(device, input_weights=plain, recurrent_weights=adorned).predict(column(1, 2, 3))
    assert_same_bits(a, b)


def test_predict_takes_any_strides_and_float16(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(14)
    layer = conversion.layer(device, [single_gate(rng, 3, 4)])
    x = rng.standard_normal((4, 6, 8, 3)).astype(np.float32)
    straight = layer.predict(x)
    assert_same_bits(layer.predict(np.asfortranarray(x)), straight)
    assert_same_bits(layer.predict(x[::2]), layer.predict(x[::2].copy()))
    read_only = x.copy()
    read_only.flags.writeable = False
    assert_same_bits(layer.predict(read_only), straight)
    half = layer.predict(x.astype(np.float16))
    assert half.dtype == np.float16
    exact = layer.predict(x.astype(np.float16).astype(np.float32))
    assert_same_bits(half, exact.astype(np.float16))


def test_layer_leaves_nothing_behind(device: mps.MTLDevice, no_leaks: None) -> None:
    cells = STACKS["stack"](np.random.default_rng(15))
    layer = conversion.layer(device, cells)
    layer.predict(frames(np.random.default_rng(15), cells), return_state=True)
