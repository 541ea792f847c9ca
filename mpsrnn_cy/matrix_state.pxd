from libc.stdint cimport uint32_t

from . cimport native
from .buffer cimport MTLBuffer
from .device cimport MTLCommandBuffer, MTLDevice
from .state cimport MPSState


cdef class MPSRNNRecurrentMatrixState(MPSState):
    cdef readonly uint32_t rows
    # Where every layer's h and c lie in the buffer; a temporary's read count holds that.
    cdef tuple _parts
    cdef MTLBuffer _buffer

    cdef MTLBuffer _storage(self)


# A state to be written by an encode call. `cells` has (channels, whether there is a memory cell) for every layer,
# bottom first; on a command buffer it is a temporary of that.
cdef MPSRNNRecurrentMatrixState make_matrix_state(MTLDevice device, rows, cells, MTLCommandBuffer temporary_on)

# Fills in the native form: an entry for every layer, valid while the state lives. LifetimeError if a temporary's last
# read has been encoded.
cdef int fill_matrix_state(MPSRNNRecurrentMatrixState state, native.mpsrnn_matrix_state *layers) except -1
