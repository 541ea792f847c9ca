"""From the arrays of a cell to the struct by which the native layers take them."""

from cpython.mem cimport PyMem_Calloc, PyMem_Free

from .enums import MPSRNNSequenceDirection
from .errors import OutOfMemoryError

__all__ = []


cdef native.mpsrnn_cell *new_cells(tuple cells) except NULL:
    cdef size_t count = len(cells), i
    # Zeroed: what a cell does not have is NULL.
    cdef native.mpsrnn_cell *made = <native.mpsrnn_cell *>PyMem_Calloc(count, sizeof(native.mpsrnn_cell))
    if made == NULL:
        raise OutOfMemoryError(f"no memory for {count} cells")
    try:
        for i in range(count):
            _fill_cell(&made[i], cells[i])
    except BaseException:
        PyMem_Free(made)
        raise
    return made


cdef int _fill_cell(native.mpsrnn_cell *out, cell) except -1:
    out.kind = <native.mpsrnn_cell_kind><int>cell.kind
    out.input_channels = cell.input_channels
    out.output_channels = cell.output_channels
    out.float32_weights = cell.use_float32_weights
    out.unit_transform = cell.unit_transform
    out.backward = cell.direction == MPSRNNSequenceDirection.BACKWARD
    out.flip_output_gates = cell.flip_output_gates
    out.gate_p_norm = cell.gate_pnorm_value
    _fill_neuron(&out.output_neuron, cell.output_neuron)
    cdef int i
    for i, gate in enumerate(cell.gates):
        _fill_convolution(&out.gates[i].input, gate.input)
        _fill_convolution(&out.gates[i].recurrent, gate.recurrent)
        _fill_convolution(&out.gates[i].memory, gate.memory)
        out.gates[i].diagonal = _floats(gate.diagonal)
        out.gates[i].bias = _floats(gate.bias)
        _fill_neuron(&out.gates[i].neuron, gate.neuron)
    return 0


cdef _fill_convolution(native.mpsrnn_convolution *out, convolution):
    if convolution is None:
        return
    out.weights = <const void *><size_t>convolution.weights.ctypes.data
    out.width = convolution.kernel_width
    out.height = convolution.kernel_height
    out.dilation_y, out.dilation_x = convolution.dilation
    out.groups = convolution.groups


cdef _fill_neuron(native.mpsrnn_neuron *out, neuron):
    out.type = neuron.type
    out.a = neuron.a
    out.b = neuron.b
    out.c = neuron.c
    out.channel_a = _floats(neuron.data)


cdef const float *_floats(array) except? NULL:
    """Address of a float32 array that the cell keeps alive, or NULL for None."""
    if array is None:
        return NULL
    return <const float *><size_t>array.ctypes.data
