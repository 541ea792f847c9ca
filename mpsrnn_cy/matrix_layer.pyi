"""Types of `matrix_layer.pyx`."""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar, final, overload

import numpy as np
import numpy.typing as npt

from .descriptors import MPSRNNDescriptor
from .device import MTLCommandBuffer, MTLDevice
from .enums import MPSRNNBidirectionalCombineMode
from .matrix import MPSMatrix
from .matrix_checks import Offsets
from .matrix_kernel import MatrixKernel
from .matrix_state import MPSRNNRecurrentMatrixState

__all__ = ["MPSRNNMatrixInferenceLayer"]

# An array, or a list of arrays: what goes in comes out.
_FloatArray: TypeAlias = npt.NDArray[np.float16] | npt.NDArray[np.float32]
_FloatsT = TypeVar("_FloatsT", bound=_FloatArray | list[npt.NDArray[np.float16]] | list[npt.NDArray[np.float32]])

@final
class MPSRNNMatrixInferenceLayer(MatrixKernel):
    @overload
    def __new__(
        cls, device: MTLDevice, rnn_descriptor: MPSRNNDescriptor | Sequence[MPSRNNDescriptor]
    ) -> MPSRNNMatrixInferenceLayer: ...
    @overload
    def __new__(
        cls, device: MTLDevice, *, rnn_descriptors: Sequence[MPSRNNDescriptor]
    ) -> MPSRNNMatrixInferenceLayer: ...
    @property
    def number_of_layers(self) -> int: ...
    @property
    def bidirectional_combine_mode(self) -> MPSRNNBidirectionalCombineMode: ...
    @bidirectional_combine_mode.setter
    def bidirectional_combine_mode(self, value: MPSRNNBidirectionalCombineMode) -> None: ...
    def encode_sequence(
        self,
        command_buffer: MTLCommandBuffer,
        source_matrices: Sequence[MPSMatrix],
        destination_matrices: Sequence[MPSMatrix],
        recurrent_input_state: MPSRNNRecurrentMatrixState | None = None,
        recurrent_output_states: list[MPSRNNRecurrentMatrixState] | None = None,
        *,
        source_offsets: Offsets = None,
        destination_offsets: Offsets = None,
    ) -> None: ...
    def encode(
        self,
        command_buffer: MTLCommandBuffer,
        source_matrix: MPSMatrix,
        destination_matrix: MPSMatrix,
        recurrent_input_state: MPSRNNRecurrentMatrixState | None = None,
        recurrent_output_states: list[MPSRNNRecurrentMatrixState] | None = None,
    ) -> None: ...
    def encode_bidirectional_sequence(
        self,
        command_buffer: MTLCommandBuffer,
        source_sequence: Sequence[MPSMatrix],
        destination_forward_matrices: Sequence[MPSMatrix] | None,
        destination_backward_matrices: Sequence[MPSMatrix] | None = None,
        *,
        recurrent_input_state: MPSRNNRecurrentMatrixState | None = None,
    ) -> None: ...
    @overload
    def predict(
        self, x: _FloatsT, state: MPSRNNRecurrentMatrixState | None = None, *, return_state: Literal[False] = False
    ) -> _FloatsT: ...
    @overload
    def predict(
        self, x: _FloatsT, state: MPSRNNRecurrentMatrixState | None = None, *, return_state: Literal[True]
    ) -> tuple[_FloatsT, MPSRNNRecurrentMatrixState]: ...
    @overload
    def predict(
        self, x: _FloatsT, state: MPSRNNRecurrentMatrixState | None = None, *, return_state: bool
    ) -> _FloatsT | tuple[_FloatsT, MPSRNNRecurrentMatrixState]: ...
