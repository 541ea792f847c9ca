"""Images: what they say of themselves, and that bytes go in and out unchanged, to the right place and nowhere else."""

from __future__ import annotations

import array
import ctypes
import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import mpsrnn_cy as mps
import strategies

Format = mps.MPSImageFeatureChannelFormat
HWC = mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS
CHW = mps.MPSDataLayout.FEATURE_CHANNELS_X_HEIGHT_X_WIDTH

DTYPES = {
    Format.UNORM8: np.dtype(np.uint8),
    Format.UNORM16: np.dtype(np.uint16),
    Format.FLOAT16: np.dtype(np.float16),
    Format.FLOAT32: np.dtype(np.float32),
}
PRECISIONS = {Format.UNORM8: 8, Format.UNORM16: 16, Format.FLOAT16: 11, Format.FLOAT32: 24}
# Metal's numbers, for texels of 1, 2 and 4 components.
PIXEL_FORMATS = {
    Format.UNORM8: {1: 10, 2: 30, 4: 70},
    Format.UNORM16: {1: 20, 2: 60, 4: 110},
    Format.FLOAT16: {1: 25, 2: 65, 4: 115},
    Format.FLOAT32: {1: 55, 2: 105, 4: 125},
}
COMPONENTS = {1: 1, 2: 2} | dict.fromkeys(range(3, 10), 4)

each_format = pytest.mark.parametrize("channel_format", DTYPES, ids=lambda case: case.name.lower())
each_channel_count = pytest.mark.parametrize("channels", COMPONENTS)


def any_bits(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> NDArray[Any]:
    """Elements of every bit pattern, NaNs with their payloads among them: nothing may be converted."""
    return np.frombuffer(rng.bytes(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape).copy()


def assert_same_bits(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def batched(image: mps.MPSImage) -> NDArray[Any]:
    """An image's pixels with an axis for the batch, also where that is one image."""
    return image.to_numpy().reshape(-1, image.height, image.width, image.feature_channels)


@each_format
@each_channel_count
@pytest.mark.parametrize("images", [1, 3])
def test_properties(device: mps.MTLDevice, channel_format: Format, channels: int, images: int) -> None:
    descriptor = mps.MPSImageDescriptor(channel_format, 7, 5, channels, images, mps.MTLTextureUsage.SHADER_READ)
    image = mps.MPSImage(device, descriptor)
    assert image.device is device
    assert (image.width, image.height, image.feature_channels, image.number_of_images) == (7, 5, channels, images)
    assert image.feature_channel_format is channel_format
    assert image.pixel_format == descriptor.pixel_format == PIXEL_FORMATS[channel_format][COMPONENTS[channels]]
    assert isinstance(image.pixel_format, mps.MTLPixelFormat)
    assert image.precision == PRECISIONS[channel_format]
    assert image.pixel_size == COMPONENTS[channels] * DTYPES[channel_format].itemsize
    is_2d = channels <= 4 and images == 1
    assert image.texture_type is (mps.MTLTextureType.TYPE_2D if is_2d else mps.MTLTextureType.TYPE_2D_ARRAY)
    assert image.usage == mps.MTLTextureUsage.SHADER_READ
    assert image.storage_mode is mps.MTLStorageMode.SHARED


def test_image_keeps_what_its_descriptor_said(device: mps.MTLDevice) -> None:
    descriptor = mps.MPSImageDescriptor(Format.FLOAT16, 3, 2, 6)
    other = descriptor.copy()
    image = mps.MPSImage(device=device, image_descriptor=descriptor)
    descriptor.width, descriptor.feature_channels, descriptor.channel_format = 30, 1, Format.UNORM8
    assert (image.width, image.feature_channels, image.feature_channel_format) == (3, 6, Format.FLOAT16)
    assert image.to_numpy().shape == (2, 3, 6)
    assert (other.width, other.feature_channels, other.channel_format) == (3, 6, Format.FLOAT16)
    assert image.usage == mps.MTLTextureUsage.SHADER_READ | mps.MTLTextureUsage.SHADER_WRITE


def test_label(device: mps.MTLDevice) -> None:
    image = mps.MPSImage(device, mps.MPSImageDescriptor(Format.UNORM8, 4, 3, 2))
    assert image.label is None
    assert repr(image) == "<MPSImage 4 x 3, 2 channels, 1 images, UNORM8>"
    image.label = "radar"
    assert repr(image) == "<MPSImage 'radar' 4 x 3, 2 channels, 1 images, UNORM8>"


@each_format
@each_channel_count
@pytest.mark.parametrize("images", [None, 1, 3])
def test_arrays_come_back_bit_by_bit(
    device: mps.MTLDevice, channel_format: Format, channels: int, images: int | None
) -> None:
    shape = (5, 7, channels) if images is None else (images, 5, 7, channels)
    given_array = any_bits(np.random.default_rng(channels), DTYPES[channel_format], shape)
    image = mps.MPSImage.from_numpy(device, given_array)
    assert image.feature_channel_format is channel_format
    assert (image.width, image.height, image.number_of_images) == (7, 5, images or 1)
    # A batch of one image has no axis of its own.
    assert_same_bits(image.to_numpy(), given_array.reshape(shape if images == 3 else shape[-3:]))


def test_both_layouts_by_hand(device: mps.MTLDevice) -> None:
    """Two pixels of three channels."""
    image = mps.MPSImage(device, mps.MPSImageDescriptor(Format.UNORM8, 2, 1, 3))
    image.write_bytes(bytes([1, 2, 3, 11, 12, 13]), HWC)
    planes = bytearray(6)
    image.read_bytes(planes, CHW)
    assert list(planes) == [1, 11, 2, 12, 3, 13]
    image.write_bytes(bytes([21, 31, 22, 32, 23, 33]), CHW)
    pixels = bytearray(6)
    image.read_bytes(pixels, HWC)
    assert list(pixels) == [21, 22, 23, 31, 32, 33]


@dataclass(frozen=True)
class Box:
    """What part of a batch is moved, and how it lies in memory; paddings count elements."""

    channel_format: Format
    shape: tuple[int, int, int, int]
    images: range
    rows: range
    columns: range
    channels: range
    layout: mps.MPSDataLayout
    column_padding: int | None
    row_padding: int | None
    image_padding: int | None

    @property
    def dtype(self) -> np.dtype:
        return DTYPES[self.channel_format]

    def part(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The part of a batch of shape (N, H, W, C)."""
        n, y, x, c = (slice(r.start, r.stop) for r in (self.images, self.rows, self.columns, self.channels))
        return batch[n, y, x, c]

    def strides(self) -> tuple[int, int, int]:
        """Bytes from one column, row and image to the next."""
        size = self.dtype.itemsize
        pixel, planes = (len(self.channels), 1) if self.layout == HWC else (1, len(self.channels))
        column = pixel + (self.column_padding or 0)
        row = column * (len(self.columns) - 1) + pixel + (self.row_padding or 0)
        image = row * len(self.rows) * planes + (self.image_padding or 0)
        return column * size, row * size, image * size

    def view(self, memory: bytearray | memoryview, offset: int) -> NDArray[Any]:
        """The elements in memory as (N, H, W, C)."""
        column, row, image = self.strides()
        n, h, w, c = (len(r) for r in (self.images, self.rows, self.columns, self.channels))
        size = self.dtype.itemsize
        if self.layout == HWC:
            return np.ndarray((n, h, w, c), self.dtype, memory, offset, (image, row, column, size))
        planes = np.ndarray((n, c, h, w), self.dtype, memory, offset, (image, row * h, row, column))
        return np.moveaxis(planes, 1, -1)

    def size(self) -> int:
        """Bytes up to the last element; padding after it need not be there."""
        column, row, image = self.strides()
        pixel, planes = (len(self.channels), 1) if self.layout == HWC else (1, len(self.channels))
        last_row = column * (len(self.columns) - 1) + pixel * self.dtype.itemsize
        return image * (len(self.images) - 1) + row * (len(self.rows) * planes - 1) + last_row

    def arguments(self, writes: bool) -> dict[str, Any]:
        """Keyword arguments that name this part; what is the default is left out."""
        column, row, image = self.strides()
        _, height, width, channels = self.shape
        region = mps.MTLRegion(
            mps.MTLOrigin(self.columns.start, self.rows.start),
            mps.MTLSize(len(self.columns), len(self.rows), len(self.images)),
        )
        result: dict[str, Any] = {"image_index": self.images.start}
        if (region.size.width, region.size.height, region.size.depth) != (width, height, 1):
            result["region"] = region
        if len(self.channels) != channels:
            result["feature_channel_info"] = mps.MPSImageReadWriteParams(self.channels.start, len(self.channels))
        if self.column_padding is not None and writes:
            result["bytes_per_column"] = column
        if self.row_padding is not None:
            result["bytes_per_row"] = row
        if self.image_padding is not None:
            result["bytes_per_image"] = image
        return result


@st.composite
def spans(draw: st.DrawFn, limit: int) -> range:
    start = draw(st.integers(0, limit - 1))
    return range(start, draw(st.integers(start + 1, limit)))


@st.composite
def boxes(draw: st.DrawFn, writes: bool) -> Box:
    n, height, width, channels = (draw(st.integers(1, limit)) for limit in (3, 6, 6, 13))
    first = draw(st.sampled_from(range(0, channels, 4)))
    counts = [c for c in range(1, channels - first + 1) if first == 0 or c % 4 == 0 or first + c == channels]
    padding = st.none() | st.integers(0, 3)
    return Box(
        draw(st.sampled_from(sorted(DTYPES))),
        (n, height, width, channels),
        draw(spans(n)),
        draw(spans(height)),
        draw(spans(width)),
        range(first, first + draw(st.sampled_from(counts))),
        draw(st.sampled_from([HWC, CHW])),
        draw(padding) if writes else None,
        draw(padding),
        draw(padding),
    )


exploring = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MARGIN = 64


@exploring
@given(box=boxes(writes=True), rng=strategies.generators())
def test_writing_changes_the_part_and_nothing_else(device: mps.MTLDevice, box: Box, rng: np.random.Generator) -> None:
    expected = any_bits(rng, box.dtype, box.shape)
    image = mps.MPSImage.from_numpy(device, expected)
    memory = bytearray(rng.bytes(MARGIN + box.size() + MARGIN))
    before = bytes(memory)
    image.write_bytes(memoryview(memory)[MARGIN:-MARGIN], box.layout, **box.arguments(writes=True))
    box.part(expected)[...] = box.view(memory, MARGIN)
    assert_same_bits(batched(image), expected)
    assert memory == before


@exploring
@given(box=boxes(writes=False), rng=strategies.generators())
def test_reading_fills_the_part_and_nothing_else(device: mps.MTLDevice, box: Box, rng: np.random.Generator) -> None:
    batch = any_bits(rng, box.dtype, box.shape)
    image = mps.MPSImage.from_numpy(device, batch)
    memory = bytearray(rng.bytes(MARGIN + box.size() + MARGIN))
    expected = bytearray(memory)
    box.view(expected, MARGIN)[...] = box.part(batch)
    image.read_bytes(memoryview(memory)[MARGIN:-MARGIN], box.layout, **box.arguments(writes=False))
    assert memory == expected
    assert_same_bits(batched(image), batch)


def test_plain_tuples_and_integers_will_do(device: mps.MTLDevice) -> None:
    image = mps.MPSImage.from_numpy(device, np.zeros((3, 4, 5), np.uint8))
    image.write_bytes(bytes([7]), 1, region=((2, 1, 0), (1, 1, 1)), feature_channel_info=(4, 1))
    expected = np.zeros((3, 4, 5), np.uint8)
    expected[1, 2, 4] = 7
    assert_same_bits(image.to_numpy(), expected)


BUFFERS: dict[str, Callable[[bytes], Any]] = {
    "bytearray": bytearray,
    "memoryview": lambda raw: memoryview(bytearray(raw)),
    "memoryview of floats": lambda raw: memoryview(bytearray(raw)).cast("f"),
    "array": lambda raw: array.array("f", raw),
    "ctypes": lambda raw: (ctypes.c_float * (len(raw) // 4)).from_buffer_copy(raw),
    "ndarray": lambda raw: np.frombuffer(raw, np.float32).reshape(2, 3, 5).copy(),
}


@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_any_buffer_will_do(device: mps.MTLDevice, make: Callable[[bytes], Any]) -> None:
    pixels = any_bits(np.random.default_rng(1), np.dtype(np.float32), (2, 3, 5))
    image = mps.MPSImage(device, mps.MPSImageDescriptor(Format.FLOAT32, 3, 2, 5))
    image.write_bytes(make(pixels.tobytes()), HWC)
    assert_same_bits(image.to_numpy(), pixels)
    target = make(bytes(pixels.nbytes))
    image.read_bytes(target, HWC)
    assert bytes(memoryview(target).cast("B")) == pixels.tobytes()


STRIDES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "fortran": np.asfortranarray,
    "transposed": lambda a: a.transpose(1, 0, 2),
    "every other": lambda a: a[::2, 1::2],
    "backwards": lambda a: a[::-1, :, ::-1],
    "repeated": lambda a: np.broadcast_to(a[0], (4, *a[0].shape)),
    "inner channels": lambda a: a[..., 1:4],
    "subclass": lambda a: a.view(np.recarray),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": lambda a: np.ndarray(a.shape, a.dtype, b"x" + a.tobytes(), 1),
}


@pytest.mark.parametrize("stride", STRIDES.values(), ids=STRIDES)
def test_arrays_of_any_strides_are_copied(
    device: mps.MTLDevice, stride: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    base = any_bits(np.random.default_rng(2), np.dtype(np.float16), (6, 8, 5))
    view = stride(base)
    expected = np.array(view, order="C", subok=False)
    image = mps.MPSImage.from_numpy(device, view)
    base[...] = 0
    assert_same_bits(image.to_numpy(), expected)


def test_array_to_read_into(device: mps.MTLDevice) -> None:
    batch = any_bits(np.random.default_rng(3), np.dtype(np.float32), (2, 3, 4, 5))
    image = mps.MPSImage.from_numpy(device, batch)
    whole = np.full((4, 3, 4, 5), 77, np.float32)
    out = whole[1:3]
    assert image.to_numpy(out) is out
    assert_same_bits(out, batch)
    assert (whole[0] == 77).all()
    assert (whole[3] == 77).all()


def unit_transform(device: mps.MTLDevice, channels: int) -> mps.MPSRNNImageInferenceLayer:
    """A layer whose destination is its source."""
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(channels, channels)
    descriptor.use_layer_input_unit_transform_mode = True
    return mps.MPSRNNImageInferenceLayer(device, descriptor)


def run(layer: mps.MPSRNNImageInferenceLayer, *chain: mps.MPSImage) -> None:
    """Run a layer from each image to the next."""
    command = layer.device.make_command_queue().make_command_buffer()
    for source, destination in itertools.pairwise(chain):
        layer.encode_sequence(command, [source], [destination])
    command.commit()
    command.wait_until_completed()


@each_format
@each_channel_count
@pytest.mark.parametrize("images", [1, 3])
def test_layers_see_what_was_written(device: mps.MTLDevice, channel_format: Format, channels: int, images: int) -> None:
    rng = np.random.default_rng(channels)
    # Numbers that are exact in each format.
    batch = rng.integers(0, 256, (images, 3, 4, channels)).astype(DTYPES[channel_format])
    source = mps.MPSImage.from_numpy(device, batch)
    destination = mps.MPSImage.from_numpy(device, np.zeros_like(batch))
    run(unit_transform(device, channels), source, destination)
    assert_same_bits(batched(destination), batch)


def test_private_images_are_within_reach_of_kernels(device: mps.MTLDevice) -> None:
    pixels = np.random.default_rng(4).standard_normal((3, 4, 6)).astype(np.float32)
    descriptor = mps.MPSImageDescriptor(Format.FLOAT32, 4, 3, 6)
    descriptor.storage_mode = mps.MTLStorageMode.PRIVATE
    private = mps.MPSImage(device, descriptor)
    assert private.storage_mode is mps.MTLStorageMode.PRIVATE
    result = mps.MPSImage.from_numpy(device, np.zeros_like(pixels))
    run(unit_transform(device, 6), mps.MPSImage.from_numpy(device, pixels), private, result)
    assert_same_bits(result.to_numpy(), pixels)


@pytest.mark.parametrize("layout", [HWC, CHW])
@pytest.mark.parametrize("parts", [[(0, 5)], [(0, 4), (4, 1)], [(4, 1), (0, 3), (0, 4)], [(4, 1), (0, 2), (0, 5)]])
def test_nothing_gets_into_the_components_beyond_the_last_channel(
    device: mps.MTLDevice, layout: mps.MPSDataLayout, parts: list[tuple[int, int]]
) -> None:
    """Kernels multiply them by zero, so a NaN there would reach the result. The memory is full of NaN around."""
    image = mps.MPSImage(device, mps.MPSImageDescriptor(Format.FLOAT32, 3, 2, 5))
    pixels = np.arange(30, dtype=np.float32).reshape(2, 3, 5)
    for first, count in parts:
        memory = np.full((4, 7, 9, 9), np.nan, np.float32)
        if layout == HWC:
            user = memory[0]
            user[:2, :3, :count] = pixels[..., first : first + count]
        else:
            user = memory.reshape(-1)[: count * 2 * 81].reshape(count, 2, 81)[..., ::9]
            user[..., :3] = np.moveaxis(pixels[..., first : first + count], -1, 0)
        info = mps.MPSImageReadWriteParams(first, count)
        strides = {"bytes_per_column": 36, "bytes_per_row": 324}
        image.write_bytes(memory, layout, feature_channel_info=info, **strides)
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(5, 1)
    descriptor.input_weights = mps.ArrayDataSource(np.ones((1, 1, 1, 5), np.float32))
    sums = mps.MPSImage.from_numpy(device, np.zeros((2, 3, 1), np.float32))
    run(mps.MPSRNNImageInferenceLayer(device, descriptor), image, sums)
    np.testing.assert_array_equal(sums.to_numpy()[..., 0], pixels.sum(axis=-1))


def test_image_keeps_its_device_and_gives_its_memory_back(device: mps.MTLDevice, no_leaks: None) -> None:
    before = device.current_allocated_size
    image = mps.MPSImage.from_numpy(mps.MTLCreateSystemDefaultDevice(), np.zeros((2, 40, 30, 9), np.float32))
    assert device.current_allocated_size >= before + 2 * 40 * 30 * 12 * 4
    assert image.device is device
    del image
    assert device.current_allocated_size == before


def test_image_is_neither_copied_nor_pickled(device: mps.MTLDevice) -> None:
    image = mps.MPSImage(device, mps.MPSImageDescriptor(Format.UNORM8, 1, 1, 1))
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(image)
    with pytest.raises(AttributeError, match="not writable"):
        image.device = None
