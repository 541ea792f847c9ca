"""What a C caller of the matrix layers can get wrong is refused, and the refused call has changed nothing."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from ctypes import c_int, c_size_t, c_uint32
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
import oracle
from contract import (
    ADD,
    BAD_ARGUMENT,
    CONCATENATE,
    FLOAT32,
    NONE,
    Command,
    Device,
    Handle,
    Matrix,
    MatrixLayer,
    MatrixState,
    NativeCell,
    Refusal,
    Rows,
    call,
    plain,
    pointer,
    views,
)

INPUTS, OUTPUTS, ROWS, STEPS = 3, 5, 4, 3


def lstm(inputs: int = INPUTS, outputs: int = OUTPUTS) -> oracle.LSTM:
    rng = np.random.default_rng(1)

    def gate() -> oracle.Gate:
        weights = rng.standard_normal((outputs, 1, 1, inputs)).astype(np.float32)
        return oracle.Gate(oracle.Slot(weights), neuron=oracle.Neuron(oracle.NeuronType.SIGMOID))

    gates = {name: gate() for name in ("input_gate", "forget_gate", "cell_gate", "output_gate")}
    return oracle.LSTM(inputs=inputs, outputs=outputs, **gates)


class Encoding:
    """Arguments of a call that would succeed, for a test to spoil one of them."""

    def __init__(self) -> None:
        self.device = Device()
        self.queue = Handle("queue_create", self.device.value)
        self.command = Command(self.queue)
        self.layer = MatrixLayer(self.device, [NativeCell(lstm())])
        self.memory = [Rows(self.device, ROWS, INPUTS) for _ in range(STEPS)]
        self.memory += [Rows(self.device, ROWS, OUTPUTS) for _ in range(STEPS + 4)]
        self.sources: Any = views(self.memory[:STEPS])
        self.destinations: Any = views(self.memory[STEPS : 2 * STEPS])
        states = [matrix.view for matrix in self.memory[2 * STEPS :]]
        self.state_in: Any = (MatrixState * 1)(MatrixState(*states[:2]))
        self.states_out: Any = (MatrixState * 1)(MatrixState(*states[2:]))
        self.count, self.state_count = STEPS, 1

    def encode(self) -> None:
        call(
            "matrix_layer_encode_sequence",
            self.layer.value,
            self.command.value,
            pointer(self.sources),
            pointer(self.destinations),
            c_size_t(self.count),
            pointer(self.state_in),
            pointer(self.states_out),
            c_size_t(self.state_count),
            c_uint32(0),
        )

    def encode_bidirectional(self, combine: int, forward: Any, backward: Any) -> None:
        call(
            "matrix_layer_encode_bidirectional",
            self.layer.value,
            self.command.value,
            pointer(self.sources),
            pointer(forward),
            pointer(backward),
            c_size_t(self.count),
            c_int(combine),
            pointer(self.state_in),
            c_uint32(0),
        )


@pytest.fixture
def encoding(device: mps.MTLDevice) -> Encoding:
    return Encoding()


def live_handles() -> int:
    return plain("live_handle_count", c_size_t)


# How one matrix can be wrong, and what the message says.
WRONG_MATRICES: dict[str, tuple[Callable[[Matrix], None], str]] = {
    "absent": (lambda m: setattr(m, "buffer", None), "absent"),
    "type": (lambda m: setattr(m, "data_type", 8), "data type 0x8; float16 or float32 expected"),
    "no rows": (lambda m: setattr(m, "rows", 0), "0 x"),
    "columns": (lambda m: setattr(m, "columns", m.columns - 1), "columns expected"),
    "more rows than the buffer": (lambda m: setattr(m, "rows", ROWS + 1), "the buffer has|rows"),
    "offset beyond the buffer": (lambda m: setattr(m, "offset", 1 << 20), "the buffer has"),
    "offset that overflows": (lambda m: setattr(m, "offset", 2**64 - 4), "the buffer has"),
    "rows that overflow": (lambda m: setattr(m, "row_bytes", 2**64 - 4), "bytes a row"),
    "row bytes too long": (lambda m: setattr(m, "row_bytes", 4 << 20), "the buffer has"),
    "row bytes too short": (lambda m: setattr(m, "row_bytes", 4 * (m.columns - 1)), "rows of"),
    "offset not aligned": (lambda m: setattr(m, "offset", 2), "multiples of 4 expected"),
    "row bytes not aligned": (lambda m: setattr(m, "row_bytes", m.row_bytes + 2), "multiples of 4 expected"),
}
# Where a matrix of a call can be.
PLACES: dict[str, tuple[Callable[[Encoding], Matrix], str]] = {
    "source": (lambda e: e.sources[1], "source matrix 1"),
    "destination": (lambda e: e.destinations[1], "destination matrix 1"),
    "state in, h": (lambda e: e.state_in[0].output, "input state matrix 0"),
    "state in, c": (lambda e: e.state_in[0].memory, "input state matrix 0"),
    "state out, h": (lambda e: e.states_out[0].output, "output state matrix 0"),
    "state out, c": (lambda e: e.states_out[0].memory, "output state matrix 0"),
}


def assert_refused(encoding: Encoding, message: str, encode: Callable[[], None] | None = None) -> None:
    gc.collect()
    handles = live_handles()
    with pytest.raises(Refusal, match=message) as refusal:
        (encode or encoding.encode)()
    assert refusal.value.status == BAD_ARGUMENT
    assert live_handles() == handles


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wrong", WRONG_MATRICES)
def test_a_matrix_that_is_wrong(encoding: Encoding, place: str, wrong: str) -> None:
    find, where = PLACES[place]
    spoil, what = WRONG_MATRICES[wrong]
    good = Matrix.from_buffer_copy(find(encoding))
    spoil(find(encoding))
    assert_refused(encoding, f"^{where}: .*({what})")
    ctypes.memmove(ctypes.addressof(find(encoding)), ctypes.addressof(good), ctypes.sizeof(good))
    assert encoding.command.dispatch_count == 0
    encoding.encode()
    encoding.command.commit_and_wait()


def test_a_command_buffer_that_is_committed(encoding: Encoding) -> None:
    encoding.command.commit_and_wait()
    assert_refused(encoding, "already committed")
    assert_refused(
        encoding, "already committed", lambda: encoding.encode_bidirectional(NONE, encoding.destinations, None)
    )


def test_rows_that_increase(encoding: Encoding) -> None:
    encoding.sources[0].rows = ROWS - 1
    assert_refused(encoding, "source matrix 1: 4 rows .* no more rows than the one before")


def test_a_destination_with_fewer_rows_than_its_source(encoding: Encoding) -> None:
    encoding.destinations[2].rows = ROWS - 1
    assert_refused(encoding, "destination matrix 2: 3 rows .* at least the 4 rows of its source")


@pytest.mark.parametrize("place", ["source", "destination"])
def test_matrices_of_several_types(encoding: Encoding, place: str) -> None:
    find, where = PLACES[place]
    find(encoding).data_type = 0x10000010
    assert_refused(encoding, f"{where}: .* type")


@pytest.mark.parametrize("place", [place for place in PLACES if "state" in place])
def test_a_state_that_is_not_float32(encoding: Encoding, place: str) -> None:
    find, where = PLACES[place]
    find(encoding).data_type = 0x10000010
    assert_refused(encoding, f"{where}: a state is float32")


@pytest.mark.parametrize("place", [place for place in PLACES if "state" in place])
def test_a_state_with_other_rows(encoding: Encoding, place: str) -> None:
    find, where = PLACES[place]
    find(encoding).rows = ROWS - 1
    assert_refused(encoding, f"{where}: 3 x 5 elements; 4 rows")


def test_a_memory_cell_where_there_is_none(encoding: Encoding) -> None:
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((OUTPUTS, 1, 1, INPUTS)).astype(np.float32)
    cell = oracle.SingleGate(inputs=INPUTS, outputs=OUTPUTS, gate=oracle.Gate(oracle.Slot(weights)))
    encoding.layer = MatrixLayer(encoding.device, [NativeCell(cell)])
    assert_refused(encoding, "input state matrix 0: only an LSTM has a memory cell")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 0, "a sequence of 0 matrices"),
        ("sources", None, "absent"),
        ("destinations", None, "no destination matrices"),
        ("states_out", None, "no matrices for 1 states"),
        ("state_count", 2, "2 states of 3 time steps; 0, 1 or all expected"),
        ("state_count", 4, "4 states of 3 time steps; 0, 1 or all expected"),
    ],
)
def test_arrays_and_counts(encoding: Encoding, name: str, value: Any, message: str) -> None:
    setattr(encoding, name, value)
    assert_refused(encoding, message)


def test_bidirectional_without_destinations(encoding: Encoding) -> None:
    for combine in (NONE, ADD, CONCATENATE):
        assert_refused(
            encoding, "no destinations", lambda combine=combine: encoding.encode_bidirectional(combine, None, None)
        )
    encoding.count = 0
    assert_refused(encoding, "0 matrices", lambda: encoding.encode_bidirectional(NONE, encoding.destinations, None))


@pytest.mark.parametrize("combine", [ADD, CONCATENATE])
@pytest.mark.parametrize("wrong", WRONG_MATRICES)
def test_a_destination_of_a_combination_that_is_wrong(encoding: Encoding, combine: int, wrong: str) -> None:
    encoding.layer = MatrixLayer(encoding.device, [NativeCell(lstm()), NativeCell(lstm(), backward=True)])
    encoding.state_in = None
    width = OUTPUTS if combine == ADD else 2 * OUTPUTS
    matrices = [Rows(encoding.device, ROWS, width) for _ in range(STEPS)]
    destinations = views(matrices)
    spoil, what = WRONG_MATRICES[wrong]
    spoil(destinations[1])
    assert_refused(
        encoding,
        f"destination matrix 1: .*({what})",
        lambda: encoding.encode_bidirectional(combine, destinations, None),
    )


def test_layers_that_do_not_follow_each_other(encoding: Encoding) -> None:
    encoding.layer = MatrixLayer(encoding.device, [NativeCell(lstm()), NativeCell(lstm(OUTPUTS + 1, OUTPUTS))])
    assert_refused(encoding, "layer 1 reads 6 channels, the layer below makes 5")


# ---- Layers ----


def spoil_convolution(name: str, value: int) -> Callable[[NativeCell], None]:
    return lambda cell: setattr(cell.struct.gates[1].input, name, value)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_convolution("width", 3),
        spoil_convolution("height", 0),
        spoil_convolution("groups", 0),
        spoil_convolution("groups", 5),
        lambda cell: setattr(cell.struct, "input_channels", 0),
        lambda cell: setattr(cell.struct, "output_channels", 0),
        lambda cell: setattr(cell.struct, "output_channels", 2**32 - 1),
        lambda cell: setattr(cell.struct, "unit_transform", True),
    ],
)
def test_a_cell_that_is_wrong(encoding: Encoding, spoil: Callable[[NativeCell], None]) -> None:
    cell = NativeCell(lstm())
    spoil(cell)
    gc.collect()
    handles = live_handles()
    with pytest.raises(Refusal) as refusal:
        MatrixLayer(encoding.device, [NativeCell(lstm()), cell])
    assert refusal.value.status == BAD_ARGUMENT
    assert live_handles() == handles


def test_a_stack_of_no_layers(encoding: Encoding) -> None:
    with pytest.raises(Refusal, match="a stack of 0 layers"):
        MatrixLayer(encoding.device, [])


# ---- What is not misuse ----


def test_everything_can_be_released_before_the_commit(encoding: Encoding) -> None:
    source, destination = encoding.memory[0], encoding.memory[STEPS]
    source.array = np.ones((ROWS, INPUTS), np.float32)
    encoding.encode()
    encoding.command.commit_and_wait()
    expected = destination.array

    again = Encoding()
    again.memory[0].array = np.ones((ROWS, INPUTS), np.float32)
    again.encode()
    kept = again.memory[STEPS]
    command = again.command
    del again
    command.commit_and_wait()
    np.testing.assert_array_equal(kept.array[:ROWS], expected)


def test_one_buffer_for_all_matrices(encoding: Encoding) -> None:
    """Views of one buffer, as a caller with byte offsets has them, give what separate matrices give."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((STEPS, ROWS, INPUTS)).astype(np.float32)
    for t in range(STEPS):
        encoding.memory[t].array = x[t]
    encoding.state_in = None
    encoding.encode()
    encoding.command.commit_and_wait()
    expected = [encoding.memory[STEPS + t].array for t in range(STEPS)]

    together = Rows(encoding.device, 2 * STEPS * ROWS, OUTPUTS, gap=0)
    together.array = np.vstack([np.pad(x.reshape(-1, INPUTS), ((0, 0), (0, 2))), np.zeros((STEPS * ROWS, OUTPUTS))])
    for t in range(STEPS):
        for array, first, columns in ((encoding.sources, 0, INPUTS), (encoding.destinations, STEPS, OUTPUTS)):
            offset = together.view.offset + (first + t) * ROWS * together.view.row_bytes
            array[t] = Matrix(together.view.buffer, offset, together.view.row_bytes, ROWS, columns, FLOAT32)
    encoding.command = Command(encoding.queue)
    encoding.encode()
    encoding.command.commit_and_wait()
    np.testing.assert_array_equal(together.array[STEPS * ROWS :], np.vstack(expected))
