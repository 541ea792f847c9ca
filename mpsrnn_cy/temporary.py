"""Read counts: how often an object that lives on one command buffer may still be read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, Protocol

from .arguments import integer
from .device import MTLCommandBuffer
from .errors import LifetimeError

__all__ = ["ReadCount", "Reads", "Temporary"]


class ReadCount:
    """The read count of one temporary image, matrix, vector or state, by Apple's rules.

    It starts at 1. Every encode call that reads the object lowers it by one for each place where the object is read;
    writing leaves it alone. At 0 the contents are gone, and it cannot be changed any more. Where Apple aborts the
    process a `LifetimeError` is raised. Where Apple's validation layer complains, of an object that goes while reads
    are left, a `ResourceWarning` is given under ``MPSRNN_VALIDATION=1``.

    Parameters
    ----------
    command_buffer
        The one command buffer whose encode calls may use the object.
    owner
        The class of the object, for messages.
    storage
        What holds the object's memory. Nobody else should: it is let go when the count reaches 0, and what has been
        encoded keeps the memory for itself.
    """

    def __init__(self, command_buffer: MTLCommandBuffer, owner: str = "temporary object", storage: Any = None) -> None:
        self.command_buffer = command_buffer
        self.storage = storage
        self._owner = owner
        self._value = 1
        self._warns = os.environ.get("MPSRNN_VALIDATION") == "1"

    # Bound as a default: at the end of the process the module may be gone first.
    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if self._warns and self._value > 0:
            warn(
                f"{self._owner}: deallocated with read count {self._value}, expected 0: "
                "read it as often as its read_count says, or set that to 0",
                ResourceWarning,
                source=self,
            )

    @property
    def value(self) -> int:
        """Reads that are left."""
        return self._value

    def set(self, value: object, name: str) -> None:
        """Set the count, as an owner does who knows how often the object will be read; 0 releases it early."""
        count = integer(value, name)
        if self._value == 0 and count != 0:
            raise LifetimeError(f"{name}: got {count} for an object whose last read has been encoded, expected 0")
        self._change(count)

    def check_use(self, command_buffer: MTLCommandBuffer, name: str) -> None:
        """Check that an encode call may use the object, for reading or writing."""
        if command_buffer is not self.command_buffer:
            raise LifetimeError(
                f"{name}: got a temporary object of another command buffer, expected one of this encode call's"
            )
        if self._value == 0:
            raise LifetimeError(f"{name}: got a temporary object with read count 0, expected at least 1")

    def take(self, reads: int) -> None:
        """Count reads that `Reads` has checked."""
        self._change(self._value - reads)

    def _change(self, value: int) -> None:
        self._value = value
        if value == 0:
            self.storage = None


class Temporary(Protocol):
    """What may have a read count; None for what is not temporary."""

    @property
    def _read_count(self) -> ReadCount | None: ...


class Reads:
    """The reads of one encode call: checked one by one, counted together once the call has been encoded.

    Parameters
    ----------
    command_buffer
        What is encoded into.
    """

    def __init__(self, command_buffer: MTLCommandBuffer) -> None:
        self._command_buffer = command_buffer
        self._reads: dict[ReadCount, int] = {}

    def add(self, resource: Temporary, name: str) -> None:
        """Check one more read of `resource`, which messages call `name`."""
        count = resource._read_count
        if count is None:
            return
        count.check_use(self._command_buffer, name)
        reads = self._reads.get(count, 0) + 1
        if reads > count.value:
            raise LifetimeError(f"{name}: got a temporary object with read count {count.value}, expected {reads}")
        self._reads[count] = reads

    def check_write(self, resource: Temporary, name: str) -> None:
        """Check that `resource` can be written; that is not counted."""
        count = resource._read_count
        if count is not None:
            count.check_use(self._command_buffer, name)

    def finish(self) -> None:
        """Lower the counts of everything added."""
        for count, reads in self._reads.items():
            count.take(reads)
