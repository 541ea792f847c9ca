"""Types of `image_state.pyx`."""

from collections.abc import Sequence
from typing import NoReturn, final

import numpy as np
import numpy.typing as npt

from .device import MTLDevice
from .image import MPSImage
from .state import MPSState

__all__ = ["MPSRNNRecurrentImageState"]

@final
class ImageStateHandle: ...

# Callers cannot construct it: nobody has what `key` takes.
@final
class MPSRNNRecurrentImageState(MPSState):
    def __new__(cls, *, key: NoReturn) -> MPSRNNRecurrentImageState: ...
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
