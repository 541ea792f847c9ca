"""Recurrent states over matrices: what they hold, what they refuse, and how long it lives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Value, Type = mps.BadArgumentError, mps.BadTypeError
State = mps.MPSRNNRecurrentMatrixState

H = np.arange(6, dtype=np.float32).reshape(2, 3)
WIDE = np.arange(10, dtype=np.float32).reshape(2, 5)


def test_state_of_a_stack(device: mps.MTLDevice, no_leaks: None) -> None:
    state = State.from_numpy(device, [H, WIDE, H], [None, -WIDE, None])
    assert (state.device, state.number_of_layers, state.rows) == (device, 3, 2)
    assert (state.is_temporary, state.read_count) == (False, 0)
    outputs = [state.get_recurrent_output_matrix(for_layer_index=index) for index in range(4)]
    memories = [state.get_memory_cell_matrix(for_layer_index=index) for index in range(4)]
    assert outputs[3] is memories[0] is memories[2] is memories[3] is None
    for found, expected in zip([*outputs[:3], memories[1]], [H, WIDE, H, -WIDE], strict=True):
        assert type(found) is mps.MPSMatrix
        assert found.data_type == mps.MPSDataType.FLOAT32
        assert found.row_bytes == mps.MPSMatrixDescriptor.row_bytes(found.columns)
        np.testing.assert_array_equal(found.to_numpy(), expected, strict=True)


def test_matrices_are_the_state(device: mps.MTLDevice, no_leaks: None) -> None:
    """They share its memory, do not share each other's, and outlive the object."""
    state = State.from_numpy(device, [H, H], [H, H])
    parts = [state.get_recurrent_output_matrix(0), state.get_memory_cell_matrix(0)]
    parts += [state.get_recurrent_output_matrix(1), state.get_memory_cell_matrix(1)]
    for number, part in enumerate(parts):
        part.to_numpy(copy=False)[...] = number
    assert state.get_memory_cell_matrix(0).to_numpy().tolist() == [[1.0] * 3] * 2
    del state
    assert [part.to_numpy().max() for part in parts] == [part.to_numpy().min() for part in parts] == [0, 1, 2, 3]
    ranges = sorted(part.storage_range for part in parts)
    assert all(first[2] <= second[1] for first, second in itertools.pairwise(ranges))


def test_resources(device: mps.MTLDevice, no_leaks: None) -> None:
    state = State.from_numpy(device, [H], [H])
    assert (state.resource_count, state.resource_type(0)) == (1, mps.MPSStateResourceType.BUFFER)
    assert state.resource() is state.get_recurrent_output_matrix(0).data
    assert state.resource_size() == state.buffer_size(0) == state.resource().length
    assert state.resource(1) is None
    state.synchronize(device.make_command_queue().make_command_buffer())
    state.label = "h0"
    assert state.label == "h0"


def test_image_states_have_the_same(device: mps.MTLDevice, no_leaks: None) -> None:
    pixels = np.zeros((2, 3, 5), np.float32)
    state = mps.MPSRNNRecurrentImageState.from_numpy(device, [pixels, pixels], [pixels, None])
    assert isinstance(state, mps.MPSState)
    assert (state.resource_count, state.is_temporary, state.read_count) == (3, False, 0)
    info = state.texture_info(2)
    assert (info.width, info.height, info.array_length) == (3, 2, 2)
    assert info.pixel_format == mps.MTLPixelFormat.RGBA32_FLOAT
    assert state.resource(3) is None
    assert state.resource_size() == sum(state.resource(index).allocated_size for index in range(3))
    state.synchronize(device.make_command_queue().make_command_buffer())


ARRAYS: dict[str, tuple[Any, Any, type[mps.Error], str]] = {
    "outputs int": (3, None, Type, r"^recurrent_outputs: got a int, expected a list with an entry per layer$"),
    "outputs array": (H, None, Type, r"^recurrent_outputs: got a ndarray, expected a list"),
    "no outputs": ([], None, Value, r"^recurrent_outputs: got an empty list, expected at least one array$"),
    "output None": ([H, None], None, Type, r"^recurrent_outputs\[1\]: got a NoneType, expected an ndarray$"),
    "float64": ([H.astype(float)], None, Type, r"^recurrent_outputs\[0\]: got elements of float64, expected float32$"),
    "big-endian": ([H.astype(">f4")], None, Type, r"^recurrent_outputs\[0\]: got elements of float32 in foreign byte"),
    "3 axes": ([H[None]], None, Value, r"^recurrent_outputs\[0\]: got 3 axes, shape \(1, 2, 3\), expected \(rows, cha"),
    "no rows": ([H[:0]], None, Value, r"^recurrent_outputs\[0\]: got shape \(0, 3\), expected at least 1 along"),
    "other rows": ([H, WIDE[:1]], None, Value, r"^recurrent_outputs\[1\]: got 1 rows, expected 2, as the first$"),
    "memories int": ([H], 3, Type, r"^memory_cells: got a int, expected a list with an entry per layer$"),
    "no memories": ([H], [], Value, r"^memory_cells: got 0 layers, expected 1, as recurrent_outputs$"),
    "memory float16": ([H], [H.astype(np.float16)], Type, r"^memory_cells\[0\]: got elements of float16, expected fl"),
    "memory shape": (
        [H],
        [WIDE],
        Value,
        r"^memory_cells\[0\]: got shape \(2, 5\), expected \(2, 3\), as the recurrent",
    ),
}


@pytest.mark.parametrize("case", ARRAYS.values(), ids=ARRAYS)
def test_bad_arrays(device: mps.MTLDevice, no_leaks: None, case: tuple[Any, Any, type[mps.Error], str]) -> None:
    outputs, memories, error, words = case
    refused(lambda: State.from_numpy(device, outputs, memories), error, words)


def test_bad_device(no_leaks: None) -> None:
    refused(lambda: State.from_numpy("gpu", [H]), Type, r"^device: got 'gpu' \(str\), expected MTLDevice$")


@pytest.mark.parametrize(("index", "error"), [(-1, Value), (2**40, Value), (0.0, Type), (True, Type), (None, Type)])
def test_bad_layer_index(device: mps.MTLDevice, index: Any, error: type[mps.Error]) -> None:
    state = State.from_numpy(device, [H], [H])
    for get in (state.get_recurrent_output_matrix, state.get_memory_cell_matrix):
        refused(lambda get=get: get(index), error, "^for_layer_index: got ")
        assert get(2**31 - 1) is None


def test_states_cannot_be_constructed() -> None:
    words = "^MPSRNNRecurrentMatrixState: cannot be constructed, expected one made by encode_sequence"
    refused(State, Type, words)
    refused(lambda: State.__new__(State), Type, words)
