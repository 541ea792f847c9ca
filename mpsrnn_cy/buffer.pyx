"""Buffers: plain memory of a device, which matrices and vectors are views of."""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES
from cpython.ref cimport Py_DECREF, Py_INCREF

import numpy as np

from .arguments import integer
from .arguments import label as checked_label
from .enums import MTLStorageMode
from .errors import BadArgumentError, BadTypeError
from .texture_descriptor import storage_mode_of

from .device cimport api, check

__all__ = ["MTLBuffer", "make_buffer"]

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030D0000
    #define mcy_is_finalizing Py_IsFinalizing
    #else
    #define mcy_is_finalizing _Py_IsFinalizing
    #endif
    """
    bint mcy_is_finalizing() nogil

cdef object _key = object()


@cython.final
@cython.auto_pickle(False)
cdef class MTLBuffer:
    """Memory of a device. Made by `MTLDevice.make_buffer`.

    Shared memory has the buffer protocol: ``np.frombuffer(buffer, np.float32)`` sees it without a copy and keeps it
    alive. What kernels have written is there once their command buffer has completed.

    Attributes
    ----------
    device : MTLDevice
        Where the memory lives.
    """

    def __cinit__(self, key=None):
        self._h = NULL
        if key is not _key:
            raise BadTypeError("MTLBuffer: cannot be constructed, expected MTLDevice.make_buffer()")

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    def __repr__(self):
        name = "" if self._label is None else f" {self._label!r}"
        return f"<MTLBuffer{name} {self.length} bytes, {self.storage_mode.name}>"

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self._contents == NULL:
            raise BadArgumentError("buffer: got one of private storage, expected one that the CPU can reach")
        buffer.obj = self
        buffer.buf = self._contents
        buffer.len = self._length
        buffer.readonly = 0
        buffer.itemsize = 1
        buffer.format = NULL
        if flags & PyBUF_FORMAT:
            buffer.format = b"B"
        buffer.ndim = 1
        buffer.shape = &self._length if flags & PyBUF_ND else NULL
        buffer.strides = &self._stride if (flags & PyBUF_STRIDES) == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL

    @property
    def label(self):
        """A name for people, or None."""
        return self._label

    @label.setter
    def label(self, value):
        self._label = checked_label(value)

    @property
    def length(self):
        """Bytes."""
        return self._length

    @property
    def allocated_size(self):
        """Bytes of memory behind it."""
        return self._length

    @property
    def storage_mode(self):
        """SHARED, or PRIVATE: out of the CPU's reach."""
        return self._storage_mode

    def contents(self):
        """The memory itself, as a writable memoryview of bytes that keeps the buffer alive.

        Raises
        ------
        BadArgumentError
            If the storage is private.
        """
        return memoryview(self)


cdef MTLBuffer create_buffer(MTLDevice device, size_t length, storage_mode):
    """Make a buffer of zeroed memory from arguments that have been checked."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_buffer handle = NULL
    cdef native.uint32_t mode = storage_mode
    with nogil:
        status = api.buffer_create(device._h, length, mode, &handle, &error)
    check(status, &error)
    return _wrap_buffer(handle, device, storage_mode)


cdef MTLBuffer _wrap_buffer(native.mpsrnn_buffer handle, MTLDevice device, storage_mode):
    """The buffer over a handle, of which it takes the reference."""
    cdef MTLBuffer buffer = MTLBuffer.__new__(MTLBuffer, _key)
    buffer._h = handle
    buffer.device = device
    buffer._storage_mode = storage_mode
    buffer._contents = api.buffer_contents(handle)
    buffer._length = api.buffer_length(handle)
    buffer._stride = 1
    return buffer


cdef MTLBuffer create_buffer_over(MTLDevice device, size_t address, size_t length, owner, name):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_buffer handle = NULL
    # Given back by _return_memory, which is called once for every buffer that could be made.
    Py_INCREF(owner)
    with nogil:
        status = api.buffer_create_no_copy(
            device._h, <void *>address, length, _return_memory, <void *>owner, &handle, &error
        )
    if status != native.MPSRNN_STATUS_OK:
        Py_DECREF(owner)
    if status == native.MPSRNN_STATUS_BAD_ARGUMENT:
        raise BadArgumentError(f"{name}: {error.message.decode('utf-8', 'replace')}")
    check(status, &error)
    return _wrap_buffer(handle, device, MTLStorageMode.SHARED)


cdef MTLBuffer lend_buffer(MTLDevice device, void *bytes, size_t length):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_buffer handle = NULL
    with nogil:
        status = api.buffer_create_no_copy(device._h, bytes, length, NULL, NULL, &handle, &error)
    if status == native.MPSRNN_STATUS_BAD_ARGUMENT:
        return None
    check(status, &error)
    return _wrap_buffer(handle, device, MTLStorageMode.SHARED)


cdef void _return_memory(void *owner) noexcept nogil:
    """Let the owner of memory go that no kernel will use any more; on any thread."""
    # An interpreter that is shutting down has no lock to give, and frees nothing any more.
    if not mcy_is_finalizing():
        with gil:
            Py_DECREF(<object>owner)


def make_buffer(MTLDevice device, length, bytes, bytes_no_copy, options):
    """Make a buffer as `MTLDevice.make_buffer` does."""
    mode = storage_mode_of(options, "options")
    if bytes_no_copy is not None:
        return _buffer_over(device, length, bytes, bytes_no_copy, mode)
    if bytes is None:
        if length is None:
            raise BadArgumentError("length: got None, expected the length of the buffer, or bytes to fill it from")
        return create_buffer(device, _checked_length(device, length), mode)
    source = _flat(bytes, "bytes")
    size = _checked_length(device, source.nbytes if length is None else length)
    if size > source.nbytes:
        raise BadArgumentError(f"length: got {size}, expected at most the {source.nbytes} of bytes")
    if mode == MTLStorageMode.PRIVATE:
        raise BadArgumentError("options: got PRIVATE with bytes, which the CPU could not write there, expected SHARED")
    buffer = create_buffer(device, size, mode)
    np.frombuffer(buffer, np.uint8)[...] = source[:size]
    return buffer


def _buffer_over(device, length, bytes, memory, mode):
    """A buffer in the caller's memory."""
    if bytes is not None:
        raise BadArgumentError("bytes_no_copy: got it besides bytes, expected one of them")
    if mode == MTLStorageMode.PRIVATE:
        raise BadArgumentError("options: got PRIVATE with bytes_no_copy, which the CPU can reach, expected SHARED")
    flat = _flat(memory, "bytes_no_copy")
    if not flat.flags.writeable:
        raise BadArgumentError("bytes_no_copy: got read-only memory, expected writable memory")
    size = _checked_length(device, flat.nbytes if length is None else length)
    if size > flat.nbytes:
        raise BadArgumentError(f"length: got {size}, expected at most the {flat.nbytes} of bytes_no_copy")
    # The export, and not only a reference: it keeps what can be resized from doing so.
    return create_buffer_over(device, flat.ctypes.data, size, memoryview(flat), "bytes_no_copy")


def _checked_length(device, length):
    return integer(length, "length", minimum=1, maximum=device.max_buffer_length)


def _flat(value, name):
    """See contiguous memory of any element type as bytes."""
    try:
        memory = memoryview(value)
    except (TypeError, ValueError, BufferError) as error:
        raise BadTypeError(
            f"{name}: got a {type(value).__name__}, expected a buffer (bytes, memoryview, ndarray)"
        ) from error
    if not memory.c_contiguous:
        raise BadArgumentError(f"{name}: got memory that is not C-contiguous, expected C-contiguous memory")
    if memory.nbytes == 0:
        raise BadArgumentError(f"{name}: got 0 bytes, expected at least 1")
    return np.frombuffer(memory, np.uint8)
