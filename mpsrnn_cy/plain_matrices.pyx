"""The checks of an encode call of a matrix layer in the usual case: nothing is wrong, and nothing is temporary."""

cimport cython
from cpython.long cimport PyLong_AsSsize_t, PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Malloc

import numpy as np

from .errors import OutOfMemoryError

from .buffer cimport MTLBuffer
from .matrix cimport MPSMatrix
from .matrix_encoding cimport room_for_views
from .memory_ranges cimport ranges_overlap

__all__ = []


@cython.final
@cython.auto_pickle(False)
cdef class PlainMatrices:
    def __dealloc__(self):
        PyMem_Free(self.ranges)


cdef PlainMatrices _room(size_t count):
    cdef PlainMatrices made = PlainMatrices.__new__(PlainMatrices)
    made.views = room_for_views(count)
    # One more, for a state that is read besides.
    made.ranges = <MemoryRange *>PyMem_Malloc((count + 1) * sizeof(MemoryRange))
    if made.ranges == NULL:
        raise OutOfMemoryError(f"no memory for {count} matrices")
    return made


cdef list _as_list(values):
    """A list of what is in a list or a tuple, which nobody else changes; None for anything else."""
    return list(values) if isinstance(values, (list, tuple)) else None


cdef list _offsets(offsets, size_t count):
    """Offsets as a list; None if they cannot be."""
    if isinstance(offsets, np.ndarray):
        offsets = offsets.tolist()
    cdef list values = _as_list(offsets)
    return values if values is not None and <size_t>len(values) == count else None


cdef Py_ssize_t _offset(value, size_t element_size) except? -1:
    """An offset, or -1 if it is none."""
    cdef Py_ssize_t offset = -1
    if PyLong_CheckExact(value):
        try:
            offset = PyLong_AsSsize_t(value)
        except OverflowError:
            return -1
    return offset if offset >= 0 and <size_t>offset % element_size == 0 else -1


cdef MemoryRange _range(MTLBuffer buffer, size_t first, size_t size) noexcept:
    """Where something lies in a buffer, as `DeviceArray.storage_range` tells."""
    cdef MemoryRange found
    found.storage = 0 if buffer._contents != NULL else <size_t>buffer._h
    found.first = <size_t>buffer._contents + first
    found.end = found.first + size
    return found


cdef bint _moves_out(const native.mpsrnn_matrix *view, size_t size, MTLBuffer buffer, Py_ssize_t offset) noexcept:
    """Whether a matrix that lies in its buffer does not when it is moved."""
    cdef size_t room = <size_t>buffer._length - view.offset - size
    return <size_t>offset > room


cdef PlainMatrices _plain(matrices, offsets, MTLDevice device, native.uint32_t columns, NativeViews sources):
    cdef list given = _as_list(matrices), moves = None
    cdef PlainMatrices made
    cdef MPSMatrix matrix, last = None
    cdef native.mpsrnn_matrix view
    cdef MTLBuffer buffer
    cdef size_t index, count, size, element_size
    cdef Py_ssize_t offset = 0
    if not given or (sources is not None and <size_t>len(given) != sources.count):
        return None
    count = len(given)
    if offsets is not None:
        moves = _offsets(offsets, count)
        if moves is None:
            return None
    made = _room(count)
    for index in range(count):
        item = given[index]
        if type(item) is not MPSMatrix:
            return None
        matrix = item
        if matrix.device is not device:
            return None
        buffer = matrix._buffer
        view = matrix._view()
        if view.columns != columns or (index > 0 and view.data_type != made.views.items[0].data_type):
            return None
        if view.data_type not in (native.MPSRNN_FLOAT16, native.MPSRNN_FLOAT32):
            return None
        element_size = 2 if view.data_type == native.MPSRNN_FLOAT16 else 4
        if sources is not None:
            if view.rows < sources.items[index].rows:
                return None
            view.rows = sources.items[index].rows
        size = (view.rows - 1) * view.row_bytes + columns * element_size
        if moves is not None:
            offset = _offset(moves[index], element_size)
            if offset < 0 or _moves_out(&view, size, buffer, offset):
                return None
            view.offset += offset
        made.views.items[index] = view
        made.ranges[index] = _range(buffer, view.offset, size)
        if matrix is not last:
            made.views._kept.append(buffer)
            last = matrix
    return made


cdef PlainMatrices plain_sources(matrices, offsets, MTLDevice device, native.uint32_t columns):
    cdef PlainMatrices sources = _plain(matrices, offsets, device, columns, None)
    cdef size_t index
    if sources is None:
        return None
    for index in range(1, sources.views.count):
        if sources.views.items[index].rows > sources.views.items[index - 1].rows:
            return None
    return sources


cdef PlainMatrices plain_destinations(
    PlainMatrices sources, matrices, offsets, MTLDevice device, native.uint32_t columns
):
    return _plain(matrices, offsets, device, columns, sources.views)


cdef bint state_is_plain(state, MTLDevice device, tuple layers, native.uint32_t rows):
    cdef MPSRNNRecurrentMatrixState given
    if state is None:
        return True
    if type(state) is not MPSRNNRecurrentMatrixState:
        return False
    given = state
    return (
        given._read_count is None
        and given.device is device
        and given.rows >= rows
        and (given._layers is layers or given._layers == layers)
    )


cdef bint share_memory(PlainMatrices sources, PlainMatrices destinations, MPSRNNRecurrentMatrixState state):
    cdef size_t count = sources.views.count
    if state is not None:
        sources.ranges[count] = _range(state._buffer, 0, state._buffer._length)
        count += 1
    return ranges_overlap(sources.ranges, count, destinations.ranges, destinations.views.count)
