from . cimport native
from .device cimport MTLCommandBuffer
from .matrix_state cimport MPSRNNRecurrentMatrixState


# What the native layer keeps of one time step for its gradient.
cdef class TrainingMemory:
    cdef native.mpsrnn_training_state _h


# All take arguments that have been checked: lists of View, a state or None, and states from `new_states`, which are
# discarded if nothing can be encoded. `slots` name the places of the weights and their gradients.
cdef list encode_forward(
    native.mpsrnn_training_layer layer,
    MTLCommandBuffer command,
    tuple slots,
    list weights,
    list sources,
    list destinations,
    MPSRNNRecurrentMatrixState state_in,
    list states_out,
)
cdef encode_gradient(
    native.mpsrnn_training_layer layer,
    MTLCommandBuffer command,
    tuple slots,
    list weights,
    list sources,
    list gradients,
    list source_gradients,
    list weight_gradients,
    bint accumulates,
    list training,
    MPSRNNRecurrentMatrixState carry_in,
    list carries_out,
)
# Copies a view over another of its size.
cdef copy_matrix(MTLCommandBuffer command, source, destination)
