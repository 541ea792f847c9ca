"""The images that a sequence makes for itself: as few as can be, and never one that a step still reads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from image_stacks import STACKS, assert_same_bits, frames, gru, lstm, single_gate, state_arrays

Images = list[mps.MPSImage]
CHANNELS = 5


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> list[oracle.Cell]:
    return STACKS[request.param](np.random.default_rng(3))


def image(device: mps.MTLDevice, channels: int, usage: mps.MTLTextureUsage | None = None) -> mps.MPSImage:
    descriptor = mps.MPSImageDescriptor(mps.MPSImageFeatureChannelFormat.FLOAT32, 9, 7, channels)
    descriptor.number_of_images = 2
    if usage is not None:
        descriptor.usage = usage
    return mps.MPSImage(device, descriptor)


def distinct(device: mps.MTLDevice, channels: int, count: int) -> Images:
    return [image(device, channels) for _ in range(count)]


def only_written(device: mps.MTLDevice, channels: int, count: int) -> Images:
    return [image(device, channels, mps.MTLTextureUsage.SHADER_WRITE) for _ in range(count)]


def one_for_all(device: mps.MTLDevice, channels: int, count: int) -> Images:
    return [image(device, channels)] * count


def two_in_pairs(device: mps.MTLDevice, channels: int, count: int) -> Images:
    """Some steps find the previous output in a destination, some write where it was."""
    pair = distinct(device, channels, 2)
    return [pair[index // 2 % 2] for index in range(count)]


def an_image_and_its_view(device: mps.MTLDevice, channels: int, count: int) -> Images:
    whole = image(device, channels)
    slices = 2 * -(-channels // 4)
    view = mps.MPSImage(parent_image=whole, slice_range=(0, slices), feature_channels=channels)
    return [(whole, view)[index % 2] for index in range(count)]


@pytest.mark.parametrize("make", [only_written, one_for_all, two_in_pairs, an_image_and_its_view])
def test_destinations_of_any_kind(
    each_build: mps.MTLDevice, stack: list[oracle.Cell], make: Callable[[mps.MTLDevice, int, int], Images]
) -> None:
    """What recurs does not depend on where the outputs go."""
    layer = conversion.layer(each_build, stack)
    x = frames(np.random.default_rng(4), stack)
    expected, expected_state = layer.predict(x, return_state=True)
    sources = [mps.MPSImage.from_numpy(each_build, frame) for frame in x]
    destinations = make(each_build, stack[-1].outputs, len(x))
    states: list[mps.MPSRNNRecurrentImageState] = []
    command = each_build.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, sources, destinations, None, states)
    command.commit()
    command.wait_until_completed()
    assert_same_bits(destinations[-1].to_numpy(), expected[-1])
    for a, b in zip(state_arrays(states[0], len(stack)), state_arrays(expected_state, len(stack)), strict=True):
        assert_same_bits(a, b)


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize(("make", "images"), [(single_gate, 0), (gru, 1), (lstm, 1)])
def test_images_of_its_own(
    device: mps.MTLDevice, make: Callable[[np.random.Generator, int, int], oracle.Cell], images: int, steps: int
) -> None:
    """However long the sequence: the memory cell of an LSTM, and the part of the state that a GRU lets through."""
    layer = conversion.layer(device, [make(np.random.default_rng(5), 3, CHANNELS)])
    sources = distinct(device, 3, steps)
    destinations = distinct(device, CHANNELS, steps)
    command = device.make_command_queue().make_command_buffer()
    before = device.current_allocated_size
    layer.encode_sequence(command, sources, destinations)
    size = destinations[0].resource_size()
    taken = device.current_allocated_size - before
    command.commit()
    command.wait_until_completed()
    has_image = images > 0 and (make is lstm or steps > 1)
    assert taken == (images * size if has_image else 0)
