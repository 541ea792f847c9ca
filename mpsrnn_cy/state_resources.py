"""What states hold: buffers and textures, each made when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias

from .arguments import instance_of, integer
from .buffer import MTLBuffer
from .device import MTLDevice
from .enums import MPSStateResourceType, MTLStorageMode
from .errors import BadTypeError
from .structures import MPSStateTextureInfo
from .texture import MTLTexture
from .texture_descriptor import MTLTextureDescriptor

__all__ = ["MPSStateResourceList", "Resource"]

_Made: TypeAlias = MTLBuffer | MTLTexture

# Of buffers that are described before their device is known, whose limit is checked when they are made.
_BYTES_MAXIMUM = 2**63 - 1


class Resource:
    """One resource of a state: a buffer of a size, or a texture that looks like this.

    Parameters
    ----------
    looks
        Bytes of the buffer, or what the texture looks like.
    make
        Makes it; called once at most.
    """

    def __init__(self, looks: int | MPSStateTextureInfo, make: Callable[[], _Made]) -> None:
        is_buffer = isinstance(looks, int)
        self.resource_type = MPSStateResourceType.BUFFER if is_buffer else MPSStateResourceType.TEXTURE
        self.buffer_size = looks if isinstance(looks, int) else 0
        self.texture_info = MPSStateTextureInfo() if isinstance(looks, int) else looks
        self._make = make
        self._made: _Made | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, resource: object, name: str) -> Resource:
        """A resource that exists."""
        if isinstance(resource, MTLBuffer):
            return cls(resource.length, lambda: resource)._with(resource)
        if isinstance(resource, MTLTexture):
            return cls(_info(resource), lambda: resource)._with(resource)
        raise BadTypeError(f"{name}: got {resource!r} ({type(resource).__name__}), expected MTLBuffer or MTLTexture")

    def get(self, allocate_memory: bool = True) -> _Made | None:
        """The resource itself; None if it does not exist yet and shall not be made."""
        with self._lock:
            if self._made is None and allocate_memory:
                self._made = self._make()
            return self._made

    @property
    def allocated_size(self) -> int:
        """Bytes allocated so far."""
        made = self.get(allocate_memory=False)
        return 0 if made is None else made.allocated_size

    def _with(self, made: _Made) -> Resource:
        self._made = made
        return self


def _info(texture: MTLTexture | MTLTextureDescriptor) -> MPSStateTextureInfo:
    return MPSStateTextureInfo(
        texture.width,
        texture.height,
        1,
        texture.array_length,
        texture.pixel_format,
        texture.texture_type,
        texture.usage,
    )


class MPSStateResourceList:
    """Which resources a state shall have, in order.

    Parameters
    ----------
    texture_descriptors
        Textures to begin with.
    buffer_sizes
        Buffers to begin with, by their bytes.
    """

    def __init__(
        self, *, texture_descriptors: Iterable[MTLTextureDescriptor] = (), buffer_sizes: Iterable[int] = ()
    ) -> None:
        self._described: list[int | MTLTextureDescriptor] = []
        for index, descriptor in enumerate(texture_descriptors):
            self._append_texture(descriptor, f"texture_descriptors[{index}]")
        for index, size in enumerate(buffer_sizes):
            self._append_buffer(size, f"buffer_sizes[{index}]")

    def append_texture(self, descriptor: MTLTextureDescriptor) -> None:
        """Add a texture; later changes to the descriptor change nothing here."""
        self._append_texture(descriptor, "descriptor")

    def append_buffer(self, size: int) -> None:
        """Add a buffer of so many bytes."""
        self._append_buffer(size, "size")

    def make_resources(self, device: MTLDevice, storage_mode: MTLStorageMode) -> list[Resource]:
        """Make the resources of one state, without their memory. Ours, not Apple's."""
        return [_resource(described, device, storage_mode) for described in self._described]

    def _append_texture(self, descriptor: object, name: str) -> None:
        self._described.append(instance_of(descriptor, name, MTLTextureDescriptor).copy())

    def _append_buffer(self, size: object, name: str) -> None:
        self._described.append(integer(size, name, minimum=1, maximum=_BYTES_MAXIMUM))


def _resource(described: int | MTLTextureDescriptor, device: MTLDevice, storage_mode: MTLStorageMode) -> Resource:
    if isinstance(described, int):
        size = described
        return Resource(size, lambda: device.make_buffer(length=size, options=storage_mode))
    descriptor = described.copy()
    descriptor.storage_mode = storage_mode
    return Resource(_info(descriptor), lambda: device.make_texture(descriptor))
