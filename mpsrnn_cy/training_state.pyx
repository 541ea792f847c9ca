"""What the forward pass of a training layer leaves for the gradient of the same time step."""

cimport cython

from .errors import BadTypeError
from .temporary import ReadCount

__all__ = ["MPSRNNMatrixTrainingState"]

cdef object _key = object()


class _Held(list):
    """The resources of a training state: none that anybody could ask for, and the memory that is its own."""

    def __init__(self, memory):
        super().__init__()
        self.memory = memory


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
    if is_temporary:
        state._read_count = ReadCount(command, "a temporary MPSRNNMatrixTrainingState", _Held(memory))
    else:
        state._resources = _Held(memory)
    return state


cdef TrainingMemory training_memory(MPSRNNMatrixTrainingState state):
    return state._held().memory
