"""Temporary images: read counts, early release, one command buffer; the layer's use of them; functions over batches."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Format = mps.MPSImageFeatureChannelFormat
BYTES = 4 * 5 * 4


def described(channels: int = 1, images: int = 1) -> mps.MPSImageDescriptor:
    return mps.MPSImageDescriptor(Format.FLOAT32, 5, 4, channels, number_of_images=images)


def dead(call, words: str) -> None:
    with pytest.raises(mps.LifetimeError, match=words) as caught:
        call()
    assert isinstance(caught.value, RuntimeError)


@pytest.fixture
def command(device: mps.MTLDevice) -> mps.MTLCommandBuffer:
    return device.make_command_queue().make_command_buffer()


@pytest.fixture
def temporary(command: mps.MTLCommandBuffer) -> Iterator[mps.MPSTemporaryImage]:
    image = mps.MPSTemporaryImage(command, described())
    yield image
    image.read_count = 0


def running_sum(device: mps.MTLDevice) -> mps.MPSRNNImageInferenceLayer:
    """h1 = x + h0, channel for channel."""
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    descriptor.use_layer_input_unit_transform_mode = True
    descriptor.recurrent_weights = mps.ArrayDataSource(np.ones((1, 1, 1, 1), np.float32))
    return mps.MPSRNNImageInferenceLayer(device, descriptor)


def filled(device: mps.MTLDevice, value: float) -> mps.MPSImage:
    return mps.MPSImage.from_numpy(device, np.full((4, 5, 1), value, np.float32))


# The object ---------------------------------------------------------------------------------------------------


def test_properties(temporary: mps.MPSTemporaryImage, device: mps.MTLDevice) -> None:
    assert isinstance(temporary, mps.MPSImage)
    assert (temporary.width, temporary.height, temporary.feature_channels, temporary.read_count) == (5, 4, 1, 1)
    assert (temporary.storage_mode, temporary.parent) == (mps.MTLStorageMode.PRIVATE, None)
    assert temporary.device is device
    assert temporary.resource_size() == BYTES
    assert repr(temporary).startswith("<MPSTemporaryImage 5 x 4, 1 channels")


def test_cpu_has_no_access(temporary: mps.MPSTemporaryImage, device: mps.MTLDevice) -> None:
    refused(temporary.to_numpy, mps.BadArgumentError, "image of private storage")
    values = np.zeros((4, 5, 1), np.float32)
    layout = mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS
    refused(lambda: temporary.write_bytes(values, layout), mps.BadArgumentError, "image of private storage")
    refused(lambda: mps.MPSTemporaryImage.from_numpy(device, values), mps.BadTypeError, "cannot reach temporary images")
    other = device.make_command_queue().make_command_buffer()
    dead(lambda: temporary.synchronize(other), "expected a persistent one")


def test_read_count_is_set(command: mps.MTLCommandBuffer, device: mps.MTLDevice) -> None:
    before = device.current_allocated_size
    image = mps.MPSTemporaryImage(command, described())
    image.read_count = 3
    assert image.read_count == 3
    refused(lambda: setattr(image, "read_count", -1), mps.BadArgumentError, "read_count: got -1")
    assert device.current_allocated_size == before + BYTES
    image.read_count = 0
    assert device.current_allocated_size == before
    image.read_count = 0
    dead(lambda: setattr(image, "read_count", 1), "last read has been encoded")
    for use in (lambda: image.texture, image.resource_size, image.batch_representation, lambda: image.pixel_format):
        dead(use, "MPSTemporaryImage: its last read has been encoded, its storage is gone")
    assert image.width == 5


def test_deallocated_with_reads_left(command: mps.MTLCommandBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    words = re.escape("MPSTemporaryImage: deallocated with read count 2, expected 0")
    images = [mps.MPSTemporaryImage(command, described())]
    images[0].read_count = 2
    with pytest.warns(ResourceWarning, match=words):
        images.clear()
    monkeypatch.setenv("MPSRNN_VALIDATION", "0")
    mps.MPSTemporaryImage(command, described())
    gc.collect()


def test_over_a_texture_descriptor(command: mps.MTLCommandBuffer) -> None:
    flat = mps.MTLTextureDescriptor.texture_2d_descriptor(mps.MTLPixelFormat.RG16_FLOAT, 3, 2)
    array = mps.MTLTextureDescriptor.texture_2d_descriptor(mps.MTLPixelFormat.RGBA8_UNORM, 3, 2)
    array.texture_type, array.array_length = mps.MTLTextureType.TYPE_2D_ARRAY, 6
    for texture_descriptor, channels, expected in [
        (flat, None, (2, 1)),
        (flat, 1, (1, 1)),
        (array, None, (24, 1)),
        (array, 7, (7, 3)),
    ]:
        image = mps.MPSTemporaryImage(command, texture_descriptor=texture_descriptor, feature_channels=channels)
        assert (image.feature_channels, image.number_of_images) == expected
        assert image.storage_mode == mps.MTLStorageMode.PRIVATE
        image.read_count = 0
    refused(
        lambda: mps.MPSTemporaryImage(command, texture_descriptor=array, feature_channels=20),
        mps.BadArgumentError,
        r"texture_descriptor.array_length: got 6 slices, expected a multiple of 5",
    )


def test_refused_temporaries(command: mps.MTLCommandBuffer, device: mps.MTLDevice, no_leaks: None) -> None:
    flat = mps.MTLTextureDescriptor()
    for make, words in [
        (lambda: mps.MPSTemporaryImage(device, described()), "command_buffer: got "),
        (lambda: mps.MPSTemporaryImage(command), "image_descriptor: got None"),
        (lambda: mps.MPSTemporaryImage(command, described(), texture_descriptor=flat), "image_descriptor: got "),
        (lambda: mps.MPSTemporaryImage(command, described(), feature_channels=1), "feature_channels: got 1"),
        (lambda: mps.MPSTemporaryImage(command, texture_descriptor=described()), "texture_descriptor: got "),
        (lambda: mps.MPSTemporaryImage(command, described(), key=1), "unexpected argument key"),
    ]:
        refused(make, mps.BadTypeError, words)
    command.commit()
    refused(lambda: mps.MPSTemporaryImage(command, described()), mps.BadArgumentError, "already committed")


def test_prefetch(command: mps.MTLCommandBuffer, device: mps.MTLDevice) -> None:
    before = device.current_allocated_size
    mps.MPSTemporaryImage.prefetch_storage(command, [described(), described(8)])
    assert device.current_allocated_size == before
    refused(
        lambda: mps.MPSTemporaryImage.prefetch_storage(command, [described(), 3]),
        mps.BadTypeError,
        r"image_descriptor_list\[1\]: got 3",
    )


def test_allocators(command: mps.MTLCommandBuffer, device: mps.MTLDevice) -> None:
    persistent = mps.MPSImage.default_allocator().image(command, described(3), None)
    temporary = mps.MPSTemporaryImage.default_allocator().image(command, described(3), kernel=None)
    assert (type(persistent), type(temporary)) == (mps.MPSImage, mps.MPSTemporaryImage)
    assert temporary.feature_channels == persistent.feature_channels == 3
    temporary.read_count = 0
    layer = running_sum(device)
    assert layer.destination_image_allocator is mps.MPSTemporaryImage.default_allocator()
    layer.destination_image_allocator = mps.MPSImage.default_allocator()
    assert layer.copy().destination_image_allocator is mps.MPSImage.default_allocator()
    refused(layer.to_bytes, mps.BadTypeError, r"settings\.destination_image_allocator: got ")
    refused(lambda: setattr(layer, "destination_image_allocator", 3), mps.BadTypeError, "got 3 .*a method image")
    layer.destination_image_allocator = mps.MPSTemporaryImage.default_allocator()
    assert type(layer).from_bytes(layer.to_bytes()).destination_image_allocator is layer.destination_image_allocator


# Views --------------------------------------------------------------------------------------------------------


def test_views_hold_their_parent(command: mps.MTLCommandBuffer, device: mps.MTLDevice, no_leaks: None) -> None:
    before = device.current_allocated_size
    parent = mps.MPSTemporaryImage(command, described(8, images=2))
    views = parent.batch_representation()
    part = views[0].sub_image((4, 4))
    assert all(type(view) is mps.MPSTemporaryImage for view in (*views, part))
    assert (parent.read_count, views[0].read_count, views[1].read_count, part.read_count) == (3, 2, 1, 1)
    part.read_count = 0
    assert views[0].read_count == 1
    views[0].read_count = 0
    views[1].read_count = 0
    assert parent.read_count == 1
    parent.read_count = 0
    assert device.current_allocated_size == before
    refused(
        lambda: mps.MPSImage(parent_image=parent, slice_range=(0, 1), feature_channels=1),
        mps.BadArgumentError,
        "parent_image: got a temporary image",
    )


def test_view_keeps_memory_of_a_parent_set_to_0(command: mps.MTLCommandBuffer, device: mps.MTLDevice) -> None:
    before = device.current_allocated_size
    parent = mps.MPSTemporaryImage(command, described(4))
    view = parent.sub_image((0, 4))
    parent.read_count = 0
    assert device.current_allocated_size > before
    assert view.resource_size() == 0
    view.read_count = 0
    assert parent.read_count == 0
    assert device.current_allocated_size == before


# In encode calls ----------------------------------------------------------------------------------------------


def test_chain(each_build: mps.MTLDevice) -> None:
    """Two layers, the second fed by temporaries that nobody else holds when the work runs."""
    layer = running_sum(each_build)
    command = each_build.make_command_queue().make_command_buffer()
    between = [mps.MPSTemporaryImage(command, described()) for _ in range(3)]
    results = [filled(each_build, 0) for _ in range(3)]
    layer.encode_sequence(command, [filled(each_build, x) for x in (1, 2, 3)], between)
    assert [image.read_count for image in between] == [1, 1, 1]
    layer.encode_sequence(command, between, results)
    assert [image.read_count for image in between] == [0, 0, 0]
    dead(lambda: layer.encode_sequence(command, between, results), r"source_images\[0\]: .*read count 0")
    dead(lambda: layer.encode_sequence(command, results, between), r"destination_images\[0\]: .*read count 0")
    between.clear()
    gc.collect()
    command.commit()
    command.wait_until_completed()
    assert [image.to_numpy()[3, 4, 0] for image in results] == [1, 1 + 3, 1 + 3 + 6]


def test_every_use_is_counted(device: mps.MTLDevice, command: mps.MTLCommandBuffer) -> None:
    layer = running_sum(device)
    image, results = mps.MPSTemporaryImage(command, described()), [filled(device, 0) for _ in range(3)]
    layer.encode(command, filled(device, 2), image)
    dead(lambda: layer.encode_sequence(command, [image] * 3, results), r"source_images\[1\]: .*count 1, expected 2")
    assert (image.read_count, command.dispatch_count) == (1, 1)
    image.read_count = 4
    layer.encode_sequence(command, [image] * 3, results)
    assert image.read_count == 1
    # A call that is refused for another reason counts nothing.
    refused(lambda: layer.encode(command, image, image), mps.BadArgumentError, "shares memory")
    assert image.read_count == 1
    layer.encode_bidirectional_sequence(command, [image], [results[0]])
    assert image.read_count == 0


def test_one_command_buffer(device: mps.MTLDevice, temporary: mps.MPSTemporaryImage) -> None:
    layer, other = running_sum(device), device.make_command_queue().make_command_buffer()
    words = ": got a temporary object of another command buffer"
    dead(lambda: layer.encode(other, temporary, filled(device, 0)), rf"source_image\[0\]{words}")
    dead(lambda: layer.encode(other, filled(device, 0), temporary), rf"destination_image\[0\]{words}")
    assert (temporary.read_count, other.dispatch_count) == (1, 0)


def test_temporary_states(device: mps.MTLDevice, no_leaks: None) -> None:
    layer = running_sum(device)
    assert layer.recurrent_output_is_temporary is False
    layer.recurrent_output_is_temporary = True
    assert type(layer).from_bytes(layer.to_bytes()).recurrent_output_is_temporary
    command = device.make_command_queue().make_command_buffer()
    states: list[mps.MPSRNNRecurrentImageState] = []
    result = filled(device, 0)
    layer.encode(command, filled(device, 1), result, None, states)
    (state,) = states
    assert (state.is_temporary, state.read_count) == (True, 1)
    h = state.get_recurrent_output_image(0)
    assert (type(h), h.storage_mode, h.read_count) == (mps.MPSTemporaryImage, mps.MTLStorageMode.PRIVATE, 1)
    state.read_count = 2
    layer.encode(command, h, filled(device, 0))
    assert state.read_count == h.read_count == 1
    dead(lambda: layer.predict(np.zeros((1, 4, 5, 1), np.float32), state), "state: .*another command buffer")
    layer.encode(command, filled(device, 2), result, state, states)
    assert (state.read_count, h.read_count, states[1].read_count) == (0, 0, 1)
    dead(lambda: layer.encode(command, filled(device, 2), result, state), "recurrent_input_state: .*read count 0")
    dead(lambda: h.texture, "its storage is gone")
    states[1].read_count = 0
    command.commit()
    command.wait_until_completed()
    assert (result.to_numpy() == 3).all()
    assert layer.predict(np.ones((1, 4, 5, 1), np.float32), return_state=True)[1].is_temporary is False


def test_all_intermediate_states_temporary(device: mps.MTLDevice, command: mps.MTLCommandBuffer) -> None:
    layer = running_sum(device)
    layer.recurrent_output_is_temporary = layer.store_all_intermediate_states = True
    states: list[mps.MPSRNNRecurrentImageState] = []
    layer.encode_sequence(command, [filled(device, 1)] * 3, [filled(device, 0)] * 3, None, states)
    assert [state.read_count for state in states] == [1, 1, 1]
    for state in states:
        state.read_count = 0


# Batches ------------------------------------------------------------------------------------------------------


def test_increment_read_count(command: mps.MTLCommandBuffer, device: mps.MTLDevice) -> None:
    a, b = (mps.MPSTemporaryImage(command, described()) for _ in range(2))
    batch = [a, filled(device, 0), b, a, a]
    assert mps.MPSImageBatchIncrementReadCount(batch, 2) == 3
    assert (a.read_count, b.read_count) == (3, 3)
    b.read_count = 1
    refused(
        lambda: mps.MPSImageBatchIncrementReadCount(batch, -2),
        mps.BadArgumentError,
        r"batch\[2\].read_count: got -1",
    )
    assert (a.read_count, b.read_count) == (3, 1)
    assert mps.MPSImageBatchIncrementReadCount(batch, -1) == 3
    assert (a.read_count, b.read_count) == (2, 0)
    dead(lambda: mps.MPSImageBatchIncrementReadCount(batch, 1), r"batch\[2\]: .*read count 0")
    a.read_count = 0
    dead(lambda: mps.MPSImageBatchSynchronize([a], command), "persistent")


def test_iterate(device: mps.MTLDevice) -> None:
    a, b, c = (filled(device, value) for value in range(3))
    seen: list[tuple[mps.MPSImage, int]] = []

    def note(image: mps.MPSImage, index: int) -> int:
        seen.append((image, index))
        return 7 if image is c else 0

    assert mps.MPSImageBatchIterate([a, a, b], note) == 0
    assert seen == [(a, 0), (b, 2)]
    assert mps.MPSImageBatchIterate([c, a], note) == 7
    assert seen[2:] == [(c, 0)]
    refused(lambda: mps.MPSImageBatchIterate([a], 3), mps.BadTypeError, "iterator: got 3")
    refused(lambda: mps.MPSImageBatchIterate([a, 3], note), mps.BadTypeError, r"batch\[1\]: got 3")
    refused(lambda: mps.MPSImageBatchResourceSize([]), mps.BadArgumentError, "batch: got an empty list")
