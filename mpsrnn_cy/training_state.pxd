from libc.stdint cimport uint32_t

from .device cimport MTLCommandBuffer
from .state cimport MPSState
from .training_encoding cimport TrainingMemory


cdef class MPSRNNMatrixTrainingState(MPSState):
    # What the layer that uses it must be like.
    cdef readonly object _layout
    cdef readonly uint32_t rows
    # None where the read count of a temporary holds it.
    cdef TrainingMemory _memory


# The state over what a forward pass has left, for layers of this layout; on a command buffer it is a temporary of that.
cdef MPSRNNMatrixTrainingState new_training_state(
    TrainingMemory memory, layout, rows, MTLCommandBuffer command, bint is_temporary
)
# What was left. LifetimeError if a temporary's last read has been encoded.
cdef TrainingMemory training_memory(MPSRNNMatrixTrainingState state)
