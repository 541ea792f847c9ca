"""Textures and their descriptors. Images over them are in test_image_views."""

from __future__ import annotations

from typing import Any

import pytest

import mpsrnn_cy as mps
from refusal import refused

Format = mps.MTLPixelFormat
FORMATS = [pixel_format for pixel_format in Format if pixel_format != Format.BGRA8_UNORM]
TEXEL_SIZES = {10: 1, 20: 2, 25: 2, 30: 2, 55: 4, 60: 4, 65: 4, 70: 4, 105: 8, 110: 8, 115: 8, 125: 16}


def descriptor(**properties: Any) -> mps.MTLTextureDescriptor:
    result = mps.MTLTextureDescriptor()
    for name, value in properties.items():
        setattr(result, name, value)
    return result


ARRAY = {
    "texture_type": mps.MTLTextureType.TYPE_2D_ARRAY,
    "pixel_format": Format.RG16_FLOAT,
    "width": 5,
    "height": 3,
    "array_length": 7,
    "usage": mps.MTLTextureUsage.SHADER_READ | mps.MTLTextureUsage.SHADER_WRITE,
    "storage_mode": mps.MTLStorageMode.PRIVATE,
}
DEFAULTS = {
    "texture_type": mps.MTLTextureType.TYPE_2D,
    "pixel_format": Format.RGBA8_UNORM,
    "width": 1,
    "height": 1,
    "array_length": 1,
    "usage": mps.MTLTextureUsage.SHADER_READ,
    "storage_mode": mps.MTLStorageMode.SHARED,
}


def test_descriptor() -> None:
    plain, array = descriptor(), descriptor(**ARRAY)
    copied = array.copy()
    for name, default in DEFAULTS.items():
        assert getattr(plain, name) == default
        assert getattr(array, name) == ARRAY[name] == getattr(copied, name)
    copied.width = 9
    assert array.width == 5


def test_descriptor_of_one_slice() -> None:
    flat = mps.MTLTextureDescriptor.texture_2d_descriptor(Format.R32_FLOAT, 4, 2, mipmapped=False)
    expected = {**DEFAULTS, "pixel_format": Format.R32_FLOAT, "width": 4, "height": 2}
    assert {name: getattr(flat, name) for name in DEFAULTS} == expected
    refused(
        lambda: mps.MTLTextureDescriptor.texture_2d_descriptor(Format.R32_FLOAT, 4, 2, True),
        mps.BadArgumentError,
        "mipmapped: got True",
    )


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("texture_type", 7, mps.BadArgumentError),
        ("pixel_format", Format.BGRA8_UNORM, mps.BadArgumentError),
        ("pixel_format", 1, mps.BadArgumentError),
        ("width", 0, mps.BadArgumentError),
        ("width", 16385, mps.BadArgumentError),
        ("height", 1.0, mps.BadTypeError),
        ("array_length", 2049, mps.BadArgumentError),
        ("usage", 4, mps.BadArgumentError),
        ("usage", "READ", mps.BadTypeError),
        ("storage_mode", mps.MTLStorageMode.MANAGED, mps.BadArgumentError),
    ],
)
def test_bad_descriptor(name: str, value: object, error: type[mps.Error]) -> None:
    described = descriptor()
    refused(lambda: setattr(described, name, value), error, f"MTLTextureDescriptor.{name}: got ")
    assert getattr(described, name) == DEFAULTS[name]


def test_texture(device: mps.MTLDevice, no_leaks: None) -> None:
    before = device.current_allocated_size
    described = descriptor(**ARRAY)
    texture = device.make_texture(described)
    described.width = 6
    assert {name: getattr(texture, name) for name in ARRAY} == ARRAY
    assert texture.device is device
    assert texture.allocated_size == 5 * 3 * 7 * 4 == device.current_allocated_size - before
    assert texture.label is None
    texture.label = "features"
    assert repr(texture) == "<MTLTexture 'features' 5 x 3, 7 slices, RG16_FLOAT, PRIVATE>"


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_formats(device: mps.MTLDevice, pixel_format: mps.MTLPixelFormat) -> None:
    texture = device.make_texture(descriptor(pixel_format=pixel_format, width=3, height=2))
    assert texture.pixel_format == pixel_format
    assert texture.allocated_size == 6 * TEXEL_SIZES[pixel_format]


def test_refused_textures(device: mps.MTLDevice, no_leaks: None) -> None:
    for make in (mps.MTLTexture, lambda: mps.MTLTexture.__new__(mps.MTLTexture), lambda: mps.MTLTexture(object())):
        refused(make, mps.BadTypeError, "MTLTexture: cannot be constructed")
    refused(lambda: device.make_texture(None), mps.BadTypeError, "descriptor: got None")
    refused(
        lambda: device.make_texture(descriptor(array_length=2)),
        mps.BadArgumentError,
        "descriptor.array_length: got 2 for TYPE_2D",
    )
    huge = descriptor(**{**ARRAY, "pixel_format": Format.RGBA32_FLOAT, "width": 16384, "height": 16384})
    huge.array_length = 2048
    refused(lambda: device.make_texture(huge), mps.OutOfMemoryError, "no texture of 16384 x 16384 texels, 2048 slices")
