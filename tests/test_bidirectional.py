"""Bidirectional sequences against two stacks that are run one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import conversion
import mpsrnn_cy as mps
import oracle
import strategies
from image_stacks import assert_same_bits, gru, lstm, single_gate
from test_cells import exploring

Mode = mps.MPSRNNBidirectionalCombineMode
BACKWARD = mps.MPSRNNSequenceDirection.BACKWARD


def bidirectional(
    device: mps.MTLDevice, forward: list[oracle.Cell], backward: list[oracle.Cell]
) -> mps.MPSRNNImageInferenceLayer:
    """A layer of both stacks, their descriptors in turn as far as they go."""
    ahead = [conversion.descriptor(cell) for cell in forward]
    behind = [conversion.descriptor(cell) for cell in backward]
    for descriptor in behind:
        descriptor.layer_sequence_direction = BACKWARD
    mixed = []
    for index in range(max(len(ahead), len(behind))):
        mixed += ahead[index : index + 1] + behind[index : index + 1]
    return mps.MPSRNNImageInferenceLayer(device, mixed)


def blank(device: mps.MTLDevice, x: np.ndarray, channels: int, dtype: type = np.float32) -> list[mps.MPSImage]:
    return [mps.MPSImage.from_numpy(device, np.full((*x.shape[1:-1], channels), 7, dtype)) for _ in x]


def encode(
    layer: mps.MPSRNNImageInferenceLayer,
    x: np.ndarray,
    forward: list[mps.MPSImage] | None,
    backward: list[mps.MPSImage] | None = None,
    state: mps.MPSRNNRecurrentImageState | None = None,
) -> mps.MTLCommandBuffer:
    sources = [mps.MPSImage.from_numpy(layer.device, frame) for frame in x]
    command = layer.device.make_command_queue().make_command_buffer()
    layer.encode_bidirectional_sequence(command, sources, forward, backward, recurrent_input_state=state)
    command.commit()
    command.wait_until_completed()
    return command


def pixels(images: list[mps.MPSImage]) -> np.ndarray:
    return np.stack([conversion.batched(image) for image in images])


def one_by_one(
    device: mps.MTLDevice, forward: list[oracle.Cell], backward: list[oracle.Cell], x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    ahead = conversion.layer(device, forward).predict(x)
    behind = conversion.layer(device, backward).predict(x[::-1])[::-1]
    return ahead, behind


@exploring
@given(data=st.data(), rng=strategies.generators(), mode=st.sampled_from(Mode))
def test_any_stacks(each_build: mps.MTLDevice, data: st.DataObject, rng: np.random.Generator, mode: Mode) -> None:
    inputs = data.draw(strategies.channel_counts())
    forward = [data.draw(strategies.cells(inputs))]
    backward = [data.draw(strategies.cells(inputs, forward[0].outputs if mode == Mode.ADD else None))]
    if data.draw(st.booleans()):
        forward.append(data.draw(strategies.cells(forward[0].outputs, forward[0].outputs)))
    steps, batch, height, width = (data.draw(st.integers(1, high)) for high in (5, 3, 9, 9))
    x = rng.uniform(-1.0, 1.0, (steps, batch, height, width, inputs)).astype(np.float32)
    ahead, behind = one_by_one(each_build, forward, backward, x)
    layer = bidirectional(each_build, forward, backward)
    layer.bidirectional_combine_mode = mode
    channels = (ahead.shape[-1], behind.shape[-1])
    if mode == Mode.NONE:
        images = [blank(each_build, x, count) for count in channels]
        encode(layer, x, *images)
        assert_same_bits(pixels(images[0]), ahead)
        assert_same_bits(pixels(images[1]), behind)
        return
    joined = blank(each_build, x, sum(channels) if mode == Mode.CONCATENATE else channels[0])
    encode(layer, x, joined)
    with np.errstate(all="ignore"):
        expected = np.concatenate([ahead, behind], axis=-1) if mode == Mode.CONCATENATE else ahead + behind
    np.testing.assert_array_equal(pixels(joined), expected)


@pytest.mark.parametrize(("forward", "backward"), [(3, 3), (1, 1), (1, 2), (4, 4), (5, 2), (6, 7), (2, 9)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_concatenation_across_slices(device: mps.MTLDevice, forward: int, backward: int, dtype: type) -> None:
    rng = np.random.default_rng(1)
    stacks = [single_gate(rng, 3, forward)], [single_gate(rng, 3, backward)]
    x = rng.standard_normal((2, 2, 4, 5, 3)).astype(np.float32)
    layer = bidirectional(device, *stacks)
    layer.bidirectional_combine_mode = Mode.CONCATENATE
    joined = blank(device, x, forward + backward, dtype)
    encode(layer, x, joined)
    assert_same_bits(pixels(joined), np.concatenate(one_by_one(device, *stacks, x), axis=-1).astype(dtype))


def test_directions_in_turn_are_two_stacks(device: mps.MTLDevice) -> None:
    """[F, B, F, B] is no stack of bidirectional layers: each direction sees only its own."""
    rng = np.random.default_rng(2)
    forward, backward = [lstm(rng, 3, 5), gru(rng, 5, 4)], [gru(rng, 3, 6), lstm(rng, 6, 4)]
    x = rng.standard_normal((4, 1, 5, 5, 3)).astype(np.float32)
    layer = bidirectional(device, forward, backward)
    assert (layer.number_of_layers, layer.input_feature_channels, layer.output_feature_channels) == (4, 3, 4)
    images = [blank(device, x, 4) for _ in range(2)]
    encode(layer, x, *images)
    for found, expected in zip(images, one_by_one(device, forward, backward, x), strict=True):
        assert_same_bits(pixels(found), expected)
    with pytest.raises(
        mps.BadArgumentError, match=r"rnn_descriptors\[1\]: got 3 input channels for a forward sequence"
    ):
        layer.predict(x)


def test_one_direction_leaves_the_other_destinations_alone(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(3)
    cells = [lstm(rng, 2, 3)]
    x = rng.standard_normal((3, 1, 4, 4, 2)).astype(np.float32)
    images, untouched = blank(device, x, 3), blank(device, x, 3)
    encode(bidirectional(device, cells, []), x, images, untouched)
    assert_same_bits(pixels(images), conversion.layer(device, cells).predict(x))
    assert (pixels(untouched) == 7).all()
    encode(bidirectional(device, [], cells), x, untouched, images)
    assert_same_bits(pixels(images), conversion.layer(device, cells).predict(x[::-1])[::-1])
    assert (pixels(untouched) == 7).all()


def test_starting_state(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(4)
    forward, backward = [lstm(rng, 2, 3)], [gru(rng, 2, 4)]
    x = rng.standard_normal((3, 1, 4, 4, 2)).astype(np.float32)
    h, c, g = (rng.standard_normal((4, 4, channels)).astype(np.float32) for channels in (3, 3, 4))
    start = mps.MPSRNNRecurrentImageState.from_numpy
    images = blank(device, x, 3), blank(device, x, 4)
    encode(bidirectional(device, forward, backward), x, *images, start(device, [h, g], [c, None]))
    assert_same_bits(pixels(images[0]), conversion.layer(device, forward).predict(x, start(device, [h], [c])))
    behind = conversion.layer(device, backward).predict(x[::-1], start(device, [g]))
    assert_same_bits(pixels(images[1]), behind[::-1])


def test_dispatches(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3, 1, 4, 4, 2)).astype(np.float32)
    layer = bidirectional(device, [lstm(rng, 2, 3)], [lstm(rng, 2, 3)])
    assert encode(layer, x, blank(device, x, 3), blank(device, x, 3)).dispatch_count == 6
    layer.bidirectional_combine_mode = Mode.ADD
    assert encode(layer, x, blank(device, x, 3)).dispatch_count == 9


def test_direction_is_ignored_by_a_forward_sequence(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(6)
    cells = [lstm(rng, 2, 3)]
    x = rng.standard_normal((3, 1, 4, 4, 2)).astype(np.float32)
    assert_same_bits(bidirectional(device, [], cells).predict(x), conversion.layer(device, cells).predict(x))


REFUSALS = {
    "add unequal": (Mode.ADD, (3, 4), 3, 0, r"got ADD of 3 forward and 4 backward channels, expected equal"),
    "joined channels": (Mode.CONCATENATE, (3, 4), 6, 0, r"destination_forward_images\[0\]: got 6 .*, expected 7"),
    "no backward layer": (Mode.ADD, (3, 0), 3, 0, r"got ADD without a backward layer, expected layers of both"),
    "no forward layer": (Mode.CONCATENATE, (0, 3), 3, 0, r"got CONCATENATE without a forward layer"),
    "backward channels": (Mode.NONE, (3, 4), 3, 3, r"destination_backward_images\[0\]: got 3 .*, expected 4"),
    "no backward images": (Mode.NONE, (3, 4), 3, 0, r"destination_backward_images: got a NoneType, expected a list"),
    "no forward images": (Mode.NONE, (3, 4), 0, 4, r"destination_forward_images: got a NoneType, expected a list"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_refusals(device: mps.MTLDevice, case: tuple[Mode, tuple[int, int], int, int, str]) -> None:
    mode, outputs, forward, backward, words = case
    rng = np.random.default_rng(7)
    layer = bidirectional(device, *([single_gate(rng, 2, count)] if count else [] for count in outputs))
    layer.bidirectional_combine_mode = mode
    x = np.zeros((2, 1, 3, 3, 2), np.float32)
    images = [blank(device, x, count) if count else None for count in (forward, backward)]
    with pytest.raises(mps.Error, match=words):
        encode(layer, x, *images)
    assert all((pixels(some) == 7).all() for some in images if some is not None)


def test_destination_that_is_a_source(device: mps.MTLDevice) -> None:
    layer = bidirectional(
        device, [single_gate(np.random.default_rng(8), 2, 2)], [single_gate(np.random.default_rng(8), 2, 2)]
    )
    images = blank(device, np.zeros((2, 1, 3, 3, 2), np.float32), 2)
    command = device.make_command_queue().make_command_buffer()
    with pytest.raises(
        mps.BadArgumentError, match=r"destination_backward_images\[0\]: got an image that shares memory with s"
    ):
        layer.encode_bidirectional_sequence(command, images, blank(device, np.zeros((2, 1, 3, 3, 2)), 2), images)
    assert command.dispatch_count == 0


def test_mode_is_checked(device: mps.MTLDevice) -> None:
    layer = bidirectional(device, [single_gate(np.random.default_rng(9), 2, 2)], [])
    assert layer.bidirectional_combine_mode is Mode.NONE
    with pytest.raises(mps.BadArgumentError, match="bidirectional_combine_mode: got 5"):
        layer.bidirectional_combine_mode = 5
    assert layer.bidirectional_combine_mode is Mode.NONE
