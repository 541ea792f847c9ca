"""Types of `training_state.pyx`."""

from typing import Any, NoReturn, final

from .state import MPSState

__all__ = ["MPSRNNMatrixTrainingState"]

# Callers cannot construct it: nobody has what `key` takes.
@final
class MPSRNNMatrixTrainingState(MPSState):
    def __new__(cls, *, key: NoReturn) -> MPSRNNMatrixTrainingState: ...
    @property
    def rows(self) -> int: ...
    @property
    def _layout(self) -> Any: ...
