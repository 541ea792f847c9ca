"""Apple's small structures, as named tuples; a plain tuple of the same shape is accepted wherever one is expected."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from .errors import BadTypeError

__all__ = ["MPSImageReadWriteParams", "MTLOrigin", "MTLRegion", "MTLSize", "structure_of"]

_StructureT = TypeVar("_StructureT", "MTLOrigin", "MTLSize", "MTLRegion", "MPSImageReadWriteParams")


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


class MPSImageReadWriteParams(NamedTuple):
    """Which feature channels are read or written."""

    feature_channel_offset: int
    """The first, a multiple of 4."""
    number_of_feature_channels_to_read_write: int
    """How many, at least 1; a multiple of 4 unless the offset is 0 or the last channel is reached."""


def structure_of(value: object, name: str, structure: type[_StructureT]) -> _StructureT:
    """Take a structure, or a plain tuple of its length."""
    if isinstance(value, (tuple, list)) and len(value) == len(structure._fields):
        return structure(*value)
    raise BadTypeError(f"{name}: got {value!r}, expected {structure.__name__}({', '.join(structure._fields)})")
