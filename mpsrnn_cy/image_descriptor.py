"""What an image looks like, before it exists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .arguments import described, enum_member, integer, option_set
from .enums import (
    MPSImageFeatureChannelFormat,
    MTLCPUCacheMode,
    MTLPixelFormat,
    MTLStorageMode,
    MTLTextureUsage,
)
from .errors import BadArgumentError, BadTypeError
from .properties import Property, PropertyHolder
from .texture_descriptor import storage_mode_of

__all__ = [
    "CHANNEL_DTYPES",
    "MPSImageDescriptor",
    "channel_format_of",
    "components_in",
    "pixel_format_of",
    "precision_of",
]

_ImageDescriptorT = TypeVar("_ImageDescriptorT", bound="MPSImageDescriptor")

_Format = MPSImageFeatureChannelFormat

CHANNEL_DTYPES: dict[MPSImageFeatureChannelFormat, np.dtype[np.generic]] = {
    _Format.UNORM8: np.dtype(np.uint8),
    _Format.UNORM16: np.dtype(np.uint16),
    _Format.FLOAT16: np.dtype(np.float16),
    _Format.FLOAT32: np.dtype(np.float32),
}
"""The element type by which the CPU sees each channel format."""

# By number of components of a texel.
_PIXEL_FORMATS = {
    _Format.UNORM8: {1: MTLPixelFormat.R8_UNORM, 2: MTLPixelFormat.RG8_UNORM, 4: MTLPixelFormat.RGBA8_UNORM},
    _Format.UNORM16: {1: MTLPixelFormat.R16_UNORM, 2: MTLPixelFormat.RG16_UNORM, 4: MTLPixelFormat.RGBA16_UNORM},
    _Format.FLOAT16: {1: MTLPixelFormat.R16_FLOAT, 2: MTLPixelFormat.RG16_FLOAT, 4: MTLPixelFormat.RGBA16_FLOAT},
    _Format.FLOAT32: {1: MTLPixelFormat.R32_FLOAT, 2: MTLPixelFormat.RG32_FLOAT, 4: MTLPixelFormat.RGBA32_FLOAT},
}

_PRECISIONS = {_Format.UNORM8: 8, _Format.UNORM16: 16, _Format.FLOAT16: 11, _Format.FLOAT32: 24}


def components_in(pixel_format: MTLPixelFormat) -> int:
    """Components of a texel of this format."""
    return next(count for formats in _PIXEL_FORMATS.values() for count, each in formats.items() if each == pixel_format)


def pixel_format_of(channel_format: MPSImageFeatureChannelFormat, feature_channels: int) -> MTLPixelFormat:
    """Pixel format of the textures behind an image."""
    return _PIXEL_FORMATS[channel_format][feature_channels if feature_channels <= 2 else 4]


def precision_of(channel_format: MPSImageFeatureChannelFormat) -> int:
    """Bits of numeric precision of a channel."""
    return _PRECISIONS[channel_format]


def _channel_format(value: object, name: str) -> MPSImageFeatureChannelFormat:
    """Check a format in which storage can be made."""
    channel_format = enum_member(value, name, MPSImageFeatureChannelFormat)
    if channel_format not in CHANNEL_DTYPES:
        raise BadArgumentError(f"{name}: got {channel_format.name}, expected UNORM8, UNORM16, FLOAT16 or FLOAT32")
    return channel_format


def _usage(value: object, name: str) -> MTLTextureUsage:
    """Check a set of texture usages, which is not empty."""
    usage = option_set(value, name, MTLTextureUsage)
    if usage == MTLTextureUsage.UNKNOWN:
        raise BadArgumentError(f"{name}: got {value!r}, expected SHADER_READ (1), SHADER_WRITE (2) or both")
    return usage


class MPSImageDescriptor(PropertyHolder):
    """Size, channels and format of an image or a batch of images.

    Parameters
    ----------
    channel_format
        How a channel is stored, an `MPSImageFeatureChannelFormat`.
    width, height
        Pixels, at least 1.
    feature_channels
        Channels, at least 1.
    number_of_images
        Images of a batch.
    usage
        What kernels may do with it, an `MTLTextureUsage`.
    """

    __slots__ = ()

    width = Property(partial(integer, minimum=1), 1, "Columns of pixels.")
    height = Property(partial(integer, minimum=1), 1, "Rows of pixels.")
    feature_channels = Property(partial(integer, minimum=1), 1, "Channels of a pixel.")
    number_of_images = Property(partial(integer, minimum=1), 1, "Images of the batch.")
    channel_format = Property(_channel_format, _Format.FLOAT32, "How a channel is stored.")
    usage = Property(
        _usage, MTLTextureUsage.SHADER_READ | MTLTextureUsage.SHADER_WRITE, "What kernels may do with the image."
    )
    storage_mode = Property(storage_mode_of, MTLStorageMode.SHARED, "SHARED, or PRIVATE: out of the CPU's reach.")
    cpu_cache_mode = Property(
        partial(enum_member, enum_type=MTLCPUCacheMode),
        MTLCPUCacheMode.DEFAULT_CACHE,
        "A hint for the driver of a GPU; kept, and without effect.",
    )

    def __init__(
        self,
        channel_format: MPSImageFeatureChannelFormat,
        width: int,
        height: int,
        feature_channels: int,
        number_of_images: int = 1,
        usage: MTLTextureUsage = MTLTextureUsage.SHADER_READ | MTLTextureUsage.SHADER_WRITE,
    ) -> None:
        self.channel_format = channel_format
        self.width = width
        self.height = height
        self.feature_channels = feature_channels
        self.number_of_images = number_of_images
        self.usage = usage

    @property
    def pixel_format(self) -> MTLPixelFormat:
        """Pixel format of the texture, which follows from the channels and their format."""
        return pixel_format_of(self.channel_format, self.feature_channels)

    def copy(self: _ImageDescriptorT) -> _ImageDescriptorT:
        """Make an independent copy."""
        return self.__copy__()


def channel_format_of(
    dtype: npt.DTypeLike,
    name: str,
    among: Sequence[MPSImageFeatureChannelFormat] = tuple(CHANNEL_DTYPES),
) -> MPSImageFeatureChannelFormat:
    """The channel format, one of `among`, whose elements are of `dtype`."""
    found = np.dtype(dtype)
    for channel_format in among:
        if found == CHANNEL_DTYPES[channel_format] and found.isnative:
            return channel_format
    names = [str(CHANNEL_DTYPES[channel_format]) for channel_format in among]
    expected = " or ".join(names) if len(names) <= 2 else f"one of {', '.join(names)}"
    raise BadTypeError(f"{name}: got elements of {described(found)}, expected {expected}")
