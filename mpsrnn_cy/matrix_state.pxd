from libc.stdint cimport uint32_t

from . cimport native
from .buffer cimport MTLBuffer
from .device cimport MTLCommandBuffer, MTLDevice
from .state cimport MPSState


cdef class MPSRNNRecurrentMatrixState(MPSState):
    cdef readonly uint32_t rows
    # What `make_matrix_state` was told about its layers.
    cdef tuple _layers
    # The native form of every layer, but for the buffer; without columns where there is no c.
    cdef native.mpsrnn_matrix_state *_views
    # A temporary's read count holds it.
    cdef MTLBuffer _buffer

    cdef MTLBuffer _storage(self)


# A state to be written by an encode call. `layers` has (channels, whether there is a memory cell) for every layer,
# bottom first; on a command buffer it is a temporary of that.
cdef MPSRNNRecurrentMatrixState make_matrix_state(
    MTLDevice device, uint32_t rows, tuple layers, MTLCommandBuffer temporary_on
)

# Fills in the native form, an entry for every layer, of at most so many rows. Returns the buffer that it lies in, which
# has to be kept. LifetimeError if a temporary's last read has been encoded.
cdef MTLBuffer fill_matrix_state(
    MPSRNNRecurrentMatrixState state, native.mpsrnn_matrix_state *layers, uint32_t rows
)
