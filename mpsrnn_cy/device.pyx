"""Devices, command queues and command buffers: the Metal objects that everything else is made on."""

import atexit
import os

cimport cython
from libc.stdlib cimport free, malloc

from .arguments import integer
from .enums import MTLCommandBufferStatus, MTLStorageMode
from .errors import (
    BadArgumentError,
    BadTypeError,
    CommandError,
    InternalError,
    KernelCompileError,
    NoDeviceError,
    OutOfMemoryError,
    UnsupportedError,
)

__all__ = [
    "MTLCommandBuffer",
    "MTLCommandQueue",
    "MTLCopyAllDevices",
    "MTLCreateSystemDefaultDevice",
    "MTLDevice",
    "live_handle_count",
]

api = native.mpsrnn_get_api()

_EXCEPTIONS = {
    native.MPSRNN_STATUS_BAD_ARGUMENT: BadArgumentError,
    native.MPSRNN_STATUS_OUT_OF_MEMORY: OutOfMemoryError,
    native.MPSRNN_STATUS_UNSUPPORTED: UnsupportedError,
    native.MPSRNN_STATUS_NO_DEVICE: NoDeviceError,
    native.MPSRNN_STATUS_KERNEL_COMPILE: KernelCompileError,
    native.MPSRNN_STATUS_COMMAND_FAILED: CommandError,
    native.MPSRNN_STATUS_INTERNAL: InternalError,
}

# The number of an `MTLCommandBufferStatus`.
cdef native.uint32_t COMMITTED = MTLCommandBufferStatus.COMMITTED

# Only this module can make the objects below: one over no native handle must not exist, not even through __new__.
cdef object _key = object()


cdef int check(native.mpsrnn_status status, const native.mpsrnn_error *error) except -1:
    if status == native.MPSRNN_STATUS_OK:
        return 0
    raise _EXCEPTIONS[status](error.message.decode("utf-8", "replace"))


def live_handle_count():
    """Count the native objects of this process that Python has not released, for leak tests."""
    return api.live_handle_count()


@cython.final
@cython.auto_pickle(False)
cdef class MTLDevice:
    """A device that runs kernels: a GPU, or off the Mac the CPU. Made by `MTLCreateSystemDefaultDevice`.

    Any thread may use it. Two objects of one Metal device are equal.
    """

    def __cinit__(self, key=None):
        self._h = NULL
        if key is not _key:
            raise BadTypeError(
                "MTLDevice: cannot be constructed, expected MTLCreateSystemDefaultDevice() or MTLCopyAllDevices()"
            )

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    def __eq__(self, other):
        if not isinstance(other, MTLDevice):
            return NotImplemented
        return bool(api.device_is_same(self._h, (<MTLDevice>other)._h))

    def __hash__(self):
        return hash(self.registry_id)

    def __repr__(self):
        return f"<MTLDevice {self.name!r}>"

    @property
    def name(self):
        """What the device calls itself."""
        cdef native.mpsrnn_device_info info = _device_info(self)
        return info.name.decode("utf-8", "replace")

    @property
    def registry_id(self):
        """A number that no other device of the machine has."""
        return _device_info(self).registry_id

    @property
    def max_buffer_length(self):
        """Bytes of the largest buffer."""
        return _device_info(self).max_buffer_length

    @property
    def current_allocated_size(self):
        """Bytes of all buffers and textures alive on the device."""
        return _device_info(self).current_allocated_size

    @property
    def number_of_threads(self):
        """CPU threads that work on one dispatch, 0 on a GPU. Ours, not Apple's.

        Starts at the environment variable ``MPSRNN_NUM_THREADS``, or the CPUs this process may use. Results do not
        depend on it. Setting it on a GPU raises `UnsupportedError`.
        """
        return _device_info(self).thread_count

    @number_of_threads.setter
    def number_of_threads(self, value):
        cdef native.mpsrnn_error error
        cdef native.uint32_t count = integer(value, "number_of_threads", minimum=1)
        check(api.device_set_thread_count(self._h, count, &error), &error)

    def make_command_queue(self):
        """Make a queue whose command buffers run one after the other, in the order of their commits."""
        cdef native.mpsrnn_error error
        cdef native.mpsrnn_status status
        cdef MTLCommandQueue queue = MTLCommandQueue.__new__(MTLCommandQueue, _key)
        with nogil:
            status = api.queue_create(self._h, &queue._h, &error)
        check(status, &error)
        queue.device = self
        return queue

    def make_texture(self, descriptor):
        """Make an `MTLTexture` with undefined contents, as an `MTLTextureDescriptor` says."""
        # Textures are made on devices, and their module is built on this one.
        from .texture import make_texture

        return make_texture(self, descriptor)

    def make_buffer(self, *, length=None, bytes=None, bytes_no_copy=None, options=MTLStorageMode.SHARED):
        """Make an `MTLBuffer`: of `length` zeroed bytes, a copy of the caller's `bytes`, or over `bytes_no_copy`.

        Both are C-contiguous memory of any element type, of which `length` tells how much is taken. What is not copied
        has to be writable, at an address that is a multiple of 16, on a Mac whole pages; it is kept alive while the
        buffer or a kernel needs it. `options` is an `MTLStorageMode`: SHARED, or PRIVATE, out of the CPU's reach.
        """
        # Buffers are made on devices, and their module is built on this one.
        from .buffer import make_buffer

        return make_buffer(self, length, bytes, bytes_no_copy, options)


cdef native.mpsrnn_device_info _device_info(MTLDevice device) noexcept:
    cdef native.mpsrnn_device_info info
    api.device_get_info(device._h, &info)
    return info


cdef MTLDevice _wrap_device(native.mpsrnn_device handle):
    cdef MTLDevice device = MTLDevice.__new__(MTLDevice, _key)
    device._h = handle
    return device


# The process's default device, and the process: a forked child must not use its parent's.
_default_device = None
_default_device_pid = 0


def MTLCreateSystemDefaultDevice():
    """Get the system's default device: Apple's GPU on a Mac, the CPU elsewhere. The same object every time.

    Raises
    ------
    NoDeviceError
        If there is no device, or none whose memory the CPU shares.
    """
    global _default_device, _default_device_pid
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_device handle = NULL
    if _default_device_pid != os.getpid():
        check(api.device_create_default(&handle, &error), &error)
        _default_device = _wrap_device(handle)
        _default_device_pid = os.getpid()
    return _default_device


def MTLCopyAllDevices():
    """List all devices that can be used."""
    cdef native.mpsrnn_error error
    cdef size_t count = 0, capacity = 64, i
    cdef native.mpsrnn_device *handles = <native.mpsrnn_device *>malloc(capacity * sizeof(native.mpsrnn_device))
    if handles == NULL:
        raise OutOfMemoryError(f"no memory for {capacity} devices")
    try:
        check(api.device_copy_all(handles, capacity, &count, &error), &error)
        return [_wrap_device(handles[i]) for i in range(min(count, capacity))]
    finally:
        free(handles)


@cython.final
@cython.auto_pickle(False)
cdef class MTLCommandQueue:
    """A queue of command buffers. Made by `MTLDevice.make_command_queue`; any thread may use it.

    Attributes
    ----------
    device : MTLDevice
        Where its command buffers run.
    """

    def __cinit__(self, key=None):
        self._h = NULL
        if key is not _key:
            raise BadTypeError("MTLCommandQueue: cannot be constructed, expected MTLDevice.make_command_queue()")

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    def make_command_buffer(self):
        """Make an empty command buffer, to be encoded into and committed once."""
        cdef native.mpsrnn_error error
        cdef native.mpsrnn_status status
        cdef MTLCommandBuffer command = MTLCommandBuffer.__new__(MTLCommandBuffer, _key)
        with nogil:
            status = api.command_create(self._h, &command._h, &error)
        check(status, &error)
        command.command_queue = self
        return command


@cython.final
@cython.auto_pickle(False)
cdef class MTLCommandBuffer:
    """Work for a device: encoded, committed, executed in the background. Made by `MTLCommandQueue.make_command_buffer`.

    It keeps everything encoded into it alive until it has completed. Threads may encode into one command buffer, one
    call after the other.

    Attributes
    ----------
    command_queue : MTLCommandQueue
        The queue it is committed to.
    """

    def __cinit__(self, key=None):
        self._h = NULL
        self._handlers = []
        if key is not _key:
            raise BadTypeError(
                "MTLCommandBuffer: cannot be constructed, expected MTLCommandQueue.make_command_buffer()"
            )

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    @property
    def device(self):
        """The device of its queue."""
        return self.command_queue.device

    @property
    def status(self):
        """How far it has come, an `MTLCommandBufferStatus`."""
        return MTLCommandBufferStatus(_command_info(self).status)

    @property
    def error(self):
        """The `CommandError` it failed with, or None."""
        cdef native.mpsrnn_command_info info = _command_info(self)
        if info.status != MTLCommandBufferStatus.ERROR:
            return None
        return CommandError(info.error.message.decode("utf-8", "replace"))

    @property
    def dispatch_count(self):
        """Kernels encoded so far, each a dispatch. Ours, not Apple's."""
        return _command_info(self).dispatch_count

    @property
    def gpu_start_time(self):
        """When the device began with it, in seconds of a clock that only runs forward; 0 before."""
        return _command_info(self).gpu_start_time

    @property
    def gpu_end_time(self):
        """When the device had finished it, in seconds of the same clock; 0 before."""
        return _command_info(self).gpu_end_time

    def add_completed_handler(self, block):
        """Have `block` called with the command buffer once that has completed or failed.

        It is called on a thread of the driver; what it raises goes to `sys.unraisablehook`.

        Parameters
        ----------
        block : callable
            Takes the command buffer. Added before `commit`, else `BadArgumentError`.
        """
        if not callable(block):
            raise BadTypeError(f"block: got {block!r} ({type(block).__name__}), expected a callable of one argument")
        _check_not_committed(self, "add_completed_handler()")
        self._handlers.append(block)

    def commit(self):
        """Hand the work to the device and return at once. Once only, else `BadArgumentError`."""
        cdef native.mpsrnn_error error
        cdef native.mpsrnn_status status
        _check_not_committed(self, "commit()")
        if self._handlers:
            check(api.command_add_completion(self._h, _complete, <void *>self, &error), &error)
            # The driver calls back exactly once, whatever becomes of the work; until then the object must live.
            _outstanding.add(self)
        with nogil:
            status = api.command_commit(self._h, &error)
        check(status, &error)

    def wait_until_completed(self):
        """Block until the work is done; other Python threads run meanwhile.

        Raises
        ------
        CommandError
            If the work failed, with the device's message. Apple's method returns in silence; `error` tells here too.
        BadArgumentError
            If the command buffer was not committed.
        """
        cdef native.mpsrnn_error error
        cdef native.mpsrnn_status status
        with nogil:
            status = api.command_wait(self._h, &error)
        check(status, &error)


cdef native.mpsrnn_command_info _command_info(MTLCommandBuffer command) noexcept:
    cdef native.mpsrnn_command_info info
    with nogil:
        api.command_get_info(command._h, &info)
    return info


cdef bint is_open(MTLCommandBuffer command, MTLDevice device) noexcept:
    return command.command_queue.device is device and _command_info(command).status < COMMITTED


cdef int _check_not_committed(MTLCommandBuffer command, str what) except -1:
    if _command_info(command).status >= MTLCommandBufferStatus.COMMITTED:
        raise BadArgumentError(f"{what}: the command buffer is already committed, expected one that is not")
    return 0


# Committed command buffers whose handlers have still to be called.
cdef set _outstanding = set()


cdef void _complete(void *context) noexcept with gil:
    cdef MTLCommandBuffer command = <MTLCommandBuffer>context
    for block in command._handlers:
        _call(block, command)
    # A handler may refer to its command buffer: no cycle is left to the collector.
    command._handlers = []
    _outstanding.discard(command)


cdef void _call(block, MTLCommandBuffer command) noexcept:
    # What is raised here goes to sys.unraisablehook: nobody above can take it.
    block(command)


def _finish_outstanding():
    """Let no handler run into an interpreter that is shutting down."""
    for command in list(_outstanding):
        try:
            command.wait_until_completed()
        except CommandError:
            pass  # the handler has seen it


atexit.register(_finish_outstanding)
# A child has none of its parent's driver threads: nobody will call back there.
os.register_at_fork(after_in_child=_outstanding.clear)
