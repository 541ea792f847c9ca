"""ALLOW_REDUCED_PRECISION: products of bfloat16 with float32 sums where the processor has them, within their bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from matrices import assert_same_bits, layer, predict_with_all_threads
from matrix_stacks import STACKS, gru, lstm, single_gate
from matrix_strategies import MatrixCase, random_state
from test_matrix_layer_values import Run, check

Make = Callable[..., oracle.Cell]
REDUCED = mps.MPSKernelOptions.ALLOW_REDUCED_PRECISION

each_cell = pytest.mark.parametrize("make", [single_gate, gru, lstm])
each_stack = pytest.mark.parametrize("name", STACKS)

# By time step: a batch that stays, one that dwindles to a single row, and one of several blocks.
ROWS = {"four": [4, 4, 4], "dwindling": [29, 29, 17, 6, 1, 1], "blocks": [390, 390]}


@pytest.fixture
def multiplies_bfloat(request: pytest.FixtureRequest) -> bool:
    """Whether the build at hand runs on the processor's products of bfloat16."""
    if request.node.callspec.params["each_build"] != "x86-64-v4":
        return False
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text().split()


def case_of(cells: list[oracle.Cell], rows: list[int], has_state: bool = True) -> MatrixCase:
    rng = np.random.default_rng(11)
    sequence = [rng.standard_normal((count, cells[0].inputs)).astype(np.float32) for count in rows]
    return MatrixCase(cells, sequence, [random_state(cell, rows[0], rng) for cell in cells] if has_state else None)


def run(device: mps.MTLDevice, case: MatrixCase, fmt: oracle.Format = oracle.Format.FLOAT32) -> Run:
    network = conversion.matrix_layer(device, case.cells)
    network.options = REDUCED
    network.store_all_intermediate_states = True
    sources = [mps.MPSMatrix.from_numpy(device, oracle.encode(matrix, fmt)) for matrix in case.sequence]
    outputs = case.cells[-1].outputs
    destinations = [mps.MPSMatrix.from_numpy(device, np.zeros((rows, outputs), np.float32)) for rows in case.rows]
    states: list[mps.MPSRNNRecurrentMatrixState] = []
    command = device.make_command_queue().make_command_buffer()
    network.encode_sequence(command, sources, destinations, conversion.matrix_state(device, case.initial), states)
    command.commit()
    command.wait_until_completed()
    return Run(
        [matrix.to_numpy() for matrix in destinations],
        [conversion.oracle_matrix_states(state, case.cells) for state in states],
    )


@each_stack
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_results_are_within_the_bounds_of_rounded_factors(
    each_build: mps.MTLDevice, name: str, rows: list[int]
) -> None:
    case = case_of(STACKS[name](np.random.default_rng(3)), rows)
    found = run(each_build, case)
    with oracle.reduced():
        check(case, found)


@each_cell
@pytest.mark.parametrize("fmt", [oracle.Format.FLOAT16, oracle.Format.FLOAT32])
def test_sums_longer_than_a_block(each_build: mps.MTLDevice, make: Make, fmt: oracle.Format) -> None:
    """With so many products, what rounding does is far below the worst case; the lower limit is that it is there."""
    case = case_of([make(np.random.default_rng(3), 601, 530, float32_weights=True)], [32, 32], has_state=False)
    found = run(each_build, case, fmt)
    with oracle.reduced():
        assert check(case, found, source_format=fmt) < 0.5


@each_cell
def test_factors_are_rounded_where_the_processor_can(
    each_build: mps.MTLDevice, multiplies_bfloat: bool, make: Make
) -> None:
    network = layer(each_build, [make(np.random.default_rng(3), 24, 40)])
    x = np.random.default_rng(5).standard_normal((3, 8, 24)).astype(np.float32)
    full = network.predict(x)
    network.options = REDUCED
    fast = network.predict(x)
    if multiplies_bfloat:
        assert 1e-4 < np.abs(fast - full).max() < 0.1
    else:
        assert_same_bits(fast, full)
    # Pipelines are kept by layer: the option is one of what they are told apart by.
    network.options = mps.MPSKernelOptions.NONE
    assert_same_bits(network.predict(x), full)


@each_cell
@pytest.mark.parametrize("rows", [1, 3])
def test_few_rows_keep_their_bits(each_build: mps.MTLDevice, make: Make, rows: int) -> None:
    network = layer(each_build, [make(np.random.default_rng(3), 24, 40)])
    x = np.random.default_rng(5).standard_normal((3, rows, 24)).astype(np.float32)
    full = network.predict(x)
    network.options = REDUCED
    assert_same_bits(network.predict(x), full)


@each_cell
def test_bits_depend_on_neither_threads_nor_batch_nor_cuts(each_build: mps.MTLDevice, make: Make) -> None:
    network = layer(each_build, [make(np.random.default_rng(3), 100, 150)])
    network.options = REDUCED
    x = np.random.default_rng(5).standard_normal((7, 64, 100)).astype(np.float32)
    expected = predict_with_all_threads(each_build, network, x)
    assert_same_bits(network.predict(x[:, 5:14]), expected[:, 5:14])
    first, middle = network.predict(x[:3], return_state=True)
    assert_same_bits(np.concatenate([first, network.predict(x[3:], middle)]), expected)


@each_cell
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(each_build: mps.MTLDevice, make: Make, value: float) -> None:
    network = layer(each_build, [make(np.random.default_rng(3), 24, 41)])
    network.options = REDUCED
    x = np.random.default_rng(5).standard_normal((4, 8, 24)).astype(np.float32)
    others = np.arange(8) != 3
    expected = network.predict(x)
    x[1, 3, 5] = value
    found = network.predict(x)
    assert_same_bits(found[:, others], expected[:, others])
    assert_same_bits(found[0], expected[0])
    if np.isnan(value):
        assert np.isnan(found[1:, 3]).all()
    else:
        assert not np.isnan(found[1, 3]).any()


def test_both_directions(each_build: mps.MTLDevice, multiplies_bfloat: bool) -> None:
    rng = np.random.default_rng(3)
    cells = [lstm(rng, 24, 40), gru(rng, 24, 40)]
    network = conversion.matrix_layer(each_build, cells, [False, True])
    x = [rng.standard_normal((8, 24)).astype(np.float32) for _ in range(3)]
    results = []
    for options in (mps.MPSKernelOptions.NONE, REDUCED):
        network.options = options
        sources = [mps.MPSMatrix.from_numpy(each_build, rows) for rows in x]
        ahead, behind = (
            [mps.MPSMatrix.from_numpy(each_build, np.zeros((8, 40), np.float32)) for _ in x] for _ in range(2)
        )
        command = each_build.make_command_queue().make_command_buffer()
        network.encode_bidirectional_sequence(command, sources, ahead, behind)
        command.commit()
        command.wait_until_completed()
        results.append(np.stack([[matrix.to_numpy() for matrix in side] for side in (ahead, behind)]))
    full, fast = results
    for side in range(2):
        apart = np.abs(fast[side] - full[side]).max()
        assert 1e-4 < apart < 0.1 if multiplies_bfloat else apart == 0.0
