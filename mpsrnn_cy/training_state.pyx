"""What the forward pass of a training layer leaves for the gradient of the same time step."""

cimport cython

from .errors import BadTypeError
from .temporary import ReadCount

__all__ = ["MPSRNNMatrixTrainingState"]

cdef object _key = object()


class _ReadCount(ReadCount):
    """The read count of a temporary training state, which holds the memory until the last read."""

    def __init__(self, command_buffer, memory):
        super().__init__(command_buffer, "a temporary MPSRNNMatrixTrainingState", [])
        self.memory = memory

    def _change(self, value):
        super()._change(value)
        if value == 0:
            self.memory = None


@cython.final
@cython.auto_pickle(False)
cdef class MPSRNNMatrixTrainingState(MPSState):
    """What `MPSRNNMatrixTrainingLayer.encode_forward_sequence` leaves of one time step for the gradient of that step.

    Opaque, as Apple's. A layer and its copies can use each other's.

    Attributes
    ----------
    rows : int
        Rows of the batch that ran in its time step. Ours, not Apple's.
    """

    def __cinit__(self, *, key=None):
        if key is not _key:
            raise BadTypeError(
                "MPSRNNMatrixTrainingState: cannot be constructed, expected one made by encode_forward_sequence()"
            )


cdef MPSRNNMatrixTrainingState new_training_state(
    TrainingMemory memory, layout, rows, MTLCommandBuffer command, bint is_temporary
):
    cdef MPSRNNMatrixTrainingState state = MPSRNNMatrixTrainingState.__new__(MPSRNNMatrixTrainingState, key=_key)
    state.device = command.device
    state._layout = layout
    state.rows = rows
    # There are no resources that anybody could ask for.
    state._resources = []
    if is_temporary:
        state._read_count = _ReadCount(command, memory)
    else:
        state._memory = memory
    return state


cdef TrainingMemory training_memory(MPSRNNMatrixTrainingState state):
    state._held()
    return state._memory if state._read_count is None else state._read_count.memory
