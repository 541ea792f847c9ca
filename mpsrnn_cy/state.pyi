"""Types of `state.pyx`."""

from collections.abc import Sequence
from typing import NoReturn, final

import numpy as np
import numpy.typing as npt

from .device import MTLDevice
from .image import MPSImage

__all__ = ["MPSRNNRecurrentImageState"]

# Callers cannot construct it: nobody has what `key` takes.
@final
class MPSRNNRecurrentImageState:
    def __new__(cls, *, key: NoReturn) -> MPSRNNRecurrentImageState: ...
    @property
    def device(self) -> MTLDevice: ...
    @classmethod
    def from_numpy(
        cls,
        device: MTLDevice,
        recurrent_outputs: Sequence[npt.NDArray[np.float32]],
        memory_cells: Sequence[npt.NDArray[np.float32] | None] | None = None,
    ) -> MPSRNNRecurrentImageState: ...
    @property
    def number_of_layers(self) -> int: ...
    def get_recurrent_output_image(self, for_layer_index: int) -> MPSImage | None: ...
    def get_memory_cell_image(self, for_layer_index: int) -> MPSImage | None: ...
