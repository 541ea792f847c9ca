"""What the layers over matrices have in common."""

cimport cython

from .arguments import boolean
from .cells import CellKind

from .matrix_encoding cimport new_states

__all__ = ["MatrixKernel"]


@cython.auto_pickle(False)
cdef class MatrixKernel(MPSKernel):
    """Base of the layers over matrices. Ours, not Apple's."""

    @property
    def input_feature_channels(self):
        """Columns of the source matrices."""
        return self._inputs

    @property
    def output_feature_channels(self):
        """Columns of the destination matrices."""
        return self._outputs

    @property
    def store_all_intermediate_states(self):
        """Whether an encode call returns the recurrent state of every time step, and not of the last alone."""
        return self._store_all_intermediate_states

    @store_all_intermediate_states.setter
    def store_all_intermediate_states(self, value):
        self._store_all_intermediate_states = boolean(value, "store_all_intermediate_states")

    @property
    def recurrent_output_is_temporary(self):
        """Whether the recurrent states that encode calls return are temporary: for the same command buffer, with a
        read count."""
        return self._recurrent_output_is_temporary

    @recurrent_output_is_temporary.setter
    def recurrent_output_is_temporary(self, value):
        self._recurrent_output_is_temporary = boolean(value, "recurrent_output_is_temporary")

    cdef dict _settings(self):
        settings = MPSKernel._settings(self)
        settings["store_all_intermediate_states"] = self._store_all_intermediate_states
        settings["recurrent_output_is_temporary"] = self._recurrent_output_is_temporary
        return settings

    cdef _set_cells(self, tuple cells):
        self._cells = cells
        self._inputs = cells[0].input_channels
        self._outputs = cells[len(cells) - 1].output_channels
        self._state_layers = tuple([(cell.output_channels, cell.kind is CellKind.LSTM) for cell in cells])

    cdef list _new_states(self, command, size_t steps, size_t rows, wanted):
        cdef size_t count = 0
        if wanted is not None:
            count = steps if self._store_all_intermediate_states else 1
        return new_states(
            self.device, self._state_layers, rows, count, command if self._recurrent_output_is_temporary else None
        )
