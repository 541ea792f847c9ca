"""Options, the session's measurements, and the tables that a run ends with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import bars, report
from benchmarks.session import Session

_SESSION = pytest.StashKey[Session]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mpsrnn_cy benchmarks")
    group.addoption("--bars", type=Path, default=bars.TABLE, help="table of bars; tests/benchmarks/bars.md otherwise")
    group.addoption("--report", type=Path, help="file to put the tables into, in Markdown")
    group.addoption("--budget", type=float, default=15.0, help="least seconds for a workload and number of threads")


@pytest.fixture(scope="session")
def session(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Session:
    if os.environ.get("MPSRNN_VALIDATION") != "0":
        pytest.fail("kernels that check every access are not what is to be measured: set MPSRNN_VALIDATION=0")
    made = Session(
        bars.read(pytestconfig.getoption("--bars")),
        pytestconfig.getoption("--budget"),
        tmp_path_factory.mktemp("peak"),
    )
    pytestconfig.stash[_SESSION] = made
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    session = config.stash.get(_SESSION, None)
    if session is None or not session.outcomes:
        return
    text = report.full(session.outcomes, session.missing)
    terminalreporter.section("mpsrnn_cy beside other libraries")
    terminalreporter.write_line(text)
    path = config.getoption("--report")
    if path:
        report.write(path, text)
