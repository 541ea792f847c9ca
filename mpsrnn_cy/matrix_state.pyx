"""What a recurrent layer over matrices remembers from one time step to the next."""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free

import numpy as np

from .arguments import described, instance_of, integer
from .enums import MPSDataType, MTLStorageMode
from .errors import BadArgumentError, BadTypeError, LifetimeError, OutOfMemoryError
from .matrix_descriptor import Layout
from .state_resources import Resource
from .temporary import ReadCount

from .buffer cimport create_buffer
from .device_array cimport whole_batch
from .matrix cimport MPSMatrix, matrix_over

__all__ = ["MPSRNNRecurrentMatrixState"]

cdef object _key = object()

cdef enum:
    # Bytes between what matrices of a state can start at: a cache line.
    ALIGNMENT = 64
    # And their rows, as `MPSMatrixDescriptor` recommends.
    ROW_ALIGNMENT = 16


@cython.final
@cython.auto_pickle(False)
cdef class MPSRNNRecurrentMatrixState(MPSState):
    """The recurrent output h and, for LSTMs, the memory cell c of every layer of a stack, as matrices.

    Made by an encode call, or by `from_numpy`. Its matrices are float32 whatever the element type of the destinations,
    with a row for every row of the batch; those an encode call made hold their values once the command buffer has
    completed. They lie in one buffer, the state's only resource. A layer only reads a state it is given, so one state
    can start many sequences.

    Attributes
    ----------
    device : MTLDevice
        Where its matrices live.
    rows : int
        Rows of all its matrices. Ours, not Apple's.
    """

    def __cinit__(self, *, key=None):
        if key is not _key:
            raise BadTypeError(
                "MPSRNNRecurrentMatrixState: cannot be constructed, expected one made by encode_sequence(), predict() "
                "or MPSRNNRecurrentMatrixState.from_numpy()"
            )

    def __dealloc__(self):
        PyMem_Free(self._views)

    @classmethod
    def from_numpy(cls, device, recurrent_outputs, memory_cells=None):
        """Make a state from arrays, to start a sequence from. Ours: Apple's states only come out of encode calls.

        Parameters
        ----------
        device : MTLDevice
            Where its matrices live.
        recurrent_outputs : list of ndarray
            h of every layer, the bottom one first; float32, ``(rows, channels)``.
        memory_cells : list of (ndarray or None), optional
            c of every layer, of the shape of its h; None for layers that are no LSTM, or altogether if none is.
        """
        owner = instance_of(device, "device", MTLDevice)
        outputs = _arrays(recurrent_outputs, "recurrent_outputs", False)
        if not outputs:
            raise BadArgumentError("recurrent_outputs: got an empty list, expected at least one array")
        memories = [None] * len(outputs) if memory_cells is None else _arrays(memory_cells, "memory_cells", True)
        _check_pairs(outputs, memories)
        layers = tuple([(output.shape[1], memory is not None) for output, memory in zip(outputs, memories)])
        state = make_matrix_state(owner, outputs[0].shape[0], layers, None)
        for layer, (output, memory) in enumerate(zip(outputs, memories)):
            whole_batch(state.get_recurrent_output_matrix(layer))[...] = output
            if memory is not None:
                whole_batch(state.get_memory_cell_matrix(layer))[...] = memory
        return state

    @property
    def number_of_layers(self):
        """Layers it has something for. Ours, not Apple's."""
        return len(self._layers)

    def get_recurrent_output_matrix(self, for_layer_index):
        """Get the recurrent output h of a layer.

        Parameters
        ----------
        for_layer_index : int
            0 is the first, the bottom layer.

        Returns
        -------
        MPSMatrix or None
            None if there is no such layer. Of a temporary state it is an `MPSTemporaryMatrix` with the state's read
            count: to read the one is to read the other.
        """
        index = integer(for_layer_index, "for_layer_index")
        return _matrix(self, &self._views[<size_t>index].output) if index < len(self._layers) else None

    def get_memory_cell_matrix(self, for_layer_index):
        """Get the memory cell c of a layer: None too if the layer has none, being no LSTM."""
        index = integer(for_layer_index, "for_layer_index")
        return _matrix(self, &self._views[<size_t>index].memory) if index < len(self._layers) else None

    cdef MTLBuffer _storage(self):
        buffer = self._buffer if self._read_count is None else self._read_count.storage
        if buffer is None:
            raise LifetimeError(f"{type(self).__name__}: its last read has been encoded, its storage is gone")
        return buffer

    cdef list _held(self):
        return [Resource.of(self._storage(), "buffer")]


cdef MPSMatrix _matrix(MPSRNNRecurrentMatrixState state, const native.mpsrnn_matrix *view):
    """One of its matrices, if it is there."""
    if view.columns == 0:
        return None
    size = MPSDataType.FLOAT32.element_size
    shape, strides = [1, view.rows, view.columns], [view.rows * view.row_bytes, view.row_bytes, size]
    layout = Layout(MPSDataType.FLOAT32, tuple(shape), tuple(strides))
    return matrix_over(layout, state._storage(), view.offset, state._read_count)


def _arrays(arrays, name, takes_none):
    """Check the arrays of a state, each by itself."""
    if not isinstance(arrays, (list, tuple)):
        raise BadTypeError(f"{name}: got a {type(arrays).__name__}, expected a list with an entry per layer")
    for index, array in enumerate(arrays):
        if array is None and takes_none:
            continue
        if not isinstance(array, np.ndarray):
            raise BadTypeError(f"{name}[{index}]: got a {type(array).__name__}, expected an ndarray")
        if array.ndim != 2:
            raise BadArgumentError(
                f"{name}[{index}]: got {array.ndim} axes, shape {array.shape}, expected (rows, channels)"
            )
        if array.dtype != np.float32 or not array.dtype.isnative:
            raise BadTypeError(f"{name}[{index}]: got elements of {described(array.dtype)}, expected float32")
        if 0 in array.shape:
            raise BadArgumentError(f"{name}[{index}]: got shape {array.shape}, expected at least 1 along every axis")
    return list(arrays)


def _check_pairs(outputs, memories):
    """Check that the arrays of a state belong together."""
    if len(memories) != len(outputs):
        raise BadArgumentError(
            f"memory_cells: got {len(memories)} layers, expected {len(outputs)}, as recurrent_outputs"
        )
    rows = outputs[0].shape[0]
    for index, (output, memory) in enumerate(zip(outputs, memories)):
        if output.shape[0] != rows:
            raise BadArgumentError(
                f"recurrent_outputs[{index}]: got {output.shape[0]} rows, expected {rows}, as the first"
            )
        if memory is not None and memory.shape != output.shape:
            raise BadArgumentError(
                f"memory_cells[{index}]: got shape {memory.shape}, expected {output.shape}, as the recurrent output"
            )


cdef native.mpsrnn_matrix _reserve(size_t *end, uint32_t rows, uint32_t channels) noexcept:
    """Where the next matrix of a state lies: of the recommended stride, and from a cache line on."""
    cdef native.mpsrnn_matrix view
    cdef size_t width = channels * sizeof(float)
    view.buffer = NULL
    view.offset = end[0]
    view.row_bytes = width if channels == 1 else (width + ROW_ALIGNMENT - 1) // ROW_ALIGNMENT * ROW_ALIGNMENT
    view.rows = rows
    view.columns = channels
    view.data_type = native.MPSRNN_FLOAT32
    end[0] += (rows * view.row_bytes + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    return view


cdef MPSRNNRecurrentMatrixState make_matrix_state(
    MTLDevice device, uint32_t rows, tuple layers, MTLCommandBuffer temporary_on
):
    cdef MPSRNNRecurrentMatrixState state = MPSRNNRecurrentMatrixState.__new__(MPSRNNRecurrentMatrixState, key=_key)
    cdef size_t index, count = len(layers), end = 0
    cdef native.mpsrnn_matrix_state *views
    views = <native.mpsrnn_matrix_state *>PyMem_Calloc(count, sizeof(native.mpsrnn_matrix_state))
    if views == NULL:
        raise OutOfMemoryError(f"no memory for the state of {count} layers")
    state._views = views
    for index in range(count):
        channels, has_memory = layers[index]
        views[index].output = _reserve(&end, rows, channels)
        if has_memory:
            views[index].memory = _reserve(&end, rows, channels)
    buffer = create_buffer(device, end, MTLStorageMode.SHARED if temporary_on is None else MTLStorageMode.PRIVATE)
    state.device = device
    state.rows = rows
    state._layers = layers
    if temporary_on is None:
        state._buffer = buffer
    else:
        state._read_count = ReadCount(temporary_on, "MPSRNNRecurrentMatrixState", buffer)
    return state


cdef MTLBuffer fill_matrix_state(
    MPSRNNRecurrentMatrixState state, native.mpsrnn_matrix_state *layers, uint32_t rows
):
    cdef size_t index
    cdef MTLBuffer buffer = state._storage()
    for index in range(<size_t>len(state._layers)):
        layers[index] = state._views[index]
        layers[index].output.buffer = buffer._h
        layers[index].output.rows = layers[index].memory.rows = min(rows, state.rows)
        if layers[index].memory.columns != 0:
            layers[index].memory.buffer = buffer._h
    return buffer
