"""What the calls of the matrix layer refuse: the exception, its words, and that nothing was encoded or written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
from matrices import blanks, matrices, parts
from matrix_stacks import lstm, single_gate
from refusal import refused

Value, Type, Lifetime = mps.BadArgumentError, mps.BadTypeError, mps.LifetimeError
State = mps.MPSRNNRecurrentMatrixState

STEPS, ROWS = 2, 3
INPUTS, OUTPUTS = 3, 2
MARK: Any = object()


def two_layers(device: mps.MTLDevice) -> mps.MPSRNNMatrixInferenceLayer:
    """A single gate with an LSTM on it."""
    rng = np.random.default_rng(1)
    cells = [single_gate(rng, INPUTS, OUTPUTS), lstm(rng, OUTPUTS, OUTPUTS)]
    return mps.MPSRNNMatrixInferenceLayer(device, [conversion.descriptor(cell) for cell in cells])


def rows(columns: int, count: int = ROWS, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(columns).standard_normal((count, columns)).astype(dtype)


class Scene:
    """A call that would succeed, to be spoilt in one respect."""

    def __init__(self, device: mps.MTLDevice) -> None:
        self.device = device
        self.layer = two_layers(device)
        self.sources = matrices(device, [rows(INPUTS)] * STEPS)
        self.destinations = matrices(device, [rows(OUTPUTS)] * STEPS)
        self.state = self.make_state([rows(OUTPUTS)] * 2, [None, rows(OUTPUTS)])
        self.command = device.make_command_queue().make_command_buffer()
        self.states: list[Any] = [MARK]

    def matrix(self, array: np.ndarray) -> mps.MPSMatrix:
        return mps.MPSMatrix.from_numpy(self.device, array)

    def make_state(self, outputs: list[np.ndarray], memories: list[np.ndarray | None] | None) -> State:
        return State.from_numpy(self.device, outputs, memories)

    def committed(self) -> mps.MTLCommandBuffer:
        command = self.device.make_command_queue().make_command_buffer()
        command.commit()
        return command

    def temporary(self, columns: int, reads: int = 1) -> mps.MPSTemporaryMatrix:
        made = mps.MPSTemporaryMatrix(self.command, mps.MPSMatrixDescriptor(ROWS, columns))
        made.read_count = reads
        return made

    def temporary_elsewhere(self, columns: int) -> mps.MPSTemporaryMatrix:
        command = self.device.make_command_queue().make_command_buffer()
        made = mps.MPSTemporaryMatrix(command, mps.MPSMatrixDescriptor(ROWS, columns))
        made.read_count = 0
        return made

    def encode(self, **changes: Any) -> None:
        arguments = {
            "command_buffer": self.command,
            "source_matrices": self.sources,
            "destination_matrices": self.destinations,
            "recurrent_input_state": self.state,
            "recurrent_output_states": self.states,
            **changes,
        }
        self.layer.encode_sequence(**arguments)

    def contents(self) -> list[bytes]:
        """All that a call could change."""
        arrays = [matrix.to_numpy() for matrix in (*self.sources, *self.destinations)] + parts(self.state)
        return [array.tobytes() for array in arrays]


Make = Callable[[Scene], Any]


def only(**changes: Any) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: changes


def sources(*made: Make) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"source_matrices": [make(scene) for make in made]}


def destinations(*made: Make) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"destination_matrices": [make(scene) for make in made]}


def state(outputs: list[np.ndarray], memories: list[np.ndarray | None] | None) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"recurrent_input_state": scene.make_state(outputs, memories)}


def new(array: np.ndarray) -> Make:
    return lambda scene: scene.matrix(array)


def source(scene: Scene) -> mps.MPSMatrix:
    return scene.sources[0]


def destination(scene: Scene) -> mps.MPSMatrix:
    return scene.destinations[0]


def over_source(scene: Scene) -> mps.MPSMatrix:
    """A matrix like a destination whose last row lies over the first one of source 1."""
    descriptor = mps.MPSMatrixDescriptor(ROWS, OUTPUTS, 16)
    memory = scene.device.make_buffer(length=3 * 48)
    scene.sources[1] = mps.MPSMatrix(buffer=memory, descriptor=mps.MPSMatrixDescriptor(ROWS, INPUTS, 16), offset=48)
    return mps.MPSMatrix(buffer=memory, descriptor=descriptor, offset=24)


H, C = rows(OUTPUTS), rows(OUTPUTS)
LIST = "expected a list of MPSMatrix$"
Case = tuple[Callable[[Scene], dict[str, Any]], type[mps.Error], str]
ENCODES: dict[str, Case] = {
    "command None": (only(command_buffer=None), Type, r"^command_buffer: got None \(NoneType\), expected MTLCommand"),
    "command committed": (
        lambda scene: {"command_buffer": scene.committed()},
        Value,
        r"^command_buffer: got one that is already committed, expected one that is not$",
    ),
    "sources None": (only(source_matrices=None), Type, rf"^source_matrices: got a NoneType, {LIST}"),
    "sources a matrix": (
        lambda scene: {"source_matrices": scene.sources[0]},
        Type,
        rf"^source_matrices: got a MPSMatrix, {LIST}",
    ),
    "sources an array": (only(source_matrices=rows(3)), Type, rf"^source_matrices: got a ndarray, {LIST}"),
    "no sources": (sources(), Value, r"^source_matrices: got an empty list, expected at least one matrix$"),
    "source an array": (
        sources(source, lambda _: rows(3)),
        Type,
        r"^source_matrices\[1\]: got array of shape \(3, 3\) \(ndarray\), expected MPSMatrix$",
    ),
    "source a vector": (
        sources(lambda scene: mps.MPSVector.from_numpy(scene.device, np.zeros(3, np.float32))),
        Type,
        r"^source_matrices\[0\]: got .*MPSVector.*expected MPSMatrix$",
    ),
    "source of integers": (
        sources(new(rows(INPUTS).astype(np.int32)), source),
        Value,
        r"^source_matrices\[0\]: got elements of INT32, expected FLOAT16 or FLOAT32$",
    ),
    "sources of two types": (
        sources(source, new(rows(INPUTS, dtype=np.float16))),
        Value,
        r"^source_matrices\[1\]: got elements of FLOAT16, expected FLOAT32$",
    ),
    "destinations of two types": (
        destinations(new(rows(OUTPUTS, dtype=np.float16)), destination),
        Value,
        r"^destination_matrices\[1\]: got elements of FLOAT32, expected FLOAT16$",
    ),
    "source of other columns": (
        sources(source, new(rows(4))),
        Value,
        r"^source_matrices\[1\]: got 4 columns, expected 3$",
    ),
    "destination of other columns": (
        destinations(new(rows(3)), destination),
        Value,
        r"^destination_matrices\[0\]: got 3 columns, expected 2$",
    ),
    "increasing rows": (
        sources(source, new(rows(INPUTS, 4))),
        Value,
        r"^source_matrices\[1\]: got 4 rows, expected at most 3, as in the time step before: sequences are sorted",
    ),
    "destination of fewer rows": (
        destinations(destination, new(rows(OUTPUTS, 2))),
        Value,
        r"^destination_matrices\[1\]: got 2 rows, expected at least 3, as its source has$",
    ),
    "fewer destinations": (
        destinations(destination),
        Value,
        r"^destination_matrices: got 1 matrices, expected 2, one per source matrix$",
    ),
    "destination over a source": (
        destinations(destination, over_source),
        Value,
        r"^destination_matrices\[1\]: got memory that source_matrices\[1\] has too, expected memory apart$",
    ),
    "destination is h of the bottom layer": (
        destinations(destination, lambda scene: scene.state.get_recurrent_output_matrix(0)),
        Value,
        r"^destination_matrices\[1\]: got memory that recurrent_input_state, layer 0 has too, expected memory apart$",
    ),
    "destination is a memory cell": (
        destinations(lambda scene: scene.state.get_memory_cell_matrix(1), destination),
        Value,
        r"^destination_matrices\[0\]: got memory that recurrent_input_state, layer 1 has too, expected memory apart$",
    ),
    "source offsets one too many": (
        only(source_offsets=[0, 0, 0]),
        Value,
        r"^source_offsets: got 3 offsets, expected 2, one per matrix$",
    ),
    "source offsets a number": (
        only(source_offsets=0),
        Type,
        r"^source_offsets: got a int, expected a list of byte offsets or None$",
    ),
    "source offset a float": (
        only(source_offsets=[0, 4.0]),
        Type,
        r"^source_offsets\[1\]: got 4.0 \(float\), expected an int$",
    ),
    "offset below 0": (
        only(destination_offsets=[0, -4]),
        Value,
        r"^destination_offsets\[1\]: got -4, expected an int from 0",
    ),
    "offset within an element": (
        only(source_offsets=[0, 2]),
        Value,
        r"^source_offsets\[1\]: got 2, expected a multiple of 4, the size of an element$",
    ),
    "offset behind the buffer": (
        only(destination_offsets=np.array([0, 4000])),
        Value,
        r"^destination_offsets\[1\]: got 4000, expected at most \d+, so that the matrix ends in its buffer$",
    ),
    "temporary of another command buffer": (
        sources(lambda scene: scene.temporary_elsewhere(INPUTS), source),
        Lifetime,
        r"^source_matrices\[0\]: got a temporary object of another command buffer",
    ),
    "temporary that has been read": (
        destinations(lambda scene: scene.temporary(OUTPUTS, 0), destination),
        Lifetime,
        r"^destination_matrices\[0\]: got a temporary object with read count 0",
    ),
    "state list": (
        only(recurrent_input_state=[]),
        Type,
        r"^recurrent_input_state: got \[\] \(list\), expected MPSRNNRecurrentMatrixState$",
    ),
    "state of one layer": (state([H], None), Value, r"^recurrent_input_state: got the state of 1 layers, expected 2$"),
    "state without memory cell": (
        state([H, H], None),
        Value,
        r"^recurrent_input_state: got no memory cell for layer 1, expected the state of LSTM$",
    ),
    "state with one memory cell too many": (
        state([H, H], [C, C]),
        Value,
        r"^recurrent_input_state: got a memory cell for layer 0, expected the state of SINGLE_GATE$",
    ),
    "state of fewer rows": (
        state([rows(OUTPUTS, 2)] * 2, [None, rows(OUTPUTS, 2)]),
        Value,
        r"^recurrent_input_state: got 2 rows, expected at least 3, as the first source has$",
    ),
    "state of other channels": (
        state([H, rows(3)], [None, rows(3)]),
        Value,
        r"^recurrent_input_state, layer 1: got 3 columns, expected 2$",
    ),
    "states tuple": (
        only(recurrent_output_states=()),
        Type,
        r"^recurrent_output_states: got a tuple, expected a list or None$",
    ),
}


@pytest.mark.parametrize("case", ENCODES.values(), ids=ENCODES)
def test_bad_encode(device: mps.MTLDevice, no_leaks: None, case: Case) -> None:
    spoil, error, words = case
    scene = Scene(device)
    scene.layer.store_all_intermediate_states = True
    changes = spoil(scene)
    before = scene.contents()
    refused(lambda: scene.encode(**changes), error, words)
    assert scene.command.dispatch_count == 0
    assert scene.states == [MARK]
    # What has been encoded is nothing, not merely counted as nothing; and the command buffer still takes the good call.
    scene.encode()
    assert len(scene.states) == 1 + STEPS
    scene.command.commit()
    scene.command.wait_until_completed()
    after = scene.contents()
    assert after[:STEPS] == before[:STEPS]
    assert after[STEPS] != before[STEPS]


X = np.zeros((STEPS, ROWS, INPUTS), np.float32)
FLOATS = "expected float32 or float16$"
PREDICTS: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "None": ({"x": None}, Type, r"^x: got a NoneType, expected an ndarray or a list of them$"),
    "numbers": ({"x": [1.0]}, Type, r"^x\[0\]: got a float, expected an ndarray$"),
    "no arrays": ({"x": []}, Value, r"^x: got an empty list, expected at least one array$"),
    "1 axis": ({"x": X[0, 0]}, Value, r"^x: got 1 axes, shape \(3,\), expected 2 or 3 axes$"),
    "4 axes": ({"x": X[None]}, Value, r"^x: got 4 axes, shape \(1, 2, 3, 3\), expected 2 or 3 axes$"),
    "list of 3 axes": ({"x": [X]}, Value, r"^x\[0\]: got 3 axes, shape \(2, 3, 3\), expected 2 axes$"),
    "float64": ({"x": X.astype(float)}, Type, rf"^x: got elements of float64, {FLOATS}"),
    "int32": ({"x": X.astype(np.int32)}, Type, rf"^x: got elements of int32, {FLOATS}"),
    "big-endian": ({"x": X.astype(">f4")}, Type, rf"^x: got elements of float32 in foreign byte order, {FLOATS}"),
    "channels": ({"x": X[..., :2]}, Value, r"^x: got 2 channels, expected 3$"),
    "no steps": ({"x": X[:0]}, Value, r"^x: got shape \(0, 3, 3\), expected at least 1 along every axis$"),
    "no rows": ({"x": X[:, :0]}, Value, r"^x: got shape \(2, 0, 3\), expected at least 1 along every axis$"),
    "two types": (
        {"x": [X[0], X[1].astype(np.float16)]},
        Type,
        r"^x\[1\]: got elements of float16, expected float32, as the first$",
    ),
    "increasing rows": (
        {"x": [X[0, :2], X[1]]},
        Value,
        r"^x\[1\]: got 3 rows, expected at most 2, as in the time step before: sequences are sorted",
    ),
    "flag": ({"return_state": 1}, Type, r"^return_state: got 1 \(int\), expected a bool$"),
    "state list": ({"state": [1]}, Type, r"^state: got \[1\] \(list\), expected MPSRNNRecurrentMatrixState$"),
}


@pytest.mark.parametrize("case", PREDICTS.values(), ids=PREDICTS)
def test_bad_predict(device: mps.MTLDevice, no_leaks: None, case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    changes, error, words = case
    layer = two_layers(device)
    before = layer.predict(X)
    refused(lambda: layer.predict(**{"x": X, **changes}), error, words)
    np.testing.assert_array_equal(layer.predict(X), before)


def test_bad_bidirectional(device: mps.MTLDevice, no_leaks: None) -> None:
    rng = np.random.default_rng(2)
    descriptors = [conversion.descriptor(single_gate(rng, INPUTS, OUTPUTS + index)) for index in range(2)]
    descriptors[1].layer_sequence_direction = mps.MPSRNNSequenceDirection.BACKWARD
    layer = mps.MPSRNNMatrixInferenceLayer(device, descriptors)
    given = matrices(device, [rows(INPUTS)] * STEPS)
    ahead, behind = blanks(device, [ROWS] * STEPS, OUTPUTS), blanks(device, [ROWS] * STEPS, OUTPUTS + 1)
    command = device.make_command_queue().make_command_buffer()

    def encode(*destinations: Any) -> None:
        layer.encode_bidirectional_sequence(command, given, *destinations)

    refused(lambda: encode(ahead), Type, r"^destination_backward_matrices: got a NoneType")
    refused(lambda: encode(None, behind), Type, r"^destination_forward_matrices: got a NoneType")
    refused(lambda: encode(behind, ahead), Value, r"^destination_forward_matrices\[0\]: got 3 columns, expected 2$")
    refused(
        lambda: layer.encode_sequence(command, given, ahead),
        Value,
        r"^rnn_descriptors\[1\]: got 3 input channels for a forward sequence",
    )
    layer.bidirectional_combine_mode = mps.MPSRNNBidirectionalCombineMode.ADD
    refused(lambda: encode(ahead), Value, r"^bidirectional_combine_mode: got ADD of 2 forward and 3 backward channels")
    assert command.dispatch_count == 0
