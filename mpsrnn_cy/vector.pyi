"""Types of `vector.pyx`."""

from typing import Any, final, overload

import numpy.typing as npt

from .buffer import MTLBuffer
from .device import MTLCommandBuffer, MTLDevice
from .device_array import DeviceArray
from .matrix_descriptor import MPSVectorDescriptor

__all__ = ["MPSTemporaryVector", "MPSVector"]

class MPSVector(DeviceArray):
    @overload
    def __new__(cls, device: MTLDevice, descriptor: MPSVectorDescriptor) -> MPSVector: ...
    @overload
    def __new__(cls, *, buffer: MTLBuffer, descriptor: MPSVectorDescriptor, offset: int = ...) -> MPSVector: ...
    @property
    def vectors(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def vector_bytes(self) -> int: ...
    @classmethod
    def from_numpy(cls, device: MTLDevice, array: npt.NDArray[Any], copy: bool = True) -> MPSVector: ...
    @classmethod
    def from_dlpack(cls, device: MTLDevice, tensor: object, copy: bool = True) -> MPSVector: ...

@final
class MPSTemporaryVector(MPSVector):
    read_count: int
    def __new__(cls, command_buffer: MTLCommandBuffer, descriptor: MPSVectorDescriptor) -> MPSTemporaryVector: ...
    @classmethod
    def prefetch_storage(cls, command_buffer: MTLCommandBuffer, descriptor_list: list[MPSVectorDescriptor]) -> None: ...
