"""Encode calls of a native image layer: images and states go in as arrays of handles."""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc

from .errors import OutOfMemoryError

from .device cimport api, check
from .feature_image cimport ImageHandle
from .image cimport MPSImage
from .image_state cimport ImageStateHandle, MPSRNNRecurrentImageState, wrap_image_state

__all__ = []


@cython.final
@cython.auto_pickle(False)
cdef class NativeImages:
    def __cinit__(self):
        self._kept = []

    def __dealloc__(self):
        PyMem_Free(self.items)


cdef NativeImages room_for_images(size_t count):
    cdef NativeImages made = NativeImages.__new__(NativeImages)
    made.items = <native.mpsrnn_image *>PyMem_Malloc(count * sizeof(native.mpsrnn_image))
    if made.items == NULL:
        raise OutOfMemoryError(f"no memory for {count} handles")
    made.count = count
    return made


cdef NativeImages native_images(list images):
    cdef NativeImages made
    cdef ImageHandle owner
    cdef size_t index
    if images is None:
        return NativeImages.__new__(NativeImages)
    made = room_for_images(len(images))
    for index in range(made.count):
        # What keeps the native image, whatever becomes of the read count meanwhile.
        owner = (<MPSImage>images[index])._handle()
        made.items[index] = owner._h
        made._kept.append(owner)
    return made


cdef ImageStateHandle _state_owner(state):
    return None if state is None else (<MPSRNNRecurrentImageState>state)._handle()


cdef list encode_sequence(
    native.mpsrnn_image_layer layer,
    MTLCommandBuffer command,
    NativeImages sources,
    NativeImages destinations,
    state,
    size_t state_count,
    bint are_temporary,
):
    """Encode what has been checked; return the states of the last `state_count` steps."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef size_t i
    cdef ImageStateHandle state_owner = _state_owner(state)
    cdef native.mpsrnn_image_state state_in = NULL if state_owner is None else state_owner._h
    cdef native.mpsrnn_image_state *states = NULL
    try:
        states = <native.mpsrnn_image_state *>PyMem_Malloc((state_count + 1) * sizeof(native.mpsrnn_image_state))
        if states == NULL:
            raise OutOfMemoryError(f"no memory for {state_count} states")
        with nogil:
            status = api.image_layer_encode_sequence(
                layer,
                command._h,
                sources.items,
                destinations.items,
                sources.count,
                state_in,
                states,
                state_count,
                are_temporary,
                &error,
            )
        check(status, &error)
        scope = command if are_temporary else None
        return [wrap_image_state(states[i], command.device, scope) for i in range(state_count)]
    finally:
        PyMem_Free(states)


cdef encode_bidirectional(
    native.mpsrnn_image_layer layer,
    MTLCommandBuffer command,
    mode,
    list sources,
    list forward,
    list backward,
    state,
):
    """Encode what has been checked."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_combine combine = <native.mpsrnn_combine><int>mode
    cdef ImageStateHandle state_owner = _state_owner(state)
    cdef native.mpsrnn_image_state state_in = NULL if state_owner is None else state_owner._h
    cdef NativeImages read = native_images(sources)
    cdef NativeImages ahead = native_images(forward)
    cdef NativeImages behind = native_images(backward)
    with nogil:
        status = api.image_layer_encode_bidirectional(
            layer, command._h, read.items, ahead.items, behind.items, read.count, combine, state_in, &error
        )
    check(status, &error)
