"""What a run found, as tables in Markdown, whose columns line up on a terminal as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .bars import Measured, Result, Verdict
from .workloads import Workload

# Between these, tables are replaced in a file that has them.
BEGIN = "<!-- tables of make bench: begin -->"
END = "<!-- tables of make bench: end -->"


@dataclass(frozen=True)
class Outcome:
    """One workload on one number of threads; `peak`, in operations a second, is the best of that number so far."""

    workload: Workload
    threads: int
    peak: float
    measured: list[Measured]
    verdicts: list[Verdict]

    def ours(self) -> list[Measured]:
        return [each for each in self.measured if each.contender.is_ours]

    def fastest(self, library: str, reduced: bool) -> Measured | None:
        found = [
            each for each in self.measured if each.contender.library == library and each.contender.reduced == reduced
        ]
        return min(found, key=lambda each: each.seconds, default=None)


def milliseconds(each: Measured) -> str:
    """Time in three digits; a `~` before it says that the machine was not itself."""
    value = 1e3 * each.seconds
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{'' if each.is_trusted else '~'}{value:.{digits}f}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with its columns lined up."""
    widths = [max(len(row[n]) for row in (columns, *rows)) for n in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(columns), rule, *(line(row) for row in rows)])


def times_table(outcomes: Sequence[Outcome]) -> str:
    """Milliseconds of ours and of every other library, of each its fastest way."""
    contenders = [each.contender for outcome in outcomes for each in outcome.measured]
    kinds = list(dict.fromkeys((c.library, c.reduced) for c in contenders if not c.is_ours))
    versions = {c.library: c.version for c in contenders}
    titles = [f"{library} {versions[library]}{' reduced' if reduced else ''}" for library, reduced in kinds]
    rows = []
    for outcome in outcomes:
        others = [outcome.fastest(*kind) for kind in kinds]
        cells = [milliseconds(each) if each else "" for each in others]
        for n, mine in enumerate(outcome.ours()):
            first = [outcome.workload.name, str(outcome.threads)] if n == 0 else ["", ""]
            own = [mine.contender.kind, milliseconds(mine), f"{100 * mine.share:.0f} %", f"{mine.error:.0e}"]
            rows.append([*first, *own, *(cells if n == 0 else [""] * len(cells))])
    return markdown(["workload", "threads", "ours", "ms", "of FMA peak", "error", *titles], rows)


def verdicts_table(outcomes: Sequence[Outcome]) -> str:
    """Every bar with its ratio."""
    rows = []
    for outcome in outcomes:
        for verdict in outcome.verdicts:
            ratio = "" if verdict.ratio is None else f"{verdict.ratio:.2f}"
            judged = [verdict.opponent, ratio, f"{verdict.least:g}", verdict.result.value]
            rows.append([outcome.workload.name, str(outcome.threads), verdict.bar.ours, *judged])
    return markdown(["workload", "threads", "ours", "against", "ratio", "bar", "verdict"], rows)


def full(outcomes: Sequence[Outcome], missing: Sequence[str] = ()) -> str:
    """Both tables, and how the bars were met; `missing` are libraries that are not installed."""
    counts = {result: sum(v.result is result for o in outcomes for v in o.verdicts) for result in Result}
    peaks = {outcome.threads: outcome.peak for outcome in outcomes}
    summary = ", ".join(f"{count} {result.value}" for result, count in counts.items())
    rates = ", ".join(f"{peak / 1e9:.0f} on {n}" for n, peak in sorted(peaks.items()))
    measured = f"Best FMA peak in Gflop/s by threads: {rates}."
    absent = [f"Not installed: {', '.join(missing)}."] if missing else []
    return "\n\n".join([times_table(outcomes), measured, *absent, verdicts_table(outcomes), f"Bars: {summary}."])


def write(path: Path, text: str) -> None:
    """Put tables into a file: between its marks if it has them, else as all there is."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}" if end else text + "\n", encoding="utf-8")


def record(outcome: Outcome) -> dict[str, object]:
    """An outcome for pytest-benchmark's JSON."""
    return {
        "threads": outcome.threads,
        "fma_peak_flops": outcome.peak,
        "contenders": [
            {
                "label": each.contender.label,
                "version": each.contender.version,
                "least_seconds": each.seconds,
                "greatest_error": each.error,
                "share_of_fma_peak": each.share,
                "calibrated": each.is_trusted,
            }
            for each in outcome.measured
        ],
        "bars": [
            {"against": v.opponent, "ours": v.bar.ours, "ratio": v.ratio, "bar": v.least, "verdict": v.result.value}
            for v in outcome.verdicts
        ],
    }
