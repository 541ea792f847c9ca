"""The recurrent layer over matrices: check, gather views, one call into the native layer."""

cimport cython
from cpython.mem cimport PyMem_Free

from .arguments import boolean, enum_member
from .cells import MATRIX_CELLS, read_cells
from .command_checks import check_command_buffer
from .enums import MPSRNNBidirectionalCombineMode
from .layer_checks import (
    Directions,
    check_forward_stack,
    check_output_list,
    combined_channels,
    descriptor_list,
    is_forward_stack,
)
from .matrix_checks import MatrixChecks

from .array_steps cimport ArraySteps, array_steps
from .buffer cimport MTLBuffer
from .device cimport MTLCommandBuffer, api, check, is_open
from .matrix_encoding cimport encode_bidirectional, encode_sequence, native_views, new_states, run_sequence
from .matrix_kernel cimport MatrixKernel
from .native_cell cimport new_cells
from .plain_matrices cimport PlainMatrices, plain_destinations, plain_sources, share_memory, state_is_plain

__all__ = ["MPSRNNMatrixInferenceLayer"]


@cython.final
@cython.auto_pickle(False)
cdef class MPSRNNMatrixInferenceLayer(MatrixKernel):
    """A stack of recurrent layers that runs over sequences of vectors, many sequences side by side.

    One matrix is a time step: its rows are the sequences of the batch, its columns the feature channels. Sequences of
    different lengths are sorted, the longest first, and every matrix has as many rows as there are sequences that still
    run. A sequence that has ended keeps its state, so the last state has for every sequence the one after its own end.

    Every input is connected with every output: the kernels of the data sources are 1 x 1. Weights are rounded to half
    precision unless a descriptor says ``use_float32_weights``; sums are float32. What recurs, h and c, is kept as
    float32 whatever the element type of the destinations, which rounds only what is stored there.

    Parameters
    ----------
    device : MTLDevice
        Where the layer runs.
    rnn_descriptor : MPSRNNDescriptor or sequence of MPSRNNDescriptor
        One layer, or a stack of them with the bottom layer first. Its data sources are read now and not used again. At
        most 65536 channels on either side.
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
            self._set_cells(tuple(read_cells(descriptor_list(rnn_descriptor, rnn_descriptors), MATRIX_CELLS)))
        else:
            self._set_cells(rnn_descriptor)
        self._is_forward_stack = is_forward_stack(self._cells)
        _create(self)
        self._queue = self.device.make_command_queue()

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    @property
    def number_of_layers(self):
        """Layers of the stack."""
        return len(self._cells)

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
        source_matrices,
        destination_matrices,
        recurrent_input_state=None,
        recurrent_output_states=None,
        *,
        source_offsets=None,
        destination_offsets=None,
    ):
        """Encode the layer over a sequence of matrices. A layer of at most 256 output channels is one dispatch for the
        whole sequence.

        Parameters
        ----------
        command_buffer : MTLCommandBuffer
            Not yet committed.
        source_matrices : sequence of MPSMatrix
            One a time step, float16 or float32, all alike; none with more rows than the one before. Of a batch of
            matrices the first is meant.
        destination_matrices : sequence of MPSMatrix
            One for every source, with at least its rows; those beyond stay as they are. Float16 or float32, all alike.
            None may share memory with a source or the input state. Where two share memory, what is stored last stays.
        recurrent_input_state : MPSRNNRecurrentMatrixState, optional
            Where to start; from zero if omitted. It may have more rows than the first source, which are not read.
        recurrent_output_states : list, optional
            Appended to: the state of the last time step, or with `store_all_intermediate_states` of every one, each
            with the rows of the first source.
        source_offsets, destination_offsets : sequence of int, optional
            Bytes by which each matrix is moved within its buffer, multiples of its element size. So one `MPSMatrix` can
            be passed for every time step of an array.

        Raises
        ------
        BadArgumentError, BadTypeError, LifetimeError
            Before anything is encoded or appended.
        """
        names = ("source_matrices", "destination_matrices")
        offsets = (source_offsets, destination_offsets)
        matrices = (source_matrices, destination_matrices)
        _encode(self, command_buffer, names, matrices, offsets, recurrent_input_state, recurrent_output_states)

    def encode(
        self,
        command_buffer,
        source_matrix,
        destination_matrix,
        recurrent_input_state=None,
        recurrent_output_states=None,
    ):
        """Encode the layer over one matrix: `encode_sequence` of a single time step. Ours, not Apple's, whose header
        has a call like this in its examples alone."""
        names = ("source_matrix", "destination_matrix")
        matrices = ([source_matrix], [destination_matrix])
        _encode(self, command_buffer, names, matrices, (None, None), recurrent_input_state, recurrent_output_states)

    def encode_bidirectional_sequence(
        self,
        command_buffer,
        source_sequence,
        destination_forward_matrices,
        destination_backward_matrices=None,
        *,
        recurrent_input_state=None,
    ):
        """Encode the layer over a sequence in both directions.

        Layers whose descriptor says FORWARD are one stack, those that say BACKWARD a second one, which walks the
        sequence from its end; the result for the matrix at index t is stored at index t. What becomes of the two
        results `bidirectional_combine_mode` says: NONE stores them apart, ADD and CONCATENATE join them.

        Parameters
        ----------
        command_buffer : MTLCommandBuffer
            Not yet committed.
        source_sequence : sequence of MPSMatrix
            As in `encode_sequence`. The backward stack starts each row at the last matrix that has it.
        destination_forward_matrices : sequence of MPSMatrix or None
            NONE: results of the forward stack; None if there is no forward layer. ADD, CONCATENATE: the joined
            results, with the channels of one stack or of both together, forward first.
        destination_backward_matrices : sequence of MPSMatrix, optional
            NONE: results of the backward stack, if there is a backward layer. Else ignored, as Apple does.
        recurrent_input_state : MPSRNNRecurrentMatrixState, optional
            Where both stacks start, each at its own end, with an entry for every layer. Ours, not Apple's, whose
            stacks start from zero.
        """
        directions = Directions.of(self._cells)
        matrices = (source_sequence, destination_forward_matrices)
        if _encode_combined_plain(self, command_buffer, directions, matrices, recurrent_input_state):
            return
        command = check_command_buffer(command_buffer, self.device)
        checks = MatrixChecks(self.device, command)
        sources = checks.sources(source_sequence, "source_sequence", directions.input_channels)
        first = second = None
        mode = self._bidirectional_combine_mode
        if mode != MPSRNNBidirectionalCombineMode.NONE:
            outputs = combined_channels(mode, directions)
            first = checks.destinations(
                sources, destination_forward_matrices, "destination_forward_matrices", outputs
            )
        else:
            forward, backward = directions
            first = checks.stack_destinations(
                sources, forward, destination_forward_matrices, "destination_forward_matrices"
            )
            second = checks.stack_destinations(
                sources, backward, destination_backward_matrices, "destination_backward_matrices"
            )
        checks.state(recurrent_input_state, "recurrent_input_state", self._cells, sources[0].rows)
        checks.check_overlap()
        read, ahead, behind = native_views(sources), native_views(first), native_views(second)
        encode_bidirectional(self._h, self._options, command, mode, read, ahead, behind, recurrent_input_state)
        checks.finish()

    def predict(self, x, state=None, *, return_state=False):
        """Run the layer over arrays and wait for the result. Ours, not Apple's.

        Parameters
        ----------
        x : ndarray or list of ndarray
            ``(T, C)``, or ``(T, N, C)`` for a batch of N sequences; or T arrays ``(N_t, C)``, none with more rows than
            the one before. Float32 or float16; any strides.
        state : MPSRNNRecurrentMatrixState, optional
            Where to start, from an earlier call; from zero if omitted.
        return_state : bool
            Whether to return the state after the last time step as well.

        Returns
        -------
        outputs : ndarray or list of ndarray
            The shape of `x` with `output_feature_channels` channels; the dtype of `x`. It is memory of the device.
        state : MPSRNNRecurrentMatrixState
            Only if `return_state`.
        """
        cdef bint wants_state = boolean(return_state, "return_state")
        cdef ArraySteps steps = array_steps(x, "x", self._inputs)
        cdef MTLBuffer source, destination
        check_forward_stack(self._cells)
        if not state_is_plain(state, self.device, self._state_layers, steps.first_rows):
            checks = MatrixChecks(self.device, self._queue.make_command_buffer())
            checks.state(state, "state", self._cells, steps.first_rows)
        source = steps.source(self.device)
        destination = steps.destination(self.device, self._outputs)
        states = new_states(self.device, self._state_layers, steps.first_rows, wants_state, None)
        read, written = steps.views(source, self._inputs), steps.views(destination, self._outputs)
        run_sequence(self._h, self._options, self._queue, read, written, state, states)
        outputs = steps.arrays(destination, self._outputs)
        return (outputs, states[0]) if wants_state else outputs

    cdef dict _settings(self):
        settings = MatrixKernel._settings(self)
        settings["bidirectional_combine_mode"] = int(self._bidirectional_combine_mode)
        return settings


cdef _create(MPSRNNMatrixInferenceLayer layer):
    """Hand the arrays of the cells to the native layer, which copies them."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef size_t count = len(layer._cells)
    cdef native.mpsrnn_cell *cells = new_cells(layer._cells)
    with nogil:
        status = api.matrix_layer_create(layer.device._h, cells, count, &layer._h, &error)
    PyMem_Free(cells)
    check(status, &error)


cdef _encode(MPSRNNMatrixInferenceLayer layer, command_buffer, names, matrices, offsets, state, output_states):
    """Encode a forward sequence; pairs are of sources and destinations."""
    if _encode_plain(layer, command_buffer, matrices, offsets, state, output_states):
        return
    check_output_list(output_states, "recurrent_output_states")
    check_forward_stack(layer._cells)
    command = check_command_buffer(command_buffer, layer.device)
    checks = MatrixChecks(layer.device, command)
    sources = checks.sources(matrices[0], names[0], layer._inputs, offsets[0], "source_offsets")
    destinations = checks.destinations(
        sources, matrices[1], names[1], layer._outputs, offsets[1], "destination_offsets"
    )
    checks.state(state, "recurrent_input_state", layer._cells, sources[0].rows)
    checks.check_overlap()
    states = layer._new_states(command, len(sources), sources[0].rows, output_states)
    encode_sequence(layer._h, layer._options, command, native_views(sources), native_views(destinations), state, states)
    checks.finish()
    if output_states is not None:
        output_states.extend(states)


cdef bint _encode_plain(
    MPSRNNMatrixInferenceLayer layer, command_buffer, matrices, offsets, state, output_states
) except -1:
    """Do so if all arguments are plainly right. Else nothing has happened, and somebody else finds out what is wrong:
    nothing, perhaps."""
    cdef PlainMatrices sources, destinations
    if not isinstance(command_buffer, MTLCommandBuffer) or not is_open(command_buffer, layer.device):
        return False
    if not layer._is_forward_stack or not (output_states is None or isinstance(output_states, list)):
        return False
    sources = plain_sources(matrices[0], offsets[0], layer.device, layer._inputs)
    if sources is None:
        return False
    destinations = plain_destinations(sources, matrices[1], offsets[1], layer.device, layer._outputs)
    if destinations is None:
        return False
    if not state_is_plain(state, layer.device, layer._state_layers, sources.views.items[0].rows):
        return False
    if share_memory(sources, destinations, state):
        return False
    count, rows = sources.views.count, sources.views.items[0].rows
    states = layer._new_states(command_buffer, count, rows, output_states)
    encode_sequence(layer._h, layer._options, command_buffer, sources.views, destinations.views, state, states)
    if output_states is not None:
        output_states.extend(states)
    return True


cdef bint _encode_combined_plain(
    MPSRNNMatrixInferenceLayer layer, command_buffer, directions, matrices, state
) except -1:
    """The same for both directions of which one result is made."""
    cdef PlainMatrices sources, destinations
    mode = layer._bidirectional_combine_mode
    if mode == MPSRNNBidirectionalCombineMode.NONE:
        return False
    if not isinstance(command_buffer, MTLCommandBuffer) or not is_open(command_buffer, layer.device):
        return False
    sources = plain_sources(matrices[0], None, layer.device, directions.input_channels)
    if sources is None:
        return False
    outputs = combined_channels(mode, directions)
    destinations = plain_destinations(sources, matrices[1], None, layer.device, outputs)
    if destinations is None or not state_is_plain(
        state, layer.device, layer._state_layers, sources.views.items[0].rows
    ):
        return False
    if share_memory(sources, destinations, state):
        return False
    read, written = sources.views, destinations.views
    encode_bidirectional(layer._h, layer._options, command_buffer, mode, read, written, native_views(None), state)
    return True
