from . cimport native
from .kernel cimport MPSKernel


cdef class MPSRNNMatrixTrainingLayer(MPSKernel):
    cdef native.mpsrnn_training_layer _h
    cdef tuple _slots
    cdef bint _store_all_intermediate_states
    cdef bint _recurrent_output_is_temporary
    cdef bint _training_state_is_temporary
    cdef bint _accumulate_weight_gradients
