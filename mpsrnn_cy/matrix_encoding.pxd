from . cimport native
from .buffer cimport MTLBuffer
from .device cimport MTLCommandBuffer
from .matrix_state cimport MPSRNNRecurrentMatrixState


# Views as the contract takes them, with the buffers they are in. NULL and 0 for None.
cdef class NativeViews:
    cdef native.mpsrnn_matrix *items
    cdef size_t count
    cdef list _kept


# At most so many rows of states as the contract takes them, [state][layer], with what they are in. NULL for none.
cdef class NativeStates:
    cdef native.mpsrnn_matrix_state *items
    cdef list _kept


cdef NativeViews native_views(list views)
cdef NativeStates native_states(list states, size_t rows)
# Fills in one view and returns its buffer, which has to be kept.
cdef MTLBuffer fill_view(native.mpsrnn_matrix *out, view)

# States that an encode call will write, temporaries of the command buffer or not; and the end of those that none has.
cdef list new_states(MTLCommandBuffer command, tuple cells, rows, size_t count, bint are_temporary)
cdef discard_states(list states)


# Both take arguments that have been checked: lists of View, a state or None, states from `new_states`, which are
# discarded if nothing can be encoded.
cdef encode_sequence(
    native.mpsrnn_matrix_layer layer,
    MTLCommandBuffer command,
    list sources,
    list destinations,
    MPSRNNRecurrentMatrixState state_in,
    list states_out,
)
cdef encode_bidirectional(
    native.mpsrnn_matrix_layer layer,
    MTLCommandBuffer command,
    mode,
    list sources,
    list forward,
    list backward,
    MPSRNNRecurrentMatrixState state_in,
)
