"""The processor's rate of fused multiply-adds, measured around everything that is timed.

Virtual processors share a core with others at times, and clocks change. What was timed while the rate was not the
usual one says nothing, and is left out.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import toolchain

SOURCE = Path(__file__).with_name("peak.cpp")

# Share of the best rate below which a core was not all there.
GOOD = 0.93
# Rounds of the loop, about a millisecond of them, and how many loops a calibration is the best of.
ROUNDS = 100_000
LOOPS = 3
# Calibrations that the first estimate of the peak is the best of.
SAMPLES = 15
# Share of one processor that other processes and the hypervisor may have used meanwhile.
DISTURBED = 0.2
# Libraries' threads spin for up to 50 ms after their work. They may: their next run in the same turn is the faster
# for it. Another's turn starts when the process has slept through one of these pauses, or after so many of them.
PAUSE_S = 0.006
MOST_PAUSES = 30
# Processor time in a pause that is not somebody spinning.
IDLE_S = 0.0005


def build(folder: Path) -> ctypes.CDLL:
    """The loop as a library in `folder`, made with the compiler of the package's own build."""
    compiler = toolchain.require(toolchain.find_cxx(sysconfig.get_platform()), "C++", "CXX")
    library = folder / "peak.so"
    flags = (*toolchain.CXX_FLAGS, "-O2", "-ffp-contract=fast", "-fPIC", "-shared", "-pthread")
    subprocess.run([*compiler.command, *flags, str(SOURCE), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.fma_rate.restype = ctypes.c_double
    loaded.fma_rate.argtypes = (ctypes.c_int, ctypes.c_long)
    return loaded


def wait_until_idle(
    sleep: Callable[[float], object] = time.sleep, process_time: Callable[[], float] = time.process_time
) -> None:
    """Sleep until none of the process's threads has used a processor for a while."""
    before = process_time()
    for _ in range(MOST_PAUSES):
        sleep(PAUSE_S)
        after = process_time()
        if after - before < IDLE_S:
            return
        before = after


def used_by_others() -> float:
    """Seconds of processor time that were not this process's, so far; the hypervisor's are among them."""
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = (
        int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    ticks = user + nice + system + sum(interrupts_and_stolen)
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


class Reading(NamedTuple):
    """Operations a second of the loop, and whether the processors were all there."""

    rate: float
    is_good: bool


class Calibration:
    """Rates of a number of threads; `peak` is the best of them so far."""

    def __init__(self, library: ctypes.CDLL, threads: int) -> None:
        self._library = library
        self._threads = threads
        self._last = (time.perf_counter(), used_by_others())
        self.peak = 0.0
        for _ in range(SAMPLES):
            self.measure()

    def measure(self) -> Reading:
        """The present rate, as soon as all threads are asleep: good if it is near the best so far.

        It is not where others have had the processors since the last call.
        """
        wait_until_idle()
        rate = max(self._library.fma_rate(self._threads, ROUNDS) for _ in range(LOOPS))
        self.peak = max(self.peak, rate)
        (before, theirs_before), self._last = self._last, (time.perf_counter(), used_by_others())
        passed, theirs = self._last[0] - before, self._last[1] - theirs_before
        return Reading(rate, theirs <= DISTURBED * passed and rate >= GOOD * self.peak)
