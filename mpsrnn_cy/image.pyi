"""Types of `image.pyx`."""

from typing import TypeAlias, TypeVar, final, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .device import MTLCommandBuffer, MTLDevice
from .enums import MTLTextureUsage
from .feature_image import FeatureImage
from .image_allocator import ImageAllocator
from .image_descriptor import MPSImageDescriptor
from .texture import MTLTexture
from .texture_descriptor import MTLTextureDescriptor

__all__ = ["MPSImage", "MPSTemporaryImage"]

_Pixels: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float16] | npt.NDArray[np.float32]
_ImageT = TypeVar("_ImageT", bound="MPSImage")

@disjoint_base
class MPSImage(FeatureImage):
    @overload
    def __new__(cls: type[_ImageT], device: MTLDevice, image_descriptor: MPSImageDescriptor) -> _ImageT: ...
    @overload
    def __new__(cls: type[_ImageT], *, texture: MTLTexture, feature_channels: int) -> _ImageT: ...
    @overload
    def __new__(
        cls: type[_ImageT], *, parent_image: MPSImage, slice_range: tuple[int, int], feature_channels: int
    ) -> _ImageT: ...
    @property
    def parent(self) -> MPSImage | None: ...
    @property
    def texture(self) -> MTLTexture: ...
    def resource_size(self) -> int: ...
    def batch_representation(self, with_sub_range: tuple[int, int] | None = None) -> list[MPSImage]: ...
    def sub_image(self, with_feature_channel_range: tuple[int, int]) -> MPSImage: ...
    @classmethod
    def default_allocator(cls) -> ImageAllocator: ...
    @classmethod
    def from_numpy(
        cls: type[_ImageT], device: MTLDevice, array: _Pixels, *, usage: MTLTextureUsage = ...
    ) -> _ImageT: ...

@final
class MPSTemporaryImage(MPSImage):
    read_count: int
    @overload
    def __new__(cls, command_buffer: MTLCommandBuffer, image_descriptor: MPSImageDescriptor) -> MPSTemporaryImage: ...
    @overload
    def __new__(
        cls,
        command_buffer: MTLCommandBuffer,
        *,
        texture_descriptor: MTLTextureDescriptor,
        feature_channels: int | None = None,
    ) -> MPSTemporaryImage: ...
    @classmethod
    def prefetch_storage(cls, with_: MTLCommandBuffer, image_descriptor_list: list[MPSImageDescriptor]) -> None: ...
