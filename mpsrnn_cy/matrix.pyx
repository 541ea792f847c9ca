"""Matrices: rows of elements in a buffer, persistent or temporary."""

cimport cython

from .arguments import boolean, instance_of
from .command_checks import check_command_buffer
from .errors import BadTypeError
from .matrix_descriptor import MPSMatrixDescriptor, data_type_of

from .device_array cimport (
    elements_of,
    fill_on_device,
    fill_over_array,
    fill_over_buffer,
    fill_temporary,
    tensor_array,
    whole_batch,
)

__all__ = ["MPSMatrix", "MPSTemporaryMatrix"]

cdef object _key = object()

# The strides of an array, as messages call them.
_STEPS = ("array: bytes from one matrix to the next", "array: bytes from one row to the next")


@cython.auto_pickle(False)
cdef class MPSMatrix(DeviceArray):
    """A matrix, or a batch of matrices, in a buffer.

    Element (i, j) of matrix k lies at byte ``offset + k * matrix_bytes + i * row_bytes + j * element size``. For the
    recurrent layers, rows are the batch and columns the feature channels.

    Parameters
    ----------
    device : MTLDevice
        Where a matrix with memory of its own lives: zeroed, shared with the CPU.
    descriptor : MPSMatrixDescriptor
        Its size, element type and strides; later changes to the descriptor change nothing here.
    buffer : MTLBuffer
        In place of `device`: the memory to be a view of.
    offset : int
        Bytes of the buffer before the first element, a multiple of an element's.

    Raises
    ------
    OutOfMemoryError
        If the device has no memory for it.
    BadArgumentError
        If strides do not fit the size, or the buffer is too short.
    """

    def __cinit__(self, device=None, descriptor=None, *, buffer=None, offset=None, key=None, **others):
        # A temporary has constructor arguments of its own; and `matrix_over` knows everything already.
        if key is _key or isinstance(self, MPSTemporaryMatrix):
            return
        if key is not None or others:
            name = "key" if key is not None else next(iter(others))
            raise BadTypeError(f"MPSMatrix: got an unexpected argument {name}")
        layout = instance_of(descriptor, "descriptor", MPSMatrixDescriptor).layout()
        if buffer is None:
            fill_on_device(self, layout, device, offset)
        else:
            fill_over_buffer(self, layout, device, buffer, offset)

    def __repr__(self):
        batch = "" if self.matrices == 1 else f"{self.matrices} times "
        return f"<{type(self).__name__} {batch}{self.rows} x {self.columns}, {self.data_type.name}>"

    @property
    def matrices(self):
        """Matrices of the batch."""
        return self._layout.shape[0]

    @property
    def rows(self):
        """Rows of a matrix."""
        return self._layout.shape[1]

    @property
    def columns(self):
        """Elements of a row."""
        return self._layout.shape[2]

    @property
    def matrix_bytes(self):
        """Bytes from one matrix to the next."""
        return self._layout.strides[0]

    @property
    def row_bytes(self):
        """Bytes from one row to the next."""
        return self._layout.strides[1]

    cdef native.mpsrnn_matrix _view(self) except *:
        cdef native.mpsrnn_matrix view = self._known_view
        if view.rows != 0:
            return view
        view.buffer = self._storage()._h
        view.offset = self.offset
        view.row_bytes = self._layout.strides[1]
        view.rows = self._layout.shape[1]
        view.columns = self._layout.shape[2]
        view.data_type = self._layout.data_type
        if self._read_count is None:
            self._known_view = view
        return view

    @classmethod
    def from_numpy(cls, device, array, copy=True):
        """Make a matrix from an array. Ours, not Apple's.

        Parameters
        ----------
        device : MTLDevice
            Where the matrix lives.
        array : ndarray
            ``(rows, columns)``, or ``(matrices, rows, columns)`` for a batch; float16, float32, bool or an integer
            dtype.
        copy : bool
            True copies into rows of the recommended stride. False shares the array's own memory, which has to be
            writable, in C order with at most gaps between rows, and where the device can use it: see
            `MTLDevice.make_buffer`. It is kept alive as long as the matrix or a kernel needs it.
        """
        _check_persistent(cls)
        elements = elements_of(array, "array", 2)
        if not boolean(copy, "copy"):
            shared = MPSMatrix.__new__(MPSMatrix, key=_key)
            fill_over_array(shared, device, elements, _STEPS)
            return shared
        matrices, rows, columns = elements.shape
        data_type = data_type_of(elements.dtype, "array")
        matrix = MPSMatrix(device, MPSMatrixDescriptor(rows, columns, data_type=data_type, matrices=matrices))
        whole_batch(matrix)[...] = elements
        return matrix

    @classmethod
    def from_dlpack(cls, device, tensor, copy=True):
        """Make a matrix from another library's tensor, like `from_numpy`. Ours, not Apple's.

        Parameters
        ----------
        device : MTLDevice
            Where the matrix lives.
        tensor : object
            What has ``__dlpack__``, in CPU memory: a PyTorch tensor for example.
        copy : bool
            As of `from_numpy`.
        """
        return cls.from_numpy(device, tensor_array(tensor, "tensor"), copy)


@cython.final
@cython.auto_pickle(False)
cdef class MPSTemporaryMatrix(MPSMatrix):
    """A matrix for intermediate results of one command buffer, in memory that the CPU cannot reach.

    Its read count starts at 1; see `read_count`.

    Parameters
    ----------
    command_buffer : MTLCommandBuffer
        The one whose encode calls may use it; not yet committed.
    matrix_descriptor : MPSMatrixDescriptor
        Its size, element type and strides.
    """

    def __cinit__(self, command_buffer=None, matrix_descriptor=None, *, key=None):
        if key is _key:
            return
        if key is not None:
            raise BadTypeError("MPSTemporaryMatrix: got an unexpected argument key")
        layout = instance_of(matrix_descriptor, "matrix_descriptor", MPSMatrixDescriptor).layout()
        fill_temporary(self, layout, command_buffer)

    @property
    def read_count(self):
        """How often encode calls may still read it. Each reading lowers it; at 0 the memory is let go.

        Set it once if the matrix will be read more often, or to 0 to let it go early. Setting it when it is 0 raises
        `LifetimeError`.
        """
        return self._read_count.value

    @read_count.setter
    def read_count(self, value):
        self._read_count.set(value, "read_count")

    @classmethod
    def prefetch_storage(cls, with_, matrix_descriptor_list):
        """Hint which temporaries will follow; kept for Apple's programs. Arguments are checked, nothing is fetched."""
        check_command_buffer(with_, None, "with_")
        for index, descriptor in enumerate(instance_of(matrix_descriptor_list, "matrix_descriptor_list", list)):
            instance_of(descriptor, f"matrix_descriptor_list[{index}]", MPSMatrixDescriptor).layout()


def _check_persistent(cls):
    if issubclass(cls, MPSTemporaryMatrix):
        raise BadTypeError(f"{cls.__name__}: the CPU cannot reach temporary matrices, expected MPSMatrix")


cdef MPSMatrix matrix_over(layout, MTLBuffer buffer, size_t offset, read_count):
    cdef MPSMatrix matrix
    if read_count is None:
        matrix = MPSMatrix.__new__(MPSMatrix, key=_key)
        matrix._fill(layout, buffer.device, buffer, offset)
    else:
        matrix = MPSTemporaryMatrix.__new__(MPSTemporaryMatrix, key=_key)
        matrix._fill(layout, buffer.device, None, offset)
        matrix._read_count = read_count
    return matrix
