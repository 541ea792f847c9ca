"""What the benchmarks measure with: the float64 reference, the workloads, and who has a turn when, by a false clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import mpsrnn_cy as mps
import oracle
from benchmarks import calibration, interleaving, ours, reference, session
from benchmarks.calibration import Reading
from benchmarks.contender import OURS, Contender
from benchmarks.workloads import ImageWorkload, MatrixWorkload, Workload, image, matrix

SMALL = [
    image("ConvLSTM", 5, 2, 3, steps=3),
    ImageWorkload("ConvGRU", 3, 4, 2, 2, height=4, width=6, kernel=(2, 3)),
    matrix("LSTM", 6, 4),
    matrix("GRU", 6, 4, 3),
    MatrixWorkload("LSTM", 5, 4, 3, 2, layers=2, bidirectional=True),
]


def oracle_outputs(workload: Workload) -> list[oracle.Bounded]:
    x = [step if workload.extent else oracle.as_images(step) for step in workload.data.x]
    for first in range(0, len(workload.data.cells), workload.directions):
        cells = [ours.cell(workload, each, False) for each in workload.data.cells[first : first + workload.directions]]
        directions = oracle.run_bidirectional(cells, [False, True][: workload.directions], x)
        x = [oracle.concatenate(both, axis=-1) for both in zip(*filter(None, directions), strict=True)]
    return [image if workload.extent else oracle.as_rows(image) for image in x]


@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_the_reference_is_the_oracle(workload: Workload) -> None:
    found = reference.outputs(workload)
    for step, expected in zip(found, oracle_outputs(workload), strict=True):
        np.testing.assert_allclose(step, expected.value, rtol=1e-12, atol=1e-12)


def test_the_other_gru_differs_in_the_reset_alone() -> None:
    workload = matrix("GRU", 6, 4)
    before, after = (reference.outputs(workload, reset_after) for reset_after in (False, True))
    np.testing.assert_array_equal(before[0], after[0])  # from a state of zeros, there is nothing to reset
    assert np.abs(before[1:] - after[1:]).max() > 1e-4


@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_the_packages_own_contenders_agree_with_the_reference(device: mps.MTLDevice, workload: Workload) -> None:
    for contender in ours.prepare(workload, device):
        if not contender.reduced:
            assert session.error(workload, contender) < 1e-6, contender.label


@pytest.mark.parametrize("workload", SMALL, ids=lambda workload: workload.name)
def test_weights_are_what_half_precision_holds(workload: Workload) -> None:
    for cell in workload.data.cells:
        for array in cell:
            np.testing.assert_array_equal(array, array.astype(np.float16))


def test_operations_are_those_of_the_products() -> None:
    assert image("ConvLSTM", 64, 16, 64).operations == 2 * 10 * 64 * 64 * (16 + 64) * 4 * 64 * 9
    assert matrix("GRU", 512, 50, 32).operations == 2 * 50 * 32 * 3 * 512 * (512 + 512)
    both = matrix("LSTM", 256, 50, 8, layers=2, bidirectional=True)
    assert both.operations == 2 * 50 * 8 * 4 * 256 * 2 * ((256 + 256) + (512 + 256))


class Machine:
    """A clock that only what runs on the machine moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def clock(self) -> float:
        return self.now

    def contender(self, library: str, seconds: float, variant: str = "") -> Contender:
        def run() -> None:
            self.now += seconds
            self.order.append(variant or library)

        return Contender(library, variant, "", run, lambda: np.zeros(1))

    def calibrations(self, rates: Callable[[int], float] = lambda _: 1.0) -> Callable[[], Reading]:
        numbers = itertools.count()

        def measure() -> Reading:
            rate = rates(next(numbers))
            return Reading(rate, rate > 0.9)

        return measure


def test_contenders_take_turns() -> None:
    machine = Machine()
    contenders = [machine.contender(OURS, 0.05), machine.contender("a", 1.0)]
    times = interleaving.measure(contenders, machine.calibrations(), 5.0, machine.clock)
    runs = -(-interleaving.TURN_S // 0.05)
    one_round = [OURS] * int(runs) + ["a"]
    assert machine.order[: 2 * len(one_round)] == 2 * one_round
    assert [pytest.approx(each.best.seconds) for each in times] == [0.05, 1.0]
    assert all(each.good_turns >= interleaving.LEAST_TURNS for each in times)


def test_turns_beside_a_bad_calibration_do_not_count() -> None:
    machine = Machine()
    contenders = [machine.contender("a", 1.0), machine.contender("b", 1.0)]
    # The second calibration is bad: after a's first turn, before b's.
    times = interleaving.measure(
        contenders, machine.calibrations(lambda n: 0.5 if n == 1 else 1.0), 20.0, machine.clock
    )
    assert [(len(each.other), each.is_trusted) for each in times] == [(1, True), (1, True)]


def test_the_peak_is_that_of_the_turn_that_had_the_least_time() -> None:
    machine = Machine()
    rates = [1.0, 0.97, 0.98, 0.96, 0.95, 0.94, 0.93]
    seconds = iter([3.0, 1.0, 2.0, 2.0, 2.0, 2.0])

    def run() -> None:
        machine.now += next(seconds)

    contender = Contender("a", "", "", run, lambda: np.zeros(1))
    (times,) = interleaving.measure([contender], machine.calibrations(rates.__getitem__), 9.0, machine.clock)
    assert times.best == (1.0, 0.98)


def test_a_machine_that_is_never_itself_is_said_to_be_so() -> None:
    machine = Machine()
    times = interleaving.measure([machine.contender("a", 1.0)], machine.calibrations(lambda _: 0.5), 4.0, machine.clock)
    assert not times[0].is_trusted
    assert times[0].best == (1.0, 0.5)
    assert machine.now == 8.0  # twice the budget


def test_the_slower_of_a_librarys_ways_is_given_up() -> None:
    machine = Machine()
    ways = [machine.contender("a", 1.0, "quick"), machine.contender("a", 2.0, "slow")]
    ours_too = [machine.contender(OURS, 1.0, "half"), machine.contender(OURS, 2.0, "whole")]
    interleaving.measure([*ways, *ours_too], machine.calibrations(), 40.0, machine.clock)
    assert machine.order.count("slow") == 2
    assert machine.order.count("quick") == machine.order.count("whole") == machine.order.count("half") > 2


@pytest.mark.parametrize("spinning", [0, 3, 10**9])
def test_a_turn_waits_for_threads_that_spin(spinning: int) -> None:
    slept: list[float] = []

    def process_time() -> float:
        return min(len(slept), spinning) * calibration.PAUSE_S

    calibration.wait_until_idle(slept.append, process_time)
    assert len(slept) == min(spinning + 1, calibration.MOST_PAUSES)


class Clock:
    """A library whose rate of multiply-adds is what it is told to be."""

    rate = 100.0

    def fma_rate(self, threads: int, rounds: int) -> float:
        return self.rate


@pytest.mark.parametrize(("later", "others", "is_good"), [(95.0, 0.0, True), (50.0, 0.0, False), (100.0, 0.9, False)])
def test_a_reading_is_good_near_the_best_rate_and_without_company(
    monkeypatch: pytest.MonkeyPatch, later: float, others: float, is_good: bool
) -> None:
    clock = Clock()
    used = 0.0
    monkeypatch.setattr(calibration, "wait_until_idle", lambda: None)
    monkeypatch.setattr(calibration, "used_by_others", lambda: used)
    monkeypatch.setattr(calibration.time, "perf_counter", itertools.count().__next__)
    calibrations = calibration.Calibration(clock, 1)
    clock.rate, used = later, others
    assert calibrations.measure() == calibration.Reading(later, is_good)
    assert calibrations.peak == 100.0
