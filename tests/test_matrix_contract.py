"""Matrix layers through the contract: numbers, bits, dispatches, and what a C caller can get wrong."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from ctypes import c_int, c_size_t, c_uint32
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import mpsrnn_cy as mps
import oracle
from contract import (
    ADD,
    CONCATENATE,
    NONE,
    Command,
    Device,
    Handle,
    MatrixLayer,
    MatrixState,
    NativeCell,
    Refusal,
    Rows,
    call,
    pointer,
    views,
)
from matrix_stacks import SMALL_STACKS, STACKS, gru, inputs, lstm, single_gate
from matrix_strategies import SEQUENCE_CHANNELS


class Machine(NamedTuple):
    """A device and a queue of the contract."""

    device: Device
    queue: Handle
    has_twins: bool


@pytest.fixture
def machine(each_build: mps.MTLDevice, request: pytest.FixtureRequest) -> Machine:
    device = Device()
    has_twins = request.node.callspec.params["each_build"] in ("x86-64-v3", "x86-64-v4")
    return Machine(device, Handle("queue_create", device.value), has_twins)


@pytest.fixture(params=STACKS)
def cells(request: pytest.FixtureRequest) -> list[oracle.Cell]:
    return STACKS[request.param](np.random.default_rng(3))


class Outcome(NamedTuple):
    """What a sequence left: results by step, states as [state][layer][h or c]."""

    results: list[NDArray[Any]]
    states: list[list[list[NDArray[np.float32]]]]
    dispatch_count: int


def state_rows(machine: Machine, cells: Sequence[oracle.Cell], rows: int) -> list[list[Rows]]:
    """Matrices for one state: h, and c of the LSTMs, of every layer."""
    return [[Rows(machine.device, rows, cell.outputs) for _ in range(1 + cell.has_memory)] for cell in cells]


def state_structs(states: Sequence[Sequence[Sequence[Rows]]]) -> ctypes.Array[MatrixState]:
    structs = [MatrixState(*[part.view for part in layer]) for state in states for layer in state]
    return (MatrixState * len(structs))(*structs)


def run(
    machine: Machine,
    cells: Sequence[oracle.Cell],
    sources: Sequence[NDArray[Any]],
    *,
    state_in: Sequence[Sequence[NDArray[Any]]] | None = None,
    state_count: int = 1,
    dtype: Any = np.float32,
    extra_rows: int = 0,
) -> Outcome:
    """Encode one sequence, commit it after the handles of all it uses are gone, and read the results."""
    rows = len(sources[0])
    layer = MatrixLayer(machine.device, [NativeCell(cell) for cell in cells])
    xs = [Rows(machine.device, *x.shape, x.dtype) for x in sources]
    ys = [Rows(machine.device, len(x) + extra_rows, cells[-1].outputs, dtype) for x in sources]
    for matrix, x in zip(xs, sources, strict=True):
        matrix.array = x
    initial = None if state_in is None else state_rows(machine, cells, rows)
    for matrices, arrays in zip(initial or [], state_in or [], strict=True):
        for matrix, array in zip(matrices, arrays, strict=True):
            matrix.array = array
    states = [state_rows(machine, cells, rows) for _ in range(state_count)]
    structs_in = None if initial is None else state_structs([initial])
    command = Command(machine.queue)
    call(
        "matrix_layer_encode_sequence",
        layer.value,
        command.value,
        pointer(views(xs)),
        pointer(views(ys)),
        c_size_t(len(xs)),
        pointer(structs_in),
        pointer(state_structs(states)),
        c_size_t(state_count),
        c_uint32(0),
    )
    del layer
    command.commit_and_wait()
    for matrix in [*xs, *ys, *[part for state in states for layer_parts in state for part in layer_parts]]:
        matrix.assert_margin_untouched()
    for x, y in zip(xs, ys, strict=True):
        untouched = y.array[x.shape[0] :].view(np.uint8)
        assert (untouched == Rows.MARGIN).all()
    results = [y.array[: x.shape[0]] for x, y in zip(xs, ys, strict=True)]
    return Outcome(results, [[[p.array for p in layer] for layer in state] for state in states], command.dispatch_count)


def as_images(array: NDArray[Any]) -> NDArray[np.float64]:
    """Rows as a batch of images of one pixel."""
    return array.astype(np.float64)[:, None, None, :]


def assert_agrees(cells: Sequence[oracle.Cell], sources: Sequence[NDArray[Any]], outcome: Outcome) -> None:
    """Hold every step of every layer against the oracle, which goes on from the implementation's states."""
    previous: list[oracle.State] | None = None
    for t, x in enumerate(sources):
        n = len(x)
        made = [oracle.exact_state(*[as_images(part) for part in layer]) for layer in outcome.states[t]]
        running = [oracle.State(*[None if part is None else part[:n] for part in state]) for state in made]
        before = None
        if previous is not None:
            before = [oracle.State(*[None if part is None else part[:n] for part in state]) for state in previous]
        expected = oracle.run(cells, as_images(x)[None], before, [running])
        for layer, (state, got) in enumerate(zip(expected.states[0], running, strict=True)):
            oracle.assert_close(got.h.value, state.h, f"step {t}, layer {layer}, h")
            if state.c is not None:
                oracle.assert_close(got.c.value, state.c, f"step {t}, layer {layer}, c")
        last = outcome.states[t][-1][0][:n]
        np.testing.assert_array_equal(outcome.results[t], last.astype(outcome.results[t].dtype))
        if previous is not None:
            for kept, state in zip(made, previous, strict=True):
                np.testing.assert_array_equal(kept.h.value[n:], state.h.value[n:])
                if state.c is not None:
                    np.testing.assert_array_equal(kept.c.value[n:], state.c.value[n:])
        previous = made


def assert_same_bits(a: NDArray[Any], b: NDArray[Any]) -> None:
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(np.ascontiguousarray(a).view(np.uint8), np.ascontiguousarray(b).view(np.uint8))


# ---- Numbers ----


@pytest.mark.parametrize("rows", [(1, 1, 1), (3, 3), (4, 4, 4), (6, 5, 5, 1), (9, 2, 1)], ids=str)
def test_every_step_agrees_with_the_oracle(machine: Machine, cells: list[oracle.Cell], rows: tuple[int, ...]) -> None:
    sources = inputs(cells, rows)
    assert_agrees(cells, sources, run(machine, cells, sources, state_count=len(rows)))


@pytest.mark.parametrize("source_type", [np.float16, np.float32])
@pytest.mark.parametrize("destination_type", [np.float16, np.float32])
def test_element_types_of_sources_and_destinations(machine: Machine, source_type: Any, destination_type: Any) -> None:
    cells = STACKS["lstm-full"](np.random.default_rng(3))
    sources = inputs(cells, (5, 4), source_type)
    assert_agrees(cells, sources, run(machine, cells, sources, state_count=2, dtype=destination_type))


def test_a_state_goes_in(machine: Machine, cells: list[oracle.Cell]) -> None:
    rng = np.random.default_rng(5)
    sources = inputs(cells, (6,))
    state = [
        [rng.standard_normal((6, cell.outputs)).astype(np.float32) for _ in range(1 + cell.has_memory)]
        for cell in cells
    ]
    outcome = run(machine, cells, sources, state_in=state)
    before = [oracle.exact_state(*[as_images(part) for part in layer]) for layer in state]
    made = [oracle.exact_state(*[as_images(part) for part in layer]) for layer in outcome.states[0]]
    expected = oracle.run(cells, as_images(sources[0])[None], before, [made])
    oracle.assert_close(as_images(outcome.results[0]), expected.outputs[0], "result")


# ---- Bits ----


def test_one_call_equals_a_call_per_step(machine: Machine, cells: list[oracle.Cell]) -> None:
    sources = inputs(cells, (5, 5, 5, 5))
    together = run(machine, cells, sources)
    state = None
    for x, y in zip(sources, together.results, strict=True):
        one = run(machine, cells, [x], state_in=state)
        assert_same_bits(one.results[0], y)
        state = one.states[0]
    for a, b in zip(together.states[0], state, strict=True):
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y)


def test_batch_equals_its_rows_one_by_one(machine: Machine, cells: list[oracle.Cell]) -> None:
    rows = (7, 5, 4)
    sources = inputs(cells, rows)
    together = run(machine, cells, sources)
    for row in range(rows[0]):
        alone = run(machine, cells, [x[row : row + 1] for x in sources if row < len(x)])
        for y, result in zip(together.results, alone.results, strict=False):
            assert_same_bits(y[row : row + 1], result)
        for a, b in zip(together.states[0], alone.states[0], strict=True):
            for x, y in zip(a, b, strict=True):
                assert_same_bits(x[row : row + 1], y)


def test_all_states_or_the_last_one(machine: Machine, cells: list[oracle.Cell]) -> None:
    sources = inputs(cells, (3, 3, 2))
    every = run(machine, cells, sources, state_count=3)
    last = run(machine, cells, sources, state_count=1, extra_rows=2)
    none = run(machine, cells, sources, state_count=0)
    for a, b in zip(every.states[-1], last.states[0], strict=True):
        for x, y in zip(a, b, strict=True):
            assert_same_bits(x, y)
    for x, y, z in zip(every.results, last.results, none.results, strict=True):
        assert_same_bits(x, y)
        assert_same_bits(x, z)


def test_thread_count_changes_no_bit(machine: Machine, cells: list[oracle.Cell]) -> None:
    sources = inputs(cells, (9, 8, 3))
    outcomes = []
    before = machine.device.thread_count
    try:
        for machine.device.thread_count in (1, 2, 5):
            outcomes.append(run(machine, cells, sources))
    finally:
        machine.device.thread_count = before
    for outcome in outcomes[1:]:
        for x, y in zip(outcome.results, outcomes[0].results, strict=True):
            assert_same_bits(x, y)


def padded(cell: oracle.LSTM, extra: int) -> oracle.LSTM:
    """The cell with channels that are not connected to the others."""

    def grow(slot: oracle.Slot | None, inputs: int) -> oracle.Slot | None:
        if slot is None:
            return None
        weights = np.zeros((cell.outputs + extra, 1, 1, inputs), np.float32)
        weights[: cell.outputs, :, :, : slot.inputs] = slot.weights
        return oracle.Slot(weights)

    def grow_gate(gate: oracle.Gate) -> oracle.Gate:
        size = cell.outputs + extra
        bias = np.concatenate([gate.bias, np.zeros(extra, np.float32)])
        return oracle.Gate(
            grow(gate.input, cell.inputs), bias, gate.neuron, grow(gate.recurrent, size), grow(gate.memory, size)
        )

    gates = {name: grow_gate(gate) for name, gate in cell.gates.items()}
    return oracle.LSTM(inputs=cell.inputs, outputs=cell.outputs + extra, **gates)


def test_both_plans_give_the_same_numbers(machine: Machine) -> None:
    rng = np.random.default_rng(6)
    small = lstm(rng, 9, SEQUENCE_CHANNELS, peepholes="full")
    large = padded(small, 4)
    sources = inputs([small], (5, 3))
    one, many = run(machine, [small], sources), run(machine, [large], sources)
    assert (one.dispatch_count, many.dispatch_count) == (1, 1 if machine.has_twins else 4)
    for x, y in zip(one.results, many.results, strict=True):
        np.testing.assert_array_equal(x, y[:, : small.outputs])


# ---- Dispatches ----


@pytest.mark.parametrize("name", SMALL_STACKS)
@pytest.mark.parametrize("steps", [1, 2, 40])
def test_a_small_layer_is_one_dispatch(machine: Machine, name: str, steps: int) -> None:
    cells = STACKS[name](np.random.default_rng(3))
    outcome = run(machine, cells, inputs(cells, (2,) * steps), state_count=steps)
    assert outcome.dispatch_count == len(cells)


@pytest.mark.parametrize(("make", "phases"), [(single_gate, 1), (gru, 2), (lstm, 1)])
def test_a_large_layer_is_a_dispatch_per_step_and_phase_without_a_twin(
    machine: Machine, make: Callable[..., oracle.Cell], phases: int
) -> None:
    cells = [make(np.random.default_rng(3), 2, SEQUENCE_CHANNELS + 1)]
    assert run(machine, cells, inputs(cells, (2,) * 3)).dispatch_count == (1 if machine.has_twins else 3 * phases)


# ---- Bidirectional ----


def bidirectional(
    machine: Machine,
    forward: Sequence[oracle.Cell],
    backward: Sequence[oracle.Cell],
    sources: Sequence[NDArray[Any]],
    combine: int,
    dtype: Any = np.float32,
) -> tuple[list[NDArray[Any]], list[NDArray[Any]], int]:
    natives = [NativeCell(cell) for cell in forward] + [NativeCell(cell, backward=True) for cell in backward]
    layer = MatrixLayer(machine.device, natives)
    widths = {
        NONE: [cells[-1].outputs for cells in (forward, backward) if cells],
        ADD: [backward[-1].outputs if backward else 1],
        CONCATENATE: [sum(cells[-1].outputs for cells in (forward, backward) if cells)],
    }[combine]
    xs = [Rows(machine.device, *x.shape, x.dtype) for x in sources]
    for matrix, x in zip(xs, sources, strict=True):
        matrix.array = x
    ys = [[Rows(machine.device, len(x), width, dtype) for x in sources] for width in widths]
    arrays = [views(matrices) for matrices in ys]
    at_forward = arrays[0] if forward or combine != NONE else None
    at_backward = arrays[-1] if backward and combine == NONE else None
    command = Command(machine.queue)
    call(
        "matrix_layer_encode_bidirectional",
        layer.value,
        command.value,
        pointer(views(xs)),
        pointer(at_forward),
        pointer(at_backward),
        c_size_t(len(xs)),
        c_int(combine),
        pointer(None),
        c_uint32(0),
    )
    command.commit_and_wait()
    for matrices in ys:
        for matrix in matrices:
            matrix.assert_margin_untouched()
    return [y.array for y in ys[0]], [y.array for y in ys[-1]], command.dispatch_count


STACK_PAIRS = {
    "lstm": lambda rng: ([lstm(rng, 3, 5, peepholes="full")], [lstm(rng, 3, 5)]),
    "gru": lambda rng: ([gru(rng, 3, 6, memory=True)], [single_gate(rng, 3, 6)]),
    "stacks": lambda rng: ([lstm(rng, 3, 4), gru(rng, 4, 6)], [gru(rng, 3, 2), gru(rng, 2, 7), lstm(rng, 7, 6)]),
    "large": lambda rng: ([gru(rng, 3, SEQUENCE_CHANNELS + 2)], [gru(rng, 3, SEQUENCE_CHANNELS + 2, memory=True)]),
}


@pytest.mark.parametrize("pair", STACK_PAIRS)
@pytest.mark.parametrize("rows", [(1, 1, 1), (5, 5, 5, 5), (6, 4, 4, 1)], ids=str)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_bidirectional_is_two_sequences(machine: Machine, pair: str, rows: tuple[int, ...], dtype: Any) -> None:
    forward, backward = STACK_PAIRS[pair](np.random.default_rng(3))
    sources = inputs(forward, rows)
    expected = [y.astype(np.float32) for y in run(machine, forward, sources).results]
    reverse = [np.empty((n, backward[-1].outputs), np.float32) for n in rows]
    for row in range(rows[0]):  # each sequence begins at its own last matrix
        own = [x[row : row + 1] for x in sources if row < len(x)]
        for t, y in enumerate(reversed(run(machine, backward, own[::-1]).results)):
            reverse[t][row] = y[0]
    first, second, _ = bidirectional(machine, forward, backward, sources, NONE, dtype)
    added, _, dispatch_count = bidirectional(machine, forward, backward, sources, ADD, dtype)
    joined, _, _ = bidirectional(machine, forward, backward, sources, CONCATENATE, dtype)
    for t in range(len(rows)):
        assert_same_bits(first[t], expected[t].astype(dtype))
        assert_same_bits(second[t], reverse[t].astype(dtype))
        assert_same_bits(added[t], (expected[t] + reverse[t]).astype(dtype))
        assert_same_bits(joined[t], np.hstack([first[t], second[t]]))
    if pair != "large":
        assert dispatch_count == len(forward) + len(backward)


def test_one_direction_alone(machine: Machine) -> None:
    cells = [gru(np.random.default_rng(3), 3, 5)]
    sources = inputs(cells, (2, 2))
    forward, _, _ = bidirectional(machine, cells, [], sources, NONE)
    _, backward, _ = bidirectional(machine, [], cells, sources, NONE)
    for x, y in zip(forward, run(machine, cells, sources).results, strict=True):
        assert_same_bits(x, y)
    for x, y in zip(backward[::-1], run(machine, cells, sources[::-1]).results, strict=True):
        assert_same_bits(x, y)
    for combine in (ADD, CONCATENATE):
        with pytest.raises(Refusal, match="both directions"):
            bidirectional(machine, cells, [], sources, combine)


def test_channels_that_cannot_be_added(machine: Machine) -> None:
    rng = np.random.default_rng(3)
    forward, backward = [gru(rng, 3, 5)], [gru(rng, 3, 6)]
    with pytest.raises(Refusal, match="5 forward and 6 backward channels cannot be added"):
        bidirectional(machine, forward, backward, inputs(forward, (2,)), ADD)
