"""What images refuse: the exception, its words, and that neither the image nor the caller's memory has changed."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Format = mps.MPSImageFeatureChannelFormat
HWC = mps.MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS
CHW = mps.MPSDataLayout.FEATURE_CHANNELS_X_HEIGHT_X_WIDTH

Value, Type = mps.BadArgumentError, mps.BadTypeError

# 2 images of 4 x 3 pixels, 5 channels; one of them has 60 elements.
SHAPE = (2, 3, 4, 5)
ONE = 60
HUGE = 2**40


def number_from(minimum: int) -> str:
    return rf"expected an int from {minimum} to 2147483647$"


# Arguments that are wrong for writing and for reading: the error and its words.
MOVES: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "layout 2": ({"data_layout": 2}, Value, r"^data_layout: got 2, expected a case of MPSDataLayout: "),
    "layout None": ({"data_layout": None}, Type, r"^data_layout: got None \(NoneType\), expected a case of "),
    "layout True": ({"data_layout": True}, Type, r"^data_layout: got True \(bool\), expected a case of MPSDataLayout"),
    "layout of another enum": (
        {"data_layout": Format.UNORM8},
        Type,
        r"^data_layout: got <MPSImageFeatureChannelFormat\.UNORM8",
    ),
    "image -1": ({"image_index": -1}, Value, rf"^image_index.*: got -1, {number_from(0)}"),
    "image 2": ({"image_index": 2}, Value, r"^image_index.*: got 1 from 2, expected to end within 2$"),
    "image huge": ({"image_index": HUGE}, Value, rf"^image_index.*: got {HUGE}, {number_from(0)}"),
    "image 0.0": ({"image_index": 0.0}, Type, r"^image_index.*: got 0.0 \(float\), expected an int$"),
    "region int": ({"region": 3}, Type, r"^region: got 3, expected MTLRegion\(origin, size\)$"),
    "region flat": ({"region": (0, 0, 0, 4, 3, 1)}, Type, r"^region: got \(0, 0, 0, 4, 3, 1\), expected MTLRegion"),
    "region of ints": ({"region": (1, 2)}, Type, r"^region\.origin: got 1, expected MTLOrigin\(x, y, z\)$"),
    "size of two": ({"region": ((0, 0, 0), (4, 3))}, Type, r"^region\.size: got \(4, 3\), expected MTLSize"),
    "origin.z": ({"region": ((0, 0, 1), (4, 3, 1))}, Value, r"^region\.origin\.z: got 1, expected 0; image_index"),
    "too wide": (
        {"region": ((1, 0, 0), (4, 3, 1))},
        Value,
        r"^region: columns: got 4 from 1, expected to end within 4$",
    ),
    "too high": ({"region": ((0, 2, 0), (4, 2, 1))}, Value, r"^region: rows: got 2 from 2, expected to end within 3$"),
    "too deep": ({"region": ((0, 0, 0), (4, 3, 3))}, Value, r"^image_index, region: images: got 3 from 0, expected"),
    "negative column": ({"region": ((-1, 0, 0), (4, 3, 1))}, Value, rf"^region: columns: .*got -1, {number_from(0)}"),
    "negative height": ({"region": ((0, 0, 0), (4, -3, 1))}, Value, rf"^region: rows: .*got -3, {number_from(1)}"),
    "no columns": ({"region": ((0, 0, 0), (0, 3, 1))}, Value, rf"^region: columns: .*got 0, {number_from(1)}"),
    "no images": (
        {"region": ((0, 0, 0), (4, 3, 0))},
        Value,
        rf"^image_index, region: images: .*got 0, {number_from(1)}",
    ),
    "huge row": ({"region": ((0, HUGE, 0), (4, 3, 1))}, Value, rf"^region: rows: .*got {HUGE}, {number_from(0)}"),
    "sum beyond 32 bits": (
        {"region": ((2**31 - 1, 0, 0), (2**31 - 1, 3, 1))},
        Value,
        r"^region: columns: got 2147483647 from 2147483647, expected to end within 4$",
    ),
    "width 1.5": (
        {"region": ((0, 0, 0), (1.5, 3, 1))},
        Type,
        r"^region: columns: .*got 1.5 \(float\), expected an int$",
    ),
    "channels int": (
        {"feature_channel_info": 4},
        Type,
        r"^feature_channel_info: got 4, expected MPSImageReadWriteParams",
    ),
    "channels of three": (
        {"feature_channel_info": (0, 4, 1)},
        Type,
        r"^feature_channel_info: got \(0, 4, 1\), expected",
    ),
    "channels from 2": ({"feature_channel_info": (2, 3)}, Value, r"^feature_channel_info: got the offset 2, expected"),
    "channels to 6": ({"feature_channel_info": (4, 2)}, Value, r"^feature_channel_info: .*got 2 from 4, expected"),
    "no channels": ({"feature_channel_info": (0, 0)}, Value, rf"^feature_channel_info: .*got 0, {number_from(1)}"),
    "channels from -4": (
        {"feature_channel_info": (-4, 4)},
        Value,
        rf"^feature_channel_info: .*got -4, {number_from(0)}",
    ),
    "channels huge": (
        {"feature_channel_info": (0, HUGE)},
        Value,
        rf"^feature_channel_info: .*got {HUGE}, {number_from(1)}",
    ),
    "row too short": (
        {"bytes_per_row": 76},
        Value,
        r"^bytes_per_row: got 76, expected at least 80 and a multiple of 4$",
    ),
    "row of no elements": ({"bytes_per_row": 82}, Value, r"^bytes_per_row: got 82, expected at least 80 and a"),
    "row negative": ({"bytes_per_row": -80}, Value, rf"^bytes_per_row: got -80, {number_from(0)}"),
    "row 80.0": ({"bytes_per_row": 80.0}, Type, r"^bytes_per_row: got 80.0 \(float\), expected an int$"),
    "row huge": ({"bytes_per_row": HUGE}, Value, rf"^bytes_per_row: got {HUGE}, {number_from(0)}"),
    "image too short": ({"bytes_per_image": 236}, Value, r"^bytes_per_image: got 236, expected at least 240 and"),
    "memory too short for rows": ({"bytes_per_row": 84}, Value, r"^data_bytes: got 240 bytes, expected at least 248$"),
    "memory too short for far rows": ({"bytes_per_row": 2**31 - 4}, Value, r"^data_bytes: got 240 bytes, expected at"),
    "memory too short for images": (
        {"bytes_per_image": 240, "region": ((0, 0, 0), (4, 3, 2))},
        Value,
        r"^data_bytes: got 240 bytes, expected at least 480$",
    ),
    "memory too short": (
        {"data_bytes": np.zeros(ONE - 1, np.float32)},
        Value,
        r"^data_bytes: got 236 bytes, expected 240 bytes \(60 elements\) of float32$",
    ),
    "memory too long": (
        {"data_bytes": bytearray(244)},
        Value,
        r"^data_bytes: got 244 bytes, expected 240 bytes \(60 elements\) of float32$",
    ),
    "no whole element": ({"data_bytes": bytearray(239)}, Value, r"^data_bytes: got 239 bytes, expected 240 bytes"),
    "no memory": ({"data_bytes": bytearray()}, Value, r"^data_bytes: got 0 bytes, expected 240 bytes"),
    "None": ({"data_bytes": None}, Type, r"^data_bytes: got a NoneType, expected a buffer of float32 \(bytes, "),
    "list": ({"data_bytes": [0.0] * ONE}, Type, r"^data_bytes: got a list, expected a buffer of float32"),
    "str": ({"data_bytes": "0" * 240}, Type, r"^data_bytes: got a str, expected a buffer of float32"),
    "float64": ({"data_bytes": np.zeros(ONE)}, Type, r"^data_bytes: got elements of float64, expected float32$"),
    "int32": ({"data_bytes": np.zeros(ONE, np.int32)}, Type, r"^data_bytes: got elements of int32, expected float32$"),
    "float16": ({"data_bytes": np.zeros(2 * ONE, np.float16)}, Type, r"^data_bytes: got elements of float16, expected"),
    "uint8 array": (
        {"data_bytes": np.zeros(240, np.uint8)},
        Type,
        r"^data_bytes: got elements of uint8, expected float32$",
    ),
    "array of doubles": ({"data_bytes": array.array("d", bytes(240))}, Type, r"^data_bytes: got elements of float64,"),
    "big-endian": (
        {"data_bytes": np.zeros(ONE, ">f4")},
        Type,
        r"^data_bytes: got elements of float32 in foreign byte order, expected float32$",
    ),
    "every other element": (
        {"data_bytes": np.zeros(2 * ONE, np.float32)[::2]},
        Value,
        r"^data_bytes: got memory that is not C-contiguous, expected C-contiguous float32$",
    ),
    "fortran": (
        {"data_bytes": np.zeros((12, 5), np.float32, order="F")},
        Value,
        r"^data_bytes: got memory that is not C-contiguous, expected C-contiguous float32$",
    ),
}
WRITES: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "column too short": ({"bytes_per_column": 16}, Value, r"^bytes_per_column: got 16, expected at least 20 and a"),
    "row too short for columns": (
        {"bytes_per_column": 24, "bytes_per_row": 88},
        Value,
        r"^bytes_per_row: got 88, expected at least 92 and a multiple of 4$",
    ),
    "column huge": ({"bytes_per_column": HUGE}, Value, rf"^bytes_per_column: got {HUGE}, {number_from(0)}"),
}
READS: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "bytes": ({"data_bytes": bytes(240)}, Value, r"^data_bytes: got read-only memory, expected writable memory$"),
    "read-only array": (
        {"data_bytes": np.frombuffer(bytes(240), np.float32)},
        Value,
        r"^data_bytes: got read-only memory, expected writable memory$",
    ),
}


@pytest.fixture
def image(device: mps.MTLDevice) -> mps.MPSImage:
    pixels = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    return mps.MPSImage.from_numpy(device, pixels)


def contents(memory: Any) -> bytes:
    try:
        return memoryview(memory).tobytes()
    except TypeError:
        return repr(memory).encode()


def check_move(
    image: mps.MPSImage, move: Callable[..., None], case: tuple[dict[str, Any], type[mps.Error], str]
) -> None:
    changes, error, words = case
    arguments = {"data_bytes": bytearray(range(240)), "data_layout": HWC, **changes}
    pixels, memory = image.to_numpy(), contents(arguments["data_bytes"])
    refused(lambda: move(**arguments), error, words)
    assert image.to_numpy().tobytes() == pixels.tobytes()
    assert contents(arguments["data_bytes"]) == memory


@pytest.mark.parametrize("case", (MOVES | WRITES).values(), ids=MOVES | WRITES)
def test_bad_write(image: mps.MPSImage, case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    check_move(image, image.write_bytes, case)


@pytest.mark.parametrize("case", (MOVES | READS).values(), ids=MOVES | READS)
def test_bad_read(image: mps.MPSImage, case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    check_move(image, image.read_bytes, case)


def test_strides_of_planes(image: mps.MPSImage) -> None:
    """Channels first, a pixel is one element and an image five planes."""
    for changes, words in [
        ({"bytes_per_row": 12}, r"^bytes_per_row: got 12, expected at least 16 and a multiple of 4$"),
        ({"bytes_per_image": 236}, r"^bytes_per_image: got 236, expected at least 240 and a multiple of 4$"),
        ({"bytes_per_row": 20}, r"^data_bytes: got 240 bytes, expected at least 296$"),
    ]:
        check_move(image, image.read_bytes, ({"data_layout": CHW, **changes}, Value, words))


def test_channels_that_end_inside_a_slice(device: mps.MTLDevice) -> None:
    image = mps.MPSImage.from_numpy(device, np.zeros((1, 1, 9), np.uint8))
    words = (
        r"^feature_channel_info: got 2 channels from 4, expected a multiple of 4, or an offset of 0, or all channels"
    )
    for move in (image.write_bytes, image.read_bytes):
        refused(lambda move=move: move(bytearray(2), HWC, feature_channel_info=(4, 2)), Value, words)


def test_memory_of_other_formats(device: mps.MTLDevice) -> None:
    dtypes = [np.uint8, np.uint16, np.float16, np.float32]
    for mine in dtypes:
        image = mps.MPSImage.from_numpy(device, np.zeros((1, 1, 4), mine))
        for other in dtypes:
            memory = np.full(16 // np.dtype(other).itemsize, 9, other)[: 4 * np.dtype(mine).itemsize]
            if other == mine:
                continue
            words = f"^data_bytes: got elements of {np.dtype(other)}, expected {np.dtype(mine)}$"
            refused(lambda image=image, memory=memory: image.write_bytes(memory, HWC), Type, words)
            refused(lambda image=image, memory=memory: image.read_bytes(memory, HWC), Type, words)
        assert not image.to_numpy().any()


OUTS: dict[str, tuple[Any, type[mps.Error], str]] = {
    "shape": (
        np.zeros((3, 4, 5), np.float32),
        Value,
        r"^out: got shape \(3, 4, 5\), expected .* shape \(2, 3, 4, 5\)$",
    ),
    "float64": (np.zeros(SHAPE), Type, r"^out: got elements of float64, expected float32$"),
    "big-endian": (
        np.zeros(SHAPE, ">f4"),
        Type,
        r"^out: got elements of float32 in foreign byte order, expected float32$",
    ),
    "read-only": (np.frombuffer(bytes(480), np.float32).reshape(SHAPE), Value, r"^out: got read-only memory, expected"),
    "fortran": (np.zeros(SHAPE, np.float32, order="F"), Value, r"^out: got memory that is not C-contiguous, expected"),
    "list": ([0.0], Type, r"^out: got a list, expected an array of shape \(2, 3, 4, 5\)$"),
    "bytearray": (bytearray(480), Type, r"^out: got a bytearray, expected an array of shape \(2, 3, 4, 5\)$"),
}


@pytest.mark.parametrize("case", OUTS.values(), ids=OUTS)
def test_bad_array_to_read_into(image: mps.MPSImage, case: tuple[Any, type[mps.Error], str]) -> None:
    out, error, words = case
    before = contents(out)
    refused(lambda: image.to_numpy(out=out), error, words)
    assert contents(out) == before


DTYPES = "uint8, uint16, float16, float32$"
ARRAYS: dict[str, tuple[Any, type[mps.Error], str]] = {
    "list": ([[[1.0]]], Type, r"^array: got a list, expected an ndarray$"),
    "None": (None, Type, r"^array: got a NoneType, expected an ndarray$"),
    "scalar": (np.float32(1), Type, r"^array: got a float32, expected an ndarray$"),
    "2 axes": (np.zeros((3, 4), np.float32), Value, r"^array: got 2 axes, shape \(3, 4\), expected 3 or 4 axes$"),
    "5 axes": (np.zeros((1, 1, 1, 1, 1), np.uint8), Value, r"^array: got 5 axes, shape \(1, 1, 1, 1, 1\), expected 3"),
    "float64": (np.zeros((1, 1, 1)), Type, f"^array: got elements of float64, expected one of {DTYPES}"),
    "int32": (np.zeros((1, 1, 1), np.int32), Type, f"^array: got elements of int32, expected one of {DTYPES}"),
    "bool": (np.zeros((1, 1, 1), bool), Type, f"^array: got elements of bool, expected one of {DTYPES}"),
    "object": (np.zeros((1, 1, 1), object), Type, f"^array: got elements of object, expected one of {DTYPES}"),
    "big-endian": (
        np.zeros((1, 1, 1), ">f2"),
        Type,
        r"^array: got elements of float16 in foreign byte order, expected",
    ),
    "no channels": (np.zeros((1, 1, 0), np.uint8), Value, r"^array: got shape \(1, 1, 0\), expected at least 1"),
    "no images": (np.zeros((0, 1, 1, 1), np.uint8), Value, r"^array: got shape \(0, 1, 1, 1\), expected at least 1"),
}


@pytest.mark.parametrize("case", ARRAYS.values(), ids=ARRAYS)
def test_bad_array_to_copy(device: mps.MTLDevice, no_leaks: None, case: tuple[Any, type[mps.Error], str]) -> None:
    made_of, error, words = case
    refused(lambda: mps.MPSImage.from_numpy(device, made_of), error, words)


def described(**changes: Any) -> mps.MPSImageDescriptor:
    return mps.MPSImageDescriptor(
        **{"channel_format": Format.FLOAT32, "width": 1, "height": 1, "feature_channels": 1} | changes
    )


DESCRIPTORS: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "width 0": ({"width": 0}, Value, rf"\.width: got 0, {number_from(1)}"),
    "height -1": ({"height": -1}, Value, rf"\.height: got -1, {number_from(1)}"),
    "channels 1.0": ({"feature_channels": 1.0}, Type, r"\.feature_channels: got 1.0 \(float\), expected an int$"),
    "images huge": ({"number_of_images": 2**31}, Value, rf"\.number_of_images: got 2147483648, {number_from(1)}"),
    "format NONE": ({"channel_format": Format.NONE}, Value, r"\.channel_format: got NONE, expected UNORM8, UNORM16, "),
    "format 5": ({"channel_format": 5}, Value, r"\.channel_format: got 5, expected a case of MPSImageFeature"),
    "format COUNT": ({"channel_format": Format.COUNT}, Value, r"\.channel_format: got .*6.*, expected a case of "),
    "format None": ({"channel_format": None}, Type, r"\.channel_format: got None \(NoneType\), expected a case of "),
    "usage 0": ({"usage": 0}, Value, r"\.usage: got 0, expected SHADER_READ \(1\), SHADER_WRITE \(2\) or both$"),
    "usage 4": ({"usage": 4}, Value, r"\.usage: got 4, expected a set of MTLTextureUsage: UNKNOWN \(0\), SHADER_READ"),
    "usage str": ({"usage": "rw"}, Type, r"\.usage: got 'rw' \(str\), expected a set of MTLTextureUsage$"),
}


@pytest.mark.parametrize("case", DESCRIPTORS.values(), ids=DESCRIPTORS)
def test_bad_descriptor(case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    changes, error, words = case
    refused(lambda: described(**changes), error, f"^MPSImageDescriptor{words}")


def test_bad_storage_mode() -> None:
    descriptor = described()
    for mode in (mps.MTLStorageMode.MANAGED, mps.MTLStorageMode.MEMORYLESS):
        words = rf"^MPSImageDescriptor\.storage_mode: got {mode.name}, expected SHARED or PRIVATE$"
        refused(lambda mode=mode: setattr(descriptor, "storage_mode", mode), Value, words)
    assert descriptor.storage_mode is mps.MTLStorageMode.SHARED


def test_device_and_descriptor_of_other_types(device: mps.MTLDevice, no_leaks: None) -> None:
    refused(lambda: mps.MPSImage(), Type, r"^device: got None \(NoneType\), expected MTLDevice$")
    refused(lambda: mps.MPSImage("gpu", described()), Type, r"^device: got 'gpu' \(str\), expected MTLDevice$")
    refused(
        lambda: mps.MPSImage(device), Type, r"^image_descriptor: got None \(NoneType\), expected MPSImageDescriptor$"
    )
    refused(lambda: mps.MPSImage(device, 3), Type, r"^image_descriptor: got 3 \(int\), expected MPSImageDescriptor$")
    refused(lambda: mps.MPSImage.__new__(mps.MPSImage), Type, r"^device: got None \(NoneType\), expected MTLDevice$")
    pixels = np.zeros((1, 1, 1), np.uint8)
    refused(lambda: mps.MPSImage.from_numpy(None, pixels), Type, r"^device: got None \(NoneType\), expected MTLDevice$")


def test_label_of_another_type(image: mps.MPSImage) -> None:
    image.label = "radar"
    refused(lambda: setattr(image, "label", 3), Type, r"^label: got 3 \(int\), expected str")
    assert image.label == "radar"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 16385}, "image of 16385 x 1 pixels; 1 to 16384 expected on each side"),
        ({"height": 2**31 - 1}, "image of 1 x 2147483647 pixels; 1 to 16384 expected on each side"),
        ({"number_of_images": 2049}, r"2049 images of 1 channels; .* at most 2048 texture slices"),
        ({"feature_channels": 8193}, r"1 images of 8193 channels; .* at most 2048 texture slices"),
        ({"feature_channels": 2**31 - 1, "number_of_images": 2**31 - 1}, "at most 2048 texture slices"),
    ],
)
def test_too_large(device: mps.MTLDevice, no_leaks: None, changes: dict[str, int], words: str) -> None:
    refused(lambda: mps.MPSImage(device, described(**changes)), Value, words)


def test_largest_image_of_one_pixel(device: mps.MTLDevice) -> None:
    image = mps.MPSImage(device, described(channel_format=Format.UNORM8, feature_channels=4 * 2048))
    pixel = np.arange(4 * 2048, dtype=np.uint8)
    image.write_bytes(pixel, HWC)
    assert image.to_numpy().tobytes() == pixel.tobytes()


def test_no_memory_for_an_image(device: mps.MTLDevice, no_leaks: None) -> None:
    """8 TiB are refused, and what comes afterwards does not hear of it."""
    bystander = mps.MPSImage.from_numpy(device, np.zeros((1, 1, 1), np.uint8))
    largest = described(width=16384, height=16384, feature_channels=4, number_of_images=2048)
    words = r"2048 images of 16384 x 16384 pixels, 4 channels"
    refused(lambda: mps.MPSImage(device, largest), mps.OutOfMemoryError, words)
    bystander.write_bytes(bytes([5]), HWC)
    assert bystander.to_numpy().item() == 5


def test_private_image_is_out_of_reach(device: mps.MTLDevice) -> None:
    descriptor = described()
    descriptor.storage_mode = mps.MTLStorageMode.PRIVATE
    image = mps.MPSImage(device, descriptor)
    memory = bytearray(b"abcd")
    words = "^image: got an image of private storage, expected one that the CPU can reach$"
    for call in (image.to_numpy, lambda: image.write_bytes(memory, HWC), lambda: image.read_bytes(memory, HWC)):
        refused(call, Value, words)
    assert memory == b"abcd"
