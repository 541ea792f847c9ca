"""Arrays as sequences of matrices, without an object for every time step."""

from itertools import pairwise

cimport cython
cimport numpy as cnp

import numpy as np

from .arguments import described
from .enums import MTLStorageMode
from .errors import BadArgumentError, BadTypeError

from .buffer cimport create_buffer, lend_buffer
from .matrix_encoding cimport room_for_views

__all__ = []

cnp.import_array()

_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))

# NumPy's number of float16.
cdef int HALF = np.dtype(np.float16).num

cdef enum:
    # What the device wants of memory that it shall use where it lies: see `MTLDevice.make_buffer`.
    LENT_ALIGNMENT = 16


@cython.final
@cython.auto_pickle(False)
cdef class ArraySteps:
    cdef MTLBuffer source(self, MTLDevice device):
        cdef cnp.ndarray array
        cdef MTLBuffer buffer
        if self._rows is None:
            array = self._x
            if cnp.PyArray_IS_C_CONTIGUOUS(array) and <size_t>cnp.PyArray_DATA(array) % LENT_ALIGNMENT == 0:
                buffer = lend_buffer(device, cnp.PyArray_DATA(array), cnp.PyArray_NBYTES(array))
                if buffer is not None:
                    return buffer
        buffer = self.destination(device, self._channels)
        if self._rows is None:
            np.copyto(self.arrays(buffer, self._channels), self._x)
        else:
            np.concatenate(self._x, out=_elements(self, buffer, self._channels))
        return buffer

    cdef MTLBuffer destination(self, MTLDevice device, size_t columns):
        return create_buffer(device, self._total_rows * columns * self._element_size, MTLStorageMode.SHARED)

    cdef NativeViews views(self, MTLBuffer buffer, native.uint32_t columns):
        cdef NativeViews views = room_for_views(self.count)
        cdef native.mpsrnn_matrix view
        cdef size_t index
        view.buffer = buffer._h
        view.offset = 0
        view.row_bytes = columns * self._element_size
        view.rows = self.first_rows
        view.columns = columns
        view.data_type = self._data_type
        for index in range(self.count):
            if self._rows is not None:
                view.rows = self._rows[index]
            views.items[index] = view
            view.offset += view.rows * view.row_bytes
        views._kept.append(buffer)
        return views

    cdef arrays(self, MTLBuffer buffer, size_t columns):
        cdef cnp.npy_intp shape[3]
        cdef size_t first = 0, rows
        if self._rows is None:
            shape[0] = self.count
            shape[1] = self.first_rows
            if cnp.PyArray_NDIM(self._x) == 2:
                shape[1] = columns
            shape[2] = columns
            return _over(buffer, cnp.PyArray_NDIM(self._x), shape, self._type_number)
        elements = _elements(self, buffer, columns)
        arrays = []
        for rows in self._rows:
            arrays.append(elements[first : first + rows])
            first += rows
        return arrays


cdef cnp.ndarray _elements(ArraySteps steps, MTLBuffer buffer, size_t columns):
    """All rows."""
    cdef cnp.npy_intp shape[2]
    shape[0] = steps._total_rows
    shape[1] = columns
    return _over(buffer, 2, shape, steps._type_number)


cdef cnp.ndarray _over(MTLBuffer buffer, int rank, cnp.npy_intp *shape, int type_number):
    """The memory of a buffer, which it keeps alive, as an array."""
    cdef cnp.ndarray array = cnp.PyArray_SimpleNewFromData(rank, shape, type_number, buffer._contents)
    cnp.set_array_base(array, buffer)
    return array


cdef ArraySteps array_steps(x, str name, native.uint32_t channels):
    cdef ArraySteps steps = ArraySteps.__new__(ArraySteps)
    cdef bint is_list = isinstance(x, (list, tuple))
    cdef cnp.ndarray first
    if is_list:
        steps._x = [_checked(array, f"{name}[{index}]", 2, 2, channels) for index, array in enumerate(x)]
        steps._rows = _decreasing_rows(steps._x, name)
        steps._total_rows = sum(steps._rows)
        first = steps._x[0]
        steps.first_rows = cnp.PyArray_DIM(first, 0)
    else:
        first = steps._x = _checked(x, name, 2, 3, channels)
        steps.first_rows = cnp.PyArray_DIM(first, 1) if cnp.PyArray_NDIM(first) == 3 else 1
        steps._total_rows = cnp.PyArray_DIM(first, 0) * steps.first_rows
    steps.count = len(steps._x)
    steps._channels = channels
    steps._type_number = cnp.PyArray_TYPE(first)
    steps._element_size = cnp.PyArray_ITEMSIZE(first)
    steps._data_type = native.MPSRNN_FLOAT16 if steps._type_number == HALF else native.MPSRNN_FLOAT32
    return steps


cdef bint _is_plain(array, int least_rank, int most_rank, Py_ssize_t channels):
    """Whether there is nothing wrong with one array, as there almost never is."""
    cdef int axis, rank
    if not isinstance(array, np.ndarray):
        return False
    rank = cnp.PyArray_NDIM(array)
    if not least_rank <= rank <= most_rank or cnp.PyArray_DIM(array, rank - 1) != channels:
        return False
    for axis in range(rank):
        if cnp.PyArray_DIM(array, axis) == 0:
            return False
    return cnp.PyArray_TYPE(array) in (HALF, cnp.NPY_FLOAT) and cnp.PyArray_ISNOTSWAPPED(array)


cdef _checked(array, name, int least_rank, int most_rank, channels):
    """Check one array: its axes, its element type, and its last axis."""
    if _is_plain(array, least_rank, most_rank, channels):
        return array
    if not isinstance(array, np.ndarray):
        expected = "an ndarray" if least_rank == most_rank else "an ndarray or a list of them"
        raise BadTypeError(f"{name}: got a {type(array).__name__}, expected {expected}")
    if not least_rank <= array.ndim <= most_rank:
        expected = " or ".join(str(rank) for rank in range(least_rank, most_rank + 1))
        raise BadArgumentError(f"{name}: got {array.ndim} axes, shape {array.shape}, expected {expected} axes")
    if array.dtype not in _DTYPES or not array.dtype.isnative:
        raise BadTypeError(f"{name}: got elements of {described(array.dtype)}, expected float32 or float16")
    if 0 in array.shape:
        raise BadArgumentError(f"{name}: got shape {array.shape}, expected at least 1 along every axis")
    raise BadArgumentError(f"{name}: got {array.shape[-1]} channels, expected {channels}")


cdef list _decreasing_rows(list arrays, name):
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
