from libc.stdint cimport uint32_t

from .kernel cimport MPSKernel


# What the layers over matrices share: properties of the stack, and which recurrent states their encode calls return.
cdef class MatrixKernel(MPSKernel):
    cdef bint _store_all_intermediate_states
    cdef bint _recurrent_output_is_temporary
    # Columns of sources and destinations, and what `make_matrix_state` is told about its layers.
    cdef uint32_t _inputs, _outputs
    cdef tuple _state_layers

    # Sets `_cells` and what follows from them.
    cdef _set_cells(self, tuple cells)

    # States for a call to write, if its caller takes any; see `matrix_encoding.new_states`.
    cdef list _new_states(self, command, size_t steps, size_t rows, wanted)
