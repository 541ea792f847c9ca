"""A run's device, calibrations and peers, and how a workload is measured with them."""

from __future__ import annotations

import functools
import gc
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

import mpsrnn_cy as mps

from . import bars, calibration, interleaving, ours, peers, reference
from .bars import Bar, Measured
from .contender import Contender
from .report import Outcome
from .workloads import Workload

# Workloads come with one number of threads after the other, and are the same function on each.
_expected = functools.lru_cache(maxsize=2)(reference.outputs)


class Session:
    """What all measurements of a run share."""

    def __init__(self, table: list[Bar], budget: float, folder: Path) -> None:
        self.bars = table
        self.budget = budget
        self.outcomes: list[Outcome] = []
        self.device = mps.MTLCreateSystemDefaultDevice()
        self.peers, self.missing = peers.installed()
        self._library = calibration.build(folder)
        self._calibrations: dict[int, calibration.Calibration] = {}

    def calibration(self, threads: int) -> calibration.Calibration:
        if threads not in self._calibrations:
            self._calibrations[threads] = calibration.Calibration(self._library, threads)
        return self._calibrations[threads]

    def measure(
        self,
        workload: Workload,
        threads: int,
        modules: Sequence[ModuleType] | None = None,
        table: Sequence[Bar] | None = None,
        budget: float | None = None,
    ) -> Outcome:
        """Time ours and the peers, in turns, and compare all with the reference and with each other."""
        modules = self.peers if modules is None else modules
        peak = self.calibration(threads)
        with self.threads(threads):
            contenders = self.prepare(workload, threads, modules)
            errors = [error(workload, contender) for contender in contenders]
            times = interleaving.measure(contenders, peak.measure, self.budget if budget is None else budget)
        measured = []
        for contender, each, greatest in zip(contenders, times, errors, strict=True):
            share = workload.operations / each.best.seconds / (each.best.peak if each.is_trusted else peak.peak)
            measured.append(Measured(contender, each.best.seconds, greatest, share, each.is_trusted))
        verdicts = bars.judge(self.bars if table is None else table, workload.name, threads, measured)
        outcome = Outcome(workload, threads, peak.peak, measured, verdicts)
        self.outcomes.append(outcome)
        gc.collect()
        return outcome

    def prepare(self, workload: Workload, threads: int, modules: Sequence[ModuleType]) -> list[Contender]:
        """Ours, and those of some peers."""
        made = (peer.prepare(workload, threads) for peer in modules)
        return [*ours.prepare(workload, self.device), *itertools.chain.from_iterable(made)]

    @contextmanager
    def threads(self, threads: int) -> Iterator[None]:
        """The device on a number of threads."""
        before = self.device.number_of_threads
        self.device.number_of_threads = threads
        try:
            yield
        finally:
            self.device.number_of_threads = before


def thread_counts() -> list[int]:
    """Numbers of threads that bars are for and that there are processors for."""
    return [n for n in (1, 2) if n <= len(os.sched_getaffinity(0))]


def error(workload: Workload, contender: Contender) -> float:
    """Greatest difference from the reference of what a run makes."""
    contender.run()
    found = np.asarray(contender.outputs(), np.float64)
    expected = _expected(workload, contender.reset_after)
    if found.shape != expected.shape:
        raise ValueError(f"{contender.label}: outputs are {found.shape}, expected {expected.shape}")
    return float(np.abs(found - expected).max())
