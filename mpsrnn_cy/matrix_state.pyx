"""What a recurrent layer over matrices remembers from one time step to the next."""

from typing import NamedTuple

cimport cython

import numpy as np

from .arguments import described, instance_of, integer
from .enums import MTLStorageMode
from .errors import BadArgumentError, BadTypeError, LifetimeError
from .matrix_descriptor import Layout, MPSMatrixDescriptor
from .state_resources import Resource
from .temporary import ReadCount

from .buffer cimport create_buffer
from .device_array cimport whole_batch
from .matrix cimport MPSMatrix, matrix_over

__all__ = ["MPSRNNRecurrentMatrixState"]

cdef object _key = object()

# Bytes between what matrices of a state can start at: a cache line.
_ALIGNMENT = 64


class _Part(NamedTuple):
    """Where one layer's h and c lie in the buffer of a state."""

    layout: Layout
    output: int
    memory: int | None


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
        cells = [(output.shape[1], memory is not None) for output, memory in zip(outputs, memories)]
        state = make_matrix_state(owner, outputs[0].shape[0], cells, None)
        for layer, (output, memory) in enumerate(zip(outputs, memories)):
            whole_batch(state.get_recurrent_output_matrix(layer))[...] = output
            if memory is not None:
                whole_batch(state.get_memory_cell_matrix(layer))[...] = memory
        return state

    @property
    def number_of_layers(self):
        """Layers it has something for. Ours, not Apple's."""
        return len(self._parts)

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
        return _matrix(self, index, self._parts[index].output) if index < len(self._parts) else None

    def get_memory_cell_matrix(self, for_layer_index):
        """Get the memory cell c of a layer: None too if the layer has none, being no LSTM."""
        index = integer(for_layer_index, "for_layer_index")
        return _matrix(self, index, self._parts[index].memory) if index < len(self._parts) else None

    cdef MTLBuffer _storage(self):
        buffer = self._buffer if self._read_count is None else self._read_count.storage
        if buffer is None:
            raise LifetimeError(f"{type(self).__name__}: its last read has been encoded, its storage is gone")
        return buffer

    cdef list _held(self):
        return [Resource.of(self._storage(), "buffer")]


cdef MPSMatrix _matrix(MPSRNNRecurrentMatrixState state, size_t layer, offset):
    """The matrix of a layer that lies there, if any does."""
    if offset is None:
        return None
    return matrix_over(state._parts[layer].layout, state._storage(), offset, state._read_count)


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


cdef MPSRNNRecurrentMatrixState make_matrix_state(MTLDevice device, rows, cells, MTLCommandBuffer temporary_on):
    cdef MPSRNNRecurrentMatrixState state = MPSRNNRecurrentMatrixState.__new__(MPSRNNRecurrentMatrixState, key=_key)
    parts, end = [], 0
    for channels, has_memory in cells:
        layout = MPSMatrixDescriptor(rows, channels).layout()
        size = -(-layout.strides[0] // _ALIGNMENT) * _ALIGNMENT
        parts.append(_Part(layout, end, end + size if has_memory else None))
        end += 2 * size if has_memory else size
    buffer = create_buffer(device, end, MTLStorageMode.SHARED if temporary_on is None else MTLStorageMode.PRIVATE)
    state.device = device
    state.rows = rows
    state._parts = tuple(parts)
    if temporary_on is None:
        state._buffer = buffer
    else:
        state._read_count = ReadCount(temporary_on, "MPSRNNRecurrentMatrixState", buffer)
    return state


cdef int fill_matrix_state(MPSRNNRecurrentMatrixState state, native.mpsrnn_matrix_state *layers) except -1:
    cdef Py_ssize_t index
    cdef MPSMatrix memory
    for index in range(len(state._parts)):
        part = state._parts[index]
        layers[index].output = _matrix(state, index, part.output)._view()
        memory = _matrix(state, index, part.memory)
        if memory is None:
            layers[index].memory.buffer = NULL
        else:
            layers[index].memory = memory._view()
    return 0
