"""The build runs a command exactly when its output is out of date."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("setuptools", reason="the build needs setuptools; pip install --group build")
from incremental import Builder, BuildError, Step, read_depfile, write_if_changed

# Writes the output from the source and every file the source names, and lists those in a dependency file.
COMPILER = """
import sys
from pathlib import Path
source, output, depfile = map(Path, sys.argv[1:4])
names = source.read_text().split()
output.write_text("".join(Path(name).read_text() for name in names))
depfile.write_text(f"{output}: {source} " + " ".join(names) + "\\n")
"""


@pytest.fixture
def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A step that makes `out/a.o` from `a.c`, which includes `a.h`."""
    monkeypatch.chdir(tmp_path)
    Path("compiler.py").write_text(COMPILER)
    Path("a.h").write_text("first")
    Path("a.c").write_text("a.h")
    return make_step("1.0")


def make_step(version: str, *options: str) -> Step:
    command = (sys.executable, "compiler.py", "a.c", "out/a.o", "out/a.d", *options)
    return Step("compile a.c", command, version, ("a.c",), "out/a.o", "out/a.d")


def runs(step: Step, caplog: pytest.LogCaptureFixture) -> bool:
    """Whether a new build runs the step, which then has the output that its inputs make."""
    caplog.clear()
    with caplog.at_level("INFO"):
        Builder(jobs=2).run([step])
    assert Path("out/a.o").read_text() == Path("a.h").read_text()
    return caplog.messages == ["compile a.c"]


def test_runs_once(step: Step, caplog: pytest.LogCaptureFixture) -> None:
    assert runs(step, caplog)
    assert not runs(step, caplog)


def test_runs_when_an_included_file_has_other_contents(step: Step, caplog: pytest.LogCaptureFixture) -> None:
    runs(step, caplog)
    Path("a.h").write_text("second")
    assert runs(step, caplog)


def test_runs_when_older_contents_come_back(step: Step, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy2("a.h", "old.h")
    runs(step, caplog)
    Path("a.h").write_text("second")
    runs(step, caplog)
    shutil.copy2("old.h", "a.h")
    assert runs(step, caplog)


def test_does_not_run_when_only_the_time_is_new(step: Step, caplog: pytest.LogCaptureFixture) -> None:
    runs(step, caplog)
    Path("a.h").touch()
    Path("a.c").touch()
    assert not runs(step, caplog)


@pytest.mark.parametrize("missing", ["out/a.o", "out/a.o.json"])
def test_runs_when_output_or_record_is_missing(step: Step, missing: str, caplog: pytest.LogCaptureFixture) -> None:
    runs(step, caplog)
    Path(missing).unlink()
    assert runs(step, caplog)


def test_runs_when_the_record_is_damaged(step: Step, caplog: pytest.LogCaptureFixture) -> None:
    runs(step, caplog)
    step.record.write_text(step.record.read_text()[:40])
    assert runs(step, caplog)


@pytest.mark.parametrize("changed", [("2.0",), ("1.0", "-O3")], ids=["version", "options"])
def test_runs_when_the_command_changed(step: Step, changed: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    runs(step, caplog)
    assert runs(make_step(*changed), caplog)
    assert not runs(make_step(*changed), caplog)


def test_failure_names_the_step_and_leaves_no_output(step: Step, caplog: pytest.LogCaptureFixture) -> None:
    runs(step, caplog)
    Path("a.c").write_text("missing.h")
    with pytest.raises(BuildError, match=r"compile a\.c: exit status 1 of\n(?s:.*)missing\.h"):
        Builder(jobs=2).run([step])
    assert not Path("out/a.o").exists()
    Path("a.c").write_text("a.h")
    assert runs(step, caplog)


def test_runs_again_when_an_input_was_edited_meanwhile(step: Step, caplog: pytest.LogCaptureFixture) -> None:
    Path("compiler.py").write_text(COMPILER + 'Path("a.h").write_text(Path("a.h").read_text() + ".")\n')
    Builder(jobs=2).run([step])
    Path("compiler.py").write_text(COMPILER)
    assert runs(step, caplog)
    assert not runs(step, caplog)


def test_reads_dependency_files(tmp_path: Path) -> None:
    depfile = tmp_path / "a.d"
    depfile.write_text("out/a\\ b.o: a\\ b.c \\\n  metal/host/../c\\#.h $$d.h ../e.h\nphony.h:\n")
    assert read_depfile(depfile) == {"a b.c", "metal/c#.h", "$d.h", str(Path.cwd().parent / "e.h")}


def test_generated_files_are_left_alone_unless_they_change(tmp_path: Path) -> None:
    path = tmp_path / "kernels" / "cell.cpp"
    write_if_changed(path, "é")
    before = path.stat()
    write_if_changed(path, "é")
    assert path.stat() == before
    write_if_changed(path, "è")
    assert path.read_text(encoding="utf-8") == "è"
    assert list(path.parent.iterdir()) == [path]
