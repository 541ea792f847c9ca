"""What tuned twins of matrix kernels promise: the same bits however the work is shared, and large batches' accuracy."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from matrices import assert_same_bits, blanks, layer, matrices, predict_with_all_threads
from matrix_stacks import gru, inputs, lstm, single_gate
from matrix_strategies import MatrixCase
from test_matrix_layer_values import check, run

Make = Callable[..., oracle.Cell]
FLOAT16, FLOAT32 = oracle.Format.FLOAT16, oracle.Format.FLOAT32

each_cell = pytest.mark.parametrize("make", [single_gate, gru, lstm])
# Channels in and out, rows, steps: one row and few, panels that are not full, so many units that a member of a crew has
# something to begin with before a meeting, also where steps stop sharing their input's product, and batches that are
# large enough for sums of rows to be multiplied.
SHAPES = {
    "one row": (100, 100, 1, 7),
    "one row, begun": (9, 140, 1, 390),
    "few rows": (3, 33, 5, 4),
    "few rows in halves": (9, 140, 4, 5),
    "many rows": (24, 100, 130, 7),
    "more rows than a block": (8, 40, 771, 2),
    "paired rows": (256, 256, 32, 14),
    "paired rows, a panel not full": (264, 376, 36, 3),
}
# Sigmoid gates, and hyperbolic tangents for the rest.
ONE_ROW = {"gru": gru, "gru-flipped": functools.partial(gru, memory=True, flip=True), "lstm": lstm}
SEVERAL_TERMS = {
    "gru": functools.partial(gru, memory=True),
    "lstm": functools.partial(lstm, peepholes="full"),
    "lstm-groups": functools.partial(lstm, peepholes="full", groups=2),
}
each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
PAIRED = SHAPES["paired rows"]
PAIRS = [shape for name, shape in SHAPES.items() if name.startswith("paired")]


def sequence(shape: tuple[int, int, int, int]) -> np.ndarray:
    channels, _, rows, steps = shape
    return np.random.default_rng(7).standard_normal((steps, rows, channels)).astype(np.float32)


@each_cell
@each_shape
def test_bits_do_not_depend_on_the_threads(
    each_build: mps.MTLDevice, make: Make, shape: tuple[int, int, int, int]
) -> None:
    network = layer(each_build, [make(np.random.default_rng(3), *shape[:2])])
    predict_with_all_threads(each_build, network, sequence(shape))


@each_cell
@each_shape
def test_bits_do_not_depend_on_where_a_sequence_is_cut(
    each_build: mps.MTLDevice, make: Make, shape: tuple[int, int, int, int]
) -> None:
    network = layer(each_build, [make(np.random.default_rng(3), *shape[:2])])
    x = sequence(shape)
    whole = network.predict(x)
    first, state = network.predict(x[:1], return_state=True)
    assert_same_bits(np.concatenate([first, network.predict(x[1:], state)]), whole)


@each_cell
@each_shape
def test_bits_do_not_depend_on_what_the_memory_held(
    each_build: mps.MTLDevice, make: Make, shape: tuple[int, int, int, int]
) -> None:
    each_build.number_of_threads = 1
    network = layer(each_build, [make(np.random.default_rng(3), *shape[:2])])
    before = network.predict(sequence(shape))
    # Sums that are far from zero, in the same places.
    far = layer(each_build, [make(np.random.default_rng(4), shape[0], 2 * shape[1])])
    far.predict(1e4 * sequence(shape))
    assert_same_bits(network.predict(sequence(shape)), before)


@each_cell
@pytest.mark.parametrize("name", ["few rows", "few rows in halves", "many rows"])
def test_bits_do_not_depend_on_the_batch(each_build: mps.MTLDevice, make: Make, name: str) -> None:
    network = layer(each_build, [make(np.random.default_rng(3), *SHAPES[name][:2])])
    x = sequence(SHAPES[name])
    together = network.predict(x)
    for rows in (slice(0, 1), slice(1, 3), slice(2, None)):
        assert_same_bits(network.predict(x[:, rows]), together[:, rows])


@pytest.mark.parametrize("make", SEVERAL_TERMS.values(), ids=SEVERAL_TERMS)
def test_what_is_begun_before_a_meeting_keeps_its_place_among_the_terms(each_build: mps.MTLDevice, make: Make) -> None:
    """Cells with two recurrent terms, or a second stage that multiplies what the first has made."""
    cells = [make(np.random.default_rng(5), 24, 128)]
    case = MatrixCase(cells, inputs(cells, (1,) * 4), None)
    network = layer(each_build, cells)
    predict_with_all_threads(each_build, network, np.stack(case.sequence))
    check(case, run(each_build, case))


@pytest.mark.parametrize("destination", [FLOAT16, FLOAT32], ids=["half", "float"])
@pytest.mark.parametrize("make", ONE_ROW.values(), ids=ONE_ROW)
def test_one_row_of_a_usual_cell_keeps_its_bounds(
    each_build: mps.MTLDevice, make: Make, destination: oracle.Format
) -> None:
    """Whole vectors of channels are finished in a way of their own, what is left of them as in batches."""
    cells = [make(np.random.default_rng(5), 20, 100)]
    case = MatrixCase(cells, inputs(cells, (1,) * 4), None)
    found = run(each_build, case, destination_format=destination)
    check(case, found, destination_format=destination)


@each_cell
@pytest.mark.parametrize("shape", PAIRS)
def test_paired_rows_keep_the_bounds_of_ordinary_products(
    each_build: mps.MTLDevice, make: Make, shape: tuple[int, int, int, int]
) -> None:
    cells = [make(np.random.default_rng(3), *shape[:2])]
    case = MatrixCase(cells, inputs(cells, (shape[2],) * 3), None)
    check(case, run(each_build, case))


@each_cell
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e4], ids=["nan", "inf", "large"])
def test_a_row_unlike_the_others_does_not_touch_them(each_build: mps.MTLDevice, make: Make, value: float) -> None:
    """Rows are paired only where what they hold allows it: else the difference would be NaN, or some 1e-2."""
    network = layer(each_build, [make(np.random.default_rng(3), *PAIRED[:2])])
    x = sequence(PAIRED)[:3]
    x[:, 3] = value
    others = np.arange(PAIRED[2]) != 3
    alone = network.predict(np.ascontiguousarray(x[:, others]))  # an odd number of rows is never paired
    np.testing.assert_allclose(network.predict(x)[:, others], alone, rtol=0.0, atol=1e-5)


@each_cell
@pytest.mark.parametrize("value", [0.0, 3e4, 1e35], ids=["zero", "large", "huge"])
def test_a_unit_unlike_the_others_does_not_touch_them(each_build: mps.MTLDevice, make: Make, value: float) -> None:
    """The weights of units are paired likewise; one step, for after it their outputs reach each other."""
    cell = make(np.random.default_rng(3), *PAIRED[:2], float32_weights=True)
    for gate in cell.gates.values():
        gate.input.weights[5] = value
    network = layer(each_build, [cell])
    x = sequence(PAIRED)[:1]
    others = np.arange(PAIRED[1]) != 5
    alone = network.predict(x[:, :-1])
    np.testing.assert_allclose(network.predict(x)[0, :-1, others], alone[0, :, others], rtol=0.0, atol=1e-5)


@each_cell
def test_inputs_of_two_sizes_keep_the_bounds_of_ordinary_products(each_build: mps.MTLDevice, make: Make) -> None:
    """As features have them that nobody has brought to one scale: the small half has large weights."""
    cell = make(np.random.default_rng(3), *PAIRED[:2])
    small = PAIRED[0] // 2
    for gate in cell.gates.values():
        gate.input.weights[..., :small] *= 1e3
    case = MatrixCase([cell], inputs([cell], (PAIRED[2],) * 3), None)
    for x in case.sequence:
        x[:, :small] *= 1e-3
    check(case, run(each_build, case))


@pytest.mark.parametrize("mode", mps.MPSRNNBidirectionalCombineMode)
@pytest.mark.parametrize("layers", [1, 2])
def test_both_directions_at_once_are_what_each_is_alone(
    each_build: mps.MTLDevice, mode: mps.MPSRNNBidirectionalCombineMode, layers: int
) -> None:
    units, rows, steps = 40, 2, 9
    rng = np.random.default_rng(3)
    stacks = [[make(rng, units, units) for _ in range(layers)] for make in (lstm, gru)]
    x = rng.standard_normal((steps, rows, units)).astype(np.float32)
    ahead, behind = (layer(each_build, cells) for cells in stacks)
    each_build.number_of_threads = 1
    first, second = ahead.predict(x), behind.predict(x[::-1])[::-1]
    descriptors = [[conversion.descriptor(cell) for cell in cells] for cells in stacks]
    for descriptor in descriptors[1]:
        descriptor.layer_sequence_direction = mps.MPSRNNSequenceDirection.BACKWARD
    both = mps.MPSRNNMatrixInferenceLayer(each_build, [*descriptors[0], *descriptors[1]])
    both.bidirectional_combine_mode = mode
    for each_build.number_of_threads in (1, 2, 3, 5):
        joined = blanks(each_build, (rows,) * steps, 2 * units if mode == mode.CONCATENATE else units)
        apart = blanks(each_build, (rows,) * steps, units)
        command = each_build.make_command_queue().make_command_buffer()
        both.encode_bidirectional_sequence(
            command, matrices(each_build, x), joined, apart if mode == mode.NONE else None
        )
        command.commit()
        command.wait_until_completed()
        found, other = (np.stack([matrix.to_numpy() for matrix in results]) for results in (joined, apart))
        if mode == mode.ADD:
            assert_same_bits(found, first + second)
        elif mode == mode.CONCATENATE:
            assert_same_bits(found, np.concatenate([first, second], 2))
        else:
            assert_same_bits(found, first)
            assert_same_bits(other, second)
