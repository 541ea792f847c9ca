from .buffer cimport MTLBuffer
from .device cimport MTLDevice


# What matrices and vectors have in common.
cdef class DeviceArray:
    cdef readonly MTLDevice device
    # Bytes of the buffer before the first element.
    cdef readonly size_t offset
    # ReadCount of a temporary, which then holds the buffer; None for all others.
    cdef readonly object _read_count
    cdef MTLBuffer _buffer
    cdef object _layout

    cdef MTLBuffer _storage(self)
    cdef _fill(self, layout, MTLDevice device, MTLBuffer buffer, size_t offset)


# How an object comes to its elements: over a caller's buffer, over new memory, and as a temporary. Arguments are those
# of the constructors, but for the layout, which has been checked.
cdef fill_over_buffer(DeviceArray array, layout, device, buffer, offset)
cdef fill_on_device(DeviceArray array, layout, device, offset)
cdef fill_temporary(DeviceArray array, layout, command_buffer)

# A caller's array, checked, with an axis for the batch in front of the `rank` others.
cdef elements_of(array, name, rank)
# Makes `array` a view of such an array's own memory; `steps` name its strides but for the last axis.
cdef fill_over_array(DeviceArray array, device, elements, steps)
# What another library's tensor holds, as an array over its memory.
cdef tensor_array(tensor, name)
# The elements in memory that the CPU reaches, with the axis for the batch.
cdef whole_batch(DeviceArray array)
