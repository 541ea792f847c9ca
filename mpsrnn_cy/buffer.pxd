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


cdef MTLBuffer create_buffer(MTLDevice device, size_t length, storage_mode)
