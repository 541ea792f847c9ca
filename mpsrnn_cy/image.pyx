"""Feature-channel images: textures whose texels hold four channels a slice, and their way from and to NumPy."""

cimport cython
from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

import numpy as np

from .arguments import buffer_view, enum_member, instance_of, integer, span
from .arguments import label as checked_label
from .enums import MPSDataLayout, MPSImageFeatureChannelFormat, MTLStorageMode, MTLTextureType, MTLTextureUsage
from .errors import BadArgumentError, BadTypeError
from .image_descriptor import (
    CHANNEL_DTYPES,
    MPSImageDescriptor,
    channel_format_of,
    components_of,
    pixel_format_of,
    precision_of,
)
from .structures import MPSImageReadWriteParams, MTLOrigin, MTLRegion, MTLSize, structure_of

from .device cimport api, check

__all__ = ["MPSImage"]

cdef object _key = object()


@cython.final
@cython.auto_pickle(False)
cdef class MPSImage:
    """An image, or a batch of images, of any number of feature channels.

    Channel c of image n lies in slice ``n * ceil(channels / 4) + c // 4`` of a texture, component ``c % 4``.

    Parameters
    ----------
    device : MTLDevice
        Where the image lives.
    image_descriptor : MPSImageDescriptor
        Its size, channels and format; later changes to the descriptor change nothing here.

    Attributes
    ----------
    device : MTLDevice

    Raises
    ------
    OutOfMemoryError
        If the device has no memory for it.
    BadArgumentError
        If it is larger than any device's textures: 16384 pixels on a side, 2048 slices.
    """

    def __cinit__(self, device=None, image_descriptor=None, *, key=None):
        self._h = NULL
        if key is _key:
            return
        if key is not None:
            raise BadTypeError("MPSImage: got an unexpected argument key, expected device and image_descriptor")
        cdef native.mpsrnn_error error
        cdef native.mpsrnn_status status
        cdef native.mpsrnn_image_descriptor *d = &self._descriptor
        self.device = instance_of(device, "device", MTLDevice)
        described = instance_of(image_descriptor, "image_descriptor", MPSImageDescriptor)
        d.width = described.width
        d.height = described.height
        d.channels = described.feature_channels
        d.images = described.number_of_images
        d.channel_format = described.channel_format
        d.usage = described.usage
        d.storage_mode = described.storage_mode
        with nogil:
            status = api.image_create(self.device._h, d, &self._h, &error)
        check(status, &error)

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    def __repr__(self):
        name = "" if self._label is None else f" {self._label!r}"
        return (
            f"<MPSImage{name} {self.width} x {self.height}, {self.feature_channels} channels, "
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
        return pixel_format_of(self.feature_channel_format, self.feature_channels)

    @property
    def texture_type(self):
        """`MTLTextureType.TYPE_2D` for one image of at most four channels, else `TYPE_2D_ARRAY`."""
        is_plain = self.number_of_images == 1 and self.feature_channels <= 4
        return MTLTextureType.TYPE_2D if is_plain else MTLTextureType.TYPE_2D_ARRAY

    @property
    def precision(self):
        """Bits of numeric precision of a channel: 8, 16, 11 (float16) or 24 (float32)."""
        return precision_of(self.feature_channel_format)

    @property
    def pixel_size(self):
        """Bytes from one pixel to the next in the texture, padding included."""
        return CHANNEL_DTYPES[self.feature_channel_format].itemsize * components_of(self.feature_channels)

    @property
    def usage(self):
        """What kernels may do with it, an `MTLTextureUsage`."""
        return MTLTextureUsage(self._descriptor.usage)

    @property
    def storage_mode(self):
        """SHARED, or PRIVATE: out of the CPU's reach. Apple keeps this in the descriptor alone."""
        return MTLStorageMode(self._descriptor.storage_mode)

    @property
    def storage_id(self):
        """A number that tells which images share memory. Ours, not Apple's."""
        return <size_t>self._h

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
        cdef native.mpsrnn_image_region box
        _set_box(self, &box, data_layout, region, feature_channel_info, image_index)
        needed = _set_strides(self, &box, bytes_per_column, bytes_per_row, bytes_per_image)
        strides = (bytes_per_column, bytes_per_row, bytes_per_image)
        memory = _memory(self, data_bytes, needed, strides, "data_bytes")
        _move(self, memory, &box, True)

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
        cdef native.mpsrnn_image_region box
        _set_box(self, &box, data_layout, region, feature_channel_info, image_index)
        needed = _set_strides(self, &box, None, bytes_per_row, bytes_per_image)
        memory = _memory(self, data_bytes, needed, (None, bytes_per_row, bytes_per_image), "data_bytes")
        _check_writable(memory, "data_bytes")
        _move(self, memory, &box, False)

    @classmethod
    def from_numpy(cls, device, array, *, usage=MTLTextureUsage.SHADER_READ | MTLTextureUsage.SHADER_WRITE):
        """Make an image from an array. Ours, not Apple's.

        Parameters
        ----------
        device : MTLDevice
            Where the image lives.
        array : ndarray
            ``(H, W, C)``, or ``(N, H, W, C)`` for a batch; uint8, uint16 (both: 0 to the maximum stands for 0 to 1),
            float16 or float32. It is copied.
        usage : MTLTextureUsage
            What kernels may do with the image.
        """
        pixels = as_pixels(array, "array", (3, 4))
        images, height, width, channels = pixels.shape if pixels.ndim == 4 else (1, *pixels.shape)
        descriptor = MPSImageDescriptor(
            channel_format_of(pixels.dtype, "array"), width, height, channels, number_of_images=images, usage=usage
        )
        cdef MPSImage image = cls(device, descriptor)
        write_pixels(image, pixels, "array")
        return image

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


cdef MPSImage wrap_image(native.mpsrnn_image handle, MTLDevice device):
    cdef MPSImage image = MPSImage.__new__(MPSImage, key=_key)
    image._h = handle
    image.device = device
    api.image_get_descriptor(handle, &image._descriptor)
    return image


def as_pixels(array, name, ranks, formats=tuple(CHANNEL_DTYPES)):
    """Check an array of pixels, channels last: of one of the ranks, and of the dtype of one of the channel formats."""
    if not isinstance(array, np.ndarray):
        raise BadTypeError(f"{name}: got a {type(array).__name__}, expected an ndarray")
    if array.ndim not in ranks:
        expected = " or ".join(str(rank) for rank in ranks)
        raise BadArgumentError(f"{name}: got {array.ndim} axes, shape {array.shape}, expected {expected} axes")
    channel_format_of(array.dtype, name, formats)
    if 0 in array.shape:
        raise BadArgumentError(f"{name}: got shape {array.shape}, expected at least 1 along every axis")
    return array


cdef _set_whole_box(MPSImage image, native.mpsrnn_image_region *box):
    """Fill in all pixels, channels and images, tightly packed with channels last; return the bytes they take."""
    whole = MTLRegion(MTLOrigin(), MTLSize(image.width, image.height, image.number_of_images))
    _set_box(image, box, MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS, whole, None, 0)
    return _set_strides(image, box, None, None, None)


cdef write_pixels(MPSImage image, pixels, name):
    """Write all images of a batch from an array that `as_pixels` has checked; any strides."""
    cdef native.mpsrnn_image_region box
    needed = _set_whole_box(image, &box)
    _move(image, _memory(image, np.ascontiguousarray(pixels), needed, (None,), name), &box, True)


cdef read_pixels(MPSImage image, out, name):
    """Read all images of a batch into an array of the right shape."""
    cdef native.mpsrnn_image_region box
    memory = _memory(image, out, _set_whole_box(image, &box), (None,), name)
    _check_writable(memory, name)
    _move(image, memory, &box, False)


def _check_writable(memory, name):
    if not memory.flags.writeable:
        raise BadArgumentError(f"{name}: got read-only memory, expected writable memory")


cdef _set_box(MPSImage image, native.mpsrnn_image_region *box, data_layout, region, channel_info, image_index):
    """Fill in which pixels, channels and images."""
    box.layout = enum_member(data_layout, "data_layout", MPSDataLayout)
    if image.storage_mode == MTLStorageMode.PRIVATE:
        raise BadArgumentError("image: got an image of private storage, expected one that the CPU can reach")
    if region is None:
        origin, size = MTLOrigin(), MTLSize(image.width, image.height)
    else:
        origin, size = structure_of(region, "region", MTLRegion)
        origin = structure_of(origin, "region.origin", MTLOrigin)
        size = structure_of(size, "region.size", MTLSize)
    if integer(origin.z, "region.origin.z") != 0:
        raise BadArgumentError(f"region.origin.z: got {origin.z}, expected 0; image_index chooses the image")
    box.x, box.width = span(origin.x, size.width, image.width, "region: columns")
    box.y, box.height = span(origin.y, size.height, image.height, "region: rows")
    box.first_image, box.images = span(image_index, size.depth, image.number_of_images, "image_index, region: images")
    if channel_info is None:
        box.first_channel, box.channels = 0, image.feature_channels
        return
    info = structure_of(channel_info, "feature_channel_info", MPSImageReadWriteParams)
    first, count = span(*info, image.feature_channels, "feature_channel_info: channels")
    if first % 4 != 0:
        raise BadArgumentError(f"feature_channel_info: got the offset {first}, expected a multiple of 4")
    if count % 4 != 0 and first != 0 and first + count != image.feature_channels:
        raise BadArgumentError(
            f"feature_channel_info: got {count} channels from {first}, "
            "expected a multiple of 4, or an offset of 0, or all channels to the last"
        )
    box.first_channel, box.channels = first, count


cdef _set_strides(MPSImage image, native.mpsrnn_image_region *box, per_column, per_row, per_image):
    """Fill in where elements lie in the caller's memory; return the bytes it must have."""
    element = CHANNEL_DTYPES[image.feature_channel_format].itemsize
    is_interleaved = box.layout == MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS
    pixel = element * box.channels if is_interleaved else element
    column = _stride(per_column, "bytes_per_column", pixel, element)
    row = _stride(per_row, "bytes_per_row", column * (box.width - 1) + pixel, element)
    planes = 1 if is_interleaved else box.channels
    plane = row * (box.height - 1) + column * (box.width - 1) + pixel
    whole = row * box.height * (planes - 1) + plane
    # Tightly packed, an image ends where its last row does, padding of that row included.
    packed = row * box.height * planes
    image_step = packed if per_image is None else _stride(per_image, "bytes_per_image", whole, element)
    box.bytes_per_column, box.bytes_per_row, box.bytes_per_image = column, row, image_step
    return image_step * (box.images - 1) + whole


def _stride(value, name, smallest, element):
    """Check a stride, or take the smallest."""
    if value is None:
        return smallest
    value = integer(value, name)
    if value < smallest or value % element != 0:
        raise BadArgumentError(f"{name}: got {value}, expected at least {smallest} and a multiple of {element}")
    return value


cdef _memory(MPSImage image, value, needed, strides, name):
    """See the caller's memory as a flat array of the image's elements, long enough."""
    dtype = CHANNEL_DTYPES[image.feature_channel_format]
    count = needed // dtype.itemsize if all(stride is None for stride in strides) else None
    memory = buffer_view(value, name, dtype, count)
    if memory.nbytes < needed:
        raise BadArgumentError(f"{name}: got {memory.nbytes} bytes, expected at least {needed}")
    return memory


cdef _move(MPSImage image, memory, const native.mpsrnn_image_region *box, bint writes):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef Py_buffer view
    PyObject_GetBuffer(memory, &view, PyBUF_C_CONTIGUOUS if writes else PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        with nogil:
            if writes:
                status = api.image_write(image._h, view.buf, box, &error)
            else:
                status = api.image_read(image._h, view.buf, box, &error)
    finally:
        PyBuffer_Release(&view)
    check(status, &error)
