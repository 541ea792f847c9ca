"""Types of `image_layer.pyx`."""

from collections.abc import Sequence
from typing import Literal, TypeVar, final, overload

import numpy as np
import numpy.typing as npt

from .descriptors import MPSRNNDescriptor
from .device import MTLCommandBuffer, MTLDevice
from .enums import MPSRNNBidirectionalCombineMode
from .image import MPSImage
from .image_state import MPSRNNRecurrentImageState
from .kernel import MPSCNNKernel

__all__ = ["MPSRNNImageInferenceLayer"]

_FloatT = TypeVar("_FloatT", bound=np.float16 | np.float32)

@final
class MPSRNNImageInferenceLayer(MPSCNNKernel):
    @overload
    def __new__(
        cls, device: MTLDevice, rnn_descriptor: MPSRNNDescriptor | Sequence[MPSRNNDescriptor]
    ) -> MPSRNNImageInferenceLayer: ...
    @overload
    def __new__(
        cls, device: MTLDevice, *, rnn_descriptors: Sequence[MPSRNNDescriptor]
    ) -> MPSRNNImageInferenceLayer: ...
    @property
    def input_feature_channels(self) -> int: ...
    @property
    def output_feature_channels(self) -> int: ...
    @property
    def number_of_layers(self) -> int: ...
    @property
    def store_all_intermediate_states(self) -> bool: ...
    @store_all_intermediate_states.setter
    def store_all_intermediate_states(self, value: bool) -> None: ...
    @property
    def recurrent_output_is_temporary(self) -> bool: ...
    @recurrent_output_is_temporary.setter
    def recurrent_output_is_temporary(self, value: bool) -> None: ...
    @property
    def bidirectional_combine_mode(self) -> MPSRNNBidirectionalCombineMode: ...
    @bidirectional_combine_mode.setter
    def bidirectional_combine_mode(self, value: MPSRNNBidirectionalCombineMode) -> None: ...
    def encode_bidirectional_sequence(
        self,
        command_buffer: MTLCommandBuffer,
        source_sequence: Sequence[MPSImage],
        destination_forward_images: Sequence[MPSImage] | None,
        destination_backward_images: Sequence[MPSImage] | None = None,
        *,
        recurrent_input_state: MPSRNNRecurrentImageState | None = None,
    ) -> None: ...
    def encode_sequence(
        self,
        command_buffer: MTLCommandBuffer,
        source_images: Sequence[MPSImage],
        destination_images: Sequence[MPSImage],
        recurrent_input_state: MPSRNNRecurrentImageState | None = None,
        recurrent_output_states: list[MPSRNNRecurrentImageState] | None = None,
    ) -> None: ...
    def encode(
        self,
        command_buffer: MTLCommandBuffer,
        source_image: MPSImage,
        destination_image: MPSImage,
        recurrent_input_state: MPSRNNRecurrentImageState | None = None,
        recurrent_output_states: list[MPSRNNRecurrentImageState] | None = None,
    ) -> None: ...
    @overload
    def predict(
        self,
        x: npt.NDArray[_FloatT],
        state: MPSRNNRecurrentImageState | None = None,
        *,
        return_state: Literal[False] = False,
    ) -> npt.NDArray[_FloatT]: ...
    @overload
    def predict(
        self,
        x: npt.NDArray[_FloatT],
        state: MPSRNNRecurrentImageState | None = None,
        *,
        return_state: Literal[True],
    ) -> tuple[npt.NDArray[_FloatT], MPSRNNRecurrentImageState]: ...
    @overload
    def predict(
        self,
        x: npt.NDArray[_FloatT],
        state: MPSRNNRecurrentImageState | None = None,
        *,
        return_state: bool,
    ) -> npt.NDArray[_FloatT] | tuple[npt.NDArray[_FloatT], MPSRNNRecurrentImageState]: ...
