"""What has to be reached: the table in `bars.md`, or another of its kind, and whether a measurement does."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .contender import Contender

TABLE = Path(__file__).with_name("bars.md")
PEAK = "FMA peak"
EVERY = "every library"
REDUCED = " in less than float32"

_COLUMNS = ["workload", "ours", "against", "1 thread", "2 threads"]


class Result(enum.Enum):
    """How a bar was met."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Bar:
    """The least ratio for a workload, one of our variants, and opponents; `by_threads` may lack some numbers."""

    workload: str
    ours: str
    against: str
    by_threads: dict[int, float]


@dataclass(frozen=True)
class Measured:
    """A contender with its least time in seconds and its greatest error.

    `share` is of the FMA peak beside that time, and of the products of a direct evaluation: a fast algorithm passes 1.
    """

    contender: Contender
    seconds: float
    error: float
    share: float
    is_trusted: bool = True


@dataclass(frozen=True)
class Verdict:
    """A bar, what came out, and against whom: `ratio` is None where nothing could be compared."""

    bar: Bar
    least: float
    ratio: float | None
    opponent: str

    @property
    def result(self) -> Result:
        if self.ratio is None:
            return Result.NOT_MEASURED
        return Result.PASSED if self.ratio >= self.least else Result.FAILED


def read(path: Path = TABLE) -> list[Bar]:
    """Bars of the Markdown table in a file.

    Raises
    ------
    ValueError
        A row is not one of a table of bars; the message says which.
    """
    bars = []
    rows = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for number, row in enumerate(rows):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if number == 0:
            if cells != _COLUMNS:
                raise ValueError(f"{path}: columns are {cells}, expected {_COLUMNS}")
        elif set(row) - set("|-: "):
            bars.append(_bar(path, row, cells))
    if not bars:
        raise ValueError(f"{path}: no table of bars")
    return bars


def _bar(path: Path, row: str, cells: list[str]) -> Bar:
    if len(cells) != len(_COLUMNS):
        raise ValueError(f"{path}: {len(cells)} cells, expected {len(_COLUMNS)}: {row}")
    try:
        by_threads = {n: float(cell) for n, cell in enumerate(cells[3:], start=1) if cell != "-"}
    except ValueError:
        raise ValueError(f"{path}: a bar is a number or a dash: {row}") from None
    return Bar(*cells[:3], by_threads)


def unknown(bars: Iterable[Bar], names: Iterable[str]) -> list[str]:
    """Workloads that have bars and that nobody measures: misspelt, most likely."""
    known = set(names)
    return sorted({bar.workload for bar in bars} - known)


def opponents(bar: Bar, measured: Sequence[Measured]) -> list[Measured]:
    """Those of the other libraries' measurements that a bar is about."""
    others = [each for each in measured if not each.contender.is_ours]
    if bar.against == EVERY:
        return [each for each in others if not each.contender.reduced]
    reduced = bar.against.endswith(REDUCED)
    names = [name.strip() for name in bar.against.removesuffix(REDUCED).split(",")]
    return [each for each in others if each.contender.library in names and each.contender.reduced == reduced]


def judge(bars: Iterable[Bar], workload: str, threads: int, measured: Sequence[Measured]) -> list[Verdict]:
    """Verdicts on what was measured of a workload on a number of threads."""
    verdicts = []
    for bar in bars:
        if bar.workload != workload or threads not in bar.by_threads:
            continue
        least = bar.by_threads[threads]
        own = [each for each in measured if each.contender.is_ours and each.contender.variant == bar.ours]
        mine = min(own, key=lambda each: each.seconds, default=None)
        if bar.against == PEAK:
            ratio, name = (mine.share if mine else None), PEAK
        else:
            fastest = min(opponents(bar, measured), key=lambda each: each.seconds, default=None)
            ratio = fastest.seconds / mine.seconds if mine and fastest else None
            name = fastest.contender.label if fastest else "none installed"
        verdicts.append(Verdict(bar, least, ratio, name))
    return verdicts
