"""Types of `matrix_state.pyx`."""

from collections.abc import Sequence
from typing import NoReturn, final

import numpy as np
import numpy.typing as npt

from .device import MTLDevice
from .matrix import MPSMatrix
from .state import MPSState

__all__ = ["MPSRNNRecurrentMatrixState"]

# Callers cannot construct it: nobody has what `key` takes.
@final
class MPSRNNRecurrentMatrixState(MPSState):
    def __new__(cls, *, key: NoReturn) -> MPSRNNRecurrentMatrixState: ...
    @classmethod
    def from_numpy(
        cls,
        device: MTLDevice,
        recurrent_outputs: Sequence[npt.NDArray[np.float32]],
        memory_cells: Sequence[npt.NDArray[np.float32] | None] | None = None,
    ) -> MPSRNNRecurrentMatrixState: ...
    @property
    def number_of_layers(self) -> int: ...
    @property
    def rows(self) -> int: ...
    def get_recurrent_output_matrix(self, for_layer_index: int) -> MPSMatrix | None: ...
    def get_memory_cell_matrix(self, for_layer_index: int) -> MPSMatrix | None: ...
