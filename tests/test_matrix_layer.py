"""The matrix layer: offsets and views, states handed on, rows that end, both directions, temporaries, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from matrices import assert_same_bits, assert_same_states, blanks, layer, matrices, parts, run
from matrix_stacks import STACKS, gru, inputs, lstm, single_gate

Mode = mps.MPSRNNBidirectionalCombineMode


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> list[oracle.Cell]:
    return STACKS[request.param](np.random.default_rng(3))


def array(cells: list[oracle.Cell], steps: int = 6, rows: int = 5, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(4).standard_normal((steps, rows, cells[0].inputs)).astype(dtype)


def new_command(device: mps.MTLDevice) -> mps.MTLCommandBuffer:
    return device.make_command_queue().make_command_buffer()


# predict ------------------------------------------------------------------------------------------------------


def test_predict_agrees_with_the_oracle(each_build: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(each_build, stack)
    state, before = None, None
    for t, x in enumerate(array(stack)):
        y, state = network.predict(x[None], state, return_state=True)
        found = []
        for index in range(len(stack)):
            h, c = state.get_recurrent_output_matrix(index), state.get_memory_cell_matrix(index)
            pixels = [None if part is None else part.to_numpy()[:, None, None, :] for part in (h, c)]
            found.append(oracle.exact_state(*pixels))
        expected = oracle.run(stack, x[None, :, None, None, :], before, [found])
        oracle.assert_close(y[0][:, None, None, :], expected.outputs[0], f"step {t}")
        before = found


def test_one_call_equals_a_call_per_step(each_build: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(each_build, stack)
    x = array(stack)
    together, last = network.predict(x, return_state=True)
    state, apart = None, []
    for step in x:
        y, state = network.predict(step[None], state, return_state=True)
        apart.append(y[0])
    assert_same_bits(together, np.stack(apart))
    assert_same_states(last, state)


def test_forms_of_x(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(device, stack)
    x = array(stack)
    expected = network.predict(x)
    assert expected.shape == (6, 5, stack[-1].outputs)
    assert_same_bits(network.predict(np.asfortranarray(x)), expected)
    assert_same_bits(np.stack(network.predict(list(x))), expected)
    assert_same_bits(network.predict(x[:, 2]), expected[:, 2])
    assert network.predict(x[:, 2]).shape == (6, stack[-1].outputs)
    x.flags.writeable = False
    assert_same_bits(network.predict(x[::2]), network.predict(x[::2].copy()))


def test_float16(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    """The element type rounds what is stored; what recurs is float32."""
    network = layer(device, stack)
    half = array(stack, steps=20, dtype=np.float16)
    rounded, state = network.predict(half, return_state=True)
    exact, exact_state = network.predict(half.astype(np.float32), return_state=True)
    assert_same_bits(rounded, exact.astype(np.float16))
    assert_same_states(state, exact_state)


def test_outputs_outlive_the_layer(device: mps.MTLDevice, no_leaks: None) -> None:
    cells = STACKS["lstm"](np.random.default_rng(3))
    x = array(cells)
    first = layer(device, cells).predict(x)
    kept = first.copy()
    layer(device, cells).predict(x + 1)
    assert_same_bits(first, kept)


# Sequences that end -------------------------------------------------------------------------------------------

LENGTHS = (4, 3, 2)
ROWS = (3, 3, 2, 1)


def test_sequences_of_different_lengths(each_build: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(each_build, stack)
    sources = inputs(stack, ROWS)
    outputs, state = network.predict(sources, return_state=True)
    assert [len(y) for y in outputs] == list(ROWS)
    for row, length in enumerate(LENGTHS):
        alone, last = network.predict(np.stack([x[row] for x in sources[:length]]), return_state=True)
        assert_same_bits(np.stack([y[row] for y in outputs[:length]]), alone)
        for found, expected in zip(parts(state), parts(last), strict=True):
            assert_same_bits(found[row], expected[0])


def test_every_state_has_all_rows(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(device, stack)
    network.store_all_intermediate_states = True
    sources = inputs(stack, ROWS)
    destinations = blanks(device, [5] * 4, stack[-1].outputs)
    already = object()
    states: list = [already]
    command = new_command(device)
    network.encode_sequence(command, matrices(device, sources), destinations, None, states)
    run(command)
    assert states[0] is already
    assert [state.rows for state in states[1:]] == [3] * 4
    for t, (state, rows) in enumerate(zip(states[1:], ROWS, strict=True)):
        outputs, expected = network.predict(sources[: t + 1], return_state=True)
        assert_same_states(state, expected)
        written = destinations[t].to_numpy()
        assert_same_bits(written[:rows], outputs[-1])
        assert (written[rows:] == 7).all()


def test_state_of_more_rows_than_go_on(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(device, stack)
    sources = inputs(stack, ROWS)
    whole = network.predict(sources)
    _, state = network.predict(sources[:2], return_state=True)
    rest = network.predict(sources[2:], state)
    for a, b in zip(rest, whole[2:], strict=True):
        assert_same_bits(a, b)


# encode_sequence ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["single", "lstm", "gru"])
def test_one_dispatch_for_a_small_layer(device: mps.MTLDevice, name: str) -> None:
    make = {"single": single_gate, "lstm": lstm, "gru": gru}[name]
    cell = make(np.random.default_rng(5), 3, 5)
    sources = matrices(device, inputs([cell], (2,) * 10))
    command = new_command(device)
    layer(device, [cell]).encode_sequence(command, sources, blanks(device, (2,) * 10, 5))
    assert command.dispatch_count == 1


def test_encode_is_a_sequence_of_one(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(device, stack)
    x = array(stack, steps=2)
    expected, last = network.predict(x, return_state=True)
    sources, destinations = matrices(device, x), blanks(device, (5, 5), stack[-1].outputs)
    command = new_command(device)
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    network.encode(command, sources[0], destinations[0], None, states)
    network.encode(command, sources[1], destinations[1], states[0], states)
    run(command)
    assert_same_bits(np.stack([matrix.to_numpy() for matrix in destinations]), expected)
    assert_same_states(states[1], last)


def test_one_matrix_moved_along_its_buffer(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    """The same matrix for every step, with offsets, as those do who train on a device."""
    network = layer(device, stack)
    x = array(stack, steps=4)
    channels = stack[-1].outputs
    size = x[0].nbytes
    source = mps.MPSMatrix(
        buffer=device.make_buffer(bytes=x), descriptor=mps.MPSMatrixDescriptor(5, x.shape[2], x.shape[2] * 4)
    )
    memory = device.make_buffer(length=4 * 5 * channels * 4)
    destination = mps.MPSMatrix(buffer=memory, descriptor=mps.MPSMatrixDescriptor(5, channels, channels * 4))
    command = new_command(device)
    network.encode_sequence(
        command,
        [source] * 4,
        [destination] * 4,
        source_offsets=[t * size for t in range(4)],
        destination_offsets=np.arange(4) * 5 * channels * 4,
    )
    run(command)
    found = np.frombuffer(memory, np.float32).reshape(4, 5, channels)
    assert_same_bits(found, network.predict(x))


@pytest.mark.parametrize("in_one_buffer", [False, True])
def test_batch_first_arrays_in_place(device: mps.MTLDevice, stack: list[oracle.Cell], in_one_buffer: bool) -> None:
    """(N, T, C): every step is a matrix whose rows lie T * C elements apart; input and output may be interleaved."""
    network = layer(device, stack)
    x = array(stack, steps=4)
    inside, outside = x.shape[2], stack[-1].outputs
    stride = inside + outside if in_one_buffer else inside
    rows = np.zeros((5, 4, stride), np.float32)
    rows[:, :, :inside] = x.transpose(1, 0, 2)
    buffer = device.make_buffer(bytes=rows)
    source = mps.MPSMatrix(buffer=buffer, descriptor=mps.MPSMatrixDescriptor(5, inside, 4 * stride * 4))
    if not in_one_buffer:
        buffer, first, out_stride = device.make_buffer(length=5 * 4 * outside * 4), 0, outside
    else:
        first, out_stride = inside * 4, stride
    described = mps.MPSMatrixDescriptor(5, outside, 4 * out_stride * 4)
    destination = mps.MPSMatrix(buffer=buffer, descriptor=described, offset=first)
    command = new_command(device)
    network.encode_sequence(
        command,
        [source] * 4,
        [destination] * 4,
        source_offsets=[t * stride * 4 for t in range(4)],
        destination_offsets=[t * out_stride * 4 for t in range(4)],
    )
    run(command)
    found = np.frombuffer(buffer, np.float32).reshape(5, 4, -1)[:, :, -outside:]
    assert_same_bits(found.transpose(1, 0, 2), network.predict(x))


def test_batch_of_matrices_by_offsets(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(device, stack)
    x = array(stack, steps=3)
    batch = mps.MPSMatrix.from_numpy(device, x)
    destinations = blanks(device, (5,) * 3, stack[-1].outputs)
    command = new_command(device)
    offsets = [t * batch.matrix_bytes for t in range(3)]
    network.encode_sequence(command, [batch] * 3, destinations, source_offsets=offsets)
    run(command)
    assert_same_bits(np.stack([matrix.to_numpy() for matrix in destinations]), network.predict(x))


def test_only_the_last_result(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    """One destination for all steps holds the last one's result."""
    network = layer(device, stack)
    x = array(stack)
    (destination,) = blanks(device, (5,), stack[-1].outputs)
    command = new_command(device)
    network.encode_sequence(command, matrices(device, x), [destination] * len(x))
    run(command)
    assert_same_bits(destination.to_numpy(), network.predict(x)[-1])


def test_state_is_only_read(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(device, stack)
    x = array(stack)
    _, state = network.predict(x[:2], return_state=True)
    before = parts(state)
    assert_same_bits(network.predict(x[2:], state), network.predict(x[2:], state))
    for a, b in zip(before, parts(state), strict=True):
        assert_same_bits(a, b)


def test_half_weights_unless_asked(device: mps.MTLDevice) -> None:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    descriptor.input_weights = mps.ArrayDataSource(np.full((1, 1, 1, 1), 1 / 3, np.float32))
    one = np.ones((1, 1), np.float32)
    assert mps.MPSRNNMatrixInferenceLayer(device, descriptor).predict(one).item() == np.float16(1 / 3)
    descriptor.use_float32_weights = True
    assert mps.MPSRNNMatrixInferenceLayer(device, descriptor).predict(one).item() == np.float32(1 / 3)


def test_properties(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(12)
    network = layer(device, [lstm(rng, 3, 6), single_gate(rng, 6, 2)])
    assert isinstance(network, mps.MPSKernel)
    assert (network.input_feature_channels, network.output_feature_channels, network.number_of_layers) == (3, 2, 2)
    assert network.bidirectional_combine_mode == Mode.NONE
    assert not network.store_all_intermediate_states
    assert not network.recurrent_output_is_temporary
    network.label = "words"
    assert repr(network) == "<MPSRNNMatrixInferenceLayer 'words' LSTM 3 -> 6, SINGLE_GATE 6 -> 2>"


# Both directions ----------------------------------------------------------------------------------------------


def both_ways(device: mps.MTLDevice, mode: Mode, outputs: int = 3) -> mps.MPSRNNMatrixInferenceLayer:
    rng = np.random.default_rng(20)
    descriptors = [conversion.descriptor(lstm(rng, 3, outputs)), conversion.descriptor(gru(rng, 3, 3))]
    descriptors[1].layer_sequence_direction = mps.MPSRNNSequenceDirection.BACKWARD
    network = mps.MPSRNNMatrixInferenceLayer(device, descriptors)
    network.bidirectional_combine_mode = mode
    return network


def reference(device: mps.MTLDevice, x: list[np.ndarray], outputs: int = 3) -> tuple[list, list]:
    """Results of both stacks, each by itself; each row backwards from its own end."""
    rng = np.random.default_rng(20)
    ahead, behind = layer(device, [lstm(rng, 3, outputs)]), layer(device, [gru(rng, 3, 3)])
    second = [np.empty((len(rows), 3), np.float32) for rows in x]
    for row in range(len(x[0])):
        length = sum(len(rows) > row for rows in x)
        results = behind.predict(np.stack([rows[row] for rows in x[:length]])[::-1])[::-1]
        for t in range(length):
            second[t][row] = results[t]
    return ahead.predict(x), second


@pytest.mark.parametrize("rows", [(4, 4, 4), (4, 2, 1)], ids=str)
@pytest.mark.parametrize("mode", Mode)
def test_both_directions(device: mps.MTLDevice, mode: Mode, rows: tuple[int, ...]) -> None:
    outputs = 5 if mode == Mode.CONCATENATE else 3
    rng = np.random.default_rng(21)
    x = [rng.standard_normal((count, 3)).astype(np.float32) for count in rows]
    first, second = reference(device, x, outputs)
    joined = blanks(device, rows, outputs + 3 if mode == Mode.CONCATENATE else outputs)
    apart = blanks(device, rows, 3)
    command = new_command(device)
    both_ways(device, mode, outputs).encode_bidirectional_sequence(
        command, matrices(device, x), joined, apart if mode == Mode.NONE else None
    )
    run(command)
    for t in range(len(x)):
        found = joined[t].to_numpy()
        if mode == Mode.ADD:
            assert_same_bits(found, first[t] + second[t])
        elif mode == Mode.CONCATENATE:
            assert_same_bits(found, np.concatenate([first[t], second[t]], 1))
        else:
            assert_same_bits(found, first[t])
            assert_same_bits(apart[t].to_numpy(), second[t])


# Temporaries, threads, leaks ----------------------------------------------------------------------------------


def test_temporary_matrices_and_states(device: mps.MTLDevice, no_leaks: None) -> None:
    """Two layers in one command buffer: what is between them, and the state, never reaches the CPU."""
    rng = np.random.default_rng(22)
    bottom, top = layer(device, [lstm(rng, 3, 5)]), layer(device, [single_gate(rng, 5, 2)])
    x = rng.standard_normal((4, 2, 3)).astype(np.float32)
    command = new_command(device)
    between = [mps.MPSTemporaryMatrix(command, mps.MPSMatrixDescriptor(2, 5)) for _ in x]
    results = blanks(device, (2,) * 4, 2)
    bottom.recurrent_output_is_temporary = True
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    sources = matrices(device, x)
    bottom.encode_sequence(command, sources[:2], between[:2], None, states)
    assert (states[0].is_temporary, states[0].read_count) == (True, 1)
    bottom.encode_sequence(command, sources[2:], between[2:], states[0])
    assert states[0].read_count == 0
    assert [matrix.read_count for matrix in between] == [1] * 4
    top.encode_sequence(command, between, results)
    assert [matrix.read_count for matrix in between] == [0] * 4
    run(command)
    assert_same_bits(np.stack([matrix.to_numpy() for matrix in results]), top.predict(bottom.predict(x)))


def test_a_temporary_is_read_once_for_every_place(device: mps.MTLDevice) -> None:
    cell = single_gate(np.random.default_rng(23), 2, 2)
    network = layer(device, [cell])
    command = new_command(device)
    source = mps.MPSTemporaryMatrix(command, mps.MPSMatrixDescriptor(3, 2))
    network.encode(command, *matrices(device, [np.ones((3, 2), np.float32)]), source)
    results = blanks(device, (3, 3), 2)
    with pytest.raises(mps.LifetimeError, match=r"^source_matrices\[1\]: .*read count 1, expected 2$"):
        network.encode_sequence(command, [source] * 2, results)
    assert source.read_count == 1
    source.read_count = 2
    network.encode_sequence(command, [source] * 2, results)
    assert source.read_count == 0
    with pytest.raises(mps.LifetimeError, match=r"^destination_matrices\[0\]: "):
        network.encode_sequence(command, results, [source] * 2)
    run(command)


def test_threads_share_a_layer(device: mps.MTLDevice, stack: list[oracle.Cell]) -> None:
    network = layer(device, stack)
    x = array(stack)
    expected = network.predict(x)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(network.predict(x))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for result in found:
        assert_same_bits(result, expected)


def test_layer_leaves_nothing_behind(device: mps.MTLDevice, stack: list[oracle.Cell], no_leaks: None) -> None:
    network = layer(device, stack)
    network.predict(array(stack), return_state=True)
    network.predict(inputs(stack, ROWS), return_state=True)
