"""The training of one recurrent layer over matrices: weights, forward pass and gradients."""

cimport cython
from cpython.mem cimport PyMem_Free

from .arguments import boolean, instance_of
from .cells import TRAINING_CELLS, read_cells
from .command_checks import check_command_buffer
from .descriptors import MPSRNNDescriptor
from .errors import BadArgumentError
from .layer_checks import check_output_list
from .matrix import MPSMatrix, MPSTemporaryMatrix
from .matrix_checks import MatrixChecks
from .matrix_descriptor import MPSMatrixDescriptor
from .structures import MTLOrigin
from .training_checks import (
    FLOATS,
    check_appended,
    check_origin,
    check_training_states,
    check_weights,
    find_slot,
    float_data_type,
)
from .training_weights import cell_layout, initial_values, weight_data_type, weight_slots

from .device cimport api, check
from .matrix_kernel cimport MatrixKernel
from .native_cell cimport new_cells
from .training_encoding cimport copy_matrix, encode_forward, encode_gradient
from .training_state cimport new_training_state, training_memory

__all__ = ["MPSRNNMatrixTrainingLayer"]


@cython.final
@cython.auto_pickle(False)
cdef class MPSRNNMatrixTrainingLayer(MatrixKernel):
    """One recurrent layer whose weights are passed to every call, with its gradients: what to train one with.

    A forward pass leaves a training state for every time step; the gradient call walks the steps backwards with them.
    What a training loop adds is an optimiser on the weights, which are `MPSMatrix` objects of the caller's. Sequences
    of different lengths are sorted, the longest first, as for `MPSRNNMatrixInferenceLayer`.

    There is a trainable matrix for every data source of the descriptor, and a bias beside every source of input
    weights, of zeros if that has none. PReLU's parameters are not trained. The weights are float32 if the descriptor
    says ``use_float32_weights``, else float16, biases and diagonal memory weights like the others, where inference
    layers keep those as float32; sums, recurrent states and what gradients are made of are float32.

    Parameters
    ----------
    device : MTLDevice
        Where the layer runs.
    rnn_descriptor : MPSRNNDescriptor
        The layer. Its data sources are read now and not used again.
    trainable_weights : list
        Empty. The weights are appended: an `MPSMatrix` for every trainable matrix, with the data sources' values.

    Raises
    ------
    BadArgumentError, BadTypeError
        If the descriptor is not consistent or a data source fails; the message names the slot.

    Notes
    -----
    A copy of a layer, or one read from an archive, is made without `trainable_weights`: weights in use are the
    caller's. `create_initial_weight_matrices` gives the ones it started with.
    """

    def __cinit__(self, device, rnn_descriptor=None, trainable_weights=None, *, key=None):
        self._h = NULL
        if key is None:
            weights = check_appended(trainable_weights, "trainable_weights")
            if weights:
                raise BadArgumentError(f"trainable_weights: got a list of {len(weights)}, expected an empty one")
            descriptor = instance_of(rnn_descriptor, "rnn_descriptor", MPSRNNDescriptor)
            self._set_cells(tuple(read_cells([descriptor], TRAINING_CELLS)))
        else:
            self._set_cells(rnn_descriptor)
            if len(self._cells) != 1:
                raise BadArgumentError(f"data: got {len(self._cells)} layers, expected 1: what is trained is no stack")
        self._slots = weight_slots(self._cells[0])
        _create(self)
        if key is None:
            self.create_initial_weight_matrices(weights)

    def __dealloc__(self):
        if self._h != NULL:
            api.release(self._h)

    @property
    def trainable_matrix_ids(self):
        """Which weights there are: the `MPSRNNMatrixId` of every matrix in the list of weights. Ours, not Apple's."""
        return tuple(slot.id for slot in self._slots)

    @property
    def training_state_is_temporary(self):
        """Whether the training states of a forward pass are temporary: for gradients in the same command buffer."""
        return self._training_state_is_temporary

    @training_state_is_temporary.setter
    def training_state_is_temporary(self, value):
        self._training_state_is_temporary = boolean(value, "training_state_is_temporary")

    @property
    def accumulate_weight_gradients(self):
        """Whether weight gradients are added to what their matrices hold; False replaces it."""
        return self._accumulate_weight_gradients

    @accumulate_weight_gradients.setter
    def accumulate_weight_gradients(self, value):
        self._accumulate_weight_gradients = boolean(value, "accumulate_weight_gradients")

    def create_weight_matrices(self, matrices_out):
        """Append matrices like the weights, zeroed: for an optimiser's moments, or weights from elsewhere."""
        matrices = check_appended(matrices_out, "matrices_out")
        data_type = weight_data_type(self._cells[0])
        matrices.extend([MPSMatrix(self.device, _descriptor(slot, data_type)) for slot in self._slots])

    def create_initial_weight_matrices(self, matrices_out):
        """Append matrices with what the data sources delivered, as the constructor does. Ours, not Apple's."""
        matrices = check_appended(matrices_out, "matrices_out")
        (cell,) = self._cells
        arrays = [initial_values(cell, slot) for slot in self._slots]
        matrices.extend([MPSMatrix.from_numpy(self.device, array) for array in arrays])

    def create_weight_gradient_matrices(self, matrices_out, data_type):
        """Append zeroed matrices for the gradients of all weights.

        Parameters
        ----------
        matrices_out : list
            Appended to, in the order of the weights.
        data_type : MPSDataType
            FLOAT32 or FLOAT16.
        """
        matrices = check_appended(matrices_out, "matrices_out")
        elements = float_data_type(data_type, "data_type")
        matrices.extend([MPSMatrix(self.device, _descriptor(slot, elements)) for slot in self._slots])

    def create_temporary_weight_gradient_matrices(self, matrices_out, data_type, command_buffer):
        """Append temporary matrices for the gradients of all weights, for one command buffer; see the above.

        Their contents are undefined until a gradient call without `accumulate_weight_gradients` has written them.
        """
        matrices = check_appended(matrices_out, "matrices_out")
        elements = float_data_type(data_type, "data_type")
        command = check_command_buffer(command_buffer, self.device)
        matrices.extend([MPSTemporaryMatrix(command, _descriptor(slot, elements)) for slot in self._slots])

    def encode_copy_weights(
        self,
        command_buffer,
        weights,
        matrix_id,
        matrix,
        copy_from_weights_to_matrix,
        matrix_offset=MTLOrigin(0, 0, 0),
    ):
        """Encode a copy of one trainable matrix out of the weights, or into them.

        Parameters
        ----------
        command_buffer : MTLCommandBuffer
            Not yet committed.
        weights : list of MPSMatrix
            The weights, as `trainable_weights` has them.
        matrix_id : MPSRNNMatrixId
            Which; one of `trainable_matrix_ids`.
        matrix : MPSMatrix
            The other side, float32 or float16: a row for every output channel and a column for every input channel; for
            biases and diagonal memory weights one row with a column for every output channel.
        copy_from_weights_to_matrix : bool
            True: out of the weights. False: into them.
        matrix_offset : MTLOrigin
            Column, row and number of the matrix where the copy begins in `matrix`.
        """
        command = check_command_buffer(command_buffer, self.device)
        checks = MatrixChecks(self.device, command)
        views = check_weights(checks, weights, "weights", self._slots, (weight_data_type(self._cells[0]),))
        index, slot = find_slot(self._slots, matrix_id)
        origin = check_origin(matrix_offset, "matrix_offset")
        other = checks.part(instance_of(matrix, "matrix", MPSMatrix), "matrix", origin, (slot.rows, slot.columns))
        name, weight = list(views.items())[index]
        source, destination = {"matrix": other}, {name: weight}
        if boolean(copy_from_weights_to_matrix, "copy_from_weights_to_matrix"):
            source, destination = destination, source
        checks.add_reads(source)
        checks.add_writes(destination)
        checks.check_overlap()
        (given,), (wanted,) = source.values(), destination.values()
        copy_matrix(command, given, wanted)
        checks.finish()

    def encode_forward_sequence(
        self,
        command_buffer,
        source_matrices,
        destination_matrices,
        training_states,
        weights,
        *,
        source_offsets=None,
        destination_offsets=None,
        recurrent_input_state=None,
        recurrent_output_states=None,
    ):
        """Encode the forward pass over a sequence of matrices, and keep what its gradient will need.

        Parameters
        ----------
        command_buffer : MTLCommandBuffer
            Not yet committed.
        source_matrices : sequence of MPSMatrix
            One a time step, float16 or float32, all alike; none with more rows than the one before. The gradient will
            read them again.
        destination_matrices : sequence of MPSMatrix
            One for every source, with at least its rows; those beyond stay as they are. Float16 or float32, all alike.
            None may share memory with what is read. Where two share memory, what is stored last stays.
        training_states : list
            Appended to: an `MPSRNNMatrixTrainingState` for every time step.
        weights : list of MPSMatrix
            As `trainable_weights` has them.
        source_offsets, destination_offsets : sequence of int, optional
            Bytes by which each matrix is moved within its buffer, multiples of its element size.
        recurrent_input_state : MPSRNNRecurrentMatrixState, optional
            Where to start; from zero if omitted. It may have more rows than the first source, which are not read.
        recurrent_output_states : list, optional
            Appended to: the recurrent state of the last time step, or with `store_all_intermediate_states` of every
            one, each with the rows of the first source.

        Raises
        ------
        BadArgumentError, BadTypeError, LifetimeError
            Before anything is encoded or appended.
        """
        check_appended(training_states, "training_states")
        check_output_list(recurrent_output_states, "recurrent_output_states")
        command = check_command_buffer(command_buffer, self.device)
        checks = MatrixChecks(self.device, command)
        sources = checks.sources(
            source_matrices, "source_matrices", self.input_feature_channels, source_offsets, "source_offsets"
        )
        destinations = checks.destinations(
            sources,
            destination_matrices,
            "destination_matrices",
            self.output_feature_channels,
            destination_offsets,
            "destination_offsets",
        )
        views = check_weights(checks, weights, "weights", self._slots, (weight_data_type(self._cells[0]),))
        checks.add_reads(views)
        checks.state(recurrent_input_state, "recurrent_input_state", self._cells, sources[0].rows)
        checks.check_overlap()
        states = self._new_states(command, len(sources), sources[0].rows, recurrent_output_states)
        memories = encode_forward(
            self._h,
            command,
            self._slots,
            list(views.values()),
            sources,
            destinations,
            recurrent_input_state,
            states,
        )
        checks.finish()
        layout = cell_layout(self._cells[0])
        for memory, source in zip(memories, sources):
            training_states.append(
                new_training_state(memory, layout, source.rows, command, self._training_state_is_temporary)
            )
        if recurrent_output_states is not None:
            recurrent_output_states.extend(states)

    def encode_gradient_sequence(
        self,
        command_buffer,
        forward_sources,
        source_gradients,
        destination_gradients,
        weight_gradients,
        training_states,
        weights,
        *,
        forward_source_offsets=None,
        source_offsets=None,
        destination_offsets=None,
        recurrent_input_state=None,
        recurrent_output_states=None,
    ):
        """Encode the gradient of a forward pass. Index t means the same time step in every list.

        Parameters
        ----------
        command_buffer : MTLCommandBuffer
            Not yet committed.
        forward_sources : sequence of MPSMatrix
            The sources of the forward pass, unchanged.
        source_gradients : sequence of MPSMatrix
            What comes from above: the gradient with respect to each destination of the forward pass, float16 or
            float32, all alike.
        destination_gradients : sequence of MPSMatrix or None
            Receive the gradient with respect to each source, if wanted. Float16 or float32, all alike. None may share
            memory with what is read.
        weight_gradients : list of MPSMatrix or None
            Receive the gradients of all weights, if wanted, in the order of the weights; float16 or float32, all alike.
            With `accumulate_weight_gradients` they are added to what is there.
        training_states : list of MPSRNNMatrixTrainingState
            What the forward pass left.
        weights : list of MPSMatrix
            The weights of the forward pass, unchanged.
        forward_source_offsets, source_offsets, destination_offsets : sequence of int, optional
            Bytes by which each matrix of the three lists of matrices is moved within its buffer. The second has
            Apple's Swift label; it goes with `source_gradients`.
        recurrent_input_state : MPSRNNRecurrentMatrixState, optional
            Gradients with respect to the recurrent state after the last time step, in place of h and c, as a gradient
            call over the later part of the sequences has returned them; zero if omitted, and in rows that it lacks,
            for sequences that ended before that part.
        recurrent_output_states : list, optional
            Appended to: gradients with respect to the recurrent state before the first time step, or with
            `store_all_intermediate_states` before every one, in the order of the time steps.

        Raises
        ------
        BadArgumentError, BadTypeError, LifetimeError
            Before anything is encoded or appended.
        """
        check_output_list(recurrent_output_states, "recurrent_output_states")
        command = check_command_buffer(command_buffer, self.device)
        checks = MatrixChecks(self.device, command)
        inputs, outputs = self.input_feature_channels, self.output_feature_channels
        sources = checks.sources(
            forward_sources, "forward_sources", inputs, forward_source_offsets, "forward_source_offsets"
        )
        above = checks.reads_like(
            sources, source_gradients, "source_gradients", outputs, source_offsets, "source_offsets"
        )
        states = check_training_states(checks, training_states, sources, cell_layout(self._cells[0]), self.device)
        views = check_weights(checks, weights, "weights", self._slots, (weight_data_type(self._cells[0]),))
        checks.add_reads(views)
        # Rows that it lacks are zero: their sequences ended before the later part of which it is.
        checks.state(recurrent_input_state, "recurrent_input_state", self._cells, 1)
        below = gradients = None
        if destination_gradients is not None:
            below = checks.destinations(
                sources,
                destination_gradients,
                "destination_gradients",
                inputs,
                destination_offsets,
                "destination_offsets",
            )
        if weight_gradients is not None:
            written = check_weights(checks, weight_gradients, "weight_gradients", self._slots, FLOATS)
            checks.add_writes(written)
            gradients = list(written.values())
        checks.check_overlap()
        carries = self._new_states(command, len(sources), sources[0].rows, recurrent_output_states)
        encode_gradient(
            self._h,
            command,
            self._slots,
            list(views.values()),
            sources,
            above,
            below,
            gradients,
            self._accumulate_weight_gradients,
            [training_memory(state) for state in states],
            recurrent_input_state,
            carries,
        )
        checks.finish()
        if recurrent_output_states is not None:
            recurrent_output_states.extend(carries)

    cdef dict _settings(self):
        settings = MatrixKernel._settings(self)
        settings["training_state_is_temporary"] = self._training_state_is_temporary
        settings["accumulate_weight_gradients"] = self._accumulate_weight_gradients
        return settings


cdef _create(MPSRNNMatrixTrainingLayer layer):
    """Tell the native layer about the cell."""
    cdef native.mpsrnn_error error
    cdef native.mpsrnn_status status
    cdef native.mpsrnn_cell *cells = new_cells(layer._cells)
    with nogil:
        status = api.training_layer_create(layer.device._h, cells, &layer._h, &error)
    PyMem_Free(cells)
    check(status, &error)


def _descriptor(slot, data_type):
    """What the matrix of a slot looks like."""
    return MPSMatrixDescriptor(slot.rows, slot.columns, data_type=data_type)
