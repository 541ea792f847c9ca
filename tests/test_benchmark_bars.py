"""The benchmarks' bars and tables: how a verdict is reached, without anything being timed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, bars, bench_sequences, report
from benchmarks.bars import Bar, Measured, Result
from benchmarks.contender import OURS, Contender
from benchmarks.workloads import matrix

LSTM = matrix("LSTM", 8, 5)
ROW = "| a | half | ncnn, MNN | {} | - |"
HEAD = "| workload | ours | against | 1 thread | 2 threads |\n|---|---|---|---|---|\n"


def measured(
    library: str, seconds: float, variant: str = "", error: float = 0.0, reduced: bool = False, share: float = 0.5
) -> Measured:
    contender = Contender(library, variant, "1.0", lambda: None, lambda: np.zeros(1), reduced)
    return Measured(contender, seconds, error, share)


def verdict(bar: Bar, *others: Measured, ours: float = 2.0, share: float = 0.5) -> bars.Verdict:
    (found,) = bars.judge([bar], "a", 1, [measured(OURS, ours, "half", share=share), *others])
    return found


@pytest.mark.parametrize(
    ("theirs", "result"), [(3.99, Result.FAILED), (4.0, Result.PASSED), (9.0, Result.PASSED), (0.1, Result.FAILED)]
)
def test_a_ratio_under_its_bar_fails(theirs: float, result: Result) -> None:
    found = verdict(Bar("a", "half", "ncnn", {1: 2.0}), measured("ncnn", theirs))
    assert found.result is result
    assert found.ratio == theirs / 2.0


def test_of_ours_the_faster_call_counts() -> None:
    predict = Contender(OURS, "half", "1.0", lambda: None, lambda: np.zeros(1), call="predict")
    ours = [Measured(predict, 1.0, 0.0, 0.5), Measured(replace(predict, variant="float32"), 0.5, 0.0, 0.5)]
    found = verdict(Bar("a", "half", "ncnn", {1: 2.0}), measured("ncnn", 3.0), *ours)
    assert found.ratio == 3.0
    assert predict.label == f"{OURS} (half, predict)"


def test_the_fastest_of_those_named_counts() -> None:
    others = [measured("PyTorch", 6.0), measured("ncnn", 5.0), measured("MNN", 4.0, "small"), measured("other", 1.0)]
    found = verdict(Bar("a", "half", "PyTorch, ncnn, MNN", {1: 2.0}), *others)
    assert (found.opponent, found.ratio) == ("MNN (small)", 2.0)


def test_every_library_is_every_one_in_float32() -> None:
    others = [measured("ncnn", 5.0), measured("other", 3.0), measured("OpenVINO", 1.0, reduced=True)]
    assert verdict(Bar("a", "half", bars.EVERY, {1: 1.0}), *others).opponent == "other"


def test_less_than_float32_has_opponents_of_its_own() -> None:
    others = [measured("OpenVINO", 3.0), measured("OpenVINO", 4.0, "bf16", reduced=True)]
    assert verdict(Bar("a", "half", "OpenVINO in less than float32", {1: 1.0}), *others).ratio == 2.0
    assert verdict(Bar("a", "half", "OpenVINO", {1: 1.0}), *others).ratio == 1.5


def test_a_share_of_the_peak() -> None:
    bar = Bar("a", "half", bars.PEAK, {1: 0.9})
    assert verdict(bar, share=0.95).result is Result.PASSED
    assert verdict(bar, measured("ncnn", 9.0, share=0.95), share=0.85).result is Result.FAILED


def test_what_is_not_there_is_not_passed() -> None:
    bar = Bar("a", "half", "ncnn", {1: 1.0})
    assert verdict(bar, measured("PyTorch", 9.0)).result is Result.NOT_MEASURED
    (found,) = bars.judge([bar], "a", 1, [measured(OURS, 1.0, "float32"), measured("ncnn", 9.0)])
    assert found.result is Result.NOT_MEASURED


def test_bars_are_for_one_workload_and_number_of_threads() -> None:
    bar = Bar("a", "half", "ncnn", {2: 1.0})
    contenders = [measured(OURS, 1.0, "half"), measured("ncnn", 9.0)]
    assert bars.judge([bar], "a", 1, contenders) == []
    assert bars.judge([bar], "b", 2, contenders) == []
    assert len(bars.judge([bar], "a", 2, contenders)) == 1


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.md"
    path.write_text("Words before.\n\n" + HEAD + ROW.format("1.25") + "\n", encoding="utf-8")
    assert bars.read(path) == [Bar("a", "half", "ncnn, MNN", {1: 1.25})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no table of bars"),
        (HEAD, "no table of bars"),
        ("| workload | bar |\n|---|---|\n| a | 2 |\n", "expected"),
        (HEAD + ROW.format("fast"), "a bar is a number or a dash"),
        (HEAD + "| a | half | ncnn | 1 |", "4 cells, expected 5"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bars.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        bars.read(path)


def test_the_projects_own_table_is_for_its_workloads() -> None:
    table = bars.read()
    names = [workload.name for workload in bench_sequences.WORKLOADS]
    assert bars.unknown(table, names) == []
    assert bars.unknown([*table, Bar("misspelt", "", "ncnn", {})], names) == ["misspelt"]
    assert {bar.ours for bar in table} <= {"", "half weights", "float32 weights", "reduced precision"}


def test_results_beyond_float32_are_objected_to() -> None:
    limit = accuracy.limit(LSTM)
    fine = [measured(OURS, 1.0, "half", limit), measured("ncnn", 1.0, error=limit / 2)]
    assert accuracy.objections(LSTM, fine) == []
    for wrong in (1.01 * limit, float("nan"), float("inf")):
        assert len(accuracy.objections(LSTM, [*fine, measured("MNN", 1.0, error=wrong)])) == 1


def test_reduced_precision_may_err_as_much_as_another_librarys() -> None:
    theirs = measured("OpenVINO", 1.0, "bf16", 1e-3, reduced=True)
    assert accuracy.objections(LSTM, [theirs, measured(OURS, 1.0, "bf16", 1e-3, reduced=True)]) == []
    assert len(accuracy.objections(LSTM, [theirs, measured(OURS, 1.0, "bf16", 2e-3, reduced=True)])) == 1


def test_tables_show_what_was_found() -> None:
    mine, theirs = measured(OURS, 0.002, "half", 1e-6), measured("ncnn", 0.03)
    other = Measured(measured("ncnn", 0.02, "other").contender, 0.02, 0.0, 0.05, is_trusted=False)
    bar = Bar(LSTM.name, "half", "ncnn", {1: 12.5})
    judged = bars.judge([bar], LSTM.name, 1, [mine, theirs, other])
    outcome = report.Outcome(LSTM, 1, LSTM.operations / 0.001, [mine, theirs, other], judged)
    times = [line.split("|")[1:-1] for line in report.times_table([outcome]).splitlines()]
    assert [cell.strip() for cell in times[2]] == [LSTM.name, "1", "half", "2.00", "50 %", "1e-06", "~20.0"]
    assert len({len(line) for line in report.times_table([outcome]).splitlines()}) == 1
    text = report.full([outcome])
    assert "10.00 | 12.5 | FAILED" in text
    assert "0 passed, 1 FAILED, 0 not measured" in text
    assert report.record(outcome)["bars"][0]["verdict"] == "FAILED"


def test_tables_are_replaced_between_their_marks(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    report.write(path, "first")
    assert path.read_text(encoding="utf-8") == "first\n"
    path.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    for text in ("new", "newer"):
        report.write(path, text)
        assert path.read_text(encoding="utf-8") == f"before\n{report.BEGIN}\n\n{text}\n\n{report.END}\nafter\n"
