from . cimport native
from .device cimport MTLCommandQueue
from .kernel cimport MPSCNNKernel


cdef class MPSRNNImageInferenceLayer(MPSCNNKernel):
    cdef native.mpsrnn_image_layer _h
    cdef MTLCommandQueue _queue
    cdef native.uint32_t _inputs, _outputs
    # (channels, whether there is a memory cell) of every layer.
    cdef tuple _state_layers
    cdef bint _is_forward_stack
    cdef bint _store_all_intermediate_states
    cdef bint _recurrent_output_is_temporary
    cdef object _bidirectional_combine_mode
