"""What matrices and vectors look like, before they exist: sizes, element types, and where elements lie in a buffer."""

from __future__ import annotations

import warnings
from functools import partial
from typing import NamedTuple, TypeVar, overload

import numpy as np
import numpy.typing as npt

from .arguments import described, enum_member, integer
from .enums import MPSDataType
from .errors import BadArgumentError, BadTypeError
from .properties import Property, PropertyHolder

__all__ = [
    "DATA_DTYPES",
    "Layout",
    "MPSMatrixDescriptor",
    "MPSVectorDescriptor",
    "data_type_of",
]

_MatrixDescriptorT = TypeVar("_MatrixDescriptorT", bound="MPSMatrixDescriptor")
_VectorDescriptorT = TypeVar("_VectorDescriptorT", bound="MPSVectorDescriptor")

DATA_DTYPES: dict[MPSDataType, np.dtype[np.generic]] = {
    MPSDataType.FLOAT32: np.dtype(np.float32),
    MPSDataType.FLOAT16: np.dtype(np.float16),
    MPSDataType.INT8: np.dtype(np.int8),
    MPSDataType.INT16: np.dtype(np.int16),
    MPSDataType.INT32: np.dtype(np.int32),
    MPSDataType.INT64: np.dtype(np.int64),
    MPSDataType.UINT8: np.dtype(np.uint8),
    MPSDataType.UINT16: np.dtype(np.uint16),
    MPSDataType.UINT32: np.dtype(np.uint32),
    MPSDataType.UINT64: np.dtype(np.uint64),
    MPSDataType.BOOL: np.dtype(np.bool_),
    MPSDataType.UNORM8: np.dtype(np.uint8),
}
"""The element types of matrices and vectors, and as what NumPy sees them."""

# Where the recommended stride ends: for floats in bytes, for all others in elements.
_FLOAT_ALIGNMENT = 16
_INTEGER_ALIGNMENT = 4

# Bytes; buffers are checked against the device's limit when they are made.
_BYTES_MAXIMUM = 2**63 - 1


class Layout(NamedTuple):
    """Where the elements of a batch of matrices or vectors lie, counted from its offset in the buffer."""

    data_type: MPSDataType
    shape: tuple[int, ...]
    """The batch first, the contiguous axis last."""
    strides: tuple[int, ...]
    """Bytes from one element to the next along every axis."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """As what NumPy sees an element."""
        return DATA_DTYPES[self.data_type]

    @property
    def length(self) -> int:
        """Bytes up to the end of the last element; padding after it need not be there."""
        steps = zip(self.shape, self.strides, strict=True)
        return sum((count - 1) * stride for count, stride in steps) + self.dtype.itemsize

    def check(self, names: tuple[str, ...]) -> Layout:
        """Check that elements do not overlap and strides are even; `names` are those of the settable strides."""
        for axis, name in reversed(list(enumerate(names))):
            unit = self.strides[axis + 1]
            needed = self.shape[axis + 1] * unit
            if self.strides[axis] < needed or self.strides[axis] % unit != 0:
                raise BadArgumentError(
                    f"{name}: got {self.strides[axis]}, expected at least {needed} and a multiple of {unit}"
                )
        return self


def data_type_of(dtype: npt.DTypeLike, name: str) -> MPSDataType:
    """The element type that NumPy calls `dtype`."""
    found = np.dtype(dtype)
    for data_type, known in DATA_DTYPES.items():
        if found == known and found.isnative:
            return data_type
    expected = ", ".join(dict.fromkeys(str(known) for known in DATA_DTYPES.values()))
    raise BadTypeError(f"{name}: got elements of {described(found)}, expected one of {expected}")


def _data_type(value: object, name: str) -> MPSDataType:
    """Check an element type that takes whole bytes."""
    data_type = enum_member(value, name, MPSDataType)
    if data_type not in DATA_DTYPES:
        expected = ", ".join(known.name for known in DATA_DTYPES)
        raise BadArgumentError(f"{name}: got {data_type.name}, expected one of {expected}")
    return data_type


_positive = partial(integer, minimum=1)
_byte_count = partial(integer, minimum=1, maximum=_BYTES_MAXIMUM)


def _recommended_stride(count: int, data_type: MPSDataType) -> int:
    size = data_type.element_size
    if count <= 1:
        return count * size
    if data_type & MPSDataType.FLOAT_BIT:
        return -(-count * size // _FLOAT_ALIGNMENT) * _FLOAT_ALIGNMENT
    return -(-count // _INTEGER_ALIGNMENT) * _INTEGER_ALIGNMENT * size


class _RowBytes(Property[int]):
    """The stride of one descriptor, and on the class what stride Apple recommends: Swift has two things of one name."""

    def __call__(self, for_columns: int, data_type: MPSDataType = MPSDataType.FLOAT32) -> int:
        """Recommend bytes from one row to the next: 16-byte steps for floats, steps of four elements for integers.

        It is what Apple's own function recommends. A single column is not padded.

        Parameters
        ----------
        for_columns
            Elements of a row; 0 needs 0 bytes.
        data_type
            The element type.
        """
        columns = integer(for_columns, "for_columns")
        return _recommended_stride(columns, _data_type(data_type, "data_type"))


class _VectorBytes:
    """Like `_RowBytes`, for vectors; without `__set__`, for Apple does not let it be set."""

    @overload
    def __get__(self, instance: None, owner: type[MPSVectorDescriptor]) -> _VectorBytes: ...

    @overload
    def __get__(self, instance: MPSVectorDescriptor, owner: type[MPSVectorDescriptor]) -> int: ...

    def __get__(self, instance: MPSVectorDescriptor | None, owner: type[MPSVectorDescriptor]) -> _VectorBytes | int:
        if instance is None:
            return self
        recommended = _recommended_stride(instance.length, instance.data_type)
        return int(instance._values.get("vector_bytes", recommended))

    def __call__(self, for_length: int, data_type: MPSDataType = MPSDataType.FLOAT32) -> int:
        """Recommend bytes from one vector to the next, by the rule of `MPSMatrixDescriptor.row_bytes`."""
        length = integer(for_length, "for_length")
        return _recommended_stride(length, _data_type(data_type, "data_type"))


class MPSMatrixDescriptor(PropertyHolder):
    """Size, element type and strides of a matrix, or of a batch of matrices in one buffer.

    On the class, ``MPSMatrixDescriptor.row_bytes(for_columns=5, data_type=MPSDataType.FLOAT32)`` recommends a stride.

    Parameters
    ----------
    rows, columns
        At least 1.
    row_bytes
        Bytes from one row to the next, a multiple of an element's; the recommended stride if omitted, which Apple
        wants to be told.
    data_type
        The element type.
    matrices
        Matrices of the batch.
    matrix_bytes
        Bytes from one matrix to the next, a multiple of `row_bytes`; without a gap if omitted.
    dimensions
        Deprecated, as Apple's: another name for `rows`.

    Notes
    -----
    Properties can be set one by one; how they fit together is checked when a matrix is made.
    """

    __slots__ = ()

    rows = Property(_positive, 1, "Rows of a matrix.")
    columns = Property(_positive, 1, "Elements of a row.")
    row_bytes = _RowBytes(_byte_count, 4, "Bytes from one row to the next.")
    data_type = Property(_data_type, MPSDataType.FLOAT32, "The element type.")

    def __init__(
        self,
        rows: int | None = None,
        columns: int | None = None,
        row_bytes: int | None = None,
        data_type: MPSDataType = MPSDataType.FLOAT32,
        *,
        matrices: int = 1,
        matrix_bytes: int | None = None,
        dimensions: int | None = None,
    ) -> None:
        if dimensions is not None:
            if rows is not None:
                raise BadArgumentError(f"dimensions: got {dimensions!r} besides rows, expected one of them")
            warnings.warn("dimensions is deprecated, use rows", DeprecationWarning, stacklevel=2)
            rows = dimensions
        # Checked when they are set, None too.
        self.rows = rows  # type: ignore[assignment]
        self.columns = columns  # type: ignore[assignment]
        self.data_type = data_type
        self.row_bytes = _recommended_stride(self.columns, self.data_type) if row_bytes is None else row_bytes
        self._values["matrices"] = _positive(matrices, "matrices")
        if matrix_bytes is not None:
            self._values["matrix_bytes"] = _byte_count(matrix_bytes, "matrix_bytes")

    @property
    def matrices(self) -> int:
        """Matrices of the batch."""
        return int(self._values["matrices"])

    @property
    def matrix_bytes(self) -> int:
        """Bytes from one matrix to the next."""
        return int(self._values.get("matrix_bytes", self.rows * self.row_bytes))

    def layout(self) -> Layout:
        """Check how the properties fit together, and put them into the form that matrices use. Ours, not Apple's."""
        shape = (self.matrices, self.rows, self.columns)
        strides = (self.matrix_bytes, self.row_bytes, self.data_type.element_size)
        return Layout(self.data_type, shape, strides).check(("matrix_bytes", "row_bytes"))

    def copy(self: _MatrixDescriptorT) -> _MatrixDescriptorT:
        """Make an independent copy."""
        return self.__copy__()


class MPSVectorDescriptor(PropertyHolder):
    """Length, element type and stride of a vector, or of a batch of vectors in one buffer.

    On the class, ``MPSVectorDescriptor.vector_bytes(for_length=5, data_type=MPSDataType.FLOAT32)`` recommends a stride.

    Parameters
    ----------
    length
        Elements, at least 1.
    data_type
        The element type.
    vectors
        Vectors of the batch.
    vector_bytes
        Bytes from one vector to the next, a multiple of an element's; the recommended stride if omitted.
    """

    __slots__ = ()

    length = Property(_positive, 1, "Elements of a vector.")
    data_type = Property(_data_type, MPSDataType.FLOAT32, "The element type.")
    vector_bytes = _VectorBytes()

    def __init__(
        self,
        length: int,
        data_type: MPSDataType = MPSDataType.FLOAT32,
        *,
        vectors: int = 1,
        vector_bytes: int | None = None,
    ) -> None:
        self.length = length
        self.data_type = data_type
        self._values["vectors"] = _positive(vectors, "vectors")
        if vector_bytes is not None:
            self._values["vector_bytes"] = _byte_count(vector_bytes, "vector_bytes")

    @property
    def vectors(self) -> int:
        """Vectors of the batch."""
        return int(self._values["vectors"])

    def layout(self) -> Layout:
        """Check how the properties fit together, and put them into the form that vectors use. Ours, not Apple's."""
        strides = (self.vector_bytes, self.data_type.element_size)
        return Layout(self.data_type, (self.vectors, self.length), strides).check(("vector_bytes",))

    def copy(self: _VectorDescriptorT) -> _VectorDescriptorT:
        """Make an independent copy."""
        return self.__copy__()
