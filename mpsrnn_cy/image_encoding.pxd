from . cimport native
from .device cimport MTLCommandBuffer


# Handles of images, and what keeps those. NULL and 0 for None.
cdef class NativeImages:
    cdef native.mpsrnn_image *items
    cdef size_t count
    cdef list _kept


cdef NativeImages native_images(list images)
# So many handles to be filled in, by a caller who adds to `_kept` what owns them.
cdef NativeImages room_for_images(size_t count)


# Both take arguments that have been checked, and a MPSRNNRecurrentImageState or None.
cdef list encode_sequence(
    native.mpsrnn_image_layer layer,
    MTLCommandBuffer command,
    NativeImages sources,
    NativeImages destinations,
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
