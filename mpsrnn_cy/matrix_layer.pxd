from . cimport native
from .device cimport MTLCommandQueue
from .matrix_kernel cimport MatrixKernel


cdef class MPSRNNMatrixInferenceLayer(MatrixKernel):
    cdef native.mpsrnn_matrix_layer _h
    cdef MTLCommandQueue _queue
    cdef bint _is_forward_stack
    cdef object _bidirectional_combine_mode
