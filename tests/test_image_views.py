"""Images over textures and views of images: one memory, seen in several ways."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Format = mps.MPSImageFeatureChannelFormat


def batch(device: mps.MTLDevice, images: int = 3, channels: int = 10) -> tuple[mps.MPSImage, np.ndarray]:
    values = np.arange(images * 2 * 3 * channels, dtype=np.float32).reshape(images, 2, 3, channels)
    return mps.MPSImage.from_numpy(device, values if images > 1 else values[0]), values


def texture(
    device: mps.MTLDevice, pixel_format: mps.MTLPixelFormat, slices: int, is_array: bool = True
) -> mps.MTLTexture:
    described = mps.MTLTextureDescriptor.texture_2d_descriptor(pixel_format, 3, 2)
    described.texture_type = mps.MTLTextureType.TYPE_2D_ARRAY if is_array else mps.MTLTextureType.TYPE_2D
    described.array_length = slices
    described.usage = mps.MTLTextureUsage.SHADER_READ | mps.MTLTextureUsage.SHADER_WRITE
    return device.make_texture(described)


# Views of images ----------------------------------------------------------------------------------------------


def test_batch_representation(device: mps.MTLDevice, no_leaks: None) -> None:
    image, values = batch(device)
    views = image.batch_representation()
    assert [view.number_of_images for view in views] == [1, 1, 1]
    assert all(view.parent is image and view.device is device for view in views)
    for view, value in zip(views, values, strict=True):
        np.testing.assert_array_equal(view.to_numpy(), value)
    views[1].write_bytes(-values[1], mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS)
    np.testing.assert_array_equal(image.to_numpy(), values * [[[[1]]], [[[-1]]], [[[1]]]])
    image.write_bytes(
        values[2], mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS, image_index=1, region=((0, 0, 0), (3, 2, 1))
    )
    np.testing.assert_array_equal(views[1].to_numpy(), values[2])


def test_sub_range_of_a_batch(device: mps.MTLDevice) -> None:
    image, values = batch(device)
    views = image.batch_representation(with_sub_range=(1, 2))
    assert len(views) == 2
    np.testing.assert_array_equal(views[1].to_numpy(), values[2])
    assert views[0].storage_range == (image.storage_range[0], 3, 6)


def test_view_outlives_its_parent(device: mps.MTLDevice, no_leaks: None) -> None:
    image, values = batch(device)
    view = image.batch_representation()[2].sub_image((4, 4))
    assert view.parent.parent is image
    del image
    gc.collect()
    np.testing.assert_array_equal(view.to_numpy(), values[2, :, :, 4:8])


@pytest.mark.parametrize(
    ("channels", "first", "count", "expected"), [(10, 4, 4, 4), (10, 4, 8, 6), (10, 8, 400, 2), (12, 0, 12, 12)]
)
def test_sub_image(device: mps.MTLDevice, channels: int, first: int, count: int, expected: int) -> None:
    image, values = batch(device, 1, channels)
    view = image.sub_image(with_feature_channel_range=(first, count))
    assert (view.feature_channels, view.number_of_images) == (expected, 1)
    assert view.pixel_format == mps.MTLPixelFormat.RGBA32_FLOAT
    assert view.pixel_size == 16
    assert view.texture_type == (mps.MTLTextureType.TYPE_2D if expected <= 4 else mps.MTLTextureType.TYPE_2D_ARRAY)
    np.testing.assert_array_equal(view.to_numpy(), values[0, :, :, first : first + expected])
    changed = np.full((2, 3, expected), -1, np.float32)
    view.write_bytes(changed, mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS)
    values[0, :, :, first : first + expected] = -1
    np.testing.assert_array_equal(image.to_numpy(), values[0])


def test_slices_as_an_image(device: mps.MTLDevice) -> None:
    image, values = batch(device, 3, 8)
    view = mps.MPSImage(parent_image=image, slice_range=(1, 4), feature_channels=6)
    assert (view.number_of_images, view.feature_channels, view.parent) == (2, 6, image)
    # Slices 1 and 2 are the last of image 0 and the first of image 1.
    np.testing.assert_array_equal(view.to_numpy()[0, :, :, :4], values[0, :, :, 4:8])
    np.testing.assert_array_equal(view.to_numpy()[0, :, :, 4:], values[1, :, :, 0:2])
    np.testing.assert_array_equal(view.to_numpy()[1, :, :, :4], values[1, :, :, 4:8])


def test_sizes(device: mps.MTLDevice) -> None:
    image, _ = batch(device)
    assert image.resource_size() == 3 * 3 * 2 * 3 * 16
    assert image.parent is None
    view = image.batch_representation()[0]
    assert view.resource_size() == 0
    assert mps.MPSImage(texture=image.texture, feature_channels=4).resource_size() == 0
    other, _ = batch(device)
    assert mps.MPSImageBatchResourceSize([image, other, view, image]) == 2 * image.resource_size()


def test_views_end_to_end(device: mps.MTLDevice) -> None:
    """A sequence that is one batch, written beside itself into channels of another image."""
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(4, 4)
    descriptor.use_layer_input_unit_transform_mode = True
    descriptor.recurrent_weights = mps.ArrayDataSource(np.eye(4, dtype=np.float32).reshape(4, 1, 1, 4))
    layer = mps.MPSRNNImageInferenceLayer(device, descriptor)
    frames, values = batch(device, 3, 4)
    wide = mps.MPSImage.from_numpy(device, np.full((2, 3, 12), 7, np.float32))
    parts = [wide.sub_image((4 * t, 4)) for t in range(3)]
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, frames.batch_representation(), parts)
    command.commit()
    command.wait_until_completed()
    expected = np.cumsum(values, axis=0)
    np.testing.assert_array_equal(wide.to_numpy(), np.concatenate(expected, axis=2))


def test_overlapping_views_alias(device: mps.MTLDevice) -> None:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(4, 4)
    layer = mps.MPSRNNImageInferenceLayer(device, descriptor)
    image, _ = batch(device, 1, 12)
    first, second = image.sub_image((0, 4)), image.sub_image((4, 4))
    over = mps.MPSImage(texture=second.texture, feature_channels=4)
    command = device.make_command_queue().make_command_buffer()
    layer.encode(command, first, second)
    for destination in (image.sub_image((0, 4)), first):
        refused(
            lambda destination=destination: layer.encode(command, first, destination),
            mps.BadArgumentError,
            r"^destination_image\[0\]: got an image that shares memory with source_image\[0\]$",
        )
    refused(lambda: layer.encode(command, over, second), mps.BadArgumentError, "shares memory")
    wide = mps.MPSRNNImageInferenceLayer(device, mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(4, 8))
    wide.encode(command, first, image.sub_image((4, 8)))
    refused(lambda: wide.encode(command, second, image.sub_image((4, 8))), mps.BadArgumentError, "shares memory")


def test_refused_views(device: mps.MTLDevice, no_leaks: None) -> None:
    image, _ = batch(device)
    single = image.batch_representation()[0]
    bad, wrong = mps.BadArgumentError, mps.BadTypeError
    refused(lambda: image.sub_image((0, 4)), bad, "with_feature_channel_range: got a batch of 3 images")
    for given, error in {(1, 4): bad, (0, 6): bad, (12, 4): bad, (0, 0): bad, (-4, 4): bad, (0, 4.0): wrong}.items():
        refused(lambda given=given: single.sub_image(given), error, "with_feature_channel_range")
    refused(lambda: single.sub_image(4), wrong, r"with_feature_channel_range: got 4, expected \(location, length\)")
    for given in ((0, 4), (3, 1), (0, 0)):
        refused(lambda given=given: image.batch_representation(given), bad, "with_sub_range")
    for slices, channels, words in [
        ((0, 10), 4, "slice_range: got 10 from 0, expected to end within 9"),
        ((0, 3), 5, "slice_range: got 3 slices, expected a multiple of 2 for 5 feature channels"),
        ((0, 3), 0, "feature_channels: got 0"),
    ]:
        refused(
            lambda slices=slices, channels=channels: mps.MPSImage(
                parent_image=image, slice_range=slices, feature_channels=channels
            ),
            bad,
            words,
        )
    refused(lambda: mps.MPSImage(parent_image=3, slice_range=(0, 1), feature_channels=1), wrong, "parent_image: got 3")


# Images over textures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pixel_format", "channels"),
    [("R8_UNORM", 1), ("RG16_UNORM", 2), ("RG16_UNORM", 1), ("RGBA16_FLOAT", 3), ("RGBA32_FLOAT", 4), ("R32_FLOAT", 1)],
)
def test_over_a_plain_texture(device: mps.MTLDevice, pixel_format: str, channels: int) -> None:
    under = texture(device, mps.MTLPixelFormat[pixel_format], 1, is_array=False)
    image = mps.MPSImage(texture=under, feature_channels=channels)
    assert (image.texture, image.parent, image.number_of_images) == (under, None, 1)
    assert (image.pixel_format, image.texture_type) == (under.pixel_format, mps.MTLTextureType.TYPE_2D)
    dtype = image.to_numpy().dtype
    values = np.arange(6 * channels).reshape(2, 3, channels).astype(dtype)
    image.write_bytes(values, mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS)
    other = mps.MPSImage(texture=under, feature_channels=channels)
    assert other.storage_range == image.storage_range
    np.testing.assert_array_equal(other.to_numpy(), values)


def test_over_an_array(device: mps.MTLDevice) -> None:
    under = texture(device, mps.MTLPixelFormat.RGBA16_FLOAT, 6)
    shapes = {channels: mps.MPSImage(texture=under, feature_channels=channels) for channels in (1, 4, 8, 10, 12, 24)}
    assert {c: image.number_of_images for c, image in shapes.items()} == {1: 6, 4: 6, 8: 3, 10: 2, 12: 2, 24: 1}
    values = np.arange(2 * 2 * 3 * 12, dtype=np.float16).reshape(2, 2, 3, 12)
    shapes[12].write_bytes(values, mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS, region=((0, 0, 0), (3, 2, 2)))
    np.testing.assert_array_equal(shapes[24].to_numpy(), np.concatenate(values, axis=2))
    np.testing.assert_array_equal(shapes[10].to_numpy(), values[..., :10])
    assert mps.MPSImage(texture=texture(device, mps.MTLPixelFormat.R32_FLOAT, 1), feature_channels=1).texture_type == 3


@pytest.mark.parametrize(
    ("pixel_format", "slices", "channels", "words"),
    [
        ("R8_UNORM", 1, 2, "feature_channels: got 2 in texels of R8_UNORM, expected at most 1"),
        ("RG8_UNORM", 2, 8, "feature_channels: got 8 in texels of RG8_UNORM, expected at most 2"),
        ("RGBA8_UNORM", 3, 8, "texture: got 3 slices, expected a multiple of 2 for 8 feature channels"),
        ("RGBA8_UNORM", 1, 5, "texture: got 1 slices, expected a multiple of 2 for 5 feature channels"),
        ("RGBA8_UNORM", 1, 0, "feature_channels: got 0"),
    ],
)
def test_what_does_not_fit_a_texture(
    device: mps.MTLDevice, pixel_format: str, slices: int, channels: int, words: str, no_leaks: None
) -> None:
    under = texture(device, mps.MTLPixelFormat[pixel_format], slices, is_array=slices > 1)
    refused(lambda: mps.MPSImage(texture=under, feature_channels=channels), mps.BadArgumentError, words)


def test_arguments_of_two_kinds(device: mps.MTLDevice) -> None:
    image, _ = batch(device)
    described = mps.MPSImageDescriptor(Format.FLOAT32, 1, 1, 1)
    for arguments, name in [
        ({"texture": image.texture, "feature_channels": 4, "device": device}, "device"),
        ({"texture": image.texture, "feature_channels": 4, "parent_image": image}, "parent_image"),
        (
            {"parent_image": image, "slice_range": (0, 1), "feature_channels": 4, "image_descriptor": described},
            "image_d",
        ),
        ({"device": device, "image_descriptor": described, "feature_channels": 4}, "feature_channels"),
        ({"texture": 5, "feature_channels": 4}, "texture"),
        ({"device": device, "image_descriptor": described, "colour": 1}, "MPSImage: got an unexpected argument colour"),
    ]:
        refused(lambda arguments=arguments: mps.MPSImage(**arguments), mps.BadTypeError, f"^{name}")


def test_synchronize(device: mps.MTLDevice) -> None:
    image, _ = batch(device)
    command = device.make_command_queue().make_command_buffer()
    image.synchronize(command)
    mps.MPSImageBatchSynchronize([image, image], command)
    assert command.dispatch_count == 0
    command.commit()
    refused(lambda: image.synchronize(command), mps.BadArgumentError, "on_command_buffer: got one that is already")
