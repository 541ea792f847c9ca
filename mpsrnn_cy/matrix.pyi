"""Types of `matrix.pyx`."""

from typing import Any, final, overload

import numpy.typing as npt
from typing_extensions import disjoint_base

from .buffer import MTLBuffer
from .device import MTLCommandBuffer, MTLDevice
from .device_array import DeviceArray
from .matrix_descriptor import MPSMatrixDescriptor

__all__ = ["MPSMatrix", "MPSTemporaryMatrix"]

@disjoint_base
class MPSMatrix(DeviceArray):
    @overload
    def __new__(cls, device: MTLDevice, descriptor: MPSMatrixDescriptor) -> MPSMatrix: ...
    @overload
    def __new__(cls, *, buffer: MTLBuffer, descriptor: MPSMatrixDescriptor, offset: int = ...) -> MPSMatrix: ...
    @property
    def matrices(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def columns(self) -> int: ...
    @property
    def matrix_bytes(self) -> int: ...
    @property
    def row_bytes(self) -> int: ...
    @classmethod
    def from_numpy(cls, device: MTLDevice, array: npt.NDArray[Any], copy: bool = True) -> MPSMatrix: ...
    @classmethod
    def from_dlpack(cls, device: MTLDevice, tensor: object, copy: bool = True) -> MPSMatrix: ...

@final
class MPSTemporaryMatrix(MPSMatrix):
    read_count: int
    def __new__(
        cls, command_buffer: MTLCommandBuffer, matrix_descriptor: MPSMatrixDescriptor
    ) -> MPSTemporaryMatrix: ...
    @classmethod
    def prefetch_storage(cls, with_: MTLCommandBuffer, matrix_descriptor_list: list[MPSMatrixDescriptor]) -> None: ...
