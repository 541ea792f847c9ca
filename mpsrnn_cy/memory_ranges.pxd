from libc.stdint cimport uint64_t


# Some memory. Only addresses of one storage can be compared.
cdef struct MemoryRange:
    uint64_t storage, first, end


# Whether something that is written lies, from its first to its last byte, over something that is read. It spoils the
# reads, which it sorts and widens.
cdef bint ranges_overlap(
    MemoryRange *reads, size_t read_count, const MemoryRange *writes, size_t write_count
) noexcept nogil
