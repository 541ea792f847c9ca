from . cimport native

# The shim's functions. This module alone links the shim; others call through this table, so that native state exists
# once in the process.
cdef const native.mpsrnn_api *api

# Turns a status that is not OK into the exception of `mpsrnn_cy.errors` that belongs to it.
cdef int check(native.mpsrnn_status status, const native.mpsrnn_error *error) except -1


cdef class MTLDevice:
    cdef native.mpsrnn_device _h


cdef class MTLCommandQueue:
    cdef native.mpsrnn_queue _h
    cdef readonly MTLDevice device


cdef class MTLCommandBuffer:
    cdef native.mpsrnn_command _h
    cdef readonly MTLCommandQueue command_queue
    cdef list _handlers


# Whether a command buffer takes commands, on this very device object.
cdef bint is_open(MTLCommandBuffer command, MTLDevice device) noexcept
