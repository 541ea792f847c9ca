from . cimport native
from .device cimport MTLCommandBuffer


# Both take arguments that have been checked, lists of MPSImage and a MPSRNNRecurrentImageState or None.
cdef list encode_sequence(
    native.mpsrnn_image_layer layer,
    MTLCommandBuffer command,
    list sources,
    list destinations,
    state,
    size_t state_count,
    bint are_temporary,
)
cdef encode_bidirectional(
    native.mpsrnn_image_layer layer,
    MTLCommandBuffer command,
    mode,
    list sources,
    list forward,
    list backward,
    state,
)
