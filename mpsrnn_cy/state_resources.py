"""What states hold: buffers, each made when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from .arguments import integer
from .buffer import MTLBuffer
from .device import MTLDevice
from .enums import MPSStateResourceType, MTLStorageMode
from .errors import BadTypeError

__all__ = ["MPSStateResourceList", "Resource"]


class Resource:
    """One resource of a state.

    Parameters
    ----------
    resource_type
        What it is.
    make
        Makes it; called once at most.
    buffer_size
        Bytes of a buffer.
    """

    def __init__(
        self, resource_type: MPSStateResourceType, make: Callable[[], MTLBuffer], buffer_size: int = 0
    ) -> None:
        self.resource_type = resource_type
        self.buffer_size = buffer_size
        self._make = make
        self._made: MTLBuffer | None = None
        self._lock = threading.Lock()

    @classmethod
    def buffer(cls, device: MTLDevice, size: int, storage_mode: MTLStorageMode) -> Resource:
        """A buffer still to be made."""
        return cls(MPSStateResourceType.BUFFER, lambda: device.make_buffer(length=size, options=storage_mode), size)

    @classmethod
    def of(cls, resource: object, name: str) -> Resource:
        """A resource that exists."""
        if not isinstance(resource, MTLBuffer):
            raise BadTypeError(f"{name}: got {resource!r} ({type(resource).__name__}), expected MTLBuffer")
        made = cls(MPSStateResourceType.BUFFER, lambda: resource, resource.length)
        made.get()
        return made

    def get(self, allocate_memory: bool = True) -> MTLBuffer | None:
        """The resource itself; None if it does not exist yet and shall not be made."""
        with self._lock:
            if self._made is None and allocate_memory:
                self._made = self._make()
            return self._made

    @property
    def allocated_size(self) -> int:
        """Bytes allocated so far."""
        made = self.get(allocate_memory=False)
        return 0 if made is None else made.length


class MPSStateResourceList:
    """Which resources a state shall have, in order.

    Parameters
    ----------
    buffer_sizes
        Bytes of buffers to begin with.
    """

    def __init__(self, *, buffer_sizes: Sequence[int] = ()) -> None:
        self._makers: list[Callable[[MTLDevice, MTLStorageMode], Resource]] = []
        for index, size in enumerate(buffer_sizes):
            self._append_buffer(size, f"buffer_sizes[{index}]")

    def append_buffer(self, size: int) -> None:
        """Add a buffer of so many bytes."""
        self._append_buffer(size, "size")

    def make_resources(self, device: MTLDevice, storage_mode: MTLStorageMode) -> list[Resource]:
        """Make the resources of one state, without their memory. Ours, not Apple's."""
        return [make(device, storage_mode) for make in self._makers]

    def _append_buffer(self, size: object, name: str) -> None:
        count = integer(size, name, minimum=1, maximum=2**63 - 1)
        self._makers.append(lambda device, mode: Resource.buffer(device, count, mode))
