"""Types of `buffer.pyx`."""

from typing import NoReturn, final

from .arguments import Buffer
from .device import MTLDevice
from .enums import MTLStorageMode

__all__ = ["MTLBuffer", "make_buffer"]

# Callers cannot construct it: nobody has what `key` takes.
@final
class MTLBuffer:
    label: str | None
    def __new__(cls, key: NoReturn) -> MTLBuffer: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def device(self) -> MTLDevice: ...
    @property
    def length(self) -> int: ...
    @property
    def allocated_size(self) -> int: ...
    @property
    def storage_mode(self) -> MTLStorageMode: ...
    def contents(self) -> memoryview: ...

def make_buffer(
    device: MTLDevice,
    length: int | None,
    bytes: Buffer | None,
    bytes_no_copy: Buffer | None,
    options: MTLStorageMode,
) -> MTLBuffer: ...
