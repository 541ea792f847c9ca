from . cimport native


# Native cells from a tuple of `cells.Cell`, whose arrays they point at: those must outlive them. To be freed with
# PyMem_Free.
cdef native.mpsrnn_cell *new_cells(tuple cells) except NULL
