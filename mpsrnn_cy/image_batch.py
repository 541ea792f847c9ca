"""Apple's functions over batches: a batch is a list of images, in which one image may occur more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .arguments import integer
from .command_checks import check_command_buffer
from .device import MTLCommandBuffer
from .errors import BadTypeError
from .image import MPSImage
from .layer_checks import check_list

__all__ = [
    "MPSImageBatchIncrementReadCount",
    "MPSImageBatchIterate",
    "MPSImageBatchResourceSize",
    "MPSImageBatchSynchronize",
]


def MPSImageBatchIncrementReadCount(batch: list[MPSImage], amount: int) -> int:
    """Change the read count of every temporary image of a batch, once however often it occurs.

    Parameters
    ----------
    batch
        The images; persistent ones have no read count and are left alone.
    amount
        What is added; may be negative.

    Returns
    -------
    int
        Distinct images of the batch, persistent ones included.

    Raises
    ------
    LifetimeError
        If a count is 0 already.
    BadArgumentError
        If a count would be negative; then none has been changed.
    """
    change = integer(amount, "amount", minimum=-(2**31))
    images = list(_distinct(batch))
    counts = {}
    for place, image in images:
        if image._read_count is not None:
            value = image._read_count.value + change
            counts[image._read_count] = integer(value, f"batch[{place}].read_count")
            image._read_count.check_use(image._read_count.command_buffer, f"batch[{place}]")
    for count, value in counts.items():
        count.set(value, "read_count")
    return len(images)


def MPSImageBatchIterate(batch: list[MPSImage], iterator: Callable[[MPSImage, int], int]) -> int:
    """Call a function for every distinct image of a batch.

    Parameters
    ----------
    batch
        The images.
    iterator
        Takes an image and its first place in the batch; returns 0 to go on.

    Returns
    -------
    int
        What the last call returned.
    """
    if not callable(iterator):
        raise BadTypeError(f"iterator: got {iterator!r} ({type(iterator).__name__}), expected a callable of two")
    result = 0
    for place, image in _distinct(batch):
        result = integer(iterator(image, place), "iterator", minimum=-(2**31))
        if result != 0:
            break
    return result


def MPSImageBatchResourceSize(batch: list[MPSImage]) -> int:
    """Bytes of memory of the distinct images of a batch; see `MPSImage.resource_size`."""
    return sum(image.resource_size() for _, image in _distinct(batch))


def MPSImageBatchSynchronize(batch: list[MPSImage], command_buffer: MTLCommandBuffer) -> None:
    """Synchronise every image of a batch; see `MPSImage.synchronize`."""
    images = list(_distinct(batch))
    check_command_buffer(command_buffer, None)
    for _, image in images:
        image.synchronize(command_buffer)


def _distinct(batch: object) -> Iterator[tuple[int, MPSImage]]:
    """Each image of a batch with its first place."""
    images = check_list(batch, "batch", MPSImage, "image")
    seen: set[int] = set()
    for place, image in enumerate(images):
        if id(image) not in seen:
            seen.add(id(image))
            yield place, image
