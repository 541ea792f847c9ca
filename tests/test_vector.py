"""Vectors: what they say of themselves, where their elements lie, and their way from and to other libraries."""

from __future__ import annotations

import numpy as np
import pytest

import mpsrnn_cy as mps

DataType = mps.MPSDataType


def test_descriptor() -> None:
    descriptor = mps.MPSVectorDescriptor(length=5, data_type=DataType.FLOAT16)
    assert (descriptor.length, descriptor.data_type, descriptor.vectors, descriptor.vector_bytes) == (
        5,
        DataType.FLOAT16,
        1,
        16,
    )
    other = descriptor.copy()
    descriptor.length = 9
    descriptor.data_type = DataType.INT32
    assert (descriptor.vector_bytes, other.length, other.vector_bytes) == (48, 5, 16)
    batch = mps.MPSVectorDescriptor(5, DataType.INT8, vectors=3, vector_bytes=5)
    assert (batch.vectors, batch.vector_bytes) == (3, 5)


def test_elements_lie_where_apple_says(device: mps.MTLDevice, no_leaks: None) -> None:
    memory = np.arange(40, dtype=np.int16)
    buffer = device.make_buffer(bytes=memory)
    descriptor = mps.MPSVectorDescriptor(5, DataType.INT16, vectors=3, vector_bytes=14)
    vector = mps.MPSVector(buffer=buffer, offset=4, descriptor=descriptor)
    descriptor.length = 1
    assert (vector.length, vector.vectors, vector.vector_bytes, vector.offset) == (5, 3, 14, 4)
    assert (vector.device, vector.data, vector.data_type) == (device, buffer, DataType.INT16)
    assert vector.to_numpy().tolist() == [[2 + 7 * k + i for i in range(5)] for k in range(3)]
    vector.to_numpy(copy=False)[1, 2] = -1
    assert np.frombuffer(buffer, np.int16)[2 + 7 + 2] == -1
    assert repr(vector) == "<MPSVector 3 times 5, INT16>"


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 7), (1, 7)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.bool_])
def test_arrays_come_back(device: mps.MTLDevice, no_leaks: None, shape: tuple[int, ...], dtype: type) -> None:
    array = (np.arange(np.prod(shape)).reshape(shape) % 2).astype(dtype)
    vector = mps.MPSVector.from_numpy(device, array)
    assert vector.length == shape[-1]
    assert vector.vector_bytes == mps.MPSVectorDescriptor.vector_bytes(shape[-1], vector.data_type)
    np.testing.assert_array_equal(vector.to_numpy(), array.reshape(shape if shape[0] == 3 else shape[-1:]), strict=True)
    np.testing.assert_array_equal(np.from_dlpack(vector), vector.to_numpy())
    np.testing.assert_array_equal(mps.MPSVector.from_dlpack(device, array).to_numpy(), vector.to_numpy())


def test_new_vectors_are_zero(device: mps.MTLDevice, no_leaks: None) -> None:
    vector = mps.MPSVector(device, mps.MPSVectorDescriptor(6))
    assert vector.to_numpy().tolist() == [0] * 6
    assert vector.resource_size() == 24
    vector.synchronize(device.make_command_queue().make_command_buffer())


def test_views_keep_the_memory(device: mps.MTLDevice, no_leaks: None) -> None:
    view = mps.MPSVector.from_numpy(device, np.arange(5)).to_numpy(copy=False)
    other = memoryview(mps.MPSVector.from_numpy(device, np.arange(5)))
    assert view.tolist() == other.tolist() == [0, 1, 2, 3, 4]
