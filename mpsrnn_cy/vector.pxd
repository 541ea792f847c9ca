from .device_array cimport DeviceArray


cdef class MPSVector(DeviceArray):
    pass


cdef class MPSTemporaryVector(MPSVector):
    pass
