"""What matrices, vectors and their descriptors refuse: the exception, its words, and that nothing is left behind."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Value, Type = mps.BadArgumentError, mps.BadTypeError
DataType, Matrix, Vector = mps.MPSDataType, mps.MPSMatrix, mps.MPSVector
MatrixDescriptor, VectorDescriptor = mps.MPSMatrixDescriptor, mps.MPSVectorDescriptor

FROM_1 = "expected an int from 1 to "

DESCRIPTORS: dict[str, tuple[Callable[[], object], type[mps.Error], str]] = {
    "rows 0": (lambda: MatrixDescriptor(0, 3), Value, rf"^MPSMatrixDescriptor\.rows: got 0, {FROM_1}"),
    "rows None": (lambda: MatrixDescriptor(columns=3), Type, r"^MPSMatrixDescriptor\.rows: got None"),
    "columns -1": (lambda: MatrixDescriptor(1, -1), Value, rf"^MPSMatrixDescriptor\.columns: got -1, {FROM_1}"),
    "columns float": (lambda: MatrixDescriptor(1, 2.0), Type, r"^MPSMatrixDescriptor\.columns: got 2\.0 \(float\)"),
    "row_bytes 0": (lambda: MatrixDescriptor(1, 2, 0), Value, rf"^MPSMatrixDescriptor\.row_bytes: got 0, {FROM_1}"),
    "data type None": (lambda: MatrixDescriptor(1, 2, 8, None), Type, r"^MPSMatrixDescriptor\.data_type: got None"),
    "data type 7": (lambda: MatrixDescriptor(1, 2, 8, 7), Value, r"^MPSMatrixDescriptor\.data_type: got 7, expected a"),
    "data type of bits": (
        lambda: MatrixDescriptor(1, 2, 8, DataType.UNORM1),
        Value,
        r"^MPSMatrixDescriptor\.data_type: got UNORM1, expected one of FLOAT32, FLOAT16, INT8,",
    ),
    "data type class": (
        lambda: MatrixDescriptor(1, 2, 8, DataType.FLOAT_BIT),
        Value,
        r"^MPSMatrixDescriptor\.data_type: got FLOAT_BIT, expected one of",
    ),
    "matrices 0": (lambda: MatrixDescriptor(1, 2, matrices=0), Value, f"^matrices: got 0, {FROM_1}"),
    "matrix_bytes 0": (lambda: MatrixDescriptor(1, 2, matrix_bytes=0), Value, f"^matrix_bytes: got 0, {FROM_1}"),
    "rows and dimensions": (
        lambda: MatrixDescriptor(1, 2, dimensions=1),
        Value,
        "^dimensions: got 1 besides rows, expected one of them$",
    ),
    "length 0": (lambda: VectorDescriptor(0), Value, rf"^MPSVectorDescriptor\.length: got 0, {FROM_1}"),
    "vectors 0": (lambda: VectorDescriptor(1, vectors=0), Value, f"^vectors: got 0, {FROM_1}"),
    "vector_bytes 0": (lambda: VectorDescriptor(1, vector_bytes=0), Value, f"^vector_bytes: got 0, {FROM_1}"),
    "for columns -1": (lambda: MatrixDescriptor.row_bytes(-1), Value, "^for_columns: got -1, expected an int from 0"),
    "for length str": (lambda: VectorDescriptor.vector_bytes("5"), Type, r"^for_length: got '5' \(str\)"),
    "for data type": (
        lambda: MatrixDescriptor.row_bytes(5, DataType.INVALID),
        Value,
        "^data_type: got INVALID, expected one of FLOAT32",
    ),
}


@pytest.mark.parametrize("case", DESCRIPTORS.values(), ids=DESCRIPTORS)
def test_bad_descriptors(case: tuple[Callable[[], object], type[mps.Error], str]) -> None:
    refused(*case)


@pytest.mark.parametrize("name", ["matrices", "matrix_bytes", "stride"])
def test_what_descriptors_do_not_let_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(MatrixDescriptor(1, 2), name, 3)


@pytest.mark.parametrize("name", ["vectors", "vector_bytes", "rows"])
def test_what_vector_descriptors_do_not_let_be_set(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(VectorDescriptor(2), name, 3)


LAYOUTS: dict[str, tuple[Any, str]] = {
    "rows overlap": (MatrixDescriptor(2, 5, 16), "^row_bytes: got 16, expected at least 20 and a multiple of 4$"),
    "rows between elements": (MatrixDescriptor(2, 5, 22), "^row_bytes: got 22, expected at least 20 and a multiple"),
    "matrices overlap": (
        MatrixDescriptor(2, 5, 32, matrices=2, matrix_bytes=32),
        "^matrix_bytes: got 32, expected at least 64 and a multiple of 32$",
    ),
    "matrices between rows": (
        MatrixDescriptor(2, 5, 32, matrices=2, matrix_bytes=80),
        "^matrix_bytes: got 80, expected at least 64 and a multiple of 32$",
    ),
    "vectors overlap": (
        VectorDescriptor(5, DataType.INT16, vector_bytes=8),
        "^vector_bytes: got 8, expected at least 10 and a multiple of 2$",
    ),
}


@pytest.mark.parametrize("case", LAYOUTS.values(), ids=LAYOUTS)
def test_strides_that_do_not_fit(device: mps.MTLDevice, no_leaks: None, case: tuple[Any, str]) -> None:
    descriptor, words = case
    kind = Matrix if isinstance(descriptor, MatrixDescriptor) else Vector
    command = device.make_command_queue().make_command_buffer()
    temporary = mps.MPSTemporaryMatrix if kind is Matrix else mps.MPSTemporaryVector
    buffer = device.make_buffer(length=1000)
    refused(lambda: kind(device, descriptor), Value, words)
    refused(lambda: kind(buffer=buffer, descriptor=descriptor), Value, words)
    refused(lambda: temporary(command, descriptor), Value, words)
    refused(lambda: temporary.prefetch_storage(command, [descriptor]), Value, words)


# Of a buffer of 100 bytes.
CONSTRUCTIONS: dict[str, tuple[Callable[[Any, Any], object], type[mps.Error], str]] = {
    "nothing": (lambda d, b: Matrix(), Type, "^descriptor: got None"),
    "no descriptor": (lambda d, b: Matrix(d), Type, "^descriptor: got None"),
    "vector's descriptor": (lambda d, b: Matrix(d, VectorDescriptor(2)), Type, "^descriptor: got MPSVectorDescriptor"),
    "matrix's descriptor": (lambda d, b: Vector(d, MatrixDescriptor(1, 2)), Type, "^descriptor: got MPSMatrixDescr"),
    "no device": (lambda d, b: Matrix(descriptor=MatrixDescriptor(1, 2)), Type, r"^device: got None \(NoneType\)"),
    "device str": (lambda d, b: Vector("gpu", VectorDescriptor(2)), Type, r"^device: got 'gpu' \(str\), expected MTL"),
    "both": (lambda d, b: Matrix(d, MatrixDescriptor(1, 2), buffer=b), Value, "^device: got a device and a buffer"),
    "buffer bytes": (
        lambda d, b: Matrix(buffer=b"x" * 100, descriptor=MatrixDescriptor(1, 2)),
        Type,
        "^buffer: got b'x",
    ),
    "offset alone": (
        lambda d, b: Matrix(d, MatrixDescriptor(1, 2), offset=0),
        Value,
        "^offset: got 0 without a buffer, expected a buffer with it$",
    ),
    "offset -4": (
        lambda d, b: Matrix(buffer=b, offset=-4, descriptor=MatrixDescriptor(1, 2)),
        Value,
        "^offset: got -4, expected an int from 0 to 100$",
    ),
    "offset between elements": (
        lambda d, b: Vector(buffer=b, offset=2, descriptor=VectorDescriptor(2)),
        Value,
        "^offset: got 2, expected a multiple of 4$",
    ),
    "too short": (
        lambda d, b: Matrix(buffer=b, descriptor=MatrixDescriptor(4, 6, 32)),
        Value,
        r"^buffer: got 100 bytes, expected at least 120 for shape \(1, 4, 6\), strides \(128, 32, 4\) and the offset 0",
    ),
    "too short behind the offset": (
        lambda d, b: Vector(buffer=b, offset=96, descriptor=VectorDescriptor(2)),
        Value,
        "^buffer: got 100 bytes, expected at least 104 ",
    ),
    "longer than the device's buffers": (
        lambda d, b: Matrix(d, MatrixDescriptor(2**31 - 1, 2**31 - 1)),
        Value,
        "^descriptor: got [0-9]+ bytes, expected at most [0-9]+, the longest buffer of the device$",
    ),
    "unknown argument": (lambda d, b: Matrix(d, MatrixDescriptor(1, 2), rows=3), Type, "^MPSMatrix: .* rows$"),
    "unknown vector argument": (lambda d, b: Vector(d, VectorDescriptor(2), rows=3), Type, "^MPSVector: .* rows$"),
    "key": (lambda d, b: Matrix(d, MatrixDescriptor(1, 2), key=1), Type, "^MPSMatrix: got an unexpected argument key$"),
    "temporary without": (lambda d, b: mps.MPSTemporaryMatrix(), Type, "^matrix_descriptor: got None"),
    "temporary vector without": (lambda d, b: mps.MPSTemporaryVector(), Type, "^descriptor: got None"),
    "temporary on a device": (
        lambda d, b: mps.MPSTemporaryMatrix(d, MatrixDescriptor(1, 2)),
        Type,
        "^command_buffer: got <MTLDevice",
    ),
    "temporary key": (lambda d, b: mps.MPSTemporaryMatrix(key=3), Type, "^MPSTemporaryMatrix: got an unexpected"),
}


@pytest.mark.parametrize("case", CONSTRUCTIONS.values(), ids=CONSTRUCTIONS)
def test_bad_constructions(
    device: mps.MTLDevice, no_leaks: None, case: tuple[Callable[[Any, Any], object], type[mps.Error], str]
) -> None:
    construct, error, words = case
    buffer = device.make_buffer(length=100)
    refused(lambda: construct(device, buffer), error, words)


ARRAYS: dict[str, tuple[Any, type[mps.Error], str]] = {
    "list": ([[1.0]], Type, "^array: got a list, expected an ndarray$"),
    "float64": (np.zeros((1, 2)), Type, "^array: got elements of float64, expected one of float32, float16, int8, "),
    "complex": (np.zeros((1, 2), complex), Type, "^array: got elements of complex128, expected one of"),
    "big-endian": (np.zeros((1, 2), ">f4"), Type, "^array: got elements of float32 in foreign byte order, expected"),
    "4 axes": (np.zeros((1, 1, 1, 2), np.float32), Value, r"^array: got 4 axes, shape \(1, 1, 1, 2\), expected "),
    "no axes": (np.zeros((), np.float32), Value, r"^array: got 0 axes, shape \(\), expected "),
    "empty": (np.zeros((2, 0), np.float32), Value, r"^array: got shape \(2, 0\), expected at least 1 along every"),
}


@pytest.mark.parametrize("case", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("kind", [Matrix, Vector])
def test_bad_arrays(device: mps.MTLDevice, no_leaks: None, kind: Any, case: tuple[Any, type[mps.Error], str]) -> None:
    array, error, words = case
    refused(lambda: kind.from_numpy(device, array), error, words)


@pytest.mark.parametrize("kind", [Matrix, Vector])
def test_other_refusals(device: mps.MTLDevice, no_leaks: None, kind: Any) -> None:
    array = np.ones((1, 2), np.float32)
    refused(lambda: kind.from_numpy("gpu", array), Type, "^device: got 'gpu'")
    refused(lambda: kind.from_dlpack(device, [[1.0]]), Type, "^tensor: got a list, expected a tensor, which has __dlp")
    unseen = np.array([["a"]])
    refused(lambda: kind.from_dlpack(device, unseen), Value, "^tensor: got a ndarray that NumPy cannot see")
    made = kind.from_numpy(device, array)
    refused(lambda: made.to_numpy(copy=1), Type, r"^copy: got 1 \(int\), expected a bool$")
    refused(lambda: made.synchronize(None), Type, "^on_command_buffer: got None")
    command = device.make_command_queue().make_command_buffer()
    command.commit()
    command.wait_until_completed()
    refused(lambda: made.synchronize(command), Value, "^on_command_buffer: got one that is already committed")
    for attempt in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(made)
