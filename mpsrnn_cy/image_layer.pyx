"""The recurrent layer over images: check, gather handles, one call into the native layer."""

cimport cython
from cpython.mem cimport PyMem_Free

from .arguments import boolean, enum_member
from .cells import CellKind, read_cells
from .command_checks import check_command_buffer
from .enums import MPSImageFeatureChannelFormat, MPSRNNBidirectionalCombineMode, MTLTextureUsage
from .errors import BadArgumentError
from .image_access import as_pixels
from .layer_checks import (
    Directions,
    check_forward_stack,
    check_output_list,
    combined_channels,
    descriptor_list,
    is_forward_stack,
)
from .sequence_checks import SequenceChecks

from .device cimport MTLCommandBuffer, api, check, is_open
from .image cimport MPSImage
from .image_encoding cimport NativeImages, encode_bidirectional, encode_sequence, native_images
from .image_frames cimport ImageFrames, image_frames
from .kernel cimport MPSCNNKernel
from .native_cell cimport new_cells
from .plain_images cimport PlainImages, add_state, plain_images, share_memory, state_is_plain

__all__ = ["MPSRNNImageInferenceLayer"]

cdef native.uint32_t READ = MTLTextureUsage.SHADER_READ
cdef native.uint32_t WRITE = MTLTextureUsage.SHADER_WRITE


@cython.final
@cython.auto_pickle(False)
cdef class MPSRNNImageInferenceLayer(MPSCNNKernel):
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

    Raises
    ------
    BadArgumentError, BadTypeError
        If descriptors do not fit together or a data source fails; the message names the slot.
    """

    def __cinit__(self, device, rnn_descriptor=None, *, rnn_descriptors=None, key=None):
        self._h = NULL
        self._bidirectional_combine_mode = MPSRNNBidirectionalCombineMode.NONE
        if key is None:
            self._cells = tuple(read_cells(descriptor_list(rnn_descriptor, rnn_descriptors)))
        else:
            self._cells = rnn_descriptor
        self._inputs = self._cells[0].input_channels
        self._outputs = self._cells[len(self._cells) - 1].output_channels
        self._state_layers = tuple([(cell.output_channels, cell.kind is CellKind.LSTM) for cell in self._cells])
        self._is_forward_stack = is_forward_stack(self._cells)
        _create(self)
        self._queue = self.device.make_command_queue()

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    @property
    def input_feature_channels(self):
        """Channels of the source images."""
        return self._inputs

    @property
    def output_feature_channels(self):
        """Channels of the destination images."""
        return self._outputs

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

    @property
    def recurrent_output_is_temporary(self):
        """Whether the states that `encode_sequence` returns are temporary: of its command buffer, with a read count of
        1, in memory that the CPU cannot reach."""
        return self._recurrent_output_is_temporary

    @recurrent_output_is_temporary.setter
    def recurrent_output_is_temporary(self, value):
        self._recurrent_output_is_temporary = boolean(value, "recurrent_output_is_temporary")

    @property
    def bidirectional_combine_mode(self):
        """What becomes of the two results of a bidirectional sequence, an `MPSRNNBidirectionalCombineMode`."""
        return self._bidirectional_combine_mode

    @bidirectional_combine_mode.setter
    def bidirectional_combine_mode(self, value):
        self._bidirectional_combine_mode = enum_member(
            value, "bidirectional_combine_mode", MPSRNNBidirectionalCombineMode
        )

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
            Any channel format. No destination may share memory with a source or with the input state.
        recurrent_input_state : MPSRNNRecurrentImageState, optional
            Where to start; from zero if omitted.
        recurrent_output_states : list, optional
            Appended to: the state of the last time step, or with `store_all_intermediate_states` of every one.

        Raises
        ------
        BadArgumentError, BadTypeError, LifetimeError
            Before anything is encoded, appended or counted. A LifetimeError is about a temporary image or state: it
            belongs to another command buffer, or has fewer reads left than this call makes, one for each place where it
            occurs among the sources and as the input state.
        """
        _encode(
            self,
            command_buffer,
            ("source_images", "destination_images"),
            source_images,
            destination_images,
            recurrent_input_state,
            recurrent_output_states,
        )

    def encode(
        self, command_buffer, source_image, destination_image, recurrent_input_state=None, recurrent_output_states=None
    ):
        """Encode the layer over one image: `encode_sequence` of a single time step. Ours, not Apple's, whose header
        has a call like this in its examples alone."""
        names = ("source_image", "destination_image")
        sources, destinations = [source_image], [destination_image]
        _encode(self, command_buffer, names, sources, destinations, recurrent_input_state, recurrent_output_states)

    def encode_bidirectional_sequence(
        self,
        command_buffer,
        source_sequence,
        destination_forward_images,
        destination_backward_images=None,
        *,
        recurrent_input_state=None,
    ):
        """Encode the layer over a sequence in both directions.

        Layers whose descriptor says FORWARD are one stack, those that say BACKWARD a second one, which walks the
        sequence from its end; the result for the image at index t is stored at index t. What becomes of the two results
        `bidirectional_combine_mode` says: NONE stores them apart, ADD and CONCATENATE join them in one more dispatch a
        time step.

        Parameters
        ----------
        command_buffer : MTLCommandBuffer
            Not yet committed.
        source_sequence : sequence of MPSImage
            As in `encode_sequence`.
        destination_forward_images : sequence of MPSImage or None
            NONE: results of the forward stack; None if there is no forward layer. ADD, CONCATENATE: the joined
            results, with the channels of one stack or of both together, forward first.
        destination_backward_images : sequence of MPSImage, optional
            NONE: results of the backward stack, if there is a backward layer. Else ignored, as Apple does.
        recurrent_input_state : MPSRNNRecurrentImageState, optional
            Where both stacks start, each at its own end, with an entry for every layer. Ours, not Apple's, whose
            stacks start from zero.
        """
        command = check_command_buffer(command_buffer, self.device)
        directions = Directions.of(self._cells)
        checks = SequenceChecks(command, source_sequence, "source_sequence", directions.input_channels)
        first = second = None
        mode = self._bidirectional_combine_mode
        if mode != MPSRNNBidirectionalCombineMode.NONE:
            outputs = combined_channels(mode, directions)
            first = checks.destinations(destination_forward_images, "destination_forward_images", outputs)
        else:
            forward, backward = directions
            first = checks.stack_destinations(forward, destination_forward_images, "destination_forward_images")
            second = checks.stack_destinations(backward, destination_backward_images, "destination_backward_images")
        checks.state(recurrent_input_state, "recurrent_input_state", self._cells)
        checks.aliasing(first or (), "destination_forward_images")
        checks.aliasing(second or (), "destination_backward_images")
        encode_bidirectional(self._h, command, mode, checks.sources, first, second, recurrent_input_state)
        checks.finish()

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
            Only if `return_state`; never temporary.
        """
        cdef ImageFrames frames
        x = as_pixels(x, "x", (4, 5), (MPSImageFeatureChannelFormat.FLOAT32, MPSImageFeatureChannelFormat.FLOAT16))
        if x.shape[-1] != self._inputs:
            raise BadArgumentError(f"x: got {x.shape[-1]} channels, expected {self._inputs}")
        wants_state = boolean(return_state, "return_state")
        check_forward_stack(self._cells)
        frames = image_frames(x, self.device, self._outputs)
        if not state_is_plain(state, &frames.source, self.device, self._state_layers):
            checks = SequenceChecks(
                self._queue.make_command_buffer(), [MPSImage.from_numpy(self.device, x[0])], "x", self._inputs, "x"
            )
            checks.state(state, "state", self._cells)
        outputs = frames.outputs()
        last = frames.run(self._h, self._queue, outputs, state, wants_state)
        return (outputs, last) if wants_state else outputs

    cdef dict _settings(self):
        settings = MPSCNNKernel._settings(self)
        settings["store_all_intermediate_states"] = self._store_all_intermediate_states
        settings["recurrent_output_is_temporary"] = self._recurrent_output_is_temporary
        settings["bidirectional_combine_mode"] = int(self._bidirectional_combine_mode)
        return settings


cdef _create(MPSRNNImageInferenceLayer layer):
    """Hand the arrays of the cells to the native layer, which copies them."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef size_t count = len(layer._cells)
    cdef native.mpsrnn_cell *cells = new_cells(layer._cells)
    with nogil:
        status = api.image_layer_create(layer.device._h, cells, count, &layer._h, &error)
    PyMem_Free(cells)
    check(status, &error)


cdef _encode(MPSRNNImageInferenceLayer layer, command_buffer, tuple names, sources, destinations, state, output_states):
    """Encode a forward sequence. `names` are what messages call sources and destinations."""
    if _encode_plain(layer, command_buffer, sources, destinations, state, output_states):
        return
    check_output_list(output_states, "recurrent_output_states")
    check_forward_stack(layer._cells)
    command = check_command_buffer(command_buffer, layer.device)
    source_name, destination_name = names
    checks = SequenceChecks(command, sources, source_name, layer.input_feature_channels)
    written = checks.destinations(destinations, destination_name, layer.output_feature_channels)
    checks.state(state, "recurrent_input_state", layer._cells)
    checks.aliasing(written, destination_name)
    read, written = native_images(checks.sources), native_images(written)
    states = _encode_checked(layer, command, read, written, state, output_states)
    checks.finish()
    if output_states is not None:
        output_states.extend(states)


cdef bint _encode_plain(
    MPSRNNImageInferenceLayer layer, command_buffer, sources, destinations, state, output_states
) except -1:
    """Do so if all arguments are plainly right. Else nothing has happened, and somebody else finds out what is wrong:
    nothing, perhaps."""
    cdef PlainImages read, written
    cdef size_t layers = len(layer._state_layers)
    if not isinstance(command_buffer, MTLCommandBuffer) or not is_open(command_buffer, layer.device):
        return False
    if not layer._is_forward_stack or not (output_states is None or isinstance(output_states, list)):
        return False
    read = plain_images(sources, layer.device, layer._inputs, READ, None, layers)
    if read is None:
        return False
    written = plain_images(destinations, layer.device, layer._outputs, WRITE, read, 0)
    if written is None or not add_state(read, state, layer.device, layer._state_layers) or share_memory(read, written):
        return False
    states = _encode_checked(layer, command_buffer, read.images, written.images, state, output_states)
    if output_states is not None:
        output_states.extend(states)
    return True


cdef list _encode_checked(
    MPSRNNImageInferenceLayer layer,
    MTLCommandBuffer command,
    NativeImages sources,
    NativeImages destinations,
    state,
    output_states,
):
    cdef size_t wanted = 0
    if output_states is not None:
        wanted = sources.count if layer._store_all_intermediate_states else 1
    are_temporary = layer._recurrent_output_is_temporary
    return encode_sequence(layer._h, command, sources, destinations, state, wanted, are_temporary)
