from . cimport native
from .device cimport MTLCommandQueue
from .kernel cimport MPSCNNKernel


cdef class MPSRNNImageInferenceLayer(MPSCNNKernel):
    cdef native.mpsrnn_image_layer _h
    cdef MTLCommandQueue _queue
    cdef bint _store_all_intermediate_states
    cdef bint _recurrent_output_is_temporary
    cdef object _bidirectional_combine_mode
