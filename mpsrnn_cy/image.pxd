from libc.stdint cimport uint32_t

from . cimport native
from .device cimport MTLDevice
from .feature_image cimport FeatureImage, ImageHandle
from .texture cimport MTLTexture


cdef class MPSImage(FeatureImage):
    cdef readonly MPSImage parent
    # The caller's, of an image made over one.
    cdef MTLTexture _texture


# The image over a handle, of which it takes the reference. With the read count of what it is a part of, it is a
# temporary whose reads are counted there.
cdef MPSImage wrap_image(native.mpsrnn_image handle, MTLDevice device, read_count)
