from . cimport native
from .device cimport MTLDevice


cdef class MTLTexture:
    cdef native.mpsrnn_texture _h
    cdef native.mpsrnn_texture_descriptor _descriptor
    cdef readonly MTLDevice device
    cdef str _label


# A new texture, as a MTLTextureDescriptor says but for its storage mode.
cdef MTLTexture create_texture(MTLDevice device, descriptor, storage_mode)

# The texture over a handle, of which it takes the reference.
cdef MTLTexture wrap_texture(native.mpsrnn_texture handle, MTLDevice device)
