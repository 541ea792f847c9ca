"""A native image and what it looks like: the part of `MPSImage` that does not ask where the image came from."""

cimport cython

import numpy as np

from .arguments import label as checked_label
from .command_checks import check_command_buffer
from .enums import MPSImageFeatureChannelFormat, MTLPixelFormat, MTLStorageMode, MTLTextureType, MTLTextureUsage
from .errors import BadArgumentError, BadTypeError, LifetimeError
from .image_descriptor import CHANNEL_DTYPES, components_in, precision_of

from .device cimport api
from .image_access cimport move_bytes, move_pixels

__all__ = ["FeatureImage"]


@cython.final
@cython.auto_pickle(False)
cdef class ImageHandle:
    def __cinit__(self):
        self._h = NULL

    def __del__(self):
        # Not what was set to 0 early, and cannot be changed any more.
        if self._parent_count is not None and self._parent_count.value > 0:
            self._parent_count.take(1)

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)


@cython.auto_pickle(False)
cdef class FeatureImage:
    """An image, or a batch of images, of any number of feature channels: what all have, wherever they come from.

    Attributes
    ----------
    device : MTLDevice
        Where it lives.
    """

    def __repr__(self):
        name = "" if self._label is None else f" {self._label!r}"
        return (
            f"<{type(self).__name__}{name} {self.width} x {self.height}, {self.feature_channels} channels, "
            f"{self.number_of_images} images, {self.feature_channel_format.name}>"
        )

    @property
    def label(self):
        """A name for people, or None."""
        return self._label

    @label.setter
    def label(self, value):
        self._label = checked_label(value)

    @property
    def width(self):
        """Columns of pixels."""
        return self._descriptor.width

    @property
    def height(self):
        """Rows of pixels."""
        return self._descriptor.height

    @property
    def feature_channels(self):
        """Channels of a pixel."""
        return self._descriptor.channels

    @property
    def number_of_images(self):
        """Images of the batch."""
        return self._descriptor.images

    @property
    def feature_channel_format(self):
        """How a channel is stored, an `MPSImageFeatureChannelFormat`."""
        return MPSImageFeatureChannelFormat(self._descriptor.channel_format)

    @property
    def pixel_format(self):
        """Pixel format of the texture, an `MTLPixelFormat`."""
        return MTLPixelFormat(_texture_descriptor(self).pixel_format)

    @property
    def texture_type(self):
        """`MTLTextureType.TYPE_2D` for one image of at most four channels, else `TYPE_2D_ARRAY`; over a texture of the
        caller's, its type."""
        return MTLTextureType(_texture_descriptor(self).texture_type)

    @property
    def precision(self):
        """Bits of numeric precision of a channel: 8, 16, 11 (float16) or 24 (float32)."""
        return precision_of(self.feature_channel_format)

    @property
    def pixel_size(self):
        """Bytes from one pixel to the next in the texture, padding included."""
        return CHANNEL_DTYPES[self.feature_channel_format].itemsize * components_in(self.pixel_format)

    @property
    def usage(self):
        """What kernels may do with it, an `MTLTextureUsage`."""
        return MTLTextureUsage(self._descriptor.usage)

    @property
    def storage_mode(self):
        """SHARED, or PRIVATE: out of the CPU's reach. Apple keeps this in the descriptor alone."""
        return MTLStorageMode(self._descriptor.storage_mode)

    @property
    def storage_range(self):
        """Which memory it is in: its number, first slice and end. Ours, not Apple's.

        Two ranges that overlap, with one number, share memory.
        """
        cdef native.mpsrnn_storage storage = _storage(self)
        return storage.identity, storage.first_slice, storage.first_slice + storage.slices

    def synchronize(self, on_command_buffer):
        """Encode that the CPU will read what kernels have written. Devices here share its memory: nothing to do.

        Parameters
        ----------
        on_command_buffer : MTLCommandBuffer
            Not yet committed.

        Raises
        ------
        LifetimeError
            If the image is temporary: the CPU cannot reach it.
        """
        check_command_buffer(on_command_buffer, self.device, "on_command_buffer")
        if self._read_count is not None:
            raise LifetimeError(f"{type(self).__name__}: synchronize() of a temporary image, expected a persistent one")

    def write_bytes(
        self,
        data_bytes,
        data_layout,
        *,
        bytes_per_column=None,
        bytes_per_row=None,
        bytes_per_image=None,
        region=None,
        feature_channel_info=None,
        image_index=0,
    ):
        """Write pixels from memory, without conversion.

        Parameters
        ----------
        data_bytes : buffer
            Bytes, or a C-contiguous array whose dtype is the image's: uint8, uint16, float16 or float32. Without the
            strides below, exactly as long as what is written, tightly packed.
        data_layout : MPSDataLayout
            Order of the elements: ``[image][row][column][channel]`` or ``[image][channel][row][column]``.
        bytes_per_column, bytes_per_row, bytes_per_image : int, optional
            Bytes from one column, row and image to the next. Channels of one pixel, and planes of one image, follow
            each other without a gap.
        region : MTLRegion, optional
            The pixels, and in ``size.depth`` the number of images; the whole of one image if omitted.
        feature_channel_info : MPSImageReadWriteParams, optional
            The channels; all if omitted.
        image_index : int
            The first image.

        Raises
        ------
        BadArgumentError, BadTypeError
            Before anything is written.
        """
        strides = (bytes_per_column, bytes_per_row, bytes_per_image)
        cdef ImageHandle owner = self._handle()
        move_bytes(
            owner._h,
            &self._descriptor,
            data_bytes,
            data_layout,
            strides,
            region,
            feature_channel_info,
            image_index,
            True,
        )

    def read_bytes(
        self,
        data_bytes,
        data_layout,
        *,
        bytes_per_row=None,
        bytes_per_image=None,
        region=None,
        feature_channel_info=None,
        image_index=0,
    ):
        """Read pixels into memory, without conversion. Work that writes the image must have completed.

        Parameters are those of `write_bytes`; `data_bytes` must be writable.
        """
        strides = (None, bytes_per_row, bytes_per_image)
        cdef ImageHandle owner = self._handle()
        move_bytes(
            owner._h,
            &self._descriptor,
            data_bytes,
            data_layout,
            strides,
            region,
            feature_channel_info,
            image_index,
            False,
        )

    def to_numpy(self, out=None):
        """Read the image into an array. Ours, not Apple's. Work that writes the image must have completed.

        Parameters
        ----------
        out : ndarray, optional
            Where to; C-contiguous, writable, of the shape and dtype below.

        Returns
        -------
        ndarray
            ``(H, W, C)``, or ``(N, H, W, C)`` if there is more than one image; dtype as the channel format.
        """
        shape = (self.height, self.width, self.feature_channels)
        if self.number_of_images > 1:
            shape = (self.number_of_images, *shape)
        if out is None:
            out = np.empty(shape, CHANNEL_DTYPES[self.feature_channel_format])
        elif not isinstance(out, np.ndarray):
            raise BadTypeError(f"out: got a {type(out).__name__}, expected an array of shape {shape}")
        elif out.shape != shape:
            raise BadArgumentError(f"out: got shape {out.shape}, expected an array of shape {shape}")
        read_pixels(self, out, "out")
        return out

    cdef ImageHandle _handle(self):
        owner = self._owner
        if self._read_count is not None:
            if self._read_count.value == 0:
                owner = None
            elif owner is None:
                owner = self._read_count.storage
        if owner is None:
            raise LifetimeError(f"{type(self).__name__}: its last read has been encoded, its storage is gone")
        return owner

    cdef _fill(self, ImageHandle owner, MTLDevice device, read_count):
        """Become the image of a handle, which a temporary leaves to its read count if that has it."""
        self.device = device
        self._read_count = read_count
        self._owner = None if read_count is not None and read_count.storage is owner else owner
        api.image_get_descriptor(owner._h, &self._descriptor)
        return self


cdef native.mpsrnn_texture_descriptor _texture_descriptor(FeatureImage image) except *:
    cdef native.mpsrnn_texture_descriptor descriptor
    cdef ImageHandle owner = image._handle()
    api.image_get_texture_descriptor(owner._h, &descriptor)
    return descriptor


cdef native.mpsrnn_storage _storage(FeatureImage image) except *:
    cdef native.mpsrnn_storage storage
    cdef ImageHandle owner = image._handle()
    api.image_get_storage(owner._h, &storage)
    return storage


cdef ImageHandle own_image(native.mpsrnn_image handle):
    cdef ImageHandle owner = ImageHandle.__new__(ImageHandle)
    owner._h = handle
    return owner


cdef write_pixels(FeatureImage image, pixels, name):
    cdef ImageHandle owner = image._handle()
    move_pixels(owner._h, &image._descriptor, pixels, name, True)


cdef read_pixels(FeatureImage image, out, name):
    cdef ImageHandle owner = image._handle()
    move_pixels(owner._h, &image._descriptor, out, name, False)
