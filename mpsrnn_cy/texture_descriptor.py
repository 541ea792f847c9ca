"""What a texture looks like, before it exists."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from .arguments import boolean, enum_member, integer, option_set
from .enums import MTLPixelFormat, MTLStorageMode, MTLTextureType, MTLTextureUsage
from .errors import BadArgumentError
from .properties import Property, PropertyHolder

__all__ = ["MTLTextureDescriptor", "storage_mode_of"]

_TextureDescriptorT = TypeVar("_TextureDescriptorT", bound="MTLTextureDescriptor")

_SIDE_MAXIMUM = 16384
_SLICES_MAXIMUM = 2048


def storage_mode_of(value: object, name: str) -> MTLStorageMode:
    """Check a storage mode that devices with unified memory offer for textures."""
    mode = enum_member(value, name, MTLStorageMode)
    if mode not in (MTLStorageMode.SHARED, MTLStorageMode.PRIVATE):
        raise BadArgumentError(f"{name}: got {mode.name}, expected SHARED or PRIVATE")
    return mode


def _pixel_format(value: object, name: str) -> MTLPixelFormat:
    """Check a format that feature channels can be kept in."""
    pixel_format = enum_member(value, name, MTLPixelFormat)
    if pixel_format == MTLPixelFormat.BGRA8_UNORM:
        raise BadArgumentError(f"{name}: got {pixel_format.name}, expected R, RG or RGBA in this order")
    return pixel_format


_side = partial(integer, minimum=1, maximum=_SIDE_MAXIMUM)


class MTLTextureDescriptor(PropertyHolder):
    """Type, format and size of a texture: one texel of RGBA8 at first, which kernels may read, as in Metal."""

    __slots__ = ()

    texture_type = Property(
        partial(enum_member, enum_type=MTLTextureType),
        MTLTextureType.TYPE_2D,
        "TYPE_2D, of one slice, or TYPE_2D_ARRAY.",
    )
    pixel_format = Property(_pixel_format, MTLPixelFormat.RGBA8_UNORM, "How a texel is stored; all formats but BGRA8.")
    width = Property(_side, 1, "Columns of texels, at most 16384.")
    height = Property(_side, 1, "Rows of texels, at most 16384.")
    array_length = Property(partial(integer, minimum=1, maximum=_SLICES_MAXIMUM), 1, "Slices, at most 2048.")
    usage = Property(
        partial(option_set, flag_type=MTLTextureUsage), MTLTextureUsage.SHADER_READ, "What kernels may do with it."
    )
    storage_mode = Property(storage_mode_of, MTLStorageMode.SHARED, "SHARED, or PRIVATE: out of the CPU's reach.")

    @classmethod
    def texture_2d_descriptor(
        cls: type[_TextureDescriptorT], pixel_format: MTLPixelFormat, width: int, height: int, mipmapped: bool = False
    ) -> _TextureDescriptorT:
        """Describe a texture of one slice.

        Parameters
        ----------
        pixel_format
            How a texel is stored.
        width, height
            Texels.
        mipmapped
            False: images have no mipmaps.
        """
        if boolean(mipmapped, "mipmapped"):
            raise BadArgumentError("mipmapped: got True, expected False, for images have no mipmaps")
        descriptor = cls()
        descriptor.pixel_format = pixel_format
        descriptor.width = width
        descriptor.height = height
        return descriptor

    def copy(self: _TextureDescriptorT) -> _TextureDescriptorT:
        """Make an independent copy."""
        return self.__copy__()
