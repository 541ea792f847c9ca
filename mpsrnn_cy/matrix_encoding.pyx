"""Encode calls of native matrix layers: matrices and states go in as arrays of views."""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free

from .errors import OutOfMemoryError

from .buffer cimport MTLBuffer
from .device cimport api, check
from .matrix cimport MPSMatrix
from .matrix_state cimport MPSRNNRecurrentMatrixState, fill_matrix_state, make_matrix_state

__all__ = []


@cython.final
@cython.auto_pickle(False)
cdef class NativeViews:
    def __cinit__(self):
        self._kept = []

    def __dealloc__(self):
        PyMem_Free(self.items)


@cython.final
@cython.auto_pickle(False)
cdef class NativeStates:
    def __cinit__(self):
        self._kept = []

    def __dealloc__(self):
        PyMem_Free(self.items)


cdef MTLBuffer fill_view(native.mpsrnn_matrix *out, view):
    cdef MPSMatrix matrix = view[0]
    # The matrix may be a temporary of which another thread lets go meanwhile.
    cdef MTLBuffer buffer = matrix._storage()
    out[0] = matrix._view()
    out.offset += <size_t>view[1]
    out.rows = view[2]
    out.columns = view[3]
    return buffer


cdef NativeViews native_views(list views):
    cdef NativeViews made = NativeViews.__new__(NativeViews)
    if views is None:
        return made
    made.items = <native.mpsrnn_matrix *>_zeroed(len(views), sizeof(native.mpsrnn_matrix))
    for view in views:
        made._kept.append(fill_view(&made.items[made.count], view))
        made.count += 1
    return made


cdef NativeStates native_states(list states, uint32_t rows):
    cdef NativeStates made = NativeStates.__new__(NativeStates)
    cdef MPSRNNRecurrentMatrixState state
    cdef size_t count = 0
    if not states:
        return made
    made.items = <native.mpsrnn_matrix_state *>_zeroed(
        sum(state.number_of_layers for state in states), sizeof(native.mpsrnn_matrix_state)
    )
    for state in states:
        made._kept.append(fill_matrix_state(state, made.items + count, rows))
        count += state.number_of_layers
    return made


cdef NativeViews room_for_views(size_t count):
    cdef NativeViews made = NativeViews.__new__(NativeViews)
    made.items = <native.mpsrnn_matrix *>_zeroed(count, sizeof(native.mpsrnn_matrix))
    made.count = count
    return made


cdef void *_zeroed(size_t count, size_t size) except NULL:
    cdef void *memory = PyMem_Calloc(count, size)
    if memory == NULL:
        raise OutOfMemoryError(f"no memory for {count} matrices")
    return memory


cdef list new_states(MTLDevice device, tuple layers, uint32_t rows, size_t count, MTLCommandBuffer temporary_on):
    states = []
    try:
        for _ in range(count):
            states.append(make_matrix_state(device, rows, layers, temporary_on))
    except BaseException:
        discard_states(states)
        raise
    return states


cdef discard_states(list states):
    for state in states:
        if state.is_temporary:
            state.read_count = 0


cdef encode_sequence(
    native.mpsrnn_matrix_layer layer,
    uint32_t options,
    MTLCommandBuffer command,
    NativeViews read,
    NativeViews written,
    MPSRNNRecurrentMatrixState state_in,
    list states_out,
):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef size_t state_count = len(states_out)
    cdef NativeStates start = native_states([] if state_in is None else [state_in], read.items[0].rows)
    cdef NativeStates states = native_states(states_out, read.items[0].rows)
    with nogil:
        status = api.matrix_layer_encode_sequence(
            layer, command._h, read.items, written.items, read.count, start.items, states.items, state_count,
            options, &error
        )
    if status != native.MPSRNN_STATUS_OK:
        discard_states(states_out)
    check(status, &error)


cdef run_sequence(
    native.mpsrnn_matrix_layer layer,
    uint32_t options,
    MTLCommandQueue queue,
    NativeViews read,
    NativeViews written,
    MPSRNNRecurrentMatrixState state_in,
    list states_out,
):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_command command = NULL
    cdef size_t state_count = len(states_out)
    cdef NativeStates start = native_states([] if state_in is None else [state_in], read.items[0].rows)
    cdef NativeStates states = native_states(states_out, read.items[0].rows)
    with nogil:
        status = api.command_create(queue._h, &command, &error)
        if status == native.MPSRNN_STATUS_OK:
            status = api.matrix_layer_encode_sequence(
                layer, command, read.items, written.items, read.count, start.items, states.items, state_count,
                options, &error
            )
        if status == native.MPSRNN_STATUS_OK:
            status = api.command_run(command, &error)
        if command != NULL:
            api.release(command)
    check(status, &error)


cdef encode_bidirectional(
    native.mpsrnn_matrix_layer layer,
    uint32_t options,
    MTLCommandBuffer command,
    mode,
    NativeViews read,
    NativeViews ahead,
    NativeViews behind,
    MPSRNNRecurrentMatrixState state_in,
):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_combine combine = <native.mpsrnn_combine><int>mode
    cdef NativeStates start = native_states([] if state_in is None else [state_in], read.items[0].rows)
    with nogil:
        status = api.matrix_layer_encode_bidirectional(
            layer, command._h, read.items, ahead.items, behind.items, read.count, combine, start.items,
            options, &error
        )
    check(status, &error)
