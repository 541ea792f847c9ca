from . cimport native
from .device cimport MTLDevice


# Owns a native image: that lives at least as long as this object.
cdef class ImageHandle:
    cdef native.mpsrnn_image _h
    # Of the temporary image that this one is a view of, whose read count it holds one of.
    cdef object _parent_count


cdef class FeatureImage:
    cdef native.mpsrnn_image_descriptor _descriptor
    cdef readonly MTLDevice device
    # ReadCount of a temporary; None for all others.
    cdef readonly object _read_count
    # None where the read count holds it.
    cdef ImageHandle _owner
    cdef str _label

    # What owns the native image, to be kept while that is used. LifetimeError if a temporary's last read is encoded.
    cdef ImageHandle _handle(self)
    cdef _fill(self, ImageHandle owner, MTLDevice device, read_count)


# The owner of a handle, of which it takes the reference.
cdef ImageHandle own_image(native.mpsrnn_image handle)

# The elements of all images of a batch, from and to an array of the right shape and dtype.
cdef write_pixels(FeatureImage image, pixels, name)
cdef read_pixels(FeatureImage image, out, name)
