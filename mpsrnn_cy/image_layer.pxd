from . cimport native
from .device cimport MTLCommandQueue, MTLDevice


cdef class MPSRNNImageInferenceLayer:
    cdef native.mpsrnn_image_layer _h
    cdef readonly MTLDevice device
    cdef str _label
    cdef tuple _cells
    cdef MTLCommandQueue _queue
    cdef bint _store_all_intermediate_states
    cdef object _bidirectional_combine_mode
