from .kernel cimport MPSKernel


# What the layers over matrices share: properties of the stack, and which recurrent states their encode calls return.
cdef class MatrixKernel(MPSKernel):
    cdef bint _store_all_intermediate_states
    cdef bint _recurrent_output_is_temporary

    # States for a call to write, if its caller takes any; see `matrix_encoding.new_states`.
    cdef list _new_states(self, command, list sources, wanted)
