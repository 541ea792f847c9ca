"""How fast the layers run whole sequences, beside other libraries on the same processor.

`make bench` runs these. A ratio under its bar fails, and so does a result that is further from the float64 reference
than float32 explains. What pytest-benchmark itself reports is ours alone, straight after; the interleaved times, from
which the ratios are, go into its record as extra information.
"""

from __future__ import annotations

import pytest

from benchmarks import accuracy, bars, report
from benchmarks.session import Session, thread_counts
from benchmarks.workloads import IMAGE_WORKLOADS, MATRIX_WORKLOADS, Workload

WORKLOADS = [*IMAGE_WORKLOADS, *MATRIX_WORKLOADS]
CASES = [(workload, threads) for workload in WORKLOADS for threads in thread_counts()]


def test_bars_are_for_workloads_and_required_libraries_are_there(session: Session) -> None:
    assert bars.unknown(session.bars, [workload.name for workload in WORKLOADS]) == []
    required = {"pytorch", "onnx_runtime"} & set(session.missing)
    assert not required, "bars are against these: pip install 'mpsrnn_cy[bench]'"


@pytest.mark.parametrize(
    ("workload", "threads"), CASES, ids=[f"{workload.name}, {threads} thr." for workload, threads in CASES]
)
def test_sequence(benchmark, session: Session, workload: Workload, threads: int) -> None:
    outcome = session.measure(workload, threads)
    benchmark.group = workload.name
    benchmark.extra_info.update(report.record(outcome))
    with session.threads(threads):
        benchmark.pedantic(outcome.ours()[0].contender.run, rounds=5, warmup_rounds=1)
    assert accuracy.objections(workload, outcome.measured) == []
    failed = [verdict for verdict in outcome.verdicts if verdict.result is bars.Result.FAILED]
    assert not failed, "\n\n" + report.full([outcome])
