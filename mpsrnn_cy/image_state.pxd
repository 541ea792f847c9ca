from . cimport native
from .device cimport MTLCommandBuffer, MTLDevice
from .state cimport MPSState


# Owns a native state: its object lives as long as this one.
cdef class ImageStateHandle:
    cdef native.mpsrnn_image_state _h


cdef class MPSRNNRecurrentImageState(MPSState):
    # A temporary's read count holds it.
    cdef ImageStateHandle _owner

    # The native state, valid while the state lives. LifetimeError if a temporary's last read has been encoded.
    cdef native.mpsrnn_image_state _handle(self) except NULL


# The state over a handle, of which it takes the reference; on a command buffer it is a temporary of that.
cdef MPSRNNRecurrentImageState wrap_image_state(
    native.mpsrnn_image_state handle, MTLDevice device, MTLCommandBuffer temporary_on
)
