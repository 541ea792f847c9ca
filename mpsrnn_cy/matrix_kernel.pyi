"""Types of `matrix_kernel.pyx`."""

from typing_extensions import disjoint_base

from .kernel import MPSKernel

__all__ = ["MatrixKernel"]

@disjoint_base
class MatrixKernel(MPSKernel):
    @property
    def input_feature_channels(self) -> int: ...
    @property
    def output_feature_channels(self) -> int: ...
    @property
    def store_all_intermediate_states(self) -> bool: ...
    @store_all_intermediate_states.setter
    def store_all_intermediate_states(self, value: bool) -> None: ...
    @property
    def recurrent_output_is_temporary(self) -> bool: ...
    @recurrent_output_is_temporary.setter
    def recurrent_output_is_temporary(self, value: bool) -> None: ...
