from . cimport native
from .matrix_kernel cimport MatrixKernel


cdef class MPSRNNMatrixTrainingLayer(MatrixKernel):
    cdef native.mpsrnn_training_layer _h
    cdef tuple _slots
    cdef bint _training_state_is_temporary
    cdef bint _accumulate_weight_gradients
