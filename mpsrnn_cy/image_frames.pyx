"""Arrays of frames on their way through an image layer, without an object for every frame."""

cimport cython
cimport numpy as cnp
from cpython.mem cimport PyMem_Calloc, PyMem_Free

import numpy as np

from .enums import MTLStorageMode, MTLTextureUsage
from .errors import OutOfMemoryError
from .image_descriptor import channel_format_of

from .buffer cimport MTLBuffer, create_buffer
from .device cimport api, check
from .image_state cimport ImageStateHandle, wrap_image_state

__all__ = []

cnp.import_array()

cdef native.uint32_t USAGE = MTLTextureUsage.SHADER_READ | MTLTextureUsage.SHADER_WRITE

cdef enum:
    # Of the images of a group: small enough to stay in a processor's caches, large enough for a GPU.
    GROUP_BYTES = 4 << 20


@cython.final
@cython.auto_pickle(False)
cdef class ImageFrames:
    def __dealloc__(self):
        cdef size_t i
        for i in range(2 * self._group):
            if self._sources != NULL and self._sources[i] != NULL:
                api.release(self._sources[i])
        if self._state != NULL:
            api.release(self._state)
        PyMem_Free(self._sources)

    cdef cnp.ndarray outputs(self):
        cdef cnp.ndarray frames = self._frames
        cdef int rank = cnp.PyArray_NDIM(frames)
        cdef cnp.npy_intp shape[5]
        cdef size_t bytes = cnp.PyArray_ITEMSIZE(frames)
        cdef int axis
        for axis in range(rank):
            shape[axis] = self.destination.channels if axis == rank - 1 else cnp.PyArray_DIM(frames, axis)
            bytes *= <size_t>shape[axis]
        cdef MTLBuffer buffer = create_buffer(self.device, bytes, MTLStorageMode.SHARED)
        cdef cnp.ndarray array = cnp.PyArray_SimpleNewFromData(
            rank, shape, cnp.PyArray_TYPE(frames), buffer._contents
        )
        cnp.set_array_base(array, buffer)
        return array

    cdef MPSRNNRecurrentImageState run(
        self, native.mpsrnn_image_layer layer, MTLCommandQueue queue, cnp.ndarray outputs, state, bint wants_state
    ):
        cdef native.mpsrnn_error error
        cdef native.mpsrnn_status status
        cdef ImageStateHandle owner = None if state is None else (<MPSRNNRecurrentImageState>state)._handle()
        cdef native.mpsrnn_image_state state_in = NULL if owner is None else owner._h
        cdef size_t first, count
        cdef bint goes_on
        cdef cnp.ndarray group
        cdef const char *read
        cdef char *written = <char *>cnp.PyArray_DATA(outputs)
        cdef size_t written_bytes = <size_t>cnp.PyArray_NBYTES(outputs) // self._count
        for first in range(0, self._count, self._group):
            count = min(self._group, self._count - first)
            goes_on = first + count < self._count
            group = np.ascontiguousarray(self._frames[first : first + count])
            read = <const char *>cnp.PyArray_DATA(group)
            with nogil:
                status = _write(self, read, <size_t>cnp.PyArray_NBYTES(group) // count, count, &error)
                if status == native.MPSRNN_STATUS_OK:
                    status = _run(self, layer, queue._h, count, state_in, wants_state or goes_on, goes_on, &error)
                if status == native.MPSRNN_STATUS_OK:
                    status = _read(self, written + first * written_bytes, written_bytes, count, &error)
            check(status, &error)
            state_in = self._state
        if not wants_state:
            return None
        state_in, self._state = self._state, NULL
        return wrap_image_state(state_in, self.device, None)


cdef native.mpsrnn_image_region _whole(
    const native.mpsrnn_image_descriptor *image, size_t frame_bytes
) noexcept nogil:
    """All of a frame, which is in C order."""
    cdef native.mpsrnn_image_region box
    box.x = box.y = box.first_image = box.first_channel = box.layout = 0
    box.width = image.width
    box.height = image.height
    box.images = image.images
    box.channels = image.channels
    box.bytes_per_image = frame_bytes // image.images
    box.bytes_per_row = box.bytes_per_image // image.height
    box.bytes_per_column = box.bytes_per_row // image.width
    return box


cdef native.mpsrnn_status _write(
    ImageFrames frames, const char *memory, size_t frame_bytes, size_t count, native.mpsrnn_error *error
) noexcept nogil:
    cdef native.mpsrnn_image_region box = _whole(&frames.source, frame_bytes)
    cdef native.mpsrnn_status status = native.MPSRNN_STATUS_OK
    cdef size_t i
    for i in range(count):
        if status == native.MPSRNN_STATUS_OK:
            status = api.image_write(frames._sources[i], memory + i * frame_bytes, &box, error)
    return status


cdef native.mpsrnn_status _read(
    ImageFrames frames, char *memory, size_t frame_bytes, size_t count, native.mpsrnn_error *error
) noexcept nogil:
    cdef native.mpsrnn_image_region box = _whole(&frames.destination, frame_bytes)
    cdef native.mpsrnn_status status = native.MPSRNN_STATUS_OK
    cdef size_t i
    for i in range(count):
        if status == native.MPSRNN_STATUS_OK:
            status = api.image_read(frames._destinations[i], memory + i * frame_bytes, &box, error)
    return status


cdef native.mpsrnn_status _run(
    ImageFrames frames,
    native.mpsrnn_image_layer layer,
    native.mpsrnn_queue queue,
    size_t count,
    native.mpsrnn_image_state state_in,
    bint keeps_state,
    bint is_private,
    native.mpsrnn_error *error,
) noexcept nogil:
    """Run the layer over a group in a command buffer of its own; the state after it takes the place of the last."""
    cdef native.mpsrnn_command command = NULL
    cdef native.mpsrnn_image_state state = NULL
    cdef native.mpsrnn_status status = api.command_create(queue, &command, error)
    if status == native.MPSRNN_STATUS_OK:
        status = api.image_layer_encode_sequence(
            layer,
            command,
            frames._sources,
            frames._destinations,
            count,
            state_in,
            &state,
            keeps_state,
            is_private,
            error,
        )
    if status == native.MPSRNN_STATUS_OK:
        status = api.command_run(command, error)
    if command != NULL:
        api.release(command)
    if frames._state != NULL:
        api.release(frames._state)
    frames._state = state
    return status


cdef _make_images(ImageFrames frames):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status = native.MPSRNN_STATUS_OK
    cdef size_t i
    frames._sources = <native.mpsrnn_image *>PyMem_Calloc(2 * frames._group, sizeof(native.mpsrnn_image))
    if frames._sources == NULL:
        raise OutOfMemoryError(f"no memory for {2 * frames._group} handles")
    frames._destinations = frames._sources + frames._group
    with nogil:
        for i in range(frames._group):
            if status == native.MPSRNN_STATUS_OK:
                status = api.image_create(frames.device._h, &frames.source, &frames._sources[i], &error)
            if status == native.MPSRNN_STATUS_OK:
                status = api.image_create(frames.device._h, &frames.destination, &frames._destinations[i], &error)
    check(status, &error)


cdef ImageFrames image_frames(frames, MTLDevice device, native.uint32_t output_channels):
    cdef ImageFrames made = ImageFrames.__new__(ImageFrames)
    cdef native.mpsrnn_image_descriptor *source = &made.source
    cdef size_t pixels, slices
    made.device = device
    made._frames = frames
    made._count = len(frames)
    source.height, source.width, source.channels = frames.shape[-3:]
    source.images = frames.shape[1] if frames.ndim == 5 else 1
    source.channel_format = channel_format_of(frames.dtype, "x")
    source.usage = USAGE
    source.storage_mode = 0
    made.destination = source[0]
    made.destination.channels = output_channels
    pixels = <size_t>source.width * source.height * source.images
    slices = (source.channels + 3) // 4 + (output_channels + 3) // 4
    made._group = min(made._count, max(<size_t>1, GROUP_BYTES // (pixels * slices * 4 * <size_t>frames.itemsize)))
    _make_images(made)
    return made
