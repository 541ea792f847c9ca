"""Every cell over matrices against the float64 oracle, on random models; tolerances come out of the oracle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import conversion
import matrix_strategies
import mpsrnn_cy as mps
import oracle
import strategies
from image_stacks import assert_same_bits
from matrix_strategies import MatrixCase, Windows
from test_cells import exploring

FLOAT32 = oracle.Format.FLOAT32
Mode = mps.MPSRNNBidirectionalCombineMode
# What a destination holds where the layer has not written.
UNTOUCHED = 7.0

large = settings(exploring, max_examples=12)
many = settings(exploring, max_examples=1000)


class Run(NamedTuple):
    """What the package made of a case: destinations and states by time step."""

    outputs: list[np.ndarray]
    states: list[list[oracle.State]]


def stored(array: np.ndarray, fmt: oracle.Format) -> np.ndarray:
    return oracle.encode(array, fmt)


def blank(
    device: mps.MTLDevice, rows: list[int], columns: int, fmt: oracle.Format = FLOAT32, spare: int = 0
) -> list[mps.MPSMatrix]:
    """Destinations of which some rows are too many."""
    return [mps.MPSMatrix.from_numpy(device, np.full((n + spare, columns), UNTOUCHED, fmt.dtype)) for n in rows]


def run(
    device: mps.MTLDevice,
    case: MatrixCase,
    source_format: oracle.Format = FLOAT32,
    destination_format: oracle.Format = FLOAT32,
    spare: int = 0,
) -> Run:
    """Encode a case in one call and read everything back; rows that a destination has too many stay as they were."""
    layer = conversion.matrix_layer(device, case.cells)
    layer.store_all_intermediate_states = True
    sources = [mps.MPSMatrix.from_numpy(device, stored(matrix, source_format)) for matrix in case.sequence]
    destinations = blank(device, case.rows, case.cells[-1].outputs, destination_format, spare)
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    command = device.make_command_queue().make_command_buffer()
    layer.encode_sequence(command, sources, destinations, conversion.matrix_state(device, case.initial), states)
    command.commit()
    command.wait_until_completed()
    outputs = [matrix.to_numpy() for matrix in destinations]
    for output, rows in zip(outputs, case.rows, strict=True):
        assert (output[rows:] == UNTOUCHED).all()
    return Run(
        [output[:rows] for output, rows in zip(outputs, case.rows, strict=True)],
        [conversion.oracle_matrix_states(state, case.cells) for state in states],
    )


def check(
    case: MatrixCase,
    found: Run,
    source_format: oracle.Format = FLOAT32,
    destination_format: oracle.Format = FLOAT32,
) -> float:
    """Hold all outputs and states against the oracle; return how much of the bounds was used at most."""
    images = [oracle.as_images(oracle.decode(stored(x, source_format), source_format)) for x in case.sequence]
    expected = oracle.run(case.cells, images, case.initial, follow=found.states)
    worst = 0.0
    for t, output in enumerate(found.outputs):
        true = oracle.store(oracle.as_rows(expected.outputs[t]), destination_format)
        read = oracle.decode(output, destination_format).value
        worst = max(worst, oracle.assert_close(read, true, f"output {t}").worst)
        for layer, (state, bounded) in enumerate(zip(found.states[t], expected.states[t], strict=True)):
            for name, part, limit in zip("hc", state, bounded, strict=True):
                if limit is not None:
                    agreement = oracle.assert_close(part.value, limit, f"{name} of layer {layer} at {t}")
                    worst = max(worst, agreement.worst)
    return worst


CELLS = {
    "single gate": strategies.single_gates(windows=Windows.POINTS),
    "gru": strategies.grus(windows=Windows.POINTS),
    "lstm": strategies.lstms(windows=Windows.POINTS),
}
each_cell = pytest.mark.parametrize("kinds", CELLS.values(), ids=CELLS)
formats = st.sampled_from([oracle.Format.FLOAT16, oracle.Format.FLOAT32])


@each_cell
@exploring
@given(data=st.data())
def test_cell(each_build: mps.MTLDevice, kinds: st.SearchStrategy[oracle.Cell], data: st.DataObject) -> None:
    case = data.draw(matrix_strategies.matrix_cases(kinds, max_layers=1))
    check(case, run(each_build, case))


@exploring
@given(case=matrix_strategies.matrix_cases())
def test_stack(each_build: mps.MTLDevice, case: MatrixCase) -> None:
    check(case, run(each_build, case))


@exploring
@given(
    case=matrix_strategies.matrix_cases(max_layers=2, max_steps=3),
    source_format=formats,
    destination_format=formats,
    spare=st.integers(0, 3),
)
def test_formats(
    each_build: mps.MTLDevice,
    case: MatrixCase,
    source_format: oracle.Format,
    destination_format: oracle.Format,
    spare: int,
) -> None:
    found = run(each_build, case, source_format, destination_format, spare)
    check(case, found, source_format, destination_format)


@large
@given(case=matrix_strategies.matrix_cases(matrix_strategies.large_cells(), max_layers=2, max_steps=3))
def test_layer_too_large_for_one_dispatch(each_build: mps.MTLDevice, case: MatrixCase) -> None:
    check(case, run(each_build, case))


@pytest.mark.slow
@many
@given(case=matrix_strategies.matrix_cases(), source_format=formats, destination_format=formats)
def test_many_stacks(
    each_build: mps.MTLDevice, case: MatrixCase, source_format: oracle.Format, destination_format: oracle.Format
) -> None:
    check(case, run(each_build, case, source_format, destination_format), source_format, destination_format)


@pytest.mark.parametrize("kind", list(oracle.NeuronType), ids=lambda kind: kind.name)
@settings(exploring, max_examples=10)
@given(rng=strategies.generators(), hard=st.booleans())
def test_neurons(each_build: mps.MTLDevice, kind: oracle.NeuronType, rng: np.random.Generator, hard: bool) -> None:
    """Each function over a wide range of arguments, the edges of float32 among them."""
    channels = 5
    neuron = strategies.random_neuron(kind, channels, rng, hard)
    slot = oracle.Slot(np.eye(channels, dtype=np.float32)[:, None, None, :])
    cell = oracle.SingleGate(inputs=channels, outputs=channels, gate=oracle.Gate(slot, neuron=neuron))
    wide = rng.uniform(-1.0, 1.0, (40, channels)) * 10.0 ** rng.integers(-6, 2, (40, 1))
    wide[:7, 0] = [0.0, -0.0, 1e-40, -1e-40, 80.0, -80.0, 1.0]
    case = MatrixCase([cell], [wide.astype(np.float32)], None)
    check(case, run(each_build, case))


@pytest.mark.parametrize("outputs", [8, matrix_strategies.SEQUENCE_CHANNELS + 4], ids=["small", "large"])
def test_bounds_are_sharp(device: mps.MTLDevice, outputs: int) -> None:
    """A bound of which next to nothing is used would find no fault."""
    rng = np.random.default_rng(0)
    sigmoid, tanh = oracle.Neuron(oracle.NeuronType.SIGMOID), oracle.Neuron(oracle.NeuronType.TANH, 1.0, 1.0)

    def slot(inputs: int) -> oracle.Slot:
        return oracle.Slot((rng.standard_normal((outputs, 1, 1, inputs)) / np.sqrt(inputs)).astype(np.float32))

    def gate(neuron: oracle.Neuron) -> oracle.Gate:
        return oracle.Gate(slot(8), rng.standard_normal(outputs).astype(np.float32), neuron, slot(outputs))

    z, r, h = gate(sigmoid), gate(sigmoid), gate(tanh)
    cells = [
        oracle.SingleGate(inputs=8, outputs=outputs, gate=h),
        oracle.GRU(inputs=8, outputs=outputs, input_gate=z, recurrent_gate=r, output_gate=h),
        oracle.LSTM(inputs=8, outputs=outputs, input_gate=z, forget_gate=r, cell_gate=h, output_gate=gate(sigmoid)),
    ]
    for cell in cells:
        sequence = list(rng.standard_normal((3, 9, 8)).astype(np.float32))
        case = MatrixCase([cell], sequence, None)
        # The more there is to add, the farther the worst case is from what happens.
        assert check(case, run(device, case)) > 0.02 * np.sqrt(8 / outputs), type(cell).__name__


# Bidirectional sequences have no states to follow, so their bounds are those of the whole sequence.


@exploring
@given(data=st.data(), mode=st.sampled_from(Mode), rows=matrix_strategies.row_counts(5, 5), fmt=formats)
def test_bidirectional(
    each_build: mps.MTLDevice, data: st.DataObject, mode: Mode, rows: list[int], fmt: oracle.Format
) -> None:
    def cell(inputs: int | None = None, outputs: int | None = None) -> oracle.Cell:
        return data.draw(strategies.cells(inputs, outputs, Windows.POINTS))

    ahead = [cell()]
    behind = [cell(ahead[0].inputs, ahead[0].outputs if mode == Mode.ADD else None)]
    if data.draw(st.booleans()):
        ahead.append(cell(ahead[0].outputs, ahead[0].outputs))
    order = data.draw(st.permutations([False] * len(ahead) + [True] * len(behind)))
    stacks = {False: iter(ahead), True: iter(behind)}
    cells = [next(stacks[is_backward]) for is_backward in order]
    rng = data.draw(strategies.generators())
    sequence = [rng.uniform(-1.0, 1.0, (count, ahead[0].inputs)).astype(np.float32) for count in rows]

    layer = conversion.matrix_layer(each_build, cells, order)
    layer.bidirectional_combine_mode = mode
    found = encode_bidirectional(layer, sequence, ahead[-1].outputs, behind[-1].outputs, fmt)
    true = combined(oracle.run_bidirectional(cells, order, [oracle.as_images(x) for x in sequence]), mode)
    for direction, (outputs, bounds) in enumerate(zip(found, true, strict=True)):
        for t, (output, bounded) in enumerate(zip(outputs, bounds, strict=True)):
            limit = oracle.store(oracle.as_rows(bounded), fmt)
            oracle.assert_close(oracle.decode(output, fmt).value, limit, f"output {t} of direction {direction}")
    assert_composed(each_build, ahead, behind, sequence, mode, fmt, found)


def encode_bidirectional(
    layer: mps.MPSRNNMatrixInferenceLayer, sequence: list[np.ndarray], ahead: int, behind: int, fmt: oracle.Format
) -> list[list[np.ndarray]]:
    """Contents of the destinations: of both directions, or of both in one."""
    mode = layer.bidirectional_combine_mode
    columns = {Mode.NONE: [ahead, behind], Mode.ADD: [ahead], Mode.CONCATENATE: [ahead + behind]}[mode]
    rows = [len(x) for x in sequence]
    sources = [mps.MPSMatrix.from_numpy(layer.device, x) for x in sequence]
    destinations = [blank(layer.device, rows, count, fmt) for count in columns]
    command = layer.device.make_command_queue().make_command_buffer()
    layer.encode_bidirectional_sequence(command, sources, *destinations)
    command.commit()
    command.wait_until_completed()
    return [[matrix.to_numpy() for matrix in matrices] for matrices in destinations]


def combined(directions: tuple[list[oracle.Bounded], list[oracle.Bounded]], mode: Mode) -> list[list[oracle.Bounded]]:
    if mode == Mode.NONE:
        return list(directions)
    pairs = zip(*directions, strict=True)
    if mode == Mode.ADD:
        return [[a + b for a, b in pairs]]
    return [[oracle.concatenate(pair, axis=-1) for pair in pairs]]


def assert_composed(
    device: mps.MTLDevice,
    ahead: list[oracle.Cell],
    behind: list[oracle.Cell],
    sequence: list[np.ndarray],
    mode: Mode,
    fmt: oracle.Format,
    found: list[list[np.ndarray]],
) -> None:
    """The same bits as of both stacks one by one, whose results NumPy combines; sums are rounded once."""
    forward = run(device, MatrixCase(ahead, sequence, None)).outputs
    if len({len(x) for x in sequence}) > 1:
        return  # rows that become more are a matter of bidirectional sequences alone
    backward = run(device, MatrixCase(behind, sequence[::-1], None)).outputs[::-1]
    with np.errstate(all="ignore"):
        expected = {
            Mode.NONE: lambda: [forward, backward],
            Mode.ADD: lambda: [[a + b for a, b in zip(forward, backward, strict=True)]],
            Mode.CONCATENATE: lambda: [[np.concatenate(pair, axis=1) for pair in zip(forward, backward, strict=True)]],
        }[mode]()
        for outputs, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.stack(outputs), np.stack(wanted).astype(fmt.dtype))


@exploring
@given(case=matrix_strategies.matrix_cases(max_steps=5))
def test_one_call_equals_a_call_per_step(device: mps.MTLDevice, case: MatrixCase) -> None:
    together = run(device, case)
    state = case.initial
    for t, x in enumerate(case.sequence):
        if state is not None:  # of the rows that are still there
            state = [oracle.State(*(None if part is None else part[: len(x)] for part in parts)) for parts in state]
        apart = run(device, MatrixCase(case.cells, [x], state))
        assert_same_bits(apart.outputs[0], together.outputs[t])
        (state,) = apart.states
