"""Checks of what is passed to an encode call of an image layer: all of them before anything is encoded."""

from __future__ import annotations

from collections.abc import Sequence

from .arguments import instance_of
from .cells import Cell, CellKind
from .device import MTLCommandBuffer
from .enums import MTLTextureUsage
from .errors import BadArgumentError
from .image import MPSImage
from .image_state import MPSRNNRecurrentImageState
from .layer_checks import check_list
from .temporary import Reads

__all__ = ["SequenceChecks"]


class SequenceChecks:
    """The source images of an encode call, and what every other argument is checked against.

    Parameters
    ----------
    command_buffer
        What will be encoded into, on the device of the layer.
    source_images
        What the caller passed.
    name
        What the caller knows the source images by.
    channels
        Input channels of the layer.
    origin
        Where the sources' size came from, for messages; the first source image if omitted.
    """

    def __init__(
        self,
        command_buffer: MTLCommandBuffer,
        source_images: object,
        name: str,
        channels: int,
        origin: str | None = None,
    ) -> None:
        self._device = command_buffer.device
        self._reads = Reads(command_buffer)
        self._name = name
        self._origin = origin or f"{name}[0]"
        self.sources = check_list(source_images, name, MPSImage, "image")
        self._extent = _extent(self.sources[0])
        self._read: dict[int, list[tuple[int, int, str]]] = {}
        for index, source in enumerate(self.sources):
            self._reads.add(source, f"{name}[{index}]")
            self._note_read(source, f"{name}[{index}]")
        self._check_all(self.sources, name, channels, MTLTextureUsage.SHADER_READ)

    def destinations(self, images: object, name: str, channels: int) -> list[MPSImage]:
        """Check destination images: one per source, of its size, with `channels` channels."""
        checked = check_list(images, name, MPSImage, "image")
        if len(checked) != len(self.sources):
            raise BadArgumentError(
                f"{name}: got {len(checked)} images, expected {len(self.sources)}, one per source image"
            )
        for index, image in enumerate(checked):
            self._reads.check_write(image, f"{name}[{index}]")
        self._check_all(checked, name, channels, MTLTextureUsage.SHADER_WRITE)
        return checked

    def stack_destinations(self, stack: Sequence[Cell], images: object, name: str) -> list[MPSImage] | None:
        """Check the destination images of one of two stacks, which exist if the stack does."""
        return self.destinations(images, name, stack[-1].output_channels) if stack else None

    def state(self, state: object, name: str, cells: Sequence[Cell]) -> None:
        """Check that a state, if any, has what the cells read; one of a copy of the layer has it as well."""
        if state is None:
            return
        given = instance_of(state, name, MPSRNNRecurrentImageState)
        self._reads.add(given, name)
        if given.number_of_layers != len(cells):
            raise BadArgumentError(f"{name}: got the state of {given.number_of_layers} layers, expected {len(cells)}")
        for index, cell in enumerate(cells):
            output, memory = given.get_recurrent_output_image(index), given.get_memory_cell_image(index)
            if (memory is not None) != (cell.kind is CellKind.LSTM):
                found = "no memory cell" if memory is None else "a memory cell"
                raise BadArgumentError(f"{name}: got {found} for layer {index}, expected the state of {cell.kind.name}")
            for image in (output, memory):
                if image is not None:
                    usage = MTLTextureUsage.SHADER_READ
                    self._check_image(image, f"{name}, layer {index}", cell.output_channels, usage)
                    self._note_read(image, f"layer {index} of {name}")

    def aliasing(self, destinations: Sequence[MPSImage], name: str) -> None:
        """Check that no destination shares memory with what the same call reads."""
        for index, destination in enumerate(destinations):
            storage, first, end = destination.storage_range
            for read_first, read_end, alias in self._read.get(storage, ()):
                if first < read_end and read_first < end:
                    raise BadArgumentError(f"{name}[{index}]: got an image that shares memory with {alias}")

    def finish(self) -> None:
        """Lower the read counts of temporaries, once the call has been encoded."""
        self._reads.finish()

    def _note_read(self, image: MPSImage, name: str) -> None:
        storage, first, end = image.storage_range
        self._read.setdefault(storage, []).append((first, end, name))

    def _check_all(self, images: Sequence[MPSImage], name: str, channels: int, usage: MTLTextureUsage) -> None:
        for index, image in enumerate(images):
            self._check_image(image, f"{name}[{index}]", channels, usage)

    def _check_image(self, image: MPSImage, name: str, channels: int, usage: MTLTextureUsage) -> None:
        if image.device != self._device:
            raise BadArgumentError(f"{name}: got an image of {image.device!r}, expected one of {self._device!r}")
        if _extent(image) != self._extent:
            raise BadArgumentError(
                f"{name}: got {_described(_extent(image))}, expected {_described(self._extent)} as in {self._origin}"
            )
        if image.feature_channels != channels:
            raise BadArgumentError(f"{name}: got {image.feature_channels} feature channels, expected {channels}")
        if not image.usage & usage:
            raise BadArgumentError(f"{name}: got an image with usage {image.usage!r}, expected {usage!r} among it")


def _extent(image: MPSImage) -> tuple[int, int, int]:
    """What all images of a sequence share."""
    return image.width, image.height, image.number_of_images


def _described(extent: tuple[int, int, int]) -> str:
    width, height, images = extent
    return f"{width} x {height} pixels and {images} images"
