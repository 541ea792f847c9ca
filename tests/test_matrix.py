"""Matrices: what they say of themselves, where their elements lie, and their way from and to other libraries."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import mpsrnn_cy as mps

DataType = mps.MPSDataType

DTYPES: dict[mps.MPSDataType, Any] = {
    DataType.FLOAT32: np.float32,
    DataType.FLOAT16: np.float16,
    DataType.INT8: np.int8,
    DataType.INT16: np.int16,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
    DataType.UINT8: np.uint8,
    DataType.UINT16: np.uint16,
    DataType.UINT32: np.uint32,
    DataType.UINT64: np.uint64,
    DataType.BOOL: np.bool_,
    DataType.UNORM8: np.uint8,
}
SIZES = {data_type: np.dtype(dtype).itemsize for data_type, dtype in DTYPES.items()}

each_data_type = pytest.mark.parametrize("data_type", DTYPES, ids=lambda case: case.name.lower())
exploring = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def filled(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    return (np.arange(np.prod(shape)).reshape(shape) % (2 if dtype is np.bool_ else 101)).astype(dtype)


@each_data_type
@pytest.mark.parametrize("columns", [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 69])
def test_recommended_row_bytes(data_type: DataType, columns: int) -> None:
    """What Apple's function gives: floats to 16 bytes, all others to 4 elements, one column not padded."""
    size = SIZES[data_type]
    if columns < 2:
        expected = columns * size
    elif data_type in (DataType.FLOAT16, DataType.FLOAT32):
        expected = (columns * size + 15) // 16 * 16
    else:
        expected = (columns + 3) // 4 * 4 * size
    assert mps.MPSMatrixDescriptor.row_bytes(for_columns=columns, data_type=data_type) == expected
    assert mps.MPSVectorDescriptor.vector_bytes(for_length=columns, data_type=data_type) == expected
    if columns > 0:
        assert mps.MPSMatrixDescriptor(3, columns, data_type=data_type).row_bytes == expected


def test_descriptor_properties() -> None:
    descriptor = mps.MPSMatrixDescriptor(rows=2, columns=3, row_bytes=20, data_type=DataType.FLOAT16)
    assert (descriptor.rows, descriptor.columns, descriptor.row_bytes) == (2, 3, 20)
    assert (descriptor.matrices, descriptor.matrix_bytes, descriptor.data_type) == (1, 40, DataType.FLOAT16)
    other = descriptor.copy()
    descriptor.rows, descriptor.columns, descriptor.row_bytes = 5, 6, 24
    descriptor.data_type = DataType.INT8
    assert (descriptor.rows, descriptor.columns, descriptor.row_bytes, descriptor.matrix_bytes) == (5, 6, 24, 120)
    assert (other.rows, other.columns, other.row_bytes, other.data_type) == (2, 3, 20, DataType.FLOAT16)
    batch = mps.MPSMatrixDescriptor(2, 3, 16, DataType.FLOAT32, matrices=4, matrix_bytes=48)
    assert (batch.matrices, batch.matrix_bytes) == (4, 48)
    assert "rows=2, columns=3, row_bytes=16" in repr(batch)


def test_deprecated_dimensions() -> None:
    with pytest.warns(DeprecationWarning, match=r"^dimensions is deprecated, use rows$"):
        descriptor = mps.MPSMatrixDescriptor(dimensions=4, columns=2, row_bytes=8, data_type=DataType.FLOAT32)
    assert (descriptor.rows, descriptor.columns) == (4, 2)


@each_data_type
def test_matrix_on_a_device(device: mps.MTLDevice, no_leaks: None, data_type: DataType) -> None:
    descriptor = mps.MPSMatrixDescriptor(3, 5, data_type=data_type)
    matrix = mps.MPSMatrix(device=device, descriptor=descriptor)
    descriptor.rows = 7
    assert (matrix.device, matrix.rows, matrix.columns, matrix.matrices) == (device, 3, 5, 1)
    assert (matrix.data_type, matrix.offset) == (data_type, 0)
    assert matrix.row_bytes == mps.MPSMatrixDescriptor.row_bytes(5, data_type)
    assert matrix.matrix_bytes == 3 * matrix.row_bytes
    # The last row needs no padding.
    assert matrix.resource_size() == matrix.data.length == 2 * matrix.row_bytes + 5 * SIZES[data_type]
    assert repr(matrix) == f"<MPSMatrix 3 x 5, {data_type.name}>"
    elements = matrix.to_numpy()
    assert (elements.shape, elements.dtype, elements.any()) == ((3, 5), np.dtype(DTYPES[data_type]), False)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[DataType, tuple[int, int, int], int, int, int]:
    """An element type, a shape, row bytes, matrix bytes and an offset."""
    data_type = draw(st.sampled_from(sorted(DTYPES)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 6)))
    size = SIZES[data_type]
    row = (shape[2] + draw(st.integers(0, 3))) * size
    matrix = (shape[1] + draw(st.integers(0, 2))) * row
    return data_type, shape, row, matrix, draw(st.integers(0, 5)) * size


@exploring
@given(layout=layouts())
def test_elements_lie_where_apple_says(
    device: mps.MTLDevice, layout: tuple[DataType, tuple[int, int, int], int, int, int]
) -> None:
    data_type, (matrices, rows, columns), row, matrix_step, offset = layout
    size, dtype = SIZES[data_type], DTYPES[data_type]
    needed = offset + (matrices - 1) * matrix_step + (rows - 1) * row + columns * size
    memory = bytearray(np.random.default_rng(needed).bytes(needed))
    if data_type == DataType.BOOL:
        memory = bytearray(byte & 1 for byte in memory)
    buffer = device.make_buffer(bytes=memory)
    descriptor = mps.MPSMatrixDescriptor(rows, columns, row, data_type, matrices=matrices, matrix_bytes=matrix_step)
    matrix = mps.MPSMatrix(buffer=buffer, offset=offset, descriptor=descriptor)
    assert matrix.data is buffer
    assert (matrix.row_bytes, matrix.matrix_bytes, matrix.offset) == (row, matrix_step, offset)
    found = matrix.to_numpy().reshape(matrices, rows, columns)
    for k, i, j in np.ndindex(found.shape):
        place = offset + k * matrix_step + i * row + j * size
        assert found[k, i, j].tobytes() == memory[place : place + size]
    # What is written through a view changes these bytes and no others.
    expected = bytearray(memory)
    matrix.to_numpy(copy=False)[...] = 1
    for k, i, j in np.ndindex(found.shape):
        place = offset + k * matrix_step + i * row + j * size
        expected[place : place + size] = np.array(1, dtype).tobytes()
    assert bytes(buffer.contents()) == expected


# NumPy has one dtype for UINT8 and UNORM8; its arrays make UINT8.
@pytest.mark.parametrize("data_type", [case for case in DTYPES if case != DataType.UNORM8], ids=lambda c: c.name)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 3, 5), (1, 3, 5)])
def test_arrays_come_back(device: mps.MTLDevice, no_leaks: None, data_type: DataType, shape: tuple[int, ...]) -> None:
    given_array = filled(shape, DTYPES[data_type])
    matrix = mps.MPSMatrix.from_numpy(device, given_array)
    assert matrix.data_type is data_type
    assert (matrix.matrices, matrix.rows, matrix.columns) == (shape[0] if len(shape) == 3 else 1, *shape[-2:])
    found = matrix.to_numpy()
    assert found.dtype == given_array.dtype
    # A batch of one matrix has no axis of its own.
    np.testing.assert_array_equal(found, given_array.reshape(shape if shape[0] == 2 else shape[-2:]), strict=True)
    given_array[...] = 0
    np.testing.assert_array_equal(matrix.to_numpy(), found)


def test_arrays_of_any_strides(device: mps.MTLDevice) -> None:
    whole = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    for view in (whole[::2, ::-1, 1::2], whole.T, np.broadcast_to(whole[0], (2, 4, 5))):
        found = mps.MPSMatrix.from_numpy(device, view).to_numpy()
        np.testing.assert_array_equal(found, view, strict=True)


def test_copies_and_views(device: mps.MTLDevice) -> None:
    matrix = mps.MPSMatrix.from_numpy(device, np.zeros((2, 3), np.float32))
    copy, view = matrix.to_numpy(), matrix.to_numpy(copy=False)
    other = np.asarray(matrix)
    view[1, 2] = 4
    assert other[1, 2] == matrix.to_numpy()[1, 2] == 4
    assert copy[1, 2] == 0
    assert copy.flags.c_contiguous
    assert copy.flags.owndata


def test_views_keep_the_memory(device: mps.MTLDevice, no_leaks: None) -> None:
    before = device.current_allocated_size
    matrix = mps.MPSMatrix.from_numpy(device, np.arange(6, dtype=np.float32).reshape(2, 3))
    views = [matrix.to_numpy(copy=False), np.asarray(matrix), np.from_dlpack(matrix), np.asarray(memoryview(matrix))]
    del matrix
    while views:
        assert device.current_allocated_size > before
        assert views.pop().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert device.current_allocated_size == before


def test_buffer_protocol(device: mps.MTLDevice) -> None:
    matrix = mps.MPSMatrix.from_numpy(device, np.arange(6, dtype=np.int16).reshape(2, 3))
    view = memoryview(matrix)
    assert (view.format, view.shape, view.strides, view.readonly) == ("h", (2, 3), (8, 2), False)
    assert view.tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises((BufferError, ValueError)):
        bytes(np.frombuffer(matrix, np.int16))  # rows are padded


def test_array_protocol(device: mps.MTLDevice) -> None:
    matrix = mps.MPSMatrix.from_numpy(device, np.array([[1.5, 2.5]], np.float32))
    assert np.shares_memory(matrix.__array__(), matrix.to_numpy(copy=False))
    assert not np.shares_memory(matrix.__array__(copy=True), matrix.to_numpy(copy=False))
    assert matrix.__array__(np.float64).dtype == np.float64
    assert np.asarray(matrix, dtype=np.float16).tolist() == [[1.5, 2.5]]
    with pytest.raises(ValueError, match=r"^copy: got False for elements of float32"):
        matrix.__array__(np.float64, copy=False)
    assert (np.add(matrix, 1) == [[2.5, 3.5]]).all()


def test_dlpack(device: mps.MTLDevice, no_leaks: None) -> None:
    matrix = mps.MPSMatrix.from_numpy(device, np.arange(10, dtype=np.float32).reshape(2, 5))
    assert matrix.__dlpack_device__() == (1, 0)
    seen = np.from_dlpack(matrix)
    matrix.to_numpy(copy=False)[1, 4] = -1
    assert seen[1, 4] == -1
    back = mps.MPSMatrix.from_dlpack(device, seen)
    np.testing.assert_array_equal(back.to_numpy(), seen)
    assert mps.MPSMatrix.from_dlpack(device, matrix).rows == 2


def test_pytorch(device: mps.MTLDevice) -> None:
    torch = pytest.importorskip("torch")
    matrix = mps.MPSMatrix.from_numpy(device, np.arange(10, dtype=np.float32).reshape(2, 5))
    tensor = torch.from_dlpack(matrix)
    tensor[0, 0] = 9
    assert matrix.to_numpy()[0, 0] == 9
    np.testing.assert_array_equal(mps.MPSMatrix.from_dlpack(device, tensor * 2).to_numpy(), matrix.to_numpy() * 2)
    with pytest.raises(mps.BadArgumentError, match=r"^tensor: got a Tensor that NumPy cannot see"):
        mps.MPSMatrix.from_dlpack(device, tensor.to(torch.bfloat16))


def test_storage_range(device: mps.MTLDevice) -> None:
    buffer = device.make_buffer(length=64)
    descriptor = mps.MPSMatrixDescriptor(2, 2, 16)
    first, second = (mps.MPSMatrix(buffer=buffer, offset=offset, descriptor=descriptor) for offset in (0, 32))
    number, start, end = first.storage_range
    assert end - start == 24
    assert second.storage_range == (number, start + 32, end + 32)
    other = mps.MPSMatrix(device, descriptor)
    assert other.storage_range[1:] != (start, end)


def test_synchronize_does_nothing_to_a_matrix(device: mps.MTLDevice) -> None:
    command = device.make_command_queue().make_command_buffer()
    matrix = mps.MPSMatrix.from_numpy(device, np.ones((1, 2), np.float32))
    assert matrix.synchronize(on_command_buffer=command) is None
    assert matrix.to_numpy().tolist() == [[1, 1]]


def test_private_matrix(device: mps.MTLDevice, no_leaks: None) -> None:
    buffer = device.make_buffer(length=64, options=mps.MTLStorageMode.PRIVATE)
    matrix = mps.MPSMatrix(buffer=buffer, descriptor=mps.MPSMatrixDescriptor(2, 2))
    words = "^MPSMatrix: got private storage, expected storage that the CPU can reach$"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reach in (
            matrix.to_numpy,
            lambda: matrix.to_numpy(copy=False),
            lambda: np.asarray(matrix),
            lambda: memoryview(matrix),
            lambda: np.from_dlpack(matrix),
            matrix.__dlpack_device__,
        ):
            with pytest.raises(mps.BadArgumentError, match=words):
                reach()
    assert matrix.storage_range[0] != 0


def test_many_threads(device: mps.MTLDevice, no_leaks: None) -> None:
    failures: list[int] = []

    def work(seed: int) -> None:
        for rows in range(1, 60):
            array = np.full((rows, 5), seed, np.float16)
            view = mps.MPSMatrix.from_numpy(device, array).to_numpy(copy=False)
            if not np.array_equal(view, array):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
