"""The way of an image's elements from and to the memory of the caller: which of them, and where they lie there."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

import numpy as np

from .arguments import buffer_view, enum_member, integer, span
from .enums import MPSDataLayout, MTLStorageMode
from .errors import BadArgumentError, BadTypeError
from .image_descriptor import CHANNEL_DTYPES, channel_format_of
from .structures import MPSImageReadWriteParams, MTLOrigin, MTLRegion, MTLSize, structure_of

from .device cimport api, check

__all__ = ["as_pixels"]


def as_pixels(array, name, ranks, formats=tuple(CHANNEL_DTYPES)):
    """Check an array of pixels, channels last: of one of the ranks, and of the dtype of one of the channel formats."""
    if not isinstance(array, np.ndarray):
        raise BadTypeError(f"{name}: got a {type(array).__name__}, expected an ndarray")
    if array.ndim not in ranks:
        expected = " or ".join(str(rank) for rank in ranks)
        raise BadArgumentError(f"{name}: got {array.ndim} axes, shape {array.shape}, expected {expected} axes")
    channel_format_of(array.dtype, name, formats)
    if 0 in array.shape:
        raise BadArgumentError(f"{name}: got shape {array.shape}, expected at least 1 along every axis")
    return array


cdef move_bytes(
    native.mpsrnn_image handle,
    const native.mpsrnn_image_descriptor *image,
    data_bytes,
    data_layout,
    tuple strides,
    region,
    channel_info,
    image_index,
    bint writes,
):
    cdef native.mpsrnn_image_region box
    _set_box(image, &box, data_layout, region, channel_info, image_index)
    per_column, per_row, per_image = strides
    needed = _set_strides(image, &box, per_column, per_row, per_image)
    memory = _memory(image, data_bytes, needed, all(stride is None for stride in strides), "data_bytes")
    _move(handle, memory, &box, "data_bytes", writes)


cdef move_pixels(
    native.mpsrnn_image handle, const native.mpsrnn_image_descriptor *image, array, name, bint writes
):
    cdef native.mpsrnn_image_region box
    whole = MTLRegion(MTLOrigin(), MTLSize(image.width, image.height, image.images))
    _set_box(image, &box, MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS, whole, None, 0)
    needed = _set_strides(image, &box, None, None, None)
    memory = _memory(image, np.ascontiguousarray(array) if writes else array, needed, True, name)
    _move(handle, memory, &box, name, writes)


cdef _set_box(
    const native.mpsrnn_image_descriptor *image,
    native.mpsrnn_image_region *box,
    data_layout,
    region,
    channel_info,
    image_index,
):
    """Fill in which pixels, channels and images."""
    box.layout = enum_member(data_layout, "data_layout", MPSDataLayout)
    if image.storage_mode == MTLStorageMode.PRIVATE:
        raise BadArgumentError("image: got an image of private storage, expected one that the CPU can reach")
    if region is None:
        origin, size = MTLOrigin(), MTLSize(image.width, image.height)
    else:
        origin, size = structure_of(region, "region", MTLRegion)
        origin = structure_of(origin, "region.origin", MTLOrigin)
        size = structure_of(size, "region.size", MTLSize)
    if integer(origin.z, "region.origin.z") != 0:
        raise BadArgumentError(f"region.origin.z: got {origin.z}, expected 0; image_index chooses the image")
    box.x, box.width = span(origin.x, size.width, image.width, "region: columns")
    box.y, box.height = span(origin.y, size.height, image.height, "region: rows")
    box.first_image, box.images = span(image_index, size.depth, image.images, "image_index, region: images")
    if channel_info is None:
        box.first_channel, box.channels = 0, image.channels
        return
    info = structure_of(channel_info, "feature_channel_info", MPSImageReadWriteParams)
    first, count = span(*info, image.channels, "feature_channel_info: channels")
    if first % 4 != 0:
        raise BadArgumentError(f"feature_channel_info: got the offset {first}, expected a multiple of 4")
    if count % 4 != 0 and first != 0 and first + count != image.channels:
        raise BadArgumentError(
            f"feature_channel_info: got {count} channels from {first}, "
            "expected a multiple of 4, or an offset of 0, or all channels to the last"
        )
    box.first_channel, box.channels = first, count


cdef _set_strides(
    const native.mpsrnn_image_descriptor *image, native.mpsrnn_image_region *box, per_column, per_row, per_image
):
    """Fill in where elements lie in the caller's memory; return the bytes it must have."""
    element = CHANNEL_DTYPES[image.channel_format].itemsize
    is_interleaved = box.layout == MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS
    pixel = element * box.channels if is_interleaved else element
    column = _stride(per_column, "bytes_per_column", pixel, element)
    row = _stride(per_row, "bytes_per_row", column * (box.width - 1) + pixel, element)
    planes = 1 if is_interleaved else box.channels
    plane = row * (box.height - 1) + column * (box.width - 1) + pixel
    whole = row * box.height * (planes - 1) + plane
    # Tightly packed, an image ends where its last row does, padding of that row included.
    packed = row * box.height * planes
    image_step = packed if per_image is None else _stride(per_image, "bytes_per_image", whole, element)
    box.bytes_per_column, box.bytes_per_row, box.bytes_per_image = column, row, image_step
    return image_step * (box.images - 1) + whole


def _stride(value, name, smallest, element):
    """Check a stride, or take the smallest."""
    if value is None:
        return smallest
    value = integer(value, name)
    if value < smallest or value % element != 0:
        raise BadArgumentError(f"{name}: got {value}, expected at least {smallest} and a multiple of {element}")
    return value


cdef _memory(const native.mpsrnn_image_descriptor *image, value, needed, is_packed, name):
    """See the caller's memory as a flat array of the image's elements, long enough; just that if they are packed."""
    dtype = CHANNEL_DTYPES[image.channel_format]
    memory = buffer_view(value, name, dtype, needed // dtype.itemsize if is_packed else None)
    if memory.nbytes < needed:
        raise BadArgumentError(f"{name}: got {memory.nbytes} bytes, expected at least {needed}")
    return memory


cdef _move(native.mpsrnn_image handle, memory, const native.mpsrnn_image_region *box, name, bint writes):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef Py_buffer view
    if not writes and not memory.flags.writeable:
        raise BadArgumentError(f"{name}: got read-only memory, expected writable memory")
    PyObject_GetBuffer(memory, &view, PyBUF_C_CONTIGUOUS if writes else PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        with nogil:
            if writes:
                status = api.image_write(handle, view.buf, box, &error)
            else:
                status = api.image_read(handle, view.buf, box, &error)
    finally:
        PyBuffer_Release(&view)
    check(status, &error)
