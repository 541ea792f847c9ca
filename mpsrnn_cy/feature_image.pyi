"""Types of `feature_image.pyx`."""

from typing import Any, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .arguments import Buffer
from .device import MTLCommandBuffer, MTLDevice
from .enums import (
    MPSDataLayout,
    MPSImageFeatureChannelFormat,
    MTLPixelFormat,
    MTLStorageMode,
    MTLTextureType,
    MTLTextureUsage,
)
from .temporary import ReadCount

__all__ = ["FeatureImage"]

_PixelsT = TypeVar(
    "_PixelsT", npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.float16], npt.NDArray[np.float32]
)
# The named tuples of `structures`, or plain ones of their shape.
_Region: TypeAlias = tuple[tuple[int, int, int], tuple[int, int, int]]
_ReadWriteParams: TypeAlias = tuple[int, int]

@disjoint_base
class FeatureImage:
    label: str | None
    @property
    def _read_count(self) -> ReadCount | None: ...
    @property
    def device(self) -> MTLDevice: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def feature_channels(self) -> int: ...
    @property
    def number_of_images(self) -> int: ...
    @property
    def feature_channel_format(self) -> MPSImageFeatureChannelFormat: ...
    @property
    def pixel_format(self) -> MTLPixelFormat: ...
    @property
    def texture_type(self) -> MTLTextureType: ...
    @property
    def precision(self) -> int: ...
    @property
    def pixel_size(self) -> int: ...
    @property
    def usage(self) -> MTLTextureUsage: ...
    @property
    def storage_mode(self) -> MTLStorageMode: ...
    @property
    def storage_range(self) -> tuple[int, int, int]: ...
    def synchronize(self, on_command_buffer: MTLCommandBuffer) -> None: ...
    def write_bytes(
        self,
        data_bytes: Buffer,
        data_layout: MPSDataLayout,
        *,
        bytes_per_column: int | None = None,
        bytes_per_row: int | None = None,
        bytes_per_image: int | None = None,
        region: _Region | None = None,
        feature_channel_info: _ReadWriteParams | None = None,
        image_index: int = 0,
    ) -> None: ...
    def read_bytes(
        self,
        data_bytes: Buffer,
        data_layout: MPSDataLayout,
        *,
        bytes_per_row: int | None = None,
        bytes_per_image: int | None = None,
        region: _Region | None = None,
        feature_channel_info: _ReadWriteParams | None = None,
        image_index: int = 0,
    ) -> None: ...
    @overload
    def to_numpy(self, out: None = None) -> npt.NDArray[Any]: ...
    @overload
    def to_numpy(self, out: _PixelsT) -> _PixelsT: ...
