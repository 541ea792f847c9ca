from . cimport native
from .device cimport MTLDevice


cdef class MPSRNNRecurrentImageState:
    cdef native.mpsrnn_image_state _h
    cdef readonly MTLDevice device


# The state over a handle, of which it takes the reference.
cdef MPSRNNRecurrentImageState wrap_image_state(native.mpsrnn_image_state handle, MTLDevice device)
