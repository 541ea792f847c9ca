from libc.stdint cimport uint32_t

from . cimport native
from .buffer cimport MTLBuffer
from .device cimport MTLCommandBuffer, MTLCommandQueue, MTLDevice
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
cdef NativeStates native_states(list states, uint32_t rows)
# So many views to be filled in, by a caller who adds to `_kept` what they are in.
cdef NativeViews room_for_views(size_t count)
# Fills in one view and returns its buffer, which has to be kept.
cdef MTLBuffer fill_view(native.mpsrnn_matrix *out, view)

# States that an encode call will write, temporaries of a command buffer or not; see `make_matrix_state`. And the end of
# those that none has written.
cdef list new_states(MTLDevice device, tuple layers, uint32_t rows, size_t count, MTLCommandBuffer temporary_on)
cdef discard_states(list states)


# All take arguments that have been checked: views, a state or None, states from `new_states`, which are discarded if
# nothing can be encoded. `options` are those of the layer, `MPSKernelOptions`.
cdef encode_sequence(
    native.mpsrnn_matrix_layer layer,
    uint32_t options,
    MTLCommandBuffer command,
    NativeViews read,
    NativeViews written,
    MPSRNNRecurrentMatrixState state_in,
    list states_out,
)
# In a command buffer of its own, which has completed when it returns.
cdef run_sequence(
    native.mpsrnn_matrix_layer layer,
    uint32_t options,
    MTLCommandQueue queue,
    NativeViews read,
    NativeViews written,
    MPSRNNRecurrentMatrixState state_in,
    list states_out,
)
cdef encode_bidirectional(
    native.mpsrnn_matrix_layer layer,
    uint32_t options,
    MTLCommandBuffer command,
    mode,
    NativeViews read,
    NativeViews ahead,
    NativeViews behind,
    MPSRNNRecurrentMatrixState state_in,
)
