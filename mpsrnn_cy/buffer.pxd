from . cimport native
from .device cimport MTLDevice


cdef class MTLBuffer:
    cdef native.mpsrnn_buffer _h
    cdef readonly MTLDevice device
    cdef object _storage_mode
    cdef str _label
    # What a buffer export describes: filled when the object is made.
    cdef void *_contents
    cdef Py_ssize_t _length
    cdef Py_ssize_t _stride


# Shared memory that the caller keeps alive and in its place until the buffer and all that uses it are gone. None if the
# device cannot use it.
cdef MTLBuffer lend_buffer(MTLDevice device, void *bytes, size_t length)

# New memory; arguments have been checked.
cdef MTLBuffer create_buffer(MTLDevice device, size_t length, storage_mode)

# Shared memory that `owner` keeps alive, and that is not moved or freed while it does; the owner is kept until neither
# the buffer nor what has been encoded needs it. BadArgumentError, about `name`, if the device cannot use the memory.
cdef MTLBuffer create_buffer_over(MTLDevice device, size_t address, size_t length, owner, name)
