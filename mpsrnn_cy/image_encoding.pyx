"""Encode calls of a native image layer: images and states go in as arrays of handles."""

from cpython.mem cimport PyMem_Free, PyMem_Malloc

from .errors import OutOfMemoryError

from .device cimport api, check
from .feature_image cimport ImageHandle
from .image cimport MPSImage
from .image_state cimport ImageStateHandle, MPSRNNRecurrentImageState, wrap_image_state

__all__ = []


cdef list _owners(list images):
    """What keeps the images' native ones, whatever becomes of their read counts meanwhile."""
    return [(<MPSImage>image)._handle() for image in images or ()]


cdef native.mpsrnn_image *_handles(list owners) except NULL:
    """The handles of images. To be freed."""
    cdef size_t count = len(owners), i
    cdef native.mpsrnn_image *handles = <native.mpsrnn_image *>PyMem_Malloc(count * sizeof(native.mpsrnn_image))
    if handles == NULL:
        raise OutOfMemoryError(f"no memory for {count} handles")
    for i in range(count):
        handles[i] = (<ImageHandle>owners[i])._h
    return handles


cdef ImageStateHandle _state_owner(state):
    return None if state is None else (<MPSRNNRecurrentImageState>state)._handle()


cdef list encode_sequence(
    native.mpsrnn_image_layer layer,
    MTLCommandBuffer command,
    list sources,
    list destinations,
    state,
    size_t state_count,
    bint are_temporary,
):
    """Encode what has been checked; return the states of the last `state_count` steps."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef size_t count = len(sources), i
    cdef ImageStateHandle state_owner = _state_owner(state)
    cdef native.mpsrnn_image_state state_in = NULL if state_owner is None else state_owner._h
    cdef list owners = _owners(sources) + _owners(destinations)
    cdef native.mpsrnn_image *images = _handles(owners)
    cdef native.mpsrnn_image_state *states = NULL
    try:
        states = <native.mpsrnn_image_state *>PyMem_Malloc((state_count + 1) * sizeof(native.mpsrnn_image_state))
        if states == NULL:
            raise OutOfMemoryError(f"no memory for {state_count} states")
        with nogil:
            status = api.image_layer_encode_sequence(
                layer, command._h, images, images + count, count, state_in, states, state_count, are_temporary, &error
            )
        check(status, &error)
        scope = command if are_temporary else None
        return [wrap_image_state(states[i], command.device, scope) for i in range(state_count)]
    finally:
        PyMem_Free(states)
        PyMem_Free(images)


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
    cdef size_t count = len(sources)
    cdef native.mpsrnn_combine combine = <native.mpsrnn_combine><int>mode
    cdef ImageStateHandle state_owner = _state_owner(state)
    cdef native.mpsrnn_image_state state_in = NULL if state_owner is None else state_owner._h
    cdef list owners = _owners(sources) + _owners(forward) + _owners(backward)
    cdef native.mpsrnn_image *images = _handles(owners)
    cdef native.mpsrnn_image *ahead = NULL
    cdef native.mpsrnn_image *behind = NULL
    if forward is not None:
        ahead = images + count
    if backward is not None:
        behind = images + (2 * count if forward is not None else count)
    with nogil:
        status = api.image_layer_encode_bidirectional(
            layer, command._h, images, ahead, behind, count, combine, state_in, &error
        )
    PyMem_Free(images)
    check(status, &error)
