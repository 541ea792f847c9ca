"""The recurrent layer over images: check, gather handles, one call into the native layer."""

from typing import NamedTuple

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.string cimport memset

import numpy as np

from .arguments import boolean, instance_of
from .arguments import label as checked_label
from .cells import CellKind, read_cells
from .descriptors import MPSRNNDescriptor
from .enums import MPSImageFeatureChannelFormat, MTLCommandBufferStatus, MTLTextureUsage
from .errors import BadArgumentError, BadTypeError, OutOfMemoryError
from .image import as_pixels
from .image_descriptor import MPSImageDescriptor

from .device cimport MTLCommandBuffer, api, check
from .image cimport MPSImage, read_pixels
from .state cimport MPSRNNRecurrentImageState, wrap_image_state

__all__ = ["MPSRNNImageInferenceLayer"]


@cython.final
@cython.auto_pickle(False)
cdef class MPSRNNImageInferenceLayer:
    """A stack of recurrent layers that runs over sequences of images.

    Its kernels are convolutions: centred windows (of an even kernel, one pixel more to the left and the top), zeros
    outside the image, cross-correlation, sums in float32. Weights are rounded to half precision, as Apple's are, unless
    a descriptor says ``use_float32_weights``, which is our extension: Apple's image layer ignores it. What recurs, h
    and c, is kept as float32 whatever the format of the destination images, which rounds only what is stored there.

    Parameters
    ----------
    device : MTLDevice
        Where the layer runs.
    rnn_descriptor : MPSRNNDescriptor or sequence of MPSRNNDescriptor
        One layer, or a stack of them with the bottom layer first. Its data sources are read now and not used again.
    rnn_descriptors : sequence of MPSRNNDescriptor
        Apple's label for a stack, in place of `rnn_descriptor`.

    Attributes
    ----------
    device : MTLDevice

    Raises
    ------
    BadArgumentError, BadTypeError
        If descriptors do not fit together or a data source fails; the message names the slot.
    """

    def __cinit__(self, device, rnn_descriptor=None, *, rnn_descriptors=None):
        self._h = NULL
        self.device = instance_of(device, "device", MTLDevice)
        self._cells = tuple(read_cells(_descriptors(rnn_descriptor, rnn_descriptors)))
        _create(self)
        self._queue = self.device.make_command_queue()

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    def __repr__(self):
        name = "" if self._label is None else f" {self._label!r}"
        kinds = ", ".join(f"{cell.kind.name} {cell.input_channels} -> {cell.output_channels}" for cell in self._cells)
        return f"<MPSRNNImageInferenceLayer{name} {kinds}>"

    @property
    def label(self):
        """A name for people, or None."""
        return self._label

    @label.setter
    def label(self, value):
        self._label = checked_label(value)

    @property
    def input_feature_channels(self):
        """Channels of the source images."""
        return self._cells[0].input_channels

    @property
    def output_feature_channels(self):
        """Channels of the destination images."""
        return self._cells[len(self._cells) - 1].output_channels

    @property
    def number_of_layers(self):
        """Layers of the stack."""
        return len(self._cells)

    @property
    def store_all_intermediate_states(self):
        """Whether an encode call returns the state of every time step, and not of the last alone."""
        return self._store_all_intermediate_states

    @store_all_intermediate_states.setter
    def store_all_intermediate_states(self, value):
        self._store_all_intermediate_states = boolean(value, "store_all_intermediate_states")

    def encode_sequence(
        self,
        command_buffer,
        source_images,
        destination_images,
        recurrent_input_state=None,
        recurrent_output_states=None,
    ):
        """Encode the layer over a sequence of images. One dispatch a layer and time step, two for a GRU and for an
        LSTM whose output gate has a convolution for its peephole.

        Parameters
        ----------
        command_buffer : MTLCommandBuffer
            Not yet committed.
        source_images, destination_images : sequence of MPSImage
            One image, or one batch of images, a time step; equally many, all of the same size and number of images.
            Any channel format. No destination may be a source or belong to the input state.
        recurrent_input_state : MPSRNNRecurrentImageState, optional
            Where to start; from zero if omitted.
        recurrent_output_states : list, optional
            Appended to: the state of the last time step, or with `store_all_intermediate_states` of every one.

        Raises
        ------
        BadArgumentError, BadTypeError
            Before anything is encoded or appended.
        """
        if recurrent_output_states is not None and not isinstance(recurrent_output_states, list):
            raise BadTypeError(
                f"recurrent_output_states: got a {type(recurrent_output_states).__name__}, expected a list or None"
            )
        sources = _images(source_images, "source_images")
        destinations = _images(destination_images, "destination_images")
        wanted = 0
        if recurrent_output_states is not None:
            wanted = len(sources) if self._store_all_intermediate_states else 1
        names = _Names("source_images[0]", "recurrent_input_state")
        states = _encode(self, command_buffer, sources, destinations, recurrent_input_state, wanted, names)
        if recurrent_output_states is not None:
            recurrent_output_states.extend(states)

    def predict(self, x, state=None, *, return_state=False):
        """Run the layer over an array and wait for the result. Ours, not Apple's.

        Parameters
        ----------
        x : ndarray
            ``(T, H, W, C)``, or ``(T, N, H, W, C)`` for a batch of N sequences; float32 or float16; any strides.
        state : MPSRNNRecurrentImageState, optional
            Where to start, from an earlier call; from zero if omitted.
        return_state : bool
            Whether to return the state after the last time step as well.

        Returns
        -------
        outputs : ndarray
            The shape of `x` with `output_feature_channels` channels; the dtype of `x`.
        state : MPSRNNRecurrentImageState
            Only if `return_state`.
        """
        frames = as_pixels(x, "x", (4, 5), (MPSImageFeatureChannelFormat.FLOAT32, MPSImageFeatureChannelFormat.FLOAT16))
        if frames.shape[-1] != self.input_feature_channels:
            raise BadArgumentError(f"x: got {frames.shape[-1]} channels, expected {self.input_feature_channels}")
        wants_state = boolean(return_state, "return_state")
        sources = [MPSImage.from_numpy(self.device, frame) for frame in frames]
        destinations = [_destination(self, source) for source in sources]
        outputs = np.empty((*frames.shape[:-1], self.output_feature_channels), frames.dtype)
        command = self._queue.make_command_buffer()
        states = _encode(self, command, sources, destinations, state, 1 if wants_state else 0, _Names("x", "state"))
        command.commit()
        command.wait_until_completed()
        for image, output in zip(destinations, outputs):
            read_pixels(image, output, "outputs")
        return (outputs, states[0]) if wants_state else outputs


class _Names(NamedTuple):
    """What the caller calls the arguments that messages mention."""

    source: str
    state: str


def _descriptors(one, several):
    """The descriptors of a stack, however they were given."""
    if (one is None) == (several is None):
        raise BadTypeError(
            "rnn_descriptor: got neither or both of rnn_descriptor and rnn_descriptors, expected one of them"
        )
    if isinstance(one, MPSRNNDescriptor):
        return [one]
    name, given, expected = "rnn_descriptor", one, "an MPSRNNDescriptor or a list of them"
    if one is None:
        name, given, expected = "rnn_descriptors", several, "a list of MPSRNNDescriptor"
    if not isinstance(given, (list, tuple)):
        raise BadTypeError(f"{name}: got {given!r} ({type(given).__name__}), expected {expected}")
    if not given:
        raise BadArgumentError(f"{name}: got an empty list, expected at least one descriptor")
    return list(given)


cdef _create(MPSRNNImageInferenceLayer layer):
    """Hand the arrays of the cells to the native layer, which copies them."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef size_t count = len(layer._cells), i
    cdef native.mpsrnn_cell *cells = <native.mpsrnn_cell *>PyMem_Malloc(count * sizeof(native.mpsrnn_cell))
    if cells == NULL:
        raise OutOfMemoryError(f"no memory for {count} cells")
    try:
        for i in range(count):
            _fill_cell(&cells[i], layer._cells[i])
        with nogil:
            status = api.image_layer_create(layer.device._h, cells, count, &layer._h, &error)
        check(status, &error)
    finally:
        PyMem_Free(cells)


cdef _fill_cell(native.mpsrnn_cell *out, cell):
    memset(out, 0, sizeof(native.mpsrnn_cell))
    out.kind = <native.mpsrnn_cell_kind><int>cell.kind
    out.input_channels = cell.input_channels
    out.output_channels = cell.output_channels
    out.float32_weights = cell.use_float32_weights
    out.unit_transform = cell.unit_transform
    out.flip_output_gates = cell.flip_output_gates
    out.gate_p_norm = cell.gate_pnorm_value
    _fill_neuron(&out.output_neuron, cell.output_neuron)
    cdef int i
    for i, gate in enumerate(cell.gates):
        _fill_convolution(&out.gates[i].input, gate.input)
        _fill_convolution(&out.gates[i].recurrent, gate.recurrent)
        _fill_convolution(&out.gates[i].memory, gate.memory)
        out.gates[i].diagonal = _floats(gate.diagonal)
        out.gates[i].bias = _floats(gate.bias)
        _fill_neuron(&out.gates[i].neuron, gate.neuron)


cdef _fill_convolution(native.mpsrnn_convolution *out, convolution):
    if convolution is None:
        return
    out.weights = <const void *><size_t>convolution.weights.ctypes.data
    out.width = convolution.kernel_width
    out.height = convolution.kernel_height
    out.dilation_y, out.dilation_x = convolution.dilation
    out.groups = convolution.groups


cdef _fill_neuron(native.mpsrnn_neuron *out, neuron):
    out.type = neuron.type
    out.a = neuron.a
    out.b = neuron.b
    out.c = neuron.c
    out.channel_a = _floats(neuron.data)


cdef const float *_floats(array) except? NULL:
    """Address of a float32 array that the cell keeps alive, or NULL for None."""
    if array is None:
        return NULL
    return <const float *><size_t>array.ctypes.data


def _images(value, name):
    """Check a sequence of images."""
    if not isinstance(value, (list, tuple)):
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected a list of MPSImage")
    if not value:
        raise BadArgumentError(f"{name}: got an empty list, expected at least one image")
    return [instance_of(image, f"{name}[{index}]", MPSImage) for index, image in enumerate(value)]


def _shape(MPSImage image):
    """What all images of a sequence share."""
    return image.width, image.height, image.number_of_images


def _described_shape(shape):
    width, height, images = shape
    return f"{width} x {height} pixels and {images} images"


cdef _check_image(MPSRNNImageInferenceLayer layer, MPSImage image, str name, shape, channels, usage, names):
    if image.device != layer.device:
        raise BadArgumentError(f"{name}: got an image of {image.device!r}, expected one of {layer.device!r}")
    if _shape(image) != shape:
        raise BadArgumentError(
            f"{name}: got {_described_shape(_shape(image))}, expected {_described_shape(shape)} as in {names.source}"
        )
    if image.feature_channels != channels:
        raise BadArgumentError(f"{name}: got {image.feature_channels} feature channels, expected {channels}")
    if not image.usage & usage:
        raise BadArgumentError(f"{name}: got an image with usage {image.usage!r}, expected {usage!r} among it")


cdef _check_images(MPSRNNImageInferenceLayer layer, list sources, list destinations, names):
    if len(sources) != len(destinations):
        raise BadArgumentError(
            f"destination_images: got {len(destinations)} images, expected {len(sources)}, one per source image"
        )
    shape = _shape(sources[0])
    inputs, outputs = layer.input_feature_channels, layer.output_feature_channels
    read, write = MTLTextureUsage.SHADER_READ, MTLTextureUsage.SHADER_WRITE
    for index, (source, destination) in enumerate(zip(sources, destinations)):
        _check_image(layer, source, f"source_images[{index}]", shape, inputs, read, names)
        _check_image(layer, destination, f"destination_images[{index}]", shape, outputs, write, names)


cdef _check_state(MPSRNNImageInferenceLayer layer, state, list sources, names):
    """Check that a state has what this layer reads; one of a copy of the layer has it as well."""
    if state is None:
        return
    name = names.state
    read = MTLTextureUsage.SHADER_READ
    cdef MPSRNNRecurrentImageState checked = instance_of(state, name, MPSRNNRecurrentImageState)
    cdef Py_ssize_t layers = api.image_state_layer_count(checked._h)
    if layers != len(layer._cells):
        raise BadArgumentError(f"{name}: got the state of {layers} layers, expected {len(layer._cells)}")
    shape = _shape(sources[0])
    for index, cell in enumerate(layer._cells):
        has_cell = checked.get_memory_cell_image(index) is not None
        if has_cell != (cell.kind is CellKind.LSTM):
            found = "a memory cell" if has_cell else "no memory cell"
            raise BadArgumentError(f"{name}: got {found} for layer {index}, expected the state of {cell.kind.name}")
        image = checked.get_recurrent_output_image(index)
        _check_image(layer, image, f"{name}, layer {index}", shape, cell.output_channels, read, names)


cdef _check_aliasing(list sources, list destinations, state):
    """Check that nothing is written that is read in the same call."""
    cdef dict read = {}
    for index, source in enumerate(sources):
        read[<size_t>(<MPSImage>source)._h] = f"source_images[{index}]"
    if state is not None:
        for index in range(api.image_state_layer_count((<MPSRNNRecurrentImageState>state)._h)):
            for image in (state.get_recurrent_output_image(index), state.get_memory_cell_image(index)):
                if image is not None:
                    read[<size_t>(<MPSImage>image)._h] = f"layer {index} of recurrent_input_state"
    for index, destination in enumerate(destinations):
        alias = read.get(<size_t>(<MPSImage>destination)._h)
        if alias is not None:
            raise BadArgumentError(f"destination_images[{index}]: got the image that is {alias}, expected another")


cdef list _encode(
    MPSRNNImageInferenceLayer layer, command_buffer, list sources, list destinations, state, size_t state_count, names
):
    """Check everything, then encode; return the last `state_count` states."""
    cdef MTLCommandBuffer command = instance_of(command_buffer, "command_buffer", MTLCommandBuffer)
    if command.status >= MTLCommandBufferStatus.COMMITTED:
        raise BadArgumentError("command_buffer: got one that is already committed, expected one that is not")
    if command.device != layer.device:
        raise BadArgumentError(f"command_buffer: got one of {command.device!r}, expected one of {layer.device!r}")
    _check_images(layer, sources, destinations, names)
    _check_state(layer, state, sources, names)
    _check_aliasing(sources, destinations, state)
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef size_t count = len(sources), i
    cdef native.mpsrnn_image_state state_in = NULL
    if state is not None:
        state_in = (<MPSRNNRecurrentImageState>state)._h
    # Sources, destinations and the states to come, in one block.
    cdef void **handles = <void **>PyMem_Malloc((2 * count + state_count) * sizeof(void *))
    if handles == NULL:
        raise OutOfMemoryError(f"no memory for {2 * count + state_count} handles")
    cdef native.mpsrnn_image *images = <native.mpsrnn_image *>handles
    cdef native.mpsrnn_image_state *states = <native.mpsrnn_image_state *>(handles + 2 * count)
    try:
        for i in range(count):
            images[i] = (<MPSImage>sources[i])._h
            images[count + i] = (<MPSImage>destinations[i])._h
        with nogil:
            status = api.image_layer_encode_sequence(
                layer._h, command._h, images, images + count, count, state_in, states, state_count, &error
            )
        check(status, &error)
        return [wrap_image_state(states[i], layer.device) for i in range(state_count)]
    finally:
        PyMem_Free(handles)


cdef MPSImage _destination(MPSRNNImageInferenceLayer layer, MPSImage source):
    """An image like the source, with the channels of the layer's output."""
    descriptor = MPSImageDescriptor(
        source.feature_channel_format,
        source.width,
        source.height,
        layer.output_feature_channels,
        number_of_images=source.number_of_images,
    )
    return MPSImage(layer.device, descriptor)
