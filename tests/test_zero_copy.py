"""Memory that is not copied: buffers, matrices and vectors in a caller's array, and who keeps it alive how long."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mpsrnn_cy as mps
from refusal import refused

Value, Type = mps.BadArgumentError, mps.BadTypeError

# What any device accepts: whole pages, at the address of one.
PAGE = 16384


class Owner(np.ndarray):
    """An array that tells when it goes."""


def pages(shape: tuple[int, ...], dtype: Any = np.float32) -> NDArray[Any]:
    """An array of whole pages, shape permitting, at the address of one."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + PAGE, np.uint8).view(Owner)
    start = -memory.ctypes.data % PAGE
    return memory[start : start + size].view(dtype).reshape(shape)


def watched(array: NDArray[Any]) -> Callable[[], object]:
    """Whether the memory of an array from `pages` is still there."""
    return weakref.ref(array.base)


def test_buffer_is_the_array(device: mps.MTLDevice, no_leaks: None) -> None:
    array = pages((4096,))
    buffer = device.make_buffer(bytes_no_copy=array)
    assert (buffer.length, buffer.storage_mode) == (PAGE, mps.MTLStorageMode.SHARED)
    array[5] = 2.5
    view = np.frombuffer(buffer, np.float32)
    assert view[5] == 2.5
    assert np.shares_memory(view, array)
    view[6] = 3.5
    assert array[6] == 3.5


def test_part_of_the_memory(device: mps.MTLDevice) -> None:
    array = pages((2 * PAGE,), np.uint8)
    assert device.make_buffer(bytes_no_copy=array, length=PAGE).length == PAGE


@pytest.mark.parametrize("copies", [1, 3])
def test_buffer_keeps_the_array(device: mps.MTLDevice, no_leaks: None, copies: int) -> None:
    array = pages((4096,))
    alive = watched(array)
    buffers = [device.make_buffer(bytes_no_copy=array) for _ in range(copies)]
    array[0] = 7
    del array
    gc.collect()
    while buffers:
        assert alive() is not None
        assert np.frombuffer(buffers.pop(), np.float32)[0] == 7
    gc.collect()
    assert alive() is None


def test_a_resizable_owner_cannot_be_resized(device: mps.MTLDevice) -> None:
    memory = bytearray(4 * PAGE)
    start = -np.frombuffer(memory, np.uint8).ctypes.data % PAGE
    buffer = device.make_buffer(bytes_no_copy=memoryview(memory)[start : start + PAGE])
    with pytest.raises(BufferError):
        memory.extend(b"x")
    del buffer
    memory.extend(b"x")


@pytest.mark.parametrize(
    ("shape", "kind"), [((64, 64), "matrix"), ((4, 16, 64), "matrix"), ((4096,), "vector"), ((8, 512), "vector")]
)
def test_matrix_is_the_array(device: mps.MTLDevice, no_leaks: None, shape: tuple[int, ...], kind: str) -> None:
    array = pages(shape)
    alive = watched(array)
    made: Any = (mps.MPSMatrix if kind == "matrix" else mps.MPSVector).from_numpy(device, array, copy=False)
    array[...] = np.arange(4096).reshape(shape)
    np.testing.assert_array_equal(made.to_numpy(), array)
    made.to_numpy(copy=False)[-1] = 1
    assert (array[-1] == 1).all()
    del array
    gc.collect()
    assert alive() is not None
    view = made.to_numpy(copy=False)
    del made
    assert view.flat[1] == 1
    del view
    gc.collect()
    assert alive() is None


def test_rows_with_gaps(device: mps.MTLDevice) -> None:
    if sys.platform == "darwin":
        pytest.skip("Apple's devices take whole pages")
    array = pages((4, 6, 8))
    matrix = mps.MPSMatrix.from_numpy(device, array[:, :5, :7], copy=False)
    assert (matrix.row_bytes, matrix.matrix_bytes, matrix.columns) == (32, 192, 7)
    array[...] = np.arange(192).reshape(4, 6, 8)
    np.testing.assert_array_equal(matrix.to_numpy(), array[:, :5, :7])
    one = mps.MPSMatrix.from_numpy(device, array[:1, :1, :1], copy=False)
    assert (one.row_bytes, one.rows, one.columns, one.to_numpy().item()) == (4, 1, 1, 0)
    with pytest.raises(Value, match=r"^array: a buffer without a copy: got [0-9]+ bytes at 0x"):
        mps.MPSMatrix.from_numpy(device, array[0, :, 1:], copy=False)


def test_tensors_share_their_memory(device: mps.MTLDevice, no_leaks: None) -> None:
    array = pages((64, 64))
    matrix = mps.MPSMatrix.from_dlpack(device, array, copy=False)
    array[3, 4] = 9
    assert matrix.to_numpy()[3, 4] == 9
    vector = mps.MPSVector.from_dlpack(device, array[0], copy=True)
    array[0] = 1
    assert not vector.to_numpy().any()


def test_pytorch_shares_its_memory(device: mps.MTLDevice) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(np.asarray(pages((64, 64))))
    matrix = mps.MPSMatrix.from_dlpack(device, tensor, copy=False)
    tensor[3, 4] = 9
    assert matrix.to_numpy()[3, 4] == 9
    matrix.to_numpy(copy=False)[5, 6] = 8
    assert tensor[5, 6] == 8


READ_ONLY = pages((64, 64))
READ_ONLY.flags.writeable = False
WRITABLE = pages((64, 64))

BUFFERS: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "int": ({"bytes_no_copy": 3}, Type, r"^bytes_no_copy: got a int, expected a buffer"),
    "read-only": ({"bytes_no_copy": READ_ONLY}, Value, "^bytes_no_copy: got read-only memory, expected writable mem"),
    "bytes": ({"bytes_no_copy": b"abc"}, Value, "^bytes_no_copy: got read-only memory, expected writable memory$"),
    "strided": ({"bytes_no_copy": WRITABLE[::2]}, Value, "^bytes_no_copy: got memory that is not C-contiguous"),
    "empty": ({"bytes_no_copy": bytearray()}, Value, "^bytes_no_copy: got 0 bytes, expected at least 1$"),
    "both": ({"bytes_no_copy": WRITABLE, "bytes": b"a"}, Value, "^bytes_no_copy: got it besides bytes, expected one"),
    "private": ({"bytes_no_copy": WRITABLE, "options": 2}, Value, "^options: got PRIVATE with bytes_no_copy"),
    "too long": ({"bytes_no_copy": WRITABLE, "length": PAGE + 1}, Value, f"^length: got {PAGE + 1}, expected at most"),
    "unaligned": (
        {"bytes_no_copy": WRITABLE[0, 1:]},
        Value,
        r"^bytes_no_copy: a buffer without a copy: got [0-9]+ bytes at 0x",
    ),
}


@pytest.mark.parametrize("case", BUFFERS.values(), ids=BUFFERS)
def test_memory_that_cannot_be_used(
    device: mps.MTLDevice, no_leaks: None, case: tuple[dict[str, Any], type[mps.Error], str]
) -> None:
    arguments, error, words = case
    references = sys.getrefcount(WRITABLE)
    refused(lambda: device.make_buffer(**arguments), error, words)
    assert sys.getrefcount(WRITABLE) == references


ARRAYS: dict[str, tuple[NDArray[Any], str]] = {
    "read-only": (READ_ONLY, r"^array: got read-only memory to share, expected writable memory, or copy=True$"),
    "broadcast": (np.broadcast_to(WRITABLE[:1], (4, 64)), r"^array: got read-only memory to share"),
    "columns apart": (WRITABLE[:, ::2], r"^array: got 8 bytes from one element to the next to share, expected 4"),
    "transposed": (
        WRITABLE.T,
        r"^array: got 256 bytes from one element to the next to share, expected 4",
    ),
    "columns reversed": (WRITABLE[:, ::-1], r"^array: got -4 bytes from one element to the next to share, expected 4"),
    "rows reversed": (WRITABLE[::-1], r"^array: bytes from one row to the next: got -256, expected at least 256"),
    "rows overlap": (
        np.lib.stride_tricks.as_strided(WRITABLE, (4, 64), (16, 4), writeable=True),
        r"^array: bytes from one row to the next: got 16, expected at least 256 and a multiple of 4$",
    ),
    "matrices out of step": (
        np.lib.stride_tricks.as_strided(WRITABLE, (2, 2, 4), (40, 16, 4), writeable=True),
        r"^array: bytes from one matrix to the next: got 40, expected at least 32 and a multiple of 16$",
    ),
}


@pytest.mark.parametrize("case", ARRAYS.values(), ids=ARRAYS)
def test_arrays_that_cannot_be_shared(device: mps.MTLDevice, no_leaks: None, case: tuple[NDArray[Any], str]) -> None:
    array, words = case
    refused(lambda: mps.MPSMatrix.from_numpy(device, array, copy=False), Value, words)
    np.testing.assert_array_equal(mps.MPSMatrix.from_numpy(device, array).to_numpy(), array)


def test_encoded_work_keeps_the_array(device: mps.MTLDevice, no_leaks: None) -> None:
    """Nobody holds the matrices while the kernels run; the arrays go once they have."""
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(64, 64)
    descriptor.use_layer_input_unit_transform_mode = True
    layer = mps.MPSRNNMatrixInferenceLayer(device, descriptor)
    command = device.make_command_queue().make_command_buffer()
    source, destination = pages((64, 64)), pages((64, 64))
    source[...] = 3
    matrices = [mps.MPSMatrix.from_numpy(device, array, copy=False) for array in (source, destination)]
    layer.encode_sequence(command, [matrices[0]], [matrices[1]])
    alive = [watched(source), watched(destination)]
    result = destination.base.view(np.ndarray)
    del matrices, source, destination
    gc.collect()
    assert [reference() is not None for reference in alive] == [True, True]
    command.commit()
    command.wait_until_completed()
    gc.collect()
    assert alive[0]() is None
    assert np.count_nonzero(result.view(np.uint8)) > 0
    del result
    gc.collect()
    assert alive[1]() is None
