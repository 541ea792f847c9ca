"""What is done to many states at once: to each of them once, however often it is in the list."""

from __future__ import annotations

from collections.abc import Sequence

from .arguments import integer
from .device import MTLCommandBuffer
from .errors import LifetimeError
from .layer_checks import check_list
from .state import MPSState

__all__ = ["MPSStateBatchIncrementReadCount", "MPSStateBatchResourceSize", "MPSStateBatchSynchronize"]


def MPSStateBatchIncrementReadCount(batch: Sequence[MPSState], amount: int) -> int:
    """Raise the read counts of all temporary states of a list; an amount below 0 lowers them.

    Returns
    -------
    int
        The number of distinct states, persistent ones included, which have no read count.

    Raises
    ------
    LifetimeError
        If a count is 0 already, or would fall below; no count has changed then.
    """
    states = _distinct(batch)
    step = integer(amount, "amount", minimum=-(2**31))
    counts = [(index, state._read_count) for index, state in states if state._read_count is not None]
    for index, count in counts:
        if count.value == 0 or count.value + step < 0:
            raise LifetimeError(f"batch[{index}]: got read count {count.value} to change by {step}, expected more")
    for index, count in counts:
        count.set(count.value + step, f"batch[{index}]")
    return len(states)


def MPSStateBatchSynchronize(batch: Sequence[MPSState], command_buffer: MTLCommandBuffer) -> None:
    """Encode for all states of a list that the CPU will read what kernels have written; none may be temporary."""
    states = _distinct(batch)
    for index, state in states:
        if state.is_temporary:
            raise LifetimeError(f"batch[{index}]: got a temporary state, expected one that the CPU can reach")
    for _, state in states:
        state.synchronize(command_buffer)


def MPSStateBatchResourceSize(batch: Sequence[MPSState]) -> int:
    """Bytes of memory that the states of a list have been given so far."""
    return sum(state.resource_size() for _, state in _distinct(batch))


def _distinct(batch: object) -> list[tuple[int, MPSState]]:
    """The states of a list, each once, with the index of its first place."""
    states: dict[int, tuple[int, MPSState]] = {}
    for index, state in enumerate(check_list(batch, "batch", MPSState, "state")):
        states.setdefault(id(state), (index, state))
    return list(states.values())
