"""Types of `state.pyx`."""

from collections.abc import Sequence

from typing_extensions import disjoint_base

from .buffer import MTLBuffer
from .device import MTLCommandBuffer, MTLDevice
from .enums import MPSStateResourceType
from .image import MPSImage
from .image_descriptor import MPSImageDescriptor
from .state_resources import MPSStateResourceList
from .structures import MPSStateTextureInfo
from .temporary import ReadCount
from .texture import MTLTexture
from .texture_descriptor import MTLTextureDescriptor

__all__ = ["MPSState"]

@disjoint_base
class MPSState:
    label: str | None
    read_count: int
    def __init__(
        self,
        *,
        device: MTLDevice | None = None,
        buffer_size: int | None = None,
        texture_descriptor: MTLTextureDescriptor | None = None,
        resource_list: MPSStateResourceList | None = None,
        resource: MTLBuffer | MTLTexture | None = None,
        resources: Sequence[MTLBuffer | MTLTexture] | None = None,
    ) -> None: ...
    @classmethod
    def temporary_state(
        cls,
        with_command_buffer: MTLCommandBuffer,
        *,
        buffer_size: int | None = None,
        texture_descriptor: MTLTextureDescriptor | None = None,
        resource_list: MPSStateResourceList | None = None,
    ) -> MPSState: ...
    @property
    def _read_count(self) -> ReadCount | None: ...
    @property
    def device(self) -> MTLDevice: ...
    @property
    def is_temporary(self) -> bool: ...
    @property
    def resource_count(self) -> int: ...
    def resource(self, at_index: int = 0, allocate_memory: bool = True) -> MTLBuffer | MTLTexture | None: ...
    def buffer_size(self, at_index: int) -> int: ...
    def texture_info(self, at_index: int) -> MPSStateTextureInfo: ...
    def resource_type(self, at_index: int) -> MPSStateResourceType: ...
    def synchronize(self, on_command_buffer: MTLCommandBuffer) -> None: ...
    def resource_size(self) -> int: ...
    def destination_image_descriptor(
        self,
        source_images: Sequence[MPSImage],
        source_states: Sequence[MPSState] | None,
        for_kernel: object,
        suggested_descriptor: MPSImageDescriptor,
    ) -> MPSImageDescriptor: ...
