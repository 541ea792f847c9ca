"""What makes the destination images of kernels that return one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .arguments import instance_of
from .device import MTLCommandBuffer

if TYPE_CHECKING:
    from .image import MPSImage
    from .image_descriptor import MPSImageDescriptor
    from .kernel import MPSKernel

__all__ = ["ImageAllocator"]


class ImageAllocator:
    """Apple's protocol MPSImageAllocator; any object with a method `image` is one too.

    Parameters
    ----------
    make
        Makes an image for a command buffer.
    """

    def __init__(self, make: Callable[[MTLCommandBuffer, MPSImageDescriptor], MPSImage]) -> None:
        self._make = make

    def image(
        self, for_: MTLCommandBuffer, image_descriptor: MPSImageDescriptor, kernel: MPSKernel | None = None
    ) -> MPSImage:
        """Make an image.

        Parameters
        ----------
        for_
            The command buffer that will write it.
        image_descriptor
            What the image will look like.
        kernel
            The kernel that asks; it makes no difference here.
        """
        return self._make(instance_of(for_, "for_", MTLCommandBuffer), image_descriptor)
