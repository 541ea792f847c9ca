from . cimport native
from .buffer cimport MTLBuffer
from .device_array cimport DeviceArray


cdef class MPSMatrix(DeviceArray):
    # Matrix 0 as the contract sees it, for a layer that has checked the element type; valid while the matrix lives.
    # LifetimeError if a temporary's last read has been encoded.
    cdef native.mpsrnn_matrix _view(self) except *


cdef class MPSTemporaryMatrix(MPSMatrix):
    pass


# A matrix over a part of a buffer, which the caller has checked; with a read count it is as temporary as its owner,
# and the read count holds the buffer.
cdef MPSMatrix matrix_over(layout, MTLBuffer buffer, size_t offset, read_count)
