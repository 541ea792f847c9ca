from .device cimport MTLDevice


cdef class MPSState:
    cdef readonly MTLDevice device
    # ReadCount of a temporary, whose storage is the list of its resources; None for all others.
    cdef readonly object _read_count
    cdef list _resources
    cdef str _label

    # The resources, a list of Resource; LifetimeError if a temporary's last read has been encoded.
    cdef list _held(self)
