"""The checks of an encode call of an image layer in the usual case: nothing is wrong, and nothing is temporary."""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc

from .enums import MTLTextureUsage
from .errors import OutOfMemoryError

from .device cimport api
from .feature_image cimport ImageHandle
from .image cimport MPSImage
from .image_encoding cimport room_for_images
from .memory_ranges cimport ranges_overlap

__all__ = []

cdef native.uint32_t READ = MTLTextureUsage.SHADER_READ


@cython.final
@cython.auto_pickle(False)
cdef class PlainImages:
    def __dealloc__(self):
        PyMem_Free(self.ranges)


cdef bint _is_like(
    const native.mpsrnn_image_descriptor *image,
    const native.mpsrnn_image_descriptor *extent,
    native.uint32_t channels,
    native.uint32_t usage,
) noexcept:
    return (
        image.width == extent.width
        and image.height == extent.height
        and image.images == extent.images
        and image.channels == channels
        and image.usage & usage
    )


cdef void _add_range(PlainImages images, native.mpsrnn_image handle) noexcept:
    """Note where an image lies, as `FeatureImage.storage_range` tells."""
    cdef native.mpsrnn_storage storage
    cdef MemoryRange *range = &images.ranges[images.range_count]
    api.image_get_storage(handle, &storage)
    range.storage = storage.identity
    range.first = storage.first_slice
    range.end = range.first + storage.slices
    images.range_count += 1


cdef PlainImages _room(size_t count):
    """For so many ranges."""
    cdef PlainImages made = PlainImages.__new__(PlainImages)
    made.ranges = <MemoryRange *>PyMem_Malloc(count * sizeof(MemoryRange))
    if made.ranges == NULL:
        raise OutOfMemoryError(f"no memory for {count} images")
    return made


cdef PlainImages plain_images(
    images, MTLDevice device, native.uint32_t channels, native.uint32_t usage, PlainImages like, size_t layers
):
    cdef PlainImages made
    cdef MPSImage image
    cdef ImageHandle owner
    cdef size_t index, count
    # A copy, which nobody else changes.
    cdef list given = list(images) if isinstance(images, (list, tuple)) else None
    if not given or (like is not None and <size_t>len(given) != like.images.count):
        return None
    count = len(given)
    made = _room(count + 2 * layers)
    made.images = room_for_images(count)
    for index in range(count):
        item = given[index]
        if type(item) is not MPSImage:
            return None
        image = item
        if index == 0:
            made.extent = image._descriptor if like is None else like.extent
        if image.device is not device or image._read_count is not None:
            return None
        if not _is_like(&image._descriptor, &made.extent, channels, usage):
            return None
        owner = image._owner
        made.images.items[index] = owner._h
        made.images._kept.append(owner)
        _add_range(made, owner._h)
    return made


cdef bint _add_part(
    PlainImages sources,
    MPSRNNRecurrentImageState state,
    size_t layer,
    native.mpsrnn_state_part part,
    native.uint32_t channels,
    bint is_expected,
):
    """Whether an image of a state is there and right, or rightly absent."""
    cdef native.mpsrnn_image_descriptor descriptor
    cdef native.mpsrnn_image image = api.image_state_copy_image(state._owner._h, layer, part)
    if image == NULL:
        return not is_expected
    api.image_get_descriptor(image, &descriptor)
    # The state keeps the image.
    api.release(image)
    if not is_expected or not _is_like(&descriptor, &sources.extent, channels, READ):
        return False
    _add_range(sources, image)
    return True


cdef bint add_state(PlainImages sources, state, MTLDevice device, tuple layers) except -1:
    cdef MPSRNNRecurrentImageState given
    cdef size_t index, count = len(layers)
    if state is None:
        return True
    if type(state) is not MPSRNNRecurrentImageState:
        return False
    given = state
    if given._read_count is not None or given.device is not device:
        return False
    if api.image_state_layer_count(given._owner._h) != count:
        return False
    for index in range(count):
        channels, has_memory = layers[index]
        if not _add_part(sources, given, index, native.MPSRNN_RECURRENT_OUTPUT, channels, True):
            return False
        if not _add_part(sources, given, index, native.MPSRNN_MEMORY_CELL, channels, has_memory):
            return False
    return True


cdef bint state_is_plain(
    state, const native.mpsrnn_image_descriptor *extent, MTLDevice device, tuple layers
) except -1:
    cdef PlainImages images = _room(2 * len(layers))
    images.extent = extent[0]
    return add_state(images, state, device, layers)


cdef bint share_memory(PlainImages sources, PlainImages destinations):
    return ranges_overlap(sources.ranges, sources.range_count, destinations.ranges, destinations.images.count)
