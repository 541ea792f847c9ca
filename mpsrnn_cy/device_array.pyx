"""What matrices and vectors have in common: elements in a buffer, and their way from and to NumPy."""

cimport cython
from cpython.buffer cimport PyObject_GetBuffer
from cpython.ref cimport Py_DECREF

import numpy as np

from .arguments import boolean, instance_of, integer
from .command_checks import check_command_buffer
from .enums import MTLStorageMode
from .errors import BadArgumentError, BadTypeError, LifetimeError
from .matrix_descriptor import Layout, data_type_of
from .temporary import ReadCount

from .buffer cimport create_buffer, create_buffer_over

__all__ = ["DeviceArray"]


@cython.auto_pickle(False)
cdef class DeviceArray:
    """Elements of a buffer, seen as a batch of matrices or of vectors.

    Shared storage has the buffer protocol and DLPack's: NumPy, PyTorch and others see it without a copy, and what they
    hold keeps the buffer alive. What kernels have written is there once their command buffer has completed.

    Attributes
    ----------
    device : MTLDevice
        Where the elements live.
    offset : int
        Bytes of the buffer before the first element.
    """

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        array = _as_array(self)
        # The array is the exporter. Cython has put a reference to None there, which the call overwrites.
        Py_DECREF(None)
        PyObject_GetBuffer(array, buffer, flags)

    def __array__(self, dtype=None, copy=None):
        array = _as_array(self)
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise BadArgumentError(f"copy: got False for elements of {array.dtype}, expected another dtype's copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **options):
        """Hand the elements to another library, as its `from_dlpack` asks for them."""
        return _as_array(self).__dlpack__(**options)

    def __dlpack_device__(self):
        """Tell DLPack that the CPU reaches the elements."""
        return _as_array(self).__dlpack_device__()

    @property
    def data_type(self):
        """The element type, an `MPSDataType`."""
        return self._layout.data_type

    @property
    def data(self):
        """The `MTLBuffer` of the elements.

        Raises
        ------
        LifetimeError
            If the last read of a temporary has been encoded.
        """
        return self._storage()

    @property
    def storage_range(self):
        """Which memory the elements are in: its number, first byte and end. Ours, not Apple's.

        Two ranges that overlap, with one number, share memory; buffers over the caller's memory included.
        """
        cdef MTLBuffer buffer = self._storage()
        # Memory that the CPU reaches has one address wherever it comes from; other memory only its handle.
        number = 0 if buffer._contents != NULL else <size_t>buffer._h
        first = <size_t>buffer._contents + self.offset
        return number, first, first + self._layout.length

    def synchronize(self, on):
        """Encode that the CPU will read what kernels have written. Devices here share its memory: nothing to do.

        Parameters
        ----------
        on : MTLCommandBuffer
            Not yet committed.

        Raises
        ------
        LifetimeError
            If the object is temporary: the CPU cannot reach it.
        """
        check_command_buffer(on, self.device, "on")
        if self._read_count is not None:
            raise LifetimeError(f"{type(self).__name__}: a temporary object cannot be synchronised, expected another")

    def resource_size(self):
        """Bytes of the buffer, whatever part of it belongs to this object."""
        return self._storage().length

    def to_numpy(self, copy=True):
        """Read the elements. Ours, not Apple's. Work that writes them must have completed.

        Parameters
        ----------
        copy : bool
            False gives a view: what is written through it or by kernels appears on the other side. It keeps the
            buffer alive.

        Returns
        -------
        ndarray
            ``(rows, columns)`` or ``(length,)``; with an axis in front if there is more than one matrix or vector.

        Raises
        ------
        BadArgumentError
            If the storage is private.
        """
        array = _as_array(self)
        return array.copy() if boolean(copy, "copy") else array

    cdef MTLBuffer _storage(self):
        buffer = self._buffer if self._read_count is None else self._read_count.storage
        if buffer is None:
            raise LifetimeError(f"{type(self).__name__}: its last read has been encoded, its storage is gone")
        return buffer

    cdef _fill(self, layout, MTLDevice device, MTLBuffer buffer, size_t offset):
        """Become a view of a buffer; all arguments have been checked."""
        self.device = device
        self.offset = offset
        self._layout = layout
        self._buffer = buffer
        return self


cdef fill_over_buffer(DeviceArray array, layout, device, buffer, offset):
    """Make `array` a view of a caller's buffer."""
    if device is not None:
        raise BadArgumentError("device: got a device and a buffer, expected one of them")
    memory = instance_of(buffer, "buffer", MTLBuffer)
    first = 0 if offset is None else integer(offset, "offset", maximum=memory.length)
    size = layout.dtype.itemsize
    if first % size != 0:
        raise BadArgumentError(f"offset: got {first}, expected a multiple of {size}")
    if first + layout.length > memory.length:
        raise BadArgumentError(
            f"buffer: got {memory.length} bytes, expected at least {first + layout.length} for shape {layout.shape}, "
            f"strides {layout.strides} and the offset {first}"
        )
    array._fill(layout, memory.device, memory, first)


cdef fill_on_device(DeviceArray array, layout, device, offset):
    """Make `array` a view of a new buffer of shared memory."""
    if offset is not None:
        raise BadArgumentError(f"offset: got {offset!r} without a buffer, expected a buffer with it")
    owner = instance_of(device, "device", MTLDevice)
    array._fill(layout, owner, _new_buffer(owner, layout, MTLStorageMode.SHARED), 0)


cdef fill_temporary(DeviceArray array, layout, command_buffer):
    """Make `array` a temporary of a command buffer, in private memory that goes with its last read."""
    command = check_command_buffer(command_buffer, None)
    buffer = _new_buffer(command.device, layout, MTLStorageMode.PRIVATE)
    array._fill(layout, command.device, None, 0)
    array._read_count = ReadCount(command, type(array).__name__, buffer)


cdef fill_over_array(DeviceArray array, device, elements, steps):
    owner = instance_of(device, "device", MTLDevice)
    if not elements.flags.writeable:
        raise BadArgumentError("array: got read-only memory to share, expected writable memory, or copy=True")
    size = elements.itemsize
    strides = [size]
    # The stride of an axis with one element says nothing: what it would be without a gap is as good.
    for axis in range(elements.ndim - 1, 0, -1):
        packed = strides[0] * elements.shape[axis]
        strides.insert(0, elements.strides[axis - 1] if elements.shape[axis - 1] > 1 else packed)
    if elements.shape[-1] > 1 and elements.strides[-1] != size:
        raise BadArgumentError(
            f"array: got {elements.strides[-1]} bytes from one element to the next to share, expected {size}, "
            "or copy=True"
        )
    layout = Layout(data_type_of(elements.dtype, "array"), elements.shape, tuple(strides)).check(steps)
    # The export keeps an array that owns its memory from being resized.
    buffer = create_buffer_over(owner, elements.ctypes.data, layout.length, memoryview(elements), "array")
    array._fill(layout, owner, buffer, 0)


cdef MTLBuffer _new_buffer(MTLDevice device, layout, storage_mode):
    limit = device.max_buffer_length
    if layout.length > limit:
        raise BadArgumentError(
            f"descriptor: got {layout.length} bytes, expected at most {limit}, the longest buffer of the device"
        )
    return create_buffer(device, layout.length, storage_mode)


cdef elements_of(array, name, rank):
    if not isinstance(array, np.ndarray):
        raise BadTypeError(f"{name}: got a {type(array).__name__}, expected an ndarray")
    if array.ndim not in (rank, rank + 1):
        raise BadArgumentError(
            f"{name}: got {array.ndim} axes, shape {array.shape}, expected {rank} axes or {rank + 1} axes"
        )
    data_type_of(array.dtype, name)
    if 0 in array.shape:
        raise BadArgumentError(f"{name}: got shape {array.shape}, expected at least 1 along every axis")
    return array[np.newaxis] if array.ndim == rank else array


cdef tensor_array(tensor, name):
    if not hasattr(tensor, "__dlpack__"):
        raise BadTypeError(f"{name}: got a {type(tensor).__name__}, expected a tensor, which has __dlpack__")
    try:
        return np.from_dlpack(tensor)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise BadArgumentError(
            f"{name}: got a {type(tensor).__name__} that NumPy cannot see ({error}), expected one in CPU memory"
        ) from error


cdef whole_batch(DeviceArray array):
    cdef MTLBuffer buffer = array._storage()
    if buffer._contents == NULL:
        raise BadArgumentError(f"{type(array).__name__}: got private storage, expected storage that the CPU can reach")
    layout = array._layout
    return np.ndarray(layout.shape, layout.dtype, buffer, array.offset, layout.strides)


cdef _as_array(DeviceArray array):
    """The elements without an axis for a batch of one."""
    batch = whole_batch(array)
    return batch[0] if len(batch) == 1 else batch
