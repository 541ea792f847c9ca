"""Arrays as sequences of matrices: all time steps in one buffer, and one matrix that is moved along it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .arguments import described
from .device import MTLDevice
from .errors import BadArgumentError, BadTypeError
from .matrix import MPSMatrix
from .matrix_checks import View
from .matrix_descriptor import MPSMatrixDescriptor, data_type_of

__all__ = ["ArraySequence"]

_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))


class ArraySequence:
    """What `predict` is given, as one matrix that has the rows of all time steps below each other.

    Parameters
    ----------
    x
        ``(T, C)``, ``(T, N, C)``, or a list of T arrays ``(N_t, C)`` none of which has more rows than the one before.
    name
        What the caller knows `x` by.
    channels
        C, the input channels of the layer.
    """

    def __init__(self, x: object, name: str, channels: int) -> None:
        self._x: npt.NDArray[Any] | Sequence[npt.NDArray[Any]]
        if isinstance(x, (list, tuple)):
            self._x = [_checked(array, f"{name}[{index}]", (2,), channels) for index, array in enumerate(x)]
            self.rows = _decreasing_rows(self._x, name)
            self._data_type = data_type_of(self._x[0].dtype, name)
        else:
            self._x = _checked(x, name, (2, 3), channels)
            self.rows = [self._x.shape[1] if self._x.ndim == 3 else 1] * len(self._x)
            self._data_type = data_type_of(self._x.dtype, name)
        self._channels = channels

    def source(self, device: MTLDevice) -> MPSMatrix:
        """Copy the arrays into a new matrix."""
        matrix = self.destination(device, self._channels)
        if isinstance(self._x, np.ndarray):
            matrix.to_numpy(copy=False).reshape(self._x.shape)[...] = self._x
        else:
            np.concatenate(self._x, out=matrix.to_numpy(copy=False))
        return matrix

    def destination(self, device: MTLDevice, channels: int) -> MPSMatrix:
        """Make a matrix for as many rows, of the same element type, with other columns."""
        row_bytes = channels * self._data_type.element_size
        return MPSMatrix(device, MPSMatrixDescriptor(sum(self.rows), channels, row_bytes, self._data_type))

    def views(self, matrix: MPSMatrix) -> list[View]:
        """See the time steps of such a matrix."""
        row_bytes, columns = matrix.row_bytes, matrix.columns
        ends = accumulate(self.rows)
        return [
            View(matrix, (end - rows) * row_bytes, rows, columns) for end, rows in zip(ends, self.rows, strict=True)
        ]

    def arrays(self, matrix: MPSMatrix) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
        """See such a matrix, without a copy, in the form that was given."""
        elements = matrix.to_numpy(copy=False)
        if isinstance(self._x, np.ndarray):
            return elements.reshape(*self._x.shape[:-1], matrix.columns)
        return np.split(elements, list(accumulate(self.rows[:-1])))


def _checked(array: object, name: str, ranks: tuple[int, ...], channels: int) -> npt.NDArray[Any]:
    """Check one array: its axes, its element type, and its last axis."""
    if not isinstance(array, np.ndarray):
        expected = "an ndarray" if len(ranks) == 1 else "an ndarray or a list of them"
        raise BadTypeError(f"{name}: got a {type(array).__name__}, expected {expected}")
    if array.ndim not in ranks:
        expected = " or ".join(str(rank) for rank in ranks)
        raise BadArgumentError(f"{name}: got {array.ndim} axes, shape {array.shape}, expected {expected} axes")
    if array.dtype not in _DTYPES or not array.dtype.isnative:
        raise BadTypeError(f"{name}: got elements of {described(array.dtype)}, expected float32 or float16")
    if 0 in array.shape:
        raise BadArgumentError(f"{name}: got shape {array.shape}, expected at least 1 along every axis")
    if array.shape[-1] != channels:
        raise BadArgumentError(f"{name}: got {array.shape[-1]} channels, expected {channels}")
    return array


def _decreasing_rows(arrays: Sequence[npt.NDArray[Any]], name: str) -> list[int]:
    """Check a list of arrays against each other; return the rows of each."""
    if not arrays:
        raise BadArgumentError(f"{name}: got an empty list, expected at least one array")
    for index, (above, below) in enumerate(pairwise(arrays), start=1):
        if below.dtype != above.dtype:
            raise BadTypeError(f"{name}[{index}]: got elements of {below.dtype}, expected {above.dtype}, as the first")
        if len(below) > len(above):
            raise BadArgumentError(
                f"{name}[{index}]: got {len(below)} rows, expected at most {len(above)}, as in the time step before: "
                "sequences are sorted, the longest first"
            )
    return [len(array) for array in arrays]
