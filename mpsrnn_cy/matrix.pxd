from . cimport native
from .buffer cimport MTLBuffer
from .device_array cimport DeviceArray


cdef class MPSMatrix(DeviceArray):
    # What `_view` returns, of a matrix that is no temporary and was asked for it; else without rows.
    cdef native.mpsrnn_matrix _known_view

    # Matrix 0 as the contract sees it, for a layer that has checked the element type. It does not hold the buffer:
    # `data` does, and has to where another thread could end a temporary meanwhile. LifetimeError if a temporary's last
    # read has been encoded.
    cdef native.mpsrnn_matrix _view(self) except *


cdef class MPSTemporaryMatrix(MPSMatrix):
    pass


# A matrix over a part of a buffer, which the caller has checked; a temporary one if there is a read count, its owner's,
# which holds the buffer.
cdef MPSMatrix matrix_over(layout, MTLBuffer buffer, size_t offset, read_count)
