"""How far from the reference a contender may be for its time to count."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .bars import Measured
from .workloads import Workload

# Unit roundoff of float32.
ROUNDOFF = 2.0**-24


def limit(workload: Workload) -> float:
    """What float32 owes: twice what the roundings of a sum's products come to where they do not all point one way.

    The total is of order one. A library that goes beyond computes in less than float32, whatever it says.
    """
    return 2.0 * math.sqrt(workload.reduction) * ROUNDOFF


def objections(workload: Workload, measured: Sequence[Measured]) -> list[str]:
    """What is wrong with the results, for a reader; empty where nothing is."""
    least = limit(workload)
    found = [
        f"{each.contender.label}: error {each.error:.1e}, float32 allows {least:.1e}"
        for each in measured
        if not each.contender.reduced and not each.error <= least
    ]
    theirs = max(
        (each.error for each in measured if each.contender.reduced and not each.contender.is_ours), default=None
    )
    for each in measured:
        if not each.contender.reduced:
            continue
        if not math.isfinite(each.error):
            found.append(f"{each.contender.label}: outputs that are not numbers")
        elif each.contender.is_ours and theirs is not None and each.error > theirs:
            found.append(f"{each.contender.label}: error {each.error:.1e}, others in less than float32 {theirs:.1e}")
    return found
