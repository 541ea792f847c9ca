"""Read counts: of matrices, vectors and states, by Apple's rules; and the memory that goes with the last read."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from mpsrnn_cy.temporary import Reads
from refusal import refused

Lifetime = mps.LifetimeError


def matrix(command: mps.MTLCommandBuffer) -> Any:
    return mps.MPSTemporaryMatrix(command_buffer=command, matrix_descriptor=mps.MPSMatrixDescriptor(3, 4))


def vector(command: mps.MTLCommandBuffer) -> Any:
    return mps.MPSTemporaryVector(command_buffer=command, descriptor=mps.MPSVectorDescriptor(12))


def state(command: mps.MTLCommandBuffer) -> Any:
    made = mps.MPSState.temporary_state(command, buffer_size=48)
    made.resource(0)
    return made


each_kind = pytest.mark.parametrize("make", [matrix, vector, state])
Make = Callable[[mps.MTLCommandBuffer], Any]


@pytest.fixture
def command(device: mps.MTLDevice) -> mps.MTLCommandBuffer:
    return device.make_command_queue().make_command_buffer()


@each_kind
def test_count_starts_at_one_and_can_be_set(command: mps.MTLCommandBuffer, make: Make, no_leaks: None) -> None:
    temporary = make(command)
    assert temporary.read_count == 1
    temporary.read_count = 5
    assert temporary.read_count == 5
    for wrong, error in ((-1, mps.BadArgumentError), (1.0, mps.BadTypeError), (None, mps.BadTypeError)):
        refused(lambda wrong=wrong: setattr(temporary, "read_count", wrong), error, "^read_count: got ")
    assert temporary.read_count == 5
    temporary.read_count = 0
    temporary.read_count = 0
    with pytest.raises(
        Lifetime, match=r"^read_count: got 1 for an object whose last read has been encoded, expected 0$"
    ):
        temporary.read_count = 1


@each_kind
def test_reads_are_counted_together(command: mps.MTLCommandBuffer, make: Make, no_leaks: None) -> None:
    temporary = make(command)
    temporary.read_count = 3
    reads = Reads(command)
    reads.add(temporary, "a")
    reads.add(temporary, "b")
    reads.check_write(temporary, "c")
    assert temporary.read_count == 3
    reads.finish()
    assert temporary.read_count == 1
    reads = Reads(command)
    reads.add(temporary, "a")
    with pytest.raises(Lifetime, match=r"^b: got a temporary object with read count 1, expected 2$"):
        reads.add(temporary, "b")
    reads.finish()
    assert temporary.read_count == 0
    for use in (Reads(command).add, Reads(command).check_write):
        with pytest.raises(Lifetime, match=r"^d: got a temporary object with read count 0, expected at least 1$"):
            use(temporary, "d")


@each_kind
def test_other_command_buffers_may_not_use_it(
    device: mps.MTLDevice, command: mps.MTLCommandBuffer, make: Make, no_leaks: None
) -> None:
    temporary = make(command)
    other = Reads(device.make_command_queue().make_command_buffer())
    for use in (other.add, other.check_write):
        with pytest.raises(Lifetime, match=r"^a: got a temporary object of another command buffer"):
            use(temporary, "a")
    temporary.read_count = 0


@each_kind
def test_memory_goes_with_the_last_read(
    device: mps.MTLDevice, command: mps.MTLCommandBuffer, make: Make, no_leaks: None
) -> None:
    before = device.current_allocated_size
    temporary = make(command)
    assert device.current_allocated_size > before
    reads = Reads(command)
    reads.add(temporary, "a")
    reads.finish()
    assert device.current_allocated_size == before
    for use in (lambda: temporary.resource_size(), lambda: getattr(temporary, "data", None) or temporary.resource(0)):
        with pytest.raises(Lifetime, match=r"its last read has been encoded, its (storage is|resources are) gone$"):
            use()


@each_kind
def test_the_cpu_cannot_reach_it(command: mps.MTLCommandBuffer, make: Make, no_leaks: None) -> None:
    temporary = make(command)
    with pytest.raises(Lifetime, match=r"cannot be synchronised, expected another$"):
        temporary.synchronize(command)
    if make is state:
        assert temporary.is_temporary
        assert temporary.resource(0).storage_mode == mps.MTLStorageMode.PRIVATE
    else:
        assert temporary.data.storage_mode == mps.MTLStorageMode.PRIVATE
        for reach in (temporary.to_numpy, lambda: np.asarray(temporary), lambda: memoryview(temporary)):
            refused(reach, mps.BadArgumentError, "^MPSTemporary(Matrix|Vector): got private storage")
        refused(
            lambda: type(temporary).from_numpy(command.device, np.ones((1, 1), np.float32)),
            mps.BadTypeError,
            "^MPSTemporary(Matrix|Vector): the CPU cannot reach temporary",
        )
    temporary.read_count = 0


@each_kind
def test_command_buffers_take_none_after_commit(command: mps.MTLCommandBuffer, make: Make, no_leaks: None) -> None:
    command.commit()
    command.wait_until_completed()
    words = "command_buffer: got one that is already committed, expected one that is not$"
    refused(lambda: make(command), mps.BadArgumentError, words)


@each_kind
@pytest.mark.parametrize("count", [1, 3])
def test_unread_temporaries_are_warned_of(command: mps.MTLCommandBuffer, make: Make, count: int) -> None:
    temporary = make(command)
    temporary.read_count = count
    name = type(temporary).__name__
    with pytest.warns(ResourceWarning, match=f"^{name}: deallocated with read count {count}, expected 0: "):
        del temporary


@each_kind
def test_no_warning_without_validation(
    command: mps.MTLCommandBuffer, make: Make, monkeypatch: pytest.MonkeyPatch, no_leaks: None
) -> None:
    monkeypatch.setenv("MPSRNN_VALIDATION", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(command)
        gc.collect()


def test_warning_at_the_end_of_the_process() -> None:
    """Also when nobody collects the object before the interpreter shuts down."""
    program = (
        "import mpsrnn_cy as m; c = m.MTLCreateSystemDefaultDevice().make_command_queue().make_command_buffer(); "
        "t = m.MPSTemporaryMatrix(c, m.MPSMatrixDescriptor(1, 1))"
    )
    environment = {**os.environ, "MPSRNN_VALIDATION": "1"}
    command = [sys.executable, "-W", "always", "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "MPSTemporaryMatrix: deallocated with read count 1" in result.stderr
    assert "Exception" not in result.stderr


def test_prefetch_checks_its_arguments(command: mps.MTLCommandBuffer, no_leaks: None) -> None:
    for kind, descriptor, name in (
        (mps.MPSTemporaryMatrix, mps.MPSMatrixDescriptor(2, 3), "matrix_descriptor_list"),
        (mps.MPSTemporaryVector, mps.MPSVectorDescriptor(3), "descriptor_list"),
    ):
        assert kind.prefetch_storage(command, [descriptor, descriptor]) is None
        refused(lambda kind=kind: kind.prefetch_storage(None, []), mps.BadTypeError, "^command_buffer: got None")
        refused(
            lambda kind=kind, descriptor=descriptor: kind.prefetch_storage(command, descriptor),
            mps.BadTypeError,
            rf"^{name}: got .*expected list$",
        )
        refused(lambda kind=kind: kind.prefetch_storage(command, [3]), mps.BadTypeError, rf"^{name}\[0\]: got 3")
