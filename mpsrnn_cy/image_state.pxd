from . cimport native
from .device cimport MTLCommandBuffer, MTLDevice
from .state cimport MPSState


# Owns a native state: its object lives as long as this one.
cdef class ImageStateHandle:
    cdef native.mpsrnn_image_state _h


cdef class MPSRNNRecurrentImageState(MPSState):
    # A temporary's read count holds it.
    cdef ImageStateHandle _owner

    # What owns the native state, to be held while it is used. LifetimeError if a temporary's last read was encoded.
    cdef ImageStateHandle _handle(self)


# The state over a handle, of which it takes the reference; on a command buffer it is a temporary of that.
cdef MPSRNNRecurrentImageState wrap_image_state(
    native.mpsrnn_image_state handle, MTLDevice device, MTLCommandBuffer temporary_on
)
