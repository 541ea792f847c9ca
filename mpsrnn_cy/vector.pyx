"""Vectors: elements in a buffer, persistent or temporary."""

cimport cython

from .arguments import boolean, instance_of
from .command_checks import check_command_buffer
from .errors import BadTypeError
from .matrix_descriptor import MPSVectorDescriptor, data_type_of

from .device_array cimport (
    elements_of,
    fill_on_device,
    fill_over_array,
    fill_over_buffer,
    fill_temporary,
    tensor_array,
    whole_batch,
)

__all__ = ["MPSTemporaryVector", "MPSVector"]


cdef object _key = object()

# The strides of an array, as messages call them.
_STEPS = ("array: bytes from one vector to the next",)


@cython.auto_pickle(False)
cdef class MPSVector(DeviceArray):
    """A vector, or a batch of vectors, in a buffer.

    Element i of vector k lies at byte ``offset + k * vector_bytes + i * element size``.

    Parameters
    ----------
    device : MTLDevice
        Where a vector with memory of its own lives: zeroed, shared with the CPU.
    descriptor : MPSVectorDescriptor
        Its length, element type and stride; later changes to the descriptor change nothing here.
    buffer : MTLBuffer
        In place of `device`: the memory to be a view of.
    offset : int
        Bytes of the buffer before the first element, a multiple of an element's.

    Raises
    ------
    OutOfMemoryError
        If the device has no memory for it.
    BadArgumentError
        If the stride does not fit the length, or the buffer is too short.
    """

    def __cinit__(self, device=None, descriptor=None, *, buffer=None, offset=None, key=None, **others):
        # A temporary has constructor arguments of its own; and `from_numpy` may know everything already.
        if key is _key or isinstance(self, MPSTemporaryVector):
            return
        if key is not None or others:
            name = "key" if key is not None else next(iter(others))
            raise BadTypeError(f"MPSVector: got an unexpected argument {name}")
        layout = instance_of(descriptor, "descriptor", MPSVectorDescriptor).layout()
        if buffer is None:
            fill_on_device(self, layout, device, offset)
        else:
            fill_over_buffer(self, layout, device, buffer, offset)

    def __repr__(self):
        batch = "" if self.vectors == 1 else f"{self.vectors} times "
        return f"<{type(self).__name__} {batch}{self.length}, {self.data_type.name}>"

    @property
    def vectors(self):
        """Vectors of the batch."""
        return self._layout.shape[0]

    @property
    def length(self):
        """Elements of a vector."""
        return self._layout.shape[1]

    @property
    def vector_bytes(self):
        """Bytes from one vector to the next."""
        return self._layout.strides[0]

    @classmethod
    def from_numpy(cls, device, array, copy=True):
        """Make a vector from an array. Ours, not Apple's.

        Parameters
        ----------
        device : MTLDevice
            Where the vector lives.
        array : ndarray
            ``(length,)``, or ``(vectors, length)`` for a batch; float16, float32, bool or an integer dtype.
        copy : bool
            True copies. False shares the array's own memory, which has to be writable, in C order with at most gaps
            between vectors, and where the device can use it: see `MTLDevice.make_buffer`. It is kept alive as long as
            the vector or a kernel needs it.
        """
        _check_persistent(cls)
        elements = elements_of(array, "array", 1)
        if not boolean(copy, "copy"):
            shared = MPSVector.__new__(MPSVector, key=_key)
            fill_over_array(shared, device, elements, _STEPS)
            return shared
        vectors, length = elements.shape
        vector = MPSVector(device, MPSVectorDescriptor(length, data_type_of(elements.dtype, "array"), vectors=vectors))
        whole_batch(vector)[...] = elements
        return vector

    @classmethod
    def from_dlpack(cls, device, tensor, copy=True):
        """Make a vector from another library's tensor, like `from_numpy`. Ours, not Apple's.

        Parameters
        ----------
        device : MTLDevice
            Where the vector lives.
        tensor : object
            What has ``__dlpack__``, in CPU memory: a PyTorch tensor for example.
        copy : bool
            As of `from_numpy`.
        """
        return cls.from_numpy(device, tensor_array(tensor, "tensor"), copy)


@cython.final
@cython.auto_pickle(False)
cdef class MPSTemporaryVector(MPSVector):
    """A vector for intermediate results of one command buffer, in memory that the CPU cannot reach.

    Its read count starts at 1; see `read_count`.

    Parameters
    ----------
    command_buffer : MTLCommandBuffer
        The one whose encode calls may use it; not yet committed.
    descriptor : MPSVectorDescriptor
        Its length, element type and stride.
    """

    def __cinit__(self, command_buffer=None, descriptor=None):
        layout = instance_of(descriptor, "descriptor", MPSVectorDescriptor).layout()
        fill_temporary(self, layout, command_buffer)

    @property
    def read_count(self):
        """How often encode calls may still read it, as of `MPSTemporaryMatrix`."""
        return self._read_count.value

    @read_count.setter
    def read_count(self, value):
        self._read_count.set(value, "read_count")

    @classmethod
    def prefetch_storage(cls, command_buffer, descriptor_list):
        """Hint which temporaries will follow; kept for Apple's programs. Arguments are checked, nothing is fetched."""
        check_command_buffer(command_buffer, None)
        for index, descriptor in enumerate(instance_of(descriptor_list, "descriptor_list", list)):
            instance_of(descriptor, f"descriptor_list[{index}]", MPSVectorDescriptor).layout()


def _check_persistent(cls):
    if issubclass(cls, MPSTemporaryVector):
        raise BadTypeError(f"{cls.__name__}: the CPU cannot reach temporary vectors, expected MPSVector")
