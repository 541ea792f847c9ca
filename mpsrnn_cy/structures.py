"""Apple's small structures, as named tuples; a plain tuple of the same shape is accepted wherever one is expected."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from .arguments import INTEGER_MAXIMUM, integer, span
from .errors import BadTypeError

__all__ = [
    "MPSImageReadWriteParams",
    "MPSOffset",
    "MPSRectNoClip",
    "MPSStateTextureInfo",
    "MTLOrigin",
    "MTLRegion",
    "MTLSize",
    "offset_of",
    "range_of",
    "region_of",
    "structure_of",
]

_TripleT = TypeVar("_TripleT", "MTLOrigin", "MTLSize", "MPSOffset")
_StructureT = TypeVar("_StructureT", "MTLOrigin", "MTLSize", "MTLRegion", "MPSOffset", "MPSImageReadWriteParams")


class MTLOrigin(NamedTuple):
    """Where a region starts."""

    x: int = 0
    """Column."""
    y: int = 0
    """Row."""
    z: int = 0
    """Plane; 0 for images, which count their images separately."""


class MTLSize(NamedTuple):
    """How far a region reaches."""

    width: int
    height: int
    depth: int = 1
    """Planes; the number of images where images are read or written."""


class MTLRegion(NamedTuple):
    """A box of pixels."""

    origin: MTLOrigin
    size: MTLSize


MPSRectNoClip = MTLRegion(MTLOrigin(0, 0, 0), MTLSize(2**64 - 1, 2**64 - 1, 2**64 - 1))
"""The clip rectangle that clips nothing."""


class MPSOffset(NamedTuple):
    """A signed position in an image."""

    x: int = 0
    """Column."""
    y: int = 0
    """Row."""
    z: int = 0
    """Image of a batch."""


class MPSImageReadWriteParams(NamedTuple):
    """Which feature channels are read or written."""

    feature_channel_offset: int
    """The first, a multiple of 4."""
    number_of_feature_channels_to_read_write: int
    """How many, at least 1; a multiple of 4 unless the offset is 0 or the last channel is reached."""


class MPSStateTextureInfo(NamedTuple):
    """What a texture of a state looks like; all zero for what is no texture."""

    width: int = 0
    """Columns of texels."""
    height: int = 0
    """Rows of texels."""
    depth: int = 0
    """1: textures of states are flat."""
    array_length: int = 0
    """Slices."""
    pixel_format: int = 0
    """An `MTLPixelFormat`."""
    texture_type: int = 0
    """An `MTLTextureType`."""
    usage: int = 0
    """An `MTLTextureUsage`."""


def structure_of(value: object, name: str, structure: type[_StructureT]) -> _StructureT:
    """Take a structure, or a plain tuple of its length."""
    if isinstance(value, (tuple, list)) and len(value) == len(structure._fields):
        return structure(*value)
    raise BadTypeError(f"{name}: got {value!r}, expected {structure.__name__}({', '.join(structure._fields)})")


def offset_of(value: object, name: str) -> MPSOffset:
    """Check an offset: three integers of 64 bits."""
    return _triple_of(value, name, MPSOffset, -(2**63), 2**63 - 1)


def range_of(value: object, name: str, limit: int | None) -> tuple[int, int]:
    """Check a range as Apple's NSRange has it: the first of some things, and how many, at least one."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise BadTypeError(f"{name}: got {value!r}, expected (location, length)")
    first, count = value
    return span(first, count, 2 * INTEGER_MAXIMUM if limit is None else limit, name)


def region_of(value: object, name: str) -> MTLRegion:
    """Check a region of any size: six integers of 64 bits, none negative."""
    origin, size = structure_of(value, name, MTLRegion)
    return MTLRegion(
        _triple_of(origin, f"{name}.origin", MTLOrigin, 0, 2**64 - 1),
        _triple_of(size, f"{name}.size", MTLSize, 0, 2**64 - 1),
    )


def _triple_of(value: object, name: str, structure: type[_TripleT], minimum: int, maximum: int) -> _TripleT:
    numbers = [
        integer(number, f"{name}.{field}", minimum=minimum, maximum=maximum)
        for field, number in zip(structure._fields, structure_of(value, name, structure), strict=True)
    ]
    return structure(*numbers)
