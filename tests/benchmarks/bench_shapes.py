"""Shapes that nobody tunes for, beside PyTorch and ONNX Runtime: ours may not be slower in any.

Odd sizes, channels that fill no vector, windows without a fast algorithm, batches.
"""

from __future__ import annotations

import pytest

from benchmarks import accuracy, bars, report
from benchmarks.session import Session, thread_counts
from benchmarks.workloads import ImageWorkload, MatrixWorkload, image, matrix

AGAINST = "PyTorch, ONNX Runtime"
BUDGET_S = 2.0

IMAGES = [
    image("ConvLSTM", 61, 3, 24),
    image("ConvLSTM", 29, 100, 100),
    image("ConvLSTM", 40, 24, 24, kernel=7, steps=5),
    image("ConvLSTM", 64, 32, 32, kernel=1),
    image("ConvLSTM", 33, 16, 32, kernel=2),
    image("ConvLSTM", 33, 16, 32, kernel=4, steps=5),
    image("ConvLSTM", 7, 96, 96),
    image("ConvLSTM", 24, 20, 36, batch=4, steps=5),
    image("ConvGRU", 47, 3, 24),
    image("ConvGRU", 20, 24, 100, kernel=5, steps=5),
    ImageWorkload("ConvLSTM", 8, 40, 5, height=30, width=90, kernel=(3, 3)),
    ImageWorkload("ConvLSTM", 12, 20, 5, height=45, width=50, kernel=(3, 5)),
    ImageWorkload("ConvGRU", 64, 96, 4, height=55, width=128, kernel=(1, 5)),
    ImageWorkload("ConvGRU", 64, 96, 4, height=55, width=128, kernel=(5, 1)),
]
MATRICES = [
    matrix("LSTM", 100, 60),
    matrix("LSTM", 100, 60, 3),
    MatrixWorkload("LSTM", 3, 50, 100),
    MatrixWorkload("LSTM", 70, 33, 30, 17),
    MatrixWorkload("LSTM", 300, 650, 20, 5),
    matrix("GRU", 90, 40, 7),
    MatrixWorkload("GRU", 13, 200, 50),
]


def _check(session: Session, workload: ImageWorkload | MatrixWorkload, variant: str) -> None:
    threads = max(thread_counts())
    bar = bars.Bar(workload.name, variant, AGAINST, {threads: 1.0})
    modules = [peer for peer in session.peers if peer.NAME in AGAINST]
    outcome = session.measure(workload, threads, modules, [bar], BUDGET_S)
    assert accuracy.objections(workload, outcome.measured) == []
    assert outcome.verdicts[0].result is bars.Result.PASSED, "\n\n" + report.full([outcome])


@pytest.mark.parametrize("workload", IMAGES, ids=lambda workload: workload.name)
def test_images(session: Session, workload: ImageWorkload) -> None:
    _check(session, workload, "")


@pytest.mark.parametrize("workload", MATRICES, ids=lambda workload: workload.name)
def test_matrices(session: Session, workload: MatrixWorkload) -> None:
    _check(session, workload, "half weights")
