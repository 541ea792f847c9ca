"""What Apple leaves open, point by point: what was chosen, and what would tell on a Mac whether Apple chose the same.

Where there is a layer of each kind, both are held to the choice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused
from small_layers import (
    Described,
    Normalised,
    each_layer,
    ended,
    frames,
    image_layer,
    outputs,
    single,
    source,
    temporaries,
)

NEURON = mps.MPSCNNNeuronType
Direction, Mode = mps.MPSRNNSequenceDirection, mps.MPSRNNBidirectionalCombineMode
neuron = mps.MPSNNNeuronDescriptor.cnn_neuron_descriptor


@pytest.mark.parametrize(
    ("taps", "expected"),
    [
        # The response to an impulse is the kernel turned by half: output (y, x) saw it with tap (2 + d - y, 2 + d - x).
        ([[1, 2], [3, 4]], [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 4, 3, 0], [0, 0, 2, 1, 0], [0, 0, 0, 0, 0]]),
        (
            [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
            [[0, 0, 0, 0, 0], [0, 9, 8, 7, 0], [0, 6, 5, 4, 0], [0, 3, 2, 1, 0], [0, 0, 0, 0, 0]],
        ),
    ],
    ids=["2x2", "3x3"],
)
def test_point_01_window_position(device: mps.MTLDevice, taps: list, expected: list) -> None:
    """Where does the window of a kernel lie, and what does it see beyond the edge.

    Chosen: cross-correlation with floor(k / 2) taps to the left and above, and zeros outside. A Mac shows it by the
    response to an impulse, with 2 x 2 and 3 x 3 kernels of distinct taps, and by a constant image at its edges.
    """
    layer = image_layer(device, single(input_weights=source(np.array(taps)[None, :, :, None])))
    impulse = np.zeros((1, 5, 5, 1), np.float32)
    impulse[0, 2, 2, 0] = 1
    assert layer.predict(impulse)[0, :, :, 0].tolist() == expected
    corner = layer.predict(np.ones((1, 5, 5, 1), np.float32))[0, 0, 0, 0]
    reach = len(taps) // 2
    assert corner == np.sum(np.array(taps)[reach:, reach:])


SETTINGS = {
    "offset": mps.MPSOffset(1, -1, 0),
    "clip_rect": mps.MTLRegion(mps.MTLOrigin(1, 1, 0), mps.MTLSize(1, 1, 1)),
    "destination_feature_channel_offset": 4,
    "source_feature_channel_offset": 4,
    "source_feature_channel_max_count": 1,
    "edge_mode": mps.MPSImageEdgeMode.CLAMP,
    "options": mps.MPSKernelOptions.ALLOW_REDUCED_PRECISION,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_point_02_settings_of_cnn_kernels(device: mps.MTLDevice, name: str) -> None:
    """Do offset, clip rectangle, channel offsets and edge mode affect the recurrent encode calls.

    Chosen: they are kept and have no effect, for source, destination and state have one size. A Mac shows it by the
    results before and after each is set.
    """
    rng = np.random.default_rng(50)
    w, u = rng.standard_normal((2, 8, 3, 3, 8)).astype(np.float32)
    layer = image_layer(device, single(8, 8, input_weights=source(w), recurrent_weights=source(u)))
    x = rng.standard_normal((2, 4, 4, 8)).astype(np.float32)
    before = layer.predict(x)
    setattr(layer, name, SETTINGS[name])
    assert getattr(layer, name) == SETTINGS[name]
    np.testing.assert_array_equal(layer.predict(x), before, strict=True)


def test_point_03_stride_groups_dilation(device: mps.MTLDevice) -> None:
    """Which geometries are legal inside a recurrent layer.

    Chosen: a stride other than 1 is an error, for it changes the size; dilation and groups are computed. A Mac shows
    it by making and running layers with each.
    """
    for axis in "xy":
        descriptor = single(input_weights=Described(1, 1, **{f"stride_in_pixels_{axis}": 2}))
        refused(lambda d=descriptor: image_layer(device, d), mps.BadArgumentError, r"stride .*expected \(1, 1\)")
    dilated = image_layer(device, single(input_weights=source(np.ones((1, 1, 2, 1)), dilation_rate=(1, 2))))
    row = np.array([1, 2, 4, 8], np.float32).reshape(1, 1, 4, 1)
    # Two taps that are two apart span three columns, centred like a kernel of three.
    assert dilated.predict(row).ravel().tolist() == [2, 5, 10, 4]
    grouped = image_layer(device, single(8, 8, input_weights=source(np.ones((8, 1, 1, 4)), groups=2)))
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)
    assert grouped.predict(x).ravel().tolist() == [6.0] * 4 + [22.0] * 4


@each_layer
def test_point_04_bias_and_neuron_of_the_unit_transform(device: mps.MTLDevice, layer_type: Any) -> None:
    """Do the bias and the neuron of an input source apply where the input takes the place of W*x.

    Chosen: they do; the transform alone is replaced. A Mac shows it in that mode with a bias of 1.
    """
    relu = neuron(NEURON.RELU)
    descriptor = single(input_weights=source(5, [1], relu), use_layer_input_unit_transform_mode=True)
    assert outputs(layer_type(device, descriptor), 2, -3) == [[3.0], [0.0]]


def test_point_05_kernel_of_a_layer(device: mps.MTLDevice) -> None:
    """Which window does a layer report, having many.

    Chosen: that over the input, of the first gate that has one in the bottom layer; 1 without any. A Mac shows it by
    reading the properties.
    """
    bottom = single(input_weights=source(np.ones((1, 5, 3, 1)), dilation_rate=(2, 4)))
    bottom.recurrent_weights = source(np.ones((1, 7, 7, 1)))
    layer = image_layer(device, bottom, single(input_weights=source(np.ones((1, 9, 9, 1)))))
    assert (layer.kernel_width, layer.kernel_height) == (3, 5)
    assert (layer.dilation_rate_x, layer.dilation_rate_y) == (4, 2)
    assert (layer.stride_in_pixels_x, layer.stride_in_pixels_y) == (1, 1)
    empty = image_layer(device, single())
    assert (empty.kernel_width, empty.kernel_height, empty.dilation_rate_x, empty.dilation_rate_y) == (1, 1, 1, 1)


def both_ways(forward: int, backward: int) -> list[mps.MPSRNNDescriptor]:
    """One layer each way that repeats its input in every channel, tenfold backwards."""
    ahead = single(1, forward, input_weights=source(np.ones(forward)))
    behind = single(1, backward, input_weights=source(np.full(backward, 10)))
    behind.layer_sequence_direction = Direction.BACKWARD
    return [ahead, behind]


@each_layer
def test_point_06_output_channels_of_both_directions(device: mps.MTLDevice, layer_type: Any) -> None:
    """What is outputFeatureChannels of layers in both directions.

    Chosen: that of the last layer, whatever the combine mode. A Mac shows it by reading the property.
    """
    layer = layer_type(device, both_ways(3, 5))
    assert layer.output_feature_channels == 5
    layer.bidirectional_combine_mode = Mode.CONCATENATE
    assert layer.output_feature_channels == 5
    assert layer_type(device, both_ways(3, 5)[::-1]).output_feature_channels == 3


def test_point_07_concatenation_across_slices(device: mps.MTLDevice) -> None:
    """Can channels be concatenated whose number is not a multiple of 4.

    Chosen: yes, any. A Mac shows it by 3 forward and 3 backward channels.
    """
    layer = image_layer(device, *both_ways(3, 3))
    layer.bidirectional_combine_mode = Mode.CONCATENATE
    sources = [mps.MPSImage.from_numpy(device, np.full((1, 1, 1), x, np.float32)) for x in (1, 2)]
    destinations = [mps.MPSImage.from_numpy(device, np.zeros((1, 1, 6), np.float32)) for _ in sources]
    command = device.make_command_queue().make_command_buffer()
    layer.encode_bidirectional_sequence(command, sources, destinations)
    command.commit()
    command.wait_until_completed()
    assert [image.to_numpy().ravel().tolist() for image in destinations] == [
        [1, 1, 1, 10, 10, 10],
        [2, 2, 2, 20, 20, 20],
    ]


@each_layer
def test_point_08_states_are_appended(device: mps.MTLDevice, layer_type: Any) -> None:
    """Is the array for the output states cleared first.

    Chosen: no, they are appended to what it holds. A Mac shows it by passing an array that is not empty.
    """
    layer = layer_type(device, single())
    layer.store_all_intermediate_states = True
    shape, made = ((1, 1), mps.MPSMatrix) if layer_type is mps.MPSRNNMatrixInferenceLayer else ((1, 1, 1), mps.MPSImage)
    sources, destinations = ([made.from_numpy(device, np.zeros(shape, np.float32)) for _ in range(2)] for _ in range(2))
    first = object()
    states: list[Any] = [first]
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, sources, destinations, recurrent_output_states=states)
    assert len(states) == 3
    assert states[0] is first


def test_point_09_parameters_of_neurons() -> None:
    """What are a, b and c of a neuron that was made without them.

    Chosen: what Apple's header suggests for the function; those it suggests nothing for have to be given. A Mac shows
    it by reading the properties.
    """
    made = {kind: neuron(kind) for kind in (NEURON.TANH, NEURON.HARD_SIGMOID, NEURON.RELUN, NEURON.LINEAR, NEURON.RELU)}
    assert [(made[kind].a, made[kind].b) for kind in made] == [(1, 1), (0.2, 0.5), (1, 6), (1, 0), (0, 0)]
    refused(lambda: neuron(NEURON.POWER), mps.BadArgumentError, "^a: got None")


def p_norm_descriptor(p: float) -> mps.MPSGRUDescriptor:
    """A GRU whose update gate is the input, unsquashed."""
    descriptor = mps.MPSGRUDescriptor.create_gru_descriptor(1, 1)
    descriptor.input_gate_input_weights = source(1)
    descriptor.output_gate_input_weights = source(0, [1])
    descriptor.gate_pnorm_value = p
    return descriptor


@each_layer
def test_point_10_p_norm_beyond_the_range(device: mps.MTLDevice, layer_type: Any) -> None:
    """What is (1 - z^p)^(1/p) where a gate that does not squash makes z smaller than 0 or larger than 1.

    Chosen: what arithmetic gives, NaN for the root of a negative number. A Mac shows it by an identity for gz.
    """
    # z = 0 and z = 1 are decided exactly, whatever the power function's last bit.
    ((low,), (high,), (beyond,)) = outputs(layer_type(device, p_norm_descriptor(2)), 0, 1, 2)
    assert (low, high) == (1.0, 1.0)
    assert np.isnan(beyond)
    # A first power needs no root: 1 - z.
    assert outputs(layer_type(device, p_norm_descriptor(1)), 2) == [[-1.0]]


def test_point_11_copy_of_weights_that_are_not_there(device: mps.MTLDevice) -> None:
    """What does encodeCopyWeights do with a matrix whose data source was nil.

    Chosen: it is an error, as is a matrix of another kind of cell. A Mac shows it by copying one.
    """
    weights: list[mps.MPSMatrix] = []
    layer = mps.MPSRNNMatrixTrainingLayer(device, single(input_weights=source(2)), weights)
    matrix = mps.MPSMatrix.from_numpy(device, np.zeros((1, 1), np.float32))
    command = device.make_command_queue().make_command_buffer()

    def copy(matrix_id: mps.MPSRNNMatrixId) -> None:
        layer.encode_copy_weights(
            command,
            weights=weights,
            matrix_id=matrix_id,
            matrix=matrix,
            copy_from_weights_to_matrix=True,
            matrix_offset=mps.MTLOrigin(0, 0, 0),
        )

    copy(mps.MPSRNNMatrixId.SINGLE_GATE_INPUT_WEIGHTS)
    for missing in ("SINGLE_GATE_RECURRENT_WEIGHTS", "LSTM_INPUT_GATE_BIAS_TERMS"):
        refused(lambda name=missing: copy(mps.MPSRNNMatrixId[name]), mps.BadArgumentError, "^matrix_id: got ")
    ended(command)
    assert matrix.to_numpy().item() == 2


def test_point_12_state_of_another_shape(device: mps.MTLDevice) -> None:
    """What happens to a state that comes from a layer of another shape.

    Chosen: it is an error, before anything is encoded. A Mac shows it by passing one.
    """
    layer = image_layer(device, single())
    x = frames(1)
    wide = mps.MPSRNNRecurrentImageState.from_numpy(device, [np.zeros((1, 1, 2), np.float32)])
    refused(lambda: layer.predict(x, wide), mps.BadArgumentError, "^state, layer 0: got 2 feature channels")
    large = mps.MPSRNNRecurrentImageState.from_numpy(device, [np.zeros((2, 1, 1), np.float32)])
    refused(lambda: layer.predict(x, large), mps.BadArgumentError, "^state, layer 0: got 1 x 2 pixels")
    deep = mps.MPSRNNRecurrentImageState.from_numpy(device, [np.zeros((1, 1, 1), np.float32)] * 2)
    refused(lambda: layer.predict(x, deep), mps.BadArgumentError, "^state: got the state of 2 layers, expected 1")


def test_point_12_matrix_state_of_another_shape(device: mps.MTLDevice) -> None:
    """Point 12 for matrices: channels, layers and rows have to be those of the layer and the first source.

    More rows than the first source has are no error: the rest is not read.
    """
    layer = mps.MPSRNNMatrixInferenceLayer(device, single())
    x = np.ones((1, 2, 1), np.float32)

    def state(*shapes: tuple[int, int]) -> mps.MPSRNNRecurrentMatrixState:
        return mps.MPSRNNRecurrentMatrixState.from_numpy(device, [np.zeros(shape, np.float32) for shape in shapes])

    for wrong in (state((2, 2)), state((1, 1)), state((2, 1), (2, 1))):
        refused(lambda given=wrong: layer.predict(x, given), mps.BadArgumentError, "^state")
    assert layer.predict(x, state((3, 1))).shape == (1, 2, 1)


def test_point_13_sums_are_float32(device: mps.MTLDevice) -> None:
    """In which precision does the image layer add.

    Chosen: float32, of weights rounded to half; what recurs is float32 too. A Mac shows it by a long product of
    numbers whose half-precision sum would stand still.
    """
    channels = 4096
    layer = image_layer(device, single(channels, 1, input_weights=source(np.ones((1, 1, 1, channels)))))
    x = np.ones((1, 1, 1, channels), np.float32)
    x[..., 0] = 0.5
    assert layer.predict(x).item() == channels - 0.5
    tenth = image_layer(device, single(input_weights=source(0.1)))
    assert tenth.predict(frames(1)).item() == np.float16(0.1)


@each_layer
def test_point_14_read_count_of_sources(device: mps.MTLDevice, layer_type: Any) -> None:
    """By how much does an encode call lower the read count of a temporary source.

    Chosen: by one for every place in which the call reads it; writing does not count. A Mac shows it by reading the
    count afterwards.
    """
    command = device.make_command_queue().make_command_buffer()
    once, twice, middle, last = temporaries(command, layer_type, 4)
    once.read_count, twice.read_count = 5, 5
    layer = layer_type(device, single(input_weights=source(1)))
    layer.encode_sequence(command, [once, twice, twice], [middle, middle, last])
    assert [item.read_count for item in (once, twice, middle, last)] == [4, 3, 1, 1]
    for item in (once, twice, middle, last):
        item.read_count = 0
    refused(lambda: layer.encode_sequence(command, [once], [last]), mps.LifetimeError, "read count 0")
    ended(command)


@each_layer
def test_point_15_read_count_of_output_states(device: mps.MTLDevice, layer_type: Any) -> None:
    """What is the read count of a temporary state that an encode call returns.

    Chosen: 1, as of every temporary object; being passed to an encode call lowers it. A Mac shows it by reading it.
    """
    command = device.make_command_queue().make_command_buffer()
    layer = layer_type(device, single(input_weights=source(1)))
    layer.recurrent_output_is_temporary = True
    first, second, *destinations = temporaries(command, layer_type, 4)
    states: list[Any] = []
    layer.encode_sequence(command, [first], destinations[:1], None, states)
    assert (states[0].is_temporary, states[0].read_count) == (True, 1)
    layer.encode_sequence(command, [second], destinations[1:], states[0])
    assert states[0].read_count == 0
    layer.recurrent_output_is_temporary = False
    for item in destinations:
        item.read_count = 0
    ended(command)


def test_point_16_number_of_images(device: mps.MTLDevice) -> None:
    """What happens if source, destination and state do not hold equally many images.

    Chosen: it is an error. A Mac shows it by passing such.
    """
    layer = image_layer(device, single())
    one, two = (mps.MPSImage.from_numpy(device, np.zeros((n, 1, 1, 1), np.float32)) for n in (1, 2))
    three = mps.MPSRNNRecurrentImageState.from_numpy(device, [np.zeros((3, 1, 1, 1), np.float32)])
    command = device.make_command_queue().make_command_buffer()
    words = r"^destination_images\[0\]: got 1 x 1 pixels and 1 images, expected 1 x 1 pixels and 2 images"
    refused(lambda: layer.encode_sequence(command, [two], [one]), mps.BadArgumentError, words)
    again = mps.MPSImage.from_numpy(device, np.zeros((2, 1, 1, 1), np.float32))
    words = "^recurrent_input_state, layer 0: got 1 x 1 pixels and 3 images"
    refused(lambda: layer.encode_sequence(command, [two], [again], three), mps.BadArgumentError, words)


@each_layer
def test_point_17_batch_normalisation(device: mps.MTLDevice, layer_type: Any) -> None:
    """Does the batch normalisation of an input source's descriptor count.

    Chosen: it is folded into weights and bias, as Apple's convolution does; on other sources it is an error. A Mac
    shows it by setting one.
    """
    # k = 4 / sqrt(3 + 1) = 2: w = 2, b = 0.5 - 2 * 3.
    assert outputs(layer_type(device, single(input_weights=Normalised())), 1, 2) == [[-3.5], [-1.5]]
    descriptor = single(recurrent_weights=Normalised())
    refused(lambda: layer_type(device, descriptor), mps.BadArgumentError, "batch normalisation on recurrent weights")


@each_layer
@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (3, 1)], ids=["1 -> n", "n -> n", "n -> 1"])
def test_point_18_descriptor_of_a_diagonal_peephole(
    device: mps.MTLDevice, layer_type: Any, shape: tuple[int, int]
) -> None:
    """Which channels does the descriptor of diagonal memory weights have.

    Chosen: n weights described as 1 to n, n to n or n to 1 channels. A Mac shows it by making a layer with each.
    """
    descriptor = mps.MPSLSTMDescriptor.create_lstm_descriptor(1, 3)
    descriptor.memory_weights_are_diagonal = True
    descriptor.cell_to_output_neuron_type = NEURON.NONE
    # c1 = 0 * c0 + 1 * 1, so h1 = V * 1.
    descriptor.input_gate_input_weights = source(np.zeros(3), np.ones(3))
    descriptor.cell_gate_input_weights = source(np.zeros(3), np.ones(3))
    descriptor.output_gate_memory_weights = Described(*shape, [1, 2, 4])
    assert outputs(layer_type(device, descriptor), 0) == [[1, 2, 4]]
