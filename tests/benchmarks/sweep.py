"""What a multiply-add costs as one size after the other changes, as a picture: `python -m benchmarks.sweep FILE`.

A curve that is level costs in proportion; where one rises, something other than the products has become dear.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import interleaving
from .contender import OURS
from .session import Session
from .workloads import Workload, image, matrix

# Two others are enough to see shapes of curves by: a direct convolution, and a fast one.
LIBRARIES = ("ONNX Runtime", "ncnn")
BUDGET_S = 1.0


@dataclass(frozen=True)
class Panel:
    """One size that changes: `cases` maps its values to workloads and numbers of threads."""

    title: str
    axis: str
    cases: dict[int, tuple[Workload, int]]


def panels(most: int) -> list[Panel]:
    """All panels, on `most` threads but where these are what changes."""
    cell, vectors = "ConvLSTM 3x3, 64x64, 64 channels", "LSTM, 512 units"
    channels = {n: image("ConvLSTM", 64, n, n, steps=4) for n in (4, 8, 16, 24, 32, 48, 64, 96, 128)}
    sides = {n: image("ConvLSTM", n, 64, 64, steps=4) for n in (8, 12, 16, 24, 32, 48, 64, 96, 128, 192)}
    kernels = {n: image("ConvLSTM", 64, 64, 64, n, steps=2) for n in (1, 2, 3, 4, 5, 7)}
    batches = {n: image("ConvLSTM", 64, 64, 64, steps=2, batch=n) for n in (1, 2, 3, 4, 8)}
    frames = {n: image("ConvLSTM", 64, 64, 64, steps=n) for n in (1, 2, 4, 8, 16)}
    units = {n: matrix("LSTM", n, 50) for n in (16, 32, 64, 128, 256, 512, 1024, 2048)}
    rows = {n: matrix("LSTM", 512, 10, n) for n in (1, 2, 4, 8, 16, 32, 64, 128)}
    threads = {n: (image("ConvLSTM", 64, 64, 64, steps=4), n) for n in range(1, most + 1)}
    alike = [
        Panel("ConvLSTM 3x3, 64x64", "channels in and out", channels),
        Panel("ConvLSTM 3x3, 64 channels", "side of the images", sides),
        Panel("ConvLSTM, 64x64, 64 channels", "side of the window", kernels),
        Panel(cell, "images in the batch", batches),
        Panel(cell, "frames", frames),
        Panel("LSTM, one sequence", "units", units),
        Panel(vectors, "rows in the batch", rows),
    ]
    made = [Panel(p.title, p.axis, {n: (workload, most) for n, workload in p.cases.items()}) for p in alike]
    return [*made[:5], Panel(cell, "threads", threads), *made[5:]]


def costs(session: Session, workload: Workload, threads: int) -> dict[str, float]:
    """Picoseconds for a multiply-add of the direct evaluation, by library, of each its fastest way in float32."""
    modules = [peer for peer in session.peers if peer.NAME in LIBRARIES]
    peak = session.calibration(threads)
    with session.threads(threads):
        contenders = [each for each in session.prepare(workload, threads, modules) if not each.reduced]
        times = interleaving.measure(contenders, peak.measure, BUDGET_S)
    products = workload.operations / 2
    found: dict[str, float] = {}
    for contender, own in zip(contenders, times, strict=True):
        cost = 1e12 * own.best.seconds / products
        found[contender.library] = min(cost, found.get(contender.library, cost))
    return found | {"FMA peak": 2e12 / peak.peak}


def draw(path: Path, drawn: Sequence[tuple[Panel, dict[int, dict[str, float]]]]) -> None:
    """The picture, of the format that the file's name says."""
    import matplotlib

    matplotlib.use("Agg")
    # Without a salt, the same figures make another file each time.
    matplotlib.rcParams.update({"svg.hashsalt": "mpsrnn_cy", "svg.fonttype": "none"})
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(2, 4, figsize=(16, 7.5), layout="constrained")
    for (panel, points), at in zip(drawn, axes.flat, strict=True):
        for library in (OURS, *LIBRARIES, "FMA peak"):
            known = [(n, cost[library]) for n, cost in points.items() if library in cost]
            if known:
                style = "k:" if library == "FMA peak" else "o-"
                at.plot(*zip(*known, strict=True), style, label=library, markersize=4)
        at.set_xscale("log")
        at.set_yscale("log")
        at.set_xticks(list(points), [str(n) for n in points])
        at.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        at.yaxis.set_major_formatter("{x:g}")
        for axis in (at.xaxis, at.yaxis):
            axis.set_minor_locator(ticker.NullLocator())
        at.set(title=panel.title, xlabel=panel.axis, ylabel="ps per multiply-add")
        at.grid(alpha=0.3)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(prog="benchmarks.sweep", description=__doc__)
    parser.add_argument("file", type=Path, help="picture to write, e.g. docs/sizes.svg")
    path = parser.parse_args(arguments).file
    if os.environ.get("MPSRNN_VALIDATION", "0") != "0":
        parser.error("kernels that check every access are not what is to be measured: unset MPSRNN_VALIDATION")
    with tempfile.TemporaryDirectory() as folder:
        session = Session([], BUDGET_S, Path(folder))
    drawn = []
    for panel in panels(len(os.sched_getaffinity(0))):
        points = {}
        for n, (workload, threads) in panel.cases.items():
            points[n] = costs(session, workload, threads)
            line = ", ".join(f"{library} {cost:.2f}" for library, cost in points[n].items())
            sys.stdout.write(f"{workload.name}, {threads} threads: {line} ps per multiply-add\n")
            sys.stdout.flush()
        drawn.append((panel, points))
    draw(path, drawn)


if __name__ == "__main__":
    main()
