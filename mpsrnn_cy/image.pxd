from . cimport native
from .device cimport MTLDevice


cdef class MPSImage:
    cdef native.mpsrnn_image _h
    cdef native.mpsrnn_image_descriptor _descriptor
    cdef readonly MTLDevice device
    cdef str _label


cdef write_pixels(MPSImage image, pixels, name)
cdef read_pixels(MPSImage image, out, name)


# The image over a handle, of which it takes the reference.
cdef MPSImage wrap_image(native.mpsrnn_image handle, MTLDevice device)
