"""Whether two lists of memory ranges overlap, fast: the first look at what an encode call reads and writes."""

from libc.stdlib cimport qsort

__all__ = []


cdef inline bint _starts_before(const MemoryRange *range, uint64_t storage, uint64_t address) noexcept nogil:
    return range.storage < storage or (range.storage == storage and range.first < address)


cdef int _order(const void *a, const void *b) noexcept nogil:
    cdef const MemoryRange *left = <const MemoryRange *>a
    cdef const MemoryRange *right = <const MemoryRange *>b
    if _starts_before(left, right.storage, right.first):
        return -1
    return 1 if _starts_before(right, left.storage, left.first) else 0


cdef void _sort_and_widen(MemoryRange *ranges, size_t count) noexcept nogil:
    """Sort ranges by their starts, and let each end at the farthest end of all up to it in its storage."""
    cdef size_t i
    cdef bint is_sorted = True
    for i in range(1, count):
        is_sorted = is_sorted and not _starts_before(&ranges[i], ranges[i - 1].storage, ranges[i - 1].first)
    if not is_sorted:
        qsort(ranges, count, sizeof(MemoryRange), _order)
    for i in range(1, count):
        if ranges[i].storage == ranges[i - 1].storage and ranges[i].end < ranges[i - 1].end:
            ranges[i].end = ranges[i - 1].end


cdef bint ranges_overlap(
    MemoryRange *reads, size_t read_count, const MemoryRange *writes, size_t write_count
) noexcept nogil:
    cdef size_t i, low, high, middle
    _sort_and_widen(reads, read_count)
    for i in range(write_count):
        # Reads that start before the end of what is written; the last of them knows how far they reach.
        low, high = 0, read_count
        while low < high:
            middle = low + (high - low) // 2
            if _starts_before(&reads[middle], writes[i].storage, writes[i].end):
                low = middle + 1
            else:
                high = middle
        if low > 0 and reads[low - 1].storage == writes[i].storage and reads[low - 1].end > writes[i].first:
            return True
    return False
