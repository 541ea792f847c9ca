from . cimport native


# Fills in a native cell from a `cells.Cell`, whose arrays it points at: the cell must outlive it.
cdef int fill_cell(native.mpsrnn_cell *out, cell) except -1
