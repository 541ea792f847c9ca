"""What every refusal of an argument has in common."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import mpsrnn_cy as mps

BUILTINS: dict[type[mps.Error], type[Exception]] = {
    mps.BadArgumentError: ValueError,
    mps.BadTypeError: TypeError,
    mps.LifetimeError: RuntimeError,
    mps.OutOfMemoryError: MemoryError,
}


def refused(call: Callable[[], object], expected: type[mps.Error], words: str) -> BaseException | None:
    """Check that a call raises our exception, which is the builtin too, with these words; return its cause."""
    with pytest.raises(expected, match=words) as caught:
        call()
    assert isinstance(caught.value, mps.Error)
    assert isinstance(caught.value, BUILTINS[expected])
    return caught.value.__cause__
