"""Encode calls of native training layers: weights, matrices and states go in as views."""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.string cimport memset

from .errors import OutOfMemoryError
from .training_weights import WeightKind

from .device cimport api, check
from .matrix_encoding cimport NativeStates, NativeViews, discard_states, fill_view, native_states, native_views
from .matrix_state cimport MPSRNNRecurrentMatrixState

__all__ = []

cdef enum:
    GATES_MAXIMUM = 4


@cython.final
@cython.auto_pickle(False)
cdef class TrainingMemory:
    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)


@cython.final
@cython.auto_pickle(False)
cdef class _Handles:
    """Handles of training states, which their owners keep."""

    cdef native.mpsrnn_training_state *items

    def __cinit__(self, size_t count):
        self.items = <native.mpsrnn_training_state *>PyMem_Calloc(count, sizeof(native.mpsrnn_training_state))
        if self.items == NULL:
            raise OutOfMemoryError(f"no memory for {count} training states")

    def __dealloc__(self):
        PyMem_Free(self.items)


cdef list _fill_gates(native.mpsrnn_gate_matrices *gates, tuple slots, list views):
    """Put each view where its slot is; what has none stays absent. Return the buffers, to be kept."""
    memset(gates, 0, GATES_MAXIMUM * sizeof(native.mpsrnn_gate_matrices))
    return [fill_view(_place(&gates[<int>slot.gate], slot.kind), view) for slot, view in zip(slots, views)]


cdef native.mpsrnn_matrix *_place(native.mpsrnn_gate_matrices *gate, kind) except NULL:
    if kind == WeightKind.INPUT:
        return &gate.input
    if kind == WeightKind.RECURRENT:
        return &gate.recurrent
    if kind == WeightKind.MEMORY:
        return &gate.memory
    if kind == WeightKind.DIAGONAL:
        return &gate.diagonal
    return &gate.bias


cdef list encode_forward(
    native.mpsrnn_training_layer layer,
    MTLCommandBuffer command,
    tuple slots,
    list weights,
    list sources,
    list destinations,
    MPSRNNRecurrentMatrixState state_in,
    list states_out,
):
    """Encode a forward pass; return the `TrainingMemory` of every step."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_gate_matrices gates[GATES_MAXIMUM]
    cdef size_t state_count = len(states_out), i
    cdef NativeViews read = native_views(sources)
    cdef NativeViews written = native_views(destinations)
    cdef NativeStates start = native_states([] if state_in is None else [state_in], read.items[0].rows)
    cdef NativeStates states = native_states(states_out, read.items[0].rows)
    cdef _Handles handles = _Handles(read.count)
    cdef TrainingMemory memory
    cdef list _buffers = _fill_gates(gates, slots, weights)
    # Made first, so that no handle is lost on the way to its owner.
    training = [TrainingMemory.__new__(TrainingMemory) for _ in sources]
    with nogil:
        status = api.training_layer_encode_forward(
            layer,
            command._h,
            gates,
            read.items,
            written.items,
            read.count,
            start.items,
            states.items,
            state_count,
            handles.items,
            &error,
        )
    if status != native.MPSRNN_STATUS_OK:
        discard_states(states_out)
    check(status, &error)
    for i in range(read.count):
        memory = training[i]
        memory._h = handles.items[i]
    return training


cdef encode_gradient(
    native.mpsrnn_training_layer layer,
    MTLCommandBuffer command,
    tuple slots,
    list weights,
    list sources,
    list gradients,
    list source_gradients,
    list weight_gradients,
    bint accumulates,
    list training,
    MPSRNNRecurrentMatrixState carry_in,
    list carries_out,
):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_gate_matrices gates[GATES_MAXIMUM]
    cdef native.mpsrnn_gate_matrices gate_gradients[GATES_MAXIMUM]
    cdef const native.mpsrnn_gate_matrices *wanted = NULL
    cdef size_t carry_count = len(carries_out), i
    cdef NativeViews read = native_views(sources)
    cdef NativeViews above = native_views(gradients)
    cdef NativeViews below = native_views(source_gradients)
    cdef NativeStates start = native_states([] if carry_in is None else [carry_in], read.items[0].rows)
    cdef NativeStates carries = native_states(carries_out, read.items[0].rows)
    cdef _Handles handles = _Handles(read.count)
    cdef list _buffers = _fill_gates(gates, slots, weights)
    if weight_gradients is not None:
        _buffers += _fill_gates(gate_gradients, slots, weight_gradients)
        wanted = gate_gradients
    for i in range(read.count):
        handles.items[i] = (<TrainingMemory>training[i])._h
    with nogil:
        status = api.training_layer_encode_gradient(
            layer,
            command._h,
            gates,
            read.items,
            above.items,
            below.items,
            read.count,
            wanted,
            accumulates,
            handles.items,
            start.items,
            carries.items,
            carry_count,
            &error,
        )
    if status != native.MPSRNN_STATUS_OK:
        discard_states(carries_out)
    check(status, &error)


cdef copy_matrix(MTLCommandBuffer command, source, destination):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_matrix views[2]
    cdef list _buffers = [fill_view(&views[0], source), fill_view(&views[1], destination)]
    with nogil:
        status = api.command_copy_matrix(command._h, &views[0], &views[1], &error)
    check(status, &error)
