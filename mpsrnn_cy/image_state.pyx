"""What a recurrent layer over images remembers from one time step to the next."""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free

from .arguments import integer
from .enums import MPSImageFeatureChannelFormat
from .errors import BadArgumentError, BadTypeError, LifetimeError, OutOfMemoryError
from .image_access import as_pixels
from .state_resources import Resource
from .temporary import ReadCount

from .device cimport api, check
from .image cimport MPSImage, wrap_image
from .texture cimport MTLTexture, wrap_texture

__all__ = ["MPSRNNRecurrentImageState"]

cdef object _key = object()


@cython.final
@cython.auto_pickle(False)
cdef class ImageStateHandle:
    def __cinit__(self):
        self._h = NULL

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)


@cython.final
@cython.auto_pickle(False)
cdef class MPSRNNRecurrentImageState(MPSState):
    """The recurrent output h and, for LSTMs, the memory cell c of every layer of a stack, as images.

    Made by an encode call, or by `from_numpy`. Its images are float32 whatever the format of the destinations; those an
    encode call made hold their values once the command buffer has completed. A layer only reads a state it is given,
    so one state can start many sequences. Its resources are the
    textures of its images: h and c of every layer.

    Attributes
    ----------
    device : MTLDevice
        Where its images live.
    """

    def __cinit__(self, *, key=None):
        if key is not _key:
            raise BadTypeError(
                "MPSRNNRecurrentImageState: cannot be constructed, expected one made by encode_sequence(), predict() "
                "or MPSRNNRecurrentImageState.from_numpy()"
            )

    @classmethod
    def from_numpy(cls, device, recurrent_outputs, memory_cells=None):
        """Make a state from arrays, to start a sequence from. Ours: Apple's states only come out of encode calls.

        Parameters
        ----------
        device : MTLDevice
            Where its images live.
        recurrent_outputs : list of ndarray
            h of every layer, the bottom one first; float32, ``(H, W, C)`` or ``(N, H, W, C)``.
        memory_cells : list of (ndarray or None), optional
            c of every layer, of the shape of its h; None for layers that are no LSTM, or altogether if none is.
        """
        outputs = _float32_images(device, recurrent_outputs, "recurrent_outputs", False)
        if not outputs:
            raise BadArgumentError("recurrent_outputs: got an empty list, expected at least one array")
        memories = [None] * len(outputs)
        if memory_cells is not None:
            memories = _float32_images(device, memory_cells, "memory_cells", True)
        _check_pairs(outputs, memories)
        return _create(device, outputs, memories)

    @property
    def number_of_layers(self):
        """Layers it has something for. Ours, not Apple's."""
        cdef ImageStateHandle owner = self._handle()
        return api.image_state_layer_count(owner._h)

    def get_recurrent_output_image(self, for_layer_index):
        """Get the recurrent output h of a layer.

        Parameters
        ----------
        for_layer_index : int
            0 is the first, the bottom layer.

        Returns
        -------
        MPSImage or None
            None if there is no such layer.
        """
        return _part(self, for_layer_index, native.MPSRNN_RECURRENT_OUTPUT)

    def get_memory_cell_image(self, for_layer_index):
        """Get the memory cell c of a layer: None too if the layer has none, being no LSTM."""
        return _part(self, for_layer_index, native.MPSRNN_MEMORY_CELL)

    cdef ImageStateHandle _handle(self):
        cdef ImageStateHandle owner = self._owner if self._read_count is None else self._read_count.storage
        if owner is None:
            raise LifetimeError("MPSRNNRecurrentImageState: its last read has been encoded, its images are gone")
        return owner

    cdef list _held(self):
        held = []
        for layer in range(self.number_of_layers):
            for part in (native.MPSRNN_RECURRENT_OUTPUT, native.MPSRNN_MEMORY_CELL):
                texture = _texture(self, layer, part)
                if texture is not None:
                    held.append(Resource.of(texture, "texture"))
        return held


def _float32_images(device, arrays, name, takes_none):
    """An image for every array, and None for None where that may be."""
    if not isinstance(arrays, (list, tuple)):
        raise BadTypeError(f"{name}: got a {type(arrays).__name__}, expected a list with an entry per layer")
    images = []
    for index, array in enumerate(arrays):
        if array is None and takes_none:
            images.append(None)
            continue
        pixels = as_pixels(array, f"{name}[{index}]", (3, 4), (MPSImageFeatureChannelFormat.FLOAT32,))
        images.append(MPSImage.from_numpy(device, pixels))
    return images


def _check_pairs(outputs, memories):
    """Check that the images of a state belong together."""
    if len(memories) != len(outputs):
        raise BadArgumentError(
            f"memory_cells: got {len(memories)} layers, expected {len(outputs)}, as recurrent_outputs"
        )
    extent = (outputs[0].number_of_images, outputs[0].height, outputs[0].width)
    for index, (output, memory) in enumerate(zip(outputs, memories)):
        for name, image in (("recurrent_outputs", output), ("memory_cells", memory)):
            if image is None:
                continue
            found = (image.number_of_images, image.height, image.width)
            if found != extent:
                raise BadArgumentError(f"{name}[{index}]: got (N, H, W) = {found}, expected {extent}, as the first")
            if image.feature_channels != output.feature_channels:
                raise BadArgumentError(
                    f"{name}[{index}]: got {image.feature_channels} channels, expected the {output.feature_channels} "
                    "of the layer's recurrent output"
                )


cdef MPSRNNRecurrentImageState _create(MTLDevice device, list outputs, list memories):
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_image_state handle = NULL
    cdef size_t count = len(outputs), i
    # Zeroed: a layer without a memory cell has NULL there.
    cdef native.mpsrnn_image *images = <native.mpsrnn_image *>PyMem_Calloc(2 * count, sizeof(native.mpsrnn_image))
    if images == NULL:
        raise OutOfMemoryError(f"no memory for {2 * count} handles")
    try:
        for i in range(count):
            images[i] = (<MPSImage>outputs[i])._owner._h
            if memories[i] is not None:
                images[count + i] = (<MPSImage>memories[i])._owner._h
        check(api.image_state_create(images, images + count, count, &handle, &error), &error)
    finally:
        PyMem_Free(images)
    return wrap_image_state(handle, device, None)


cdef _part(MPSRNNRecurrentImageState state, for_layer_index, native.mpsrnn_state_part part):
    cdef size_t layer = integer(for_layer_index, "for_layer_index")
    cdef ImageStateHandle owner = state._handle()
    cdef native.mpsrnn_image handle = api.image_state_copy_image(owner._h, layer, part)
    return None if handle == NULL else wrap_image(handle, state.device, state._read_count)


cdef MTLTexture _texture(MPSRNNRecurrentImageState state, size_t layer, native.mpsrnn_state_part part):
    """The texture of an image of the state, if there is such an image."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_texture texture = NULL
    cdef ImageStateHandle owner = state._handle()
    cdef native.mpsrnn_image image = api.image_state_copy_image(owner._h, layer, part)
    if image == NULL:
        return None
    status = api.image_copy_texture(image, &texture, &error)
    api.release(image)
    check(status, &error)
    return wrap_texture(texture, state.device)


cdef MPSRNNRecurrentImageState wrap_image_state(
    native.mpsrnn_image_state handle, MTLDevice device, MTLCommandBuffer temporary_on
):
    cdef ImageStateHandle owner = ImageStateHandle.__new__(ImageStateHandle)
    owner._h = handle
    cdef MPSRNNRecurrentImageState state = MPSRNNRecurrentImageState.__new__(MPSRNNRecurrentImageState, key=_key)
    state.device = device
    if temporary_on is None:
        state._owner = owner
    else:
        state._read_count = ReadCount(temporary_on, "MPSRNNRecurrentImageState", owner)
    return state
