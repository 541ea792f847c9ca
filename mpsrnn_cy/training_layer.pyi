"""Types of `training_layer.pyx`."""

from collections.abc import Sequence
from typing import final

from .descriptors import MPSRNNDescriptor
from .device import MTLCommandBuffer, MTLDevice
from .enums import MPSDataType, MPSRNNMatrixId
from .matrix import MPSMatrix
from .matrix_checks import Offsets
from .matrix_kernel import MatrixKernel
from .matrix_state import MPSRNNRecurrentMatrixState
from .structures import MTLOrigin
from .training_state import MPSRNNMatrixTrainingState

__all__ = ["MPSRNNMatrixTrainingLayer"]

@final
class MPSRNNMatrixTrainingLayer(MatrixKernel):
    def __new__(
        cls, device: MTLDevice, rnn_descriptor: MPSRNNDescriptor, trainable_weights: list[MPSMatrix]
    ) -> MPSRNNMatrixTrainingLayer: ...
    @property
    def trainable_matrix_ids(self) -> tuple[MPSRNNMatrixId, ...]: ...
    @property
    def training_state_is_temporary(self) -> bool: ...
    @training_state_is_temporary.setter
    def training_state_is_temporary(self, value: bool) -> None: ...
    @property
    def accumulate_weight_gradients(self) -> bool: ...
    @accumulate_weight_gradients.setter
    def accumulate_weight_gradients(self, value: bool) -> None: ...
    def create_weight_matrices(self, matrices_out: list[MPSMatrix]) -> None: ...
    def create_initial_weight_matrices(self, matrices_out: list[MPSMatrix]) -> None: ...
    def create_weight_gradient_matrices(self, matrices_out: list[MPSMatrix], data_type: MPSDataType) -> None: ...
    def create_temporary_weight_gradient_matrices(
        self, matrices_out: list[MPSMatrix], data_type: MPSDataType, command_buffer: MTLCommandBuffer
    ) -> None: ...
    def encode_copy_weights(
        self,
        command_buffer: MTLCommandBuffer,
        weights: Sequence[MPSMatrix],
        matrix_id: MPSRNNMatrixId,
        matrix: MPSMatrix,
        copy_from_weights_to_matrix: bool,
        matrix_offset: MTLOrigin | tuple[int, int, int] = ...,
    ) -> None: ...
    def encode_forward_sequence(
        self,
        command_buffer: MTLCommandBuffer,
        source_matrices: Sequence[MPSMatrix],
        destination_matrices: Sequence[MPSMatrix],
        training_states: list[MPSRNNMatrixTrainingState],
        weights: Sequence[MPSMatrix],
        *,
        source_offsets: Offsets = None,
        destination_offsets: Offsets = None,
        recurrent_input_state: MPSRNNRecurrentMatrixState | None = None,
        recurrent_output_states: list[MPSRNNRecurrentMatrixState] | None = None,
    ) -> None: ...
    def encode_gradient_sequence(
        self,
        command_buffer: MTLCommandBuffer,
        forward_sources: Sequence[MPSMatrix],
        source_gradients: Sequence[MPSMatrix],
        destination_gradients: Sequence[MPSMatrix] | None,
        weight_gradients: Sequence[MPSMatrix] | None,
        training_states: Sequence[MPSRNNMatrixTrainingState],
        weights: Sequence[MPSMatrix],
        *,
        forward_source_offsets: Offsets = None,
        source_offsets: Offsets = None,
        destination_offsets: Offsets = None,
        recurrent_input_state: MPSRNNRecurrentMatrixState | None = None,
        recurrent_output_states: list[MPSRNNRecurrentMatrixState] | None = None,
    ) -> None: ...
