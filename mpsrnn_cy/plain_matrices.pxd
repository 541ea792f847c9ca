from . cimport native
from .device cimport MTLDevice
from .matrix_encoding cimport NativeViews
from .matrix_state cimport MPSRNNRecurrentMatrixState
from .memory_ranges cimport MemoryRange


# Matrices of an encode call and where they lie.
cdef class PlainMatrices:
    cdef NativeViews views
    cdef MemoryRange *ranges


# The usual case of what `matrix_checks` checks. These return None, or the less usual answer, wherever there is anything
# to be looked at more closely: what is wrong, but temporaries and equal devices as well.
cdef PlainMatrices plain_sources(matrices, offsets, MTLDevice device, native.uint32_t columns)
cdef PlainMatrices plain_destinations(
    PlainMatrices sources, matrices, offsets, MTLDevice device, native.uint32_t columns
)
# A state, or None, for layers as `make_matrix_state` knows them.
cdef bint state_is_plain(state, MTLDevice device, tuple layers, native.uint32_t rows)
# Whether the destinations seem to lie over what is read. It spoils the ranges.
cdef bint share_memory(PlainMatrices sources, PlainMatrices destinations, MPSRNNRecurrentMatrixState state)
