"""The training layer's calls: weights in and out, forward passes, gradients kept or added, temporaries, copies."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
import oracle
from matrices import assert_same_bits, assert_same_states, blanks, layer, parts
from matrix_stacks import single_gate
from matrix_training import CELLS, FLOAT16, FLOAT32, INPUTS, OUTPUTS, ROWS, Layer, Training, arrays, assert_same_arrays
from refusal import refused

Value, Lifetime = mps.BadArgumentError, mps.LifetimeError


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> oracle.Cell:
    return CELLS[request.param](np.random.default_rng(3))


@pytest.fixture
def one(device: mps.MTLDevice) -> Training:
    """The smallest cell with everything that a training needs."""
    return Training(device, CELLS["single gate"](np.random.default_rng(3)))


# Weights ------------------------------------------------------------------------------------------------------


def test_weights_are_filled_in(device: mps.MTLDevice, cell: oracle.Cell) -> None:
    training = Training(device, cell)
    ids = training.layer.trainable_matrix_ids
    assert list(ids) == sorted(ids)
    assert len(training.weights) == len(ids)
    data_type = FLOAT32 if cell.float32_weights else FLOAT16
    for matrix, matrix_id in zip(training.weights, ids, strict=True):
        assert matrix.data_type == data_type
        assert matrix.columns == (INPUTS if matrix_id.name.endswith("_INPUT_WEIGHTS") else OUTPUTS)
        assert np.any(matrix.to_numpy())
    first = next(iter(cell.gates.values())).input.weights.reshape(OUTPUTS, INPUTS)
    assert_same_bits(training.weights[0].to_numpy(), first.astype(training.weights[0].to_numpy().dtype))


def test_matrices_like_the_weights(one: Training) -> None:
    zeroed: list[Any] = [None]
    one.layer.create_weight_matrices(zeroed)
    initial: list[mps.MPSMatrix] = []
    one.layer.create_initial_weight_matrices(initial)
    half: list[mps.MPSMatrix] = []
    one.layer.create_weight_gradient_matrices(half, FLOAT16)
    temporary: list[mps.MPSTemporaryMatrix] = []
    one.layer.create_temporary_weight_gradient_matrices(temporary, FLOAT32, one.command)
    assert zeroed.pop(0) is None
    for made, data_type in ((zeroed, FLOAT32), (initial, FLOAT32), (half, FLOAT16), (temporary, FLOAT32)):
        assert [matrix.data_type for matrix in made] == [data_type] * 3
        assert [(matrix.rows, matrix.columns) for matrix in made] == [(5, 3), (5, 5), (1, 5)]
    assert not any(np.any(array) for array in arrays(zeroed + half))
    assert_same_arrays(arrays(initial), arrays(one.weights))
    for matrix in temporary:
        assert isinstance(matrix, mps.MPSTemporaryMatrix)
        assert matrix.read_count == 1
        matrix.read_count = 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_copies_of_every_matrix_there_and_back(device: mps.MTLDevice, cell: oracle.Cell, dtype: Any) -> None:
    training = Training(device, cell)
    fresh: list[mps.MPSMatrix] = []
    training.layer.create_weight_matrices(fresh)
    for index, matrix_id in enumerate(training.layer.trainable_matrix_ids):
        weight = training.weights[index]
        # A row and a column of margin around it, in the second matrix of two.
        outside = np.full((2, weight.rows + 2, weight.columns + 2), 9, dtype)
        matrix = mps.MPSMatrix.from_numpy(device, outside)
        origin = mps.MTLOrigin(1, 1, 1)
        training.layer.encode_copy_weights(training.command, training.weights, matrix_id, matrix, True, origin)
        training.layer.encode_copy_weights(training.command, fresh, matrix_id, matrix, False, (1, 1, 1))
        training.run()
        outside[1, 1:-1, 1:-1] = weight.to_numpy()
        assert_same_bits(matrix.to_numpy(), outside)
        assert_same_bits(fresh[index].to_numpy(), weight.to_numpy().astype(dtype).astype(weight.to_numpy().dtype))


def test_an_id_whose_source_is_missing(device: mps.MTLDevice) -> None:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    weights: list[mps.MPSMatrix] = []
    bare = Layer(device, descriptor, weights)
    assert weights == []
    command = device.make_command_queue().make_command_buffer()
    (matrix,) = blanks(device, (1,), 1)
    words = r"^matrix_id: got SINGLE_GATE_BIAS_TERMS, .* expected none: the layer has no weights$"
    refused(lambda: bare.encode_copy_weights(command, weights, 2, matrix, True), Value, words)


# Forward ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stores_all", [False, True])
def test_forward_is_the_inference_layer(each_build: mps.MTLDevice, cell: oracle.Cell, stores_all: bool) -> None:
    if not cell.float32_weights:
        # What the inference layer keeps as float32, training rounds with all other weights.
        cell = single_gate(np.random.default_rng(3), INPUTS, OUTPUTS)
        cell.gate.bias[:] = cell.gate.bias.astype(np.float16)
    training = Training(each_build, cell)
    training.layer.store_all_intermediate_states = stores_all
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    training.forward(recurrent_output_states=states)
    training.run()
    steps = arrays(training.sources)
    network = layer(each_build, [cell])
    outputs, last = network.predict(steps, return_state=True)
    assert_same_arrays(arrays(training.destinations), outputs)
    assert_same_states(states[-1], last)
    assert len(states) == (len(steps) if stores_all else 1)
    for t, state in enumerate(states[:-1]):
        assert_same_states(state, network.predict(steps[: t + 1], return_state=True)[1])
    assert [state.rows for state in training.states] == list(ROWS)
    assert not training.states[0].is_temporary


def test_forward_starts_from_a_state(one: Training) -> None:
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    one.forward(
        source_matrices=one.sources[:2], destination_matrices=one.destinations[:2], recurrent_output_states=states
    )
    one.forward(
        source_matrices=one.sources[2:], destination_matrices=one.destinations[2:], recurrent_input_state=states[0]
    )
    one.run()
    in_parts = arrays(one.destinations)
    assert len(one.states) == len(ROWS)
    one.forward()
    one.run()
    assert_same_arrays(in_parts, arrays(one.destinations))


def test_one_matrix_with_offsets(device: mps.MTLDevice, cell: oracle.Cell) -> None:
    """The layout that trainers use: one matrix for all steps, moved."""
    training = Training(device, cell, (4, 4, 4))
    training.forward()
    training.gradient()
    training.run()
    expected = [arrays(made) for made in (training.destinations, training.below, training.gradients)]
    sources, above, below, outputs = (
        mps.MPSMatrix.from_numpy(device, np.stack(arrays(made)))
        for made in (training.sources, training.above, training.below, training.destinations)
    )
    inside = [t * sources.matrix_bytes for t in range(3)]
    outside = [t * outputs.matrix_bytes for t in range(3)]
    states: list[mps.MPSRNNMatrixTrainingState] = []
    training.forward(
        source_matrices=[sources] * 3,
        destination_matrices=[outputs] * 3,
        source_offsets=inside,
        destination_offsets=outside,
        training_states=states,
    )
    training.gradient(
        forward_sources=[sources] * 3,
        source_gradients=[above] * 3,
        destination_gradients=[below] * 3,
        forward_source_offsets=inside,
        source_offsets=outside,
        destination_offsets=inside,
        training_states=states,
    )
    training.run()
    assert_same_arrays(list(outputs.to_numpy()), expected[0])
    assert_same_arrays(list(below.to_numpy()), expected[1])
    assert_same_arrays(arrays(training.gradients), expected[2])


# Gradients ----------------------------------------------------------------------------------------------------


def test_weight_gradients_are_replaced_or_added(device: mps.MTLDevice, cell: oracle.Cell) -> None:
    training = Training(device, cell)
    training.forward()
    training.gradient()
    training.gradient()
    training.run()
    once = arrays(training.gradients)
    assert all(np.any(array) for array in once)
    training.layer.accumulate_weight_gradients = True
    training.gradient()
    training.run()
    assert_same_arrays(arrays(training.gradients), [2 * array for array in once])


def test_gradients_that_nobody_wants(device: mps.MTLDevice, cell: oracle.Cell) -> None:
    training = Training(device, cell)
    training.forward()
    training.gradient()
    training.run()
    below, gradients = arrays(training.below), arrays(training.gradients)
    training.below = blanks(device, ROWS, INPUTS)
    training.gradients = []
    training.layer.create_weight_gradient_matrices(training.gradients, FLOAT32)
    training.gradient(destination_gradients=None)
    training.run()
    assert_same_arrays(arrays(training.gradients), gradients)
    training.gradient(weight_gradients=None)
    training.run()
    assert_same_arrays(arrays(training.below), below)


def test_carries_of_a_sequence_in_two_parts(device: mps.MTLDevice, cell: oracle.Cell) -> None:
    """The later part has fewer rows: those it lacks start from zero."""
    training = Training(device, cell)
    training.layer.store_all_intermediate_states = True
    whole: list[mps.MPSRNNRecurrentMatrixState] = []
    training.forward()
    training.gradient(recurrent_output_states=whole)
    training.run()
    below = arrays(training.below)
    assert [state.rows for state in whole] == [ROWS[0]] * len(ROWS)
    training.layer.store_all_intermediate_states = False
    carries: list[mps.MPSRNNRecurrentMatrixState] = []
    for part, carry in ((slice(2, 4), 0), (slice(0, 2), 1)):
        training.gradient(
            forward_sources=training.sources[part],
            source_gradients=training.above[part],
            destination_gradients=training.below[part],
            weight_gradients=None,
            training_states=training.states[part],
            recurrent_input_state=carries[-1] if carry else None,
            recurrent_output_states=carries,
        )
    training.run()
    assert_same_arrays(arrays(training.below), below)
    assert [state.rows for state in carries] == [ROWS[2], ROWS[0]]
    assert_same_states(carries[1], whole[0])
    for found, expected in zip(parts(carries[0]), parts(whole[2]), strict=True):
        assert_same_bits(found, expected[: ROWS[2]])


# Temporaries --------------------------------------------------------------------------------------------------


def test_everything_temporary_in_one_command_buffer(device: mps.MTLDevice, cell: oracle.Cell, no_leaks: None) -> None:
    training = Training(device, cell)
    training.forward()
    training.gradient()
    training.run()
    expected = arrays(training.gradients)
    training.layer.training_state_is_temporary = True
    training.layer.recurrent_output_is_temporary = True
    training.states.clear()
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    training.forward(recurrent_output_states=states)
    assert [(state.is_temporary, state.read_count) for state in [*training.states, *states]] == [(True, 1)] * 5
    states[0].read_count = 0
    temporary: list[mps.MPSTemporaryMatrix] = []
    training.layer.create_temporary_weight_gradient_matrices(temporary, FLOAT32, training.command)
    training.gradient(weight_gradients=temporary)
    assert [state.read_count for state in training.states] == [0] * 4
    refused(training.gradient, Lifetime, r"^training_states\[0\]: got a temporary object with read count 0")
    if not cell.float32_weights:
        for matrix in temporary:
            matrix.read_count = 0
        training.run()
        return
    # The CPU does not reach temporaries; what copies weights copies these as well, for they are like float32 weights.
    found = [mps.MPSMatrix.from_numpy(device, np.zeros_like(array)) for array in expected]
    for matrix in temporary:
        matrix.read_count = 2
    for matrix_id, matrix in zip(training.layer.trainable_matrix_ids, found, strict=True):
        training.layer.encode_copy_weights(training.command, temporary, matrix_id, matrix, True)
    assert [matrix.read_count for matrix in temporary] == [1] * len(temporary)
    for matrix in temporary:
        matrix.read_count = 0
    training.run()
    assert_same_arrays(arrays(found), expected)


# Copies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda made: made.copy(),
        lambda made: pickle.loads(pickle.dumps(made)),
        lambda made: Layer.from_bytes(made.to_bytes()),
    ],
    ids=["copy", "deepcopy", "copy()", "pickle", "bytes"],
)
def test_copies(device: mps.MTLDevice, cell: oracle.Cell, copied: Any, no_leaks: None) -> None:
    training = Training(device, cell)
    made = training.layer
    made.label = "läyer"
    for name in ("store_all_intermediate_states", "training_state_is_temporary", "accumulate_weight_gradients"):
        setattr(made, name, True)
    other = copied(made)
    assert (other.label, other.accumulate_weight_gradients, other.recurrent_output_is_temporary) == (
        "läyer",
        True,
        False,
    )
    assert other.training_state_is_temporary
    assert other.store_all_intermediate_states
    assert other.trainable_matrix_ids == made.trainable_matrix_ids
    assert other.to_bytes() == made.to_bytes()
    other.accumulate_weight_gradients = False
    assert made.accumulate_weight_gradients
    made.accumulate_weight_gradients = made.training_state_is_temporary = False
    initial: list[mps.MPSMatrix] = []
    other.create_initial_weight_matrices(initial)
    assert_same_arrays(arrays(initial), arrays(training.weights))
    training.forward()
    training.gradient()
    training.run()
    expected = arrays(training.gradients)
    # What one has left, the other can use.
    training.layer = other
    training.gradient(weights=initial)
    training.run()
    assert_same_arrays(arrays(training.gradients), expected)


def test_properties(one: Training) -> None:
    assert isinstance(one.layer, mps.MPSKernel)
    assert (one.layer.input_feature_channels, one.layer.output_feature_channels) == (INPUTS, OUTPUTS)
    assert repr(one.layer) == "<MPSRNNMatrixTrainingLayer SINGLE_GATE 3 -> 5>"
    for name in (
        "store_all_intermediate_states",
        "recurrent_output_is_temporary",
        "training_state_is_temporary",
        "accumulate_weight_gradients",
    ):
        assert getattr(one.layer, name) is False


def test_a_training_leaves_nothing_behind(device: mps.MTLDevice, cell: oracle.Cell, no_leaks: None) -> None:
    training = Training(device, cell)
    training.forward(recurrent_output_states=[])
    training.gradient(recurrent_output_states=[])
    training.run()
