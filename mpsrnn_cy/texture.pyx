"""Textures: the storage behind images."""

cimport cython

from .arguments import instance_of
from .arguments import label as checked_label
from .enums import MTLPixelFormat, MTLStorageMode, MTLTextureType, MTLTextureUsage
from .errors import BadArgumentError, BadTypeError
from .texture_descriptor import MTLTextureDescriptor

from .device cimport api, check

__all__ = ["MTLTexture", "make_texture"]

cdef object _key = object()


@cython.final
@cython.auto_pickle(False)
cdef class MTLTexture:
    """Texels of a device, in slices. Made by `MTLDevice.make_texture`, or had from an image.

    What is in it is read and written through an `MPSImage` over it.

    Attributes
    ----------
    device : MTLDevice
        Where it lives.
    """

    def __cinit__(self, key=None):
        self._h = NULL
        if key is not _key:
            raise BadTypeError("MTLTexture: cannot be constructed, expected MTLDevice.make_texture()")

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    def __repr__(self):
        name = "" if self._label is None else f" {self._label!r}"
        return (
            f"<MTLTexture{name} {self.width} x {self.height}, {self.array_length} slices, {self.pixel_format.name}, "
            f"{self.storage_mode.name}>"
        )

    @property
    def label(self):
        """A name for people, or None."""
        return self._label

    @label.setter
    def label(self, value):
        self._label = checked_label(value)

    @property
    def texture_type(self):
        """`MTLTextureType`: TYPE_2D has one slice."""
        return MTLTextureType(self._descriptor.texture_type)

    @property
    def pixel_format(self):
        """How a texel is stored, an `MTLPixelFormat`."""
        return MTLPixelFormat(self._descriptor.pixel_format)

    @property
    def width(self):
        """Columns of texels."""
        return self._descriptor.width

    @property
    def height(self):
        """Rows of texels."""
        return self._descriptor.height

    @property
    def array_length(self):
        """Slices."""
        return self._descriptor.slices

    @property
    def usage(self):
        """What kernels may do with it, an `MTLTextureUsage`."""
        return MTLTextureUsage(self._descriptor.usage)

    @property
    def storage_mode(self):
        """SHARED, or PRIVATE: out of the CPU's reach."""
        return MTLStorageMode(self._descriptor.storage_mode)

    @property
    def allocated_size(self):
        """Bytes of its memory; of the whole memory, if it is a view of a larger texture."""
        return _storage(self).size


cdef native.mpsrnn_storage _storage(MTLTexture texture) noexcept:
    cdef native.mpsrnn_storage storage
    api.texture_get_storage(texture._h, &storage)
    return storage


cdef MTLTexture create_texture(MTLDevice device, descriptor, storage_mode):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_texture handle = NULL
    cdef native.mpsrnn_texture_descriptor d
    if descriptor.texture_type == MTLTextureType.TYPE_2D and descriptor.array_length != 1:
        raise BadArgumentError(
            f"descriptor.array_length: got {descriptor.array_length} for TYPE_2D, expected 1, or TYPE_2D_ARRAY"
        )
    d.texture_type = descriptor.texture_type
    d.pixel_format = descriptor.pixel_format
    d.width = descriptor.width
    d.height = descriptor.height
    d.slices = descriptor.array_length
    d.usage = descriptor.usage
    d.storage_mode = storage_mode
    with nogil:
        status = api.texture_create(device._h, &d, &handle, &error)
    check(status, &error)
    return wrap_texture(handle, device)


cdef MTLTexture wrap_texture(native.mpsrnn_texture handle, MTLDevice device):
    cdef MTLTexture texture = MTLTexture.__new__(MTLTexture, _key)
    texture._h = handle
    texture.device = device
    api.texture_get_descriptor(handle, &texture._descriptor)
    return texture


def make_texture(MTLDevice device, descriptor):
    """Make a texture as `MTLDevice.make_texture` does."""
    described = instance_of(descriptor, "descriptor", MTLTextureDescriptor)
    return create_texture(device, described, described.storage_mode)
