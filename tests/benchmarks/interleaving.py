"""Contenders take turns, so that all meet the machine in the same states; of each, the least time counts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .calibration import Reading
from .contender import Contender

# A contender runs for so long before it is another's turn: long enough for its threads to be awake.
TURN_S = 0.12
# Rounds of turns whatever they cost: what runs for seconds gets no more than these.
LEAST_ROUNDS = 3
# Turns between two good calibrations that a contender needs.
LEAST_TURNS = 4
# A way of running that takes this much longer than another of the same library's is given up after two turns.
GIVE_UP = 1.05


class Run(NamedTuple):
    """How long a contender took, and the operations a second of the better calibration beside its turn."""

    seconds: float
    peak: float


@dataclass
class Times:
    """A contender's runs, by whether the calibrations before and after its turn were good."""

    good: list[Run] = field(default_factory=list)
    other: list[Run] = field(default_factory=list)
    good_turns: int = 0

    @property
    def best(self) -> Run:
        """The shortest of the good runs, or of all where too few turns were good."""
        return min(self.good if self.is_trusted else self.good + self.other)

    @property
    def is_trusted(self) -> bool:
        return self.good_turns >= 2


def measure(
    contenders: Sequence[Contender],
    calibrate: Callable[[], Reading],
    budget: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Times]:
    """Time contenders in turns.

    Turns go round `LEAST_ROUNDS` times at least, and until every contender has had `LEAST_TURNS` good ones and `budget`
    seconds have passed, or twice the budget has.
    """
    times = [Times() for _ in contenders]
    given_up = [False] * len(contenders)
    start = clock()
    before = calibrate()
    for number in itertools.count(1):
        for contender, own, is_out in zip(contenders, times, given_up, strict=True):
            if is_out:
                continue
            seconds = _turn(contender, clock)
            after = calibrate()
            runs = [Run(each, max(before.rate, after.rate)) for each in seconds]
            if before.is_good and after.is_good:
                own.good += runs
                own.good_turns += 1
            else:
                own.other += runs
            before = after
        given_up = [out or _is_hopeless(n, contenders, times) for n, out in enumerate(given_up)]
        passed = clock() - start
        enough = all(out or own.good_turns >= LEAST_TURNS for out, own in zip(given_up, times, strict=True))
        if number >= LEAST_ROUNDS and passed >= budget and (enough or passed >= 2.0 * budget):
            break
    return times


def _turn(contender: Contender, clock: Callable[[], float]) -> list[float]:
    """Seconds of the runs of one turn: one at least."""
    runs: list[float] = []
    start = now = clock()
    while not runs or now - start < TURN_S:
        contender.run()
        runs.append(clock() - now)
        now = clock()
    return runs


def _is_hopeless(index: int, contenders: Sequence[Contender], times: Sequence[Times]) -> bool:
    """Whether a contender takes much longer than another that does the same with the same library."""

    def kind(contender: Contender) -> tuple[str, bool]:
        return contender.library, contender.reduced

    mine, own = contenders[index], times[index]
    if mine.is_ours or own.good_turns < 2:
        return False
    return any(
        kind(other) == kind(mine) and theirs.good_turns >= 2 and own.best.seconds > GIVE_UP * theirs.best.seconds
        for other, theirs in zip(contenders, times, strict=True)
    )
