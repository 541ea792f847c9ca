"""Images of feature channels: textures whose texels hold four channels a slice, views of them, and temporaries."""

cimport cython

from .arguments import instance_of, integer
from .command_checks import check_command_buffer
from .enums import MTLStorageMode, MTLTextureUsage
from .errors import BadArgumentError, BadTypeError
from .image_access import as_pixels
from .image_allocator import ImageAllocator
from .image_descriptor import MPSImageDescriptor, channel_format_of, components_in
from .structures import range_of
from .temporary import ReadCount
from .texture_descriptor import MTLTextureDescriptor

from .device cimport api, check
from .feature_image cimport own_image, write_pixels
from .texture cimport create_texture, wrap_texture

__all__ = ["MPSImage", "MPSTemporaryImage"]

cdef object _key = object()


@cython.auto_pickle(False)
cdef class MPSImage(FeatureImage):
    """An image, or a batch of images, of any number of feature channels.

    Channel c of image n lies in slice ``n * ceil(channels / 4) + c // 4`` of a texture, component ``c % 4``. Components
    of the last slice beyond the last channel are padding: who writes the image may write them too.

    Made of one of three things: a device and a description, with memory of its own; a texture; or slices of another
    image. What is written through one of several images over the same texels is seen through all.

    Parameters
    ----------
    device : MTLDevice
        Where an image with memory of its own lives.
    image_descriptor : MPSImageDescriptor
        Its size, channels and format; later changes to the descriptor change nothing here.
    texture : MTLTexture
        What the image shares its memory with. TYPE_2D: one image, of at most four channels. TYPE_2D_ARRAY: as many
        images as its slices are times ``ceil(feature_channels / 4)``.
    parent_image : MPSImage
        What the image is a view of; not a temporary, which `batch_representation` and `sub_image` have views of.
    slice_range : (int, int)
        The first slice of the view and how many: ``ceil(feature_channels / 4)`` for each of its images.
    feature_channels : int
        Channels of an image made of a texture or of slices; as many as a texel has components, at least, up to 4.

    Attributes
    ----------
    parent : MPSImage or None
        The image that this one is a view of.

    Raises
    ------
    OutOfMemoryError
        If the device has no memory for it.
    BadArgumentError
        If it is larger than any device's textures, 16384 pixels on a side and 2048 slices, or does not fit the texture
        or the slices.
    """

    def __cinit__(
        self,
        device=None,
        image_descriptor=None,
        *,
        texture=None,
        parent_image=None,
        slice_range=None,
        feature_channels=None,
        key=None,
        **others,
    ):
        # A temporary has constructor arguments of its own; and `wrap_image` knows everything already.
        if key is _key or isinstance(self, MPSTemporaryImage):
            return
        if key is not None or others:
            name = "key" if key is not None else next(iter(others))
            raise BadTypeError(f"MPSImage: got an unexpected argument {name}, expected device and image_descriptor")
        if texture is not None:
            _refuse_others(
                "texture",
                device=device,
                image_descriptor=image_descriptor,
                parent_image=parent_image,
                slice_range=slice_range,
            )
            _fill_over_texture(self, texture, feature_channels)
        elif parent_image is not None:
            _refuse_others("parent_image", device=device, image_descriptor=image_descriptor)
            _fill_over_slices(self, parent_image, slice_range, feature_channels)
        else:
            owner = instance_of(device, "device", MTLDevice)
            described = instance_of(image_descriptor, "image_descriptor", MPSImageDescriptor)
            _refuse_others("a descriptor", slice_range=slice_range, feature_channels=feature_channels)
            self._fill(_create(owner, described, described.storage_mode), owner, None)

    @property
    def texture(self):
        """The `MTLTexture` behind it, which shares its memory and keeps that alive."""
        return self._texture if self._texture is not None else _texture(self)

    def resource_size(self):
        """Bytes of its memory; 0 for views and for images over a texture, whose memory is not theirs."""
        cdef native.mpsrnn_storage storage
        if self.parent is not None or self._texture is not None:
            return 0
        cdef ImageHandle owner = self._handle()
        api.image_get_storage(owner._h, &storage)
        return storage.size

    def batch_representation(self, with_sub_range=None):
        """See a batch as a list of images.

        Parameters
        ----------
        with_sub_range : (int, int), optional
            The first image and how many; all if omitted.

        Returns
        -------
        list of MPSImage
            A view of each. Views of a temporary image are temporary; each holds one read count of it until its own
            is 0.
        """
        first, count = 0, self.number_of_images
        if with_sub_range is not None:
            first, count = range_of(with_sub_range, "with_sub_range", self.number_of_images)
        slices = _slices(self.feature_channels)
        return [_view(self, image * slices, 1, self.feature_channels) for image in range(first, first + count)]

    def sub_image(self, with_feature_channel_range):
        """See some channels of an image as an image.

        Parameters
        ----------
        with_feature_channel_range : (int, int)
            The first channel and how many, multiples of 4; more than there are stand for all to the last.

        Returns
        -------
        MPSImage
            A view, temporary if this image is; see `batch_representation`.

        Raises
        ------
        BadArgumentError
            Also for a batch of images, whose slices would not lie together: `batch_representation` parts it first.
        """
        name = "with_feature_channel_range"
        if self.number_of_images != 1:
            raise BadArgumentError(f"{name}: got a batch of {self.number_of_images} images, expected a single image")
        first, count = range_of(with_feature_channel_range, name, None)
        if first % 4 != 0 or count % 4 != 0:
            raise BadArgumentError(f"{name}: got {count} channels from {first}, expected multiples of 4")
        if first >= self.feature_channels:
            raise BadArgumentError(f"{name}: got {first} as the first of {self.feature_channels} channels")
        return _view(self, first // 4, 1, min(count, self.feature_channels - first))

    @classmethod
    def default_allocator(cls):
        """Get what makes such images for kernels that return one; its method is Apple's ``image(for_, ...)``."""
        return _persistent_images

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
        _check_persistent(cls)
        pixels = as_pixels(array, "array", (3, 4))
        images, height, width, channels = pixels.shape if pixels.ndim == 4 else (1, *pixels.shape)
        descriptor = MPSImageDescriptor(
            channel_format_of(pixels.dtype, "array"), width, height, channels, number_of_images=images, usage=usage
        )
        image = cls(device, descriptor)
        write_pixels(image, pixels, "array")
        return image


@cython.final
@cython.auto_pickle(False)
cdef class MPSTemporaryImage(MPSImage):
    """An image for intermediate results of one command buffer, in memory that the CPU cannot reach.

    Its read count starts at 1; see `read_count`.

    Parameters
    ----------
    command_buffer : MTLCommandBuffer
        The one whose encode calls may use it; not yet committed.
    image_descriptor : MPSImageDescriptor
        Its size, channels and format; whatever its storage mode, that of the image is PRIVATE.
    texture_descriptor : MTLTextureDescriptor
        In place of `image_descriptor`: its texture, likewise PRIVATE.
    feature_channels : int, optional
        With `texture_descriptor`; see `MPSImage`. One image of all components of all slices if omitted.
    """

    def __cinit__(
        self, command_buffer, image_descriptor=None, *, texture_descriptor=None, feature_channels=None, key=None
    ):
        if key is _key:
            return
        if key is not None:
            raise BadTypeError("MPSTemporaryImage: got an unexpected argument key")
        command = check_command_buffer(command_buffer, None)
        if texture_descriptor is not None:
            _refuse_others("texture_descriptor", image_descriptor=image_descriptor)
            owner = _over_new_texture(command.device, texture_descriptor, feature_channels)
        else:
            described = instance_of(image_descriptor, "image_descriptor", MPSImageDescriptor)
            _refuse_others("image_descriptor", feature_channels=feature_channels)
            owner = _create(command.device, described, MTLStorageMode.PRIVATE)
        self._fill(owner, command.device, ReadCount(command, "MPSTemporaryImage", owner))

    @property
    def read_count(self):
        """How often encode calls may still read it. Each reading lowers it; at 0 the memory is let go.

        Set it once if the image will be read more often, or to 0 to let it go early. Setting it when it is 0 raises
        `LifetimeError`.
        """
        return self._read_count.value

    @read_count.setter
    def read_count(self, value):
        self._read_count.set(value, "read_count")

    @classmethod
    def prefetch_storage(cls, with_command_buffer, image_descriptor_list):
        """Hint which temporaries will follow; kept for Apple's programs. Arguments are checked, nothing is fetched."""
        check_command_buffer(with_command_buffer, None, "with_command_buffer")
        for index, descriptor in enumerate(instance_of(image_descriptor_list, "image_descriptor_list", list)):
            instance_of(descriptor, f"image_descriptor_list[{index}]", MPSImageDescriptor)

    @classmethod
    def default_allocator(cls):
        """Get what makes such images for kernels that return one; see `MPSImage.default_allocator`."""
        return _temporary_images


cdef object _persistent_images = ImageAllocator(lambda command, descriptor: MPSImage(command.device, descriptor))
cdef object _temporary_images = ImageAllocator(MPSTemporaryImage)


def _check_persistent(cls):
    if issubclass(cls, MPSTemporaryImage):
        raise BadTypeError(f"{cls.__name__}: the CPU cannot reach temporary images, expected MPSImage")


def _refuse_others(what, **others):
    """Refuse arguments that belong to another way to make an image than `what`."""
    for name, value in others.items():
        if value is not None:
            raise BadTypeError(f"{name}: got {value!r} besides {what}, expected one way to make an image")


def _slices(channels):
    """Slices of an image of so many channels."""
    return -(-channels // 4)


def _images_in(MTLTexture texture, slices, channels, name):
    """Check that slices of a texture can hold images of so many channels; return how many images."""
    components = components_in(texture.pixel_format)
    if min(channels, 4) > components:
        raise BadArgumentError(
            f"feature_channels: got {channels} in texels of {texture.pixel_format.name}, expected at most {components}"
        )
    if slices % _slices(channels) != 0:
        raise BadArgumentError(
            f"{name}: got {slices} slices, expected a multiple of {_slices(channels)} for {channels} feature channels"
        )
    return slices // _slices(channels)


cdef ImageHandle _create(MTLDevice device, described, storage_mode):
    """New memory, as an MPSImageDescriptor says but for its storage mode."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_image handle = NULL
    cdef native.mpsrnn_image_descriptor d
    d.width = described.width
    d.height = described.height
    d.channels = described.feature_channels
    d.images = described.number_of_images
    d.channel_format = described.channel_format
    d.usage = described.usage
    d.storage_mode = storage_mode
    with nogil:
        status = api.image_create(device._h, &d, &handle, &error)
    check(status, &error)
    return own_image(handle)


cdef ImageHandle _create_over(MTLTexture texture, uint32_t first_slice, uint32_t images, uint32_t channels):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_image handle = NULL
    with nogil:
        status = api.image_create_over(texture._h, first_slice, images, channels, &handle, &error)
    check(status, &error)
    return own_image(handle)


cdef ImageHandle _over_new_texture(MTLDevice device, descriptor, feature_channels):
    """Private memory for a temporary image."""
    described = instance_of(descriptor, "texture_descriptor", MTLTextureDescriptor)
    texture = create_texture(device, described, MTLStorageMode.PRIVATE)
    channels = components_in(texture.pixel_format) * texture.array_length
    if feature_channels is not None:
        channels = integer(feature_channels, "feature_channels", minimum=1)
    images = _images_in(texture, texture.array_length, channels, "texture_descriptor.array_length")
    return _create_over(texture, 0, images, channels)


cdef _fill_over_texture(MPSImage image, texture, feature_channels):
    cdef MTLTexture given = instance_of(texture, "texture", MTLTexture)
    channels = integer(feature_channels, "feature_channels", minimum=1)
    images = _images_in(given, given.array_length, channels, "texture")
    image._fill(_create_over(given, 0, images, channels), given.device, None)
    image._texture = given


cdef _fill_over_slices(MPSImage image, parent_image, slice_range, feature_channels):
    cdef MPSImage parent = instance_of(parent_image, "parent_image", MPSImage)
    if parent._read_count is not None:
        raise BadArgumentError(
            "parent_image: got a temporary image, expected batch_representation() or sub_image() of it"
        )
    texture = parent.texture
    first, count = range_of(slice_range, "slice_range", texture.array_length)
    channels = integer(feature_channels, "feature_channels", minimum=1)
    images = _images_in(texture, count, channels, "slice_range")
    image._fill(_create_over(texture, first, images, channels), parent.device, None)
    image.parent = parent


cdef MTLTexture _texture(MPSImage image):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_texture handle = NULL
    cdef ImageHandle owner = image._handle()
    check(api.image_copy_texture(owner._h, &handle, &error), &error)
    return wrap_texture(handle, image.device)


cdef MPSImage _view(MPSImage parent, first_slice, images, channels):
    """A view of the slices of an image; of a temporary one it holds a read count."""
    cdef MPSImage view
    cdef ImageHandle owner = _create_over(parent.texture, first_slice, images, channels)
    if parent._read_count is None:
        view = MPSImage.__new__(MPSImage, key=_key)
        view._fill(owner, parent.device, None)
    else:
        parent._read_count.set(parent._read_count.value + 1, "read_count")
        owner._parent_count = parent._read_count
        view = MPSTemporaryImage.__new__(MPSTemporaryImage, parent._read_count.command_buffer, key=_key)
        view._fill(owner, parent.device, ReadCount(parent._read_count.command_buffer, "MPSTemporaryImage", owner))
    view.parent = parent
    return view


cdef MPSImage wrap_image(native.mpsrnn_image handle, MTLDevice device, read_count):
    cdef MPSImage image
    owner = own_image(handle)
    if read_count is None:
        image = MPSImage.__new__(MPSImage, key=_key)
    else:
        image = MPSTemporaryImage.__new__(MPSTemporaryImage, read_count.command_buffer, key=_key)
    image._fill(owner, device, read_count)
    return image
