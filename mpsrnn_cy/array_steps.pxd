from . cimport native
from .buffer cimport MTLBuffer
from .device cimport MTLDevice
from .matrix_encoding cimport NativeViews


# What `predict` of a matrix layer is given: an array, or a list of one array a time step, whose rows lie below each
# other in the memory that it is brought to.
cdef class ArraySteps:
    cdef size_t count
    cdef size_t first_rows
    # An array, or a list of arrays.
    cdef object _x
    # Rows of every time step; None where all have as many.
    cdef list _rows
    cdef size_t _total_rows
    cdef native.uint32_t _channels
    cdef native.uint32_t _data_type
    cdef size_t _element_size
    cdef int _type_number

    # The elements in memory that kernels reach; that of the array itself where the device can use it.
    cdef MTLBuffer source(self, MTLDevice device)
    # Memory for as many rows of the same element type, of so many columns.
    cdef MTLBuffer destination(self, MTLDevice device, size_t columns)
    # The time steps in such memory.
    cdef NativeViews views(self, MTLBuffer buffer, native.uint32_t columns)
    # Such memory in the form of what was given, without a copy.
    cdef arrays(self, MTLBuffer buffer, size_t columns)


# Checks what messages call `name`: (T, C), (T, N, C), or T arrays (N_t, C) none of which has more rows than the one
# before; of C channels.
cdef ArraySteps array_steps(x, str name, native.uint32_t channels)
