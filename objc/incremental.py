"""Runs the commands of a build, each only when its output is out of date.

A step is out of date if its output or its record is missing, if its command line or its tool's version changed, or if
any file that it read has other contents than it had then. Contents are compared, not times: a checkout, a copy or an
unpacked archive makes files newer that are the same and older that are not, and both would fool a comparison of times.
What a step read is what its own dependency file (`-MMD`, `cython -M`) lists, so no header has to be named anywhere.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from setuptools.errors import CompileError

log = logging.getLogger(__name__)


class BuildError(CompileError):
    """A command of the build failed; setuptools prints the message without a traceback."""


@dataclass(frozen=True)
class Step:
    """One command that makes one file.

    Parameters
    ----------
    name
        What the log says when the step runs, e.g. ``compile objc/device.m``.
    command, version
        The command line, and the version of the tool that it calls: new tools make new outputs.
    inputs
        Files the command line names.
    output
        The file it makes.
    depfile
        Where the tool writes, as a Makefile rule, the files it read besides `inputs`; None if it reads no others.
    """

    name: str
    command: tuple[str, ...]
    version: str
    inputs: tuple[str, ...]
    output: str
    depfile: str | None = None

    @property
    def record(self) -> Path:
        """The file that holds what the output was made from."""
        return Path(self.output + ".json")


class Builder:
    """Runs steps in parallel and remembers, beside each output, what it was made from."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._digests: dict[str, str | None] = {}

    def run(self, steps: Iterable[Step]) -> None:
        """Bring the outputs of `steps`, which must not depend on each other, up to date."""
        stale = [step for step in steps if not self._is_current(step)]
        with ThreadPoolExecutor(self._jobs) as pool:
            futures = [pool.submit(self._make, step) for step in stale]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _is_current(self, step: Step) -> bool:
        try:
            record = json.loads(step.record.read_text())
        except (OSError, ValueError):
            return False
        return (
            os.path.exists(step.output)
            and record["command"] == list(step.command)
            and record["version"] == step.version
            and all(digest is not None and self._digest(path) == digest for path, digest in record["inputs"].items())
        )

    def _make(self, step: Step) -> None:
        # An interrupted or failed command must leave nothing that looks finished.
        step.record.unlink(missing_ok=True)
        Path(step.output).unlink(missing_ok=True)
        os.makedirs(os.path.dirname(step.output), exist_ok=True)
        log.info(step.name)
        started = time.time_ns()
        result = subprocess.run(step.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            command = shlex.join(step.command)
            raise BuildError(f"{step.name}: exit status {result.returncode} of\n{command}\n{result.stdout}")
        if result.stdout:
            log.warning(result.stdout.rstrip("\n"))
        self._digests.pop(step.output, None)
        inputs = set(step.inputs)
        if step.depfile is not None:
            inputs |= read_depfile(Path(step.depfile))
        record = {
            "command": step.command,
            "version": step.version,
            "inputs": {path: self._digest_since(path, started) for path in sorted(inputs)},
        }
        write_if_changed(step.record, json.dumps(record, indent=1))

    def _digest(self, path: str) -> str | None:
        """Digest of a file's contents, computed once per build; None if there is no such file."""
        if path not in self._digests:
            try:
                self._digests[path] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError:
                self._digests[path] = None
        return self._digests[path]

    def _digest_since(self, path: str, started: int) -> str | None:
        """Digest of a file; None, which no later contents match, if it was edited while its reader ran."""
        try:
            edited = os.stat(path).st_mtime_ns > started
        except OSError:
            return None
        return None if edited else self._digest(path)


def read_depfile(path: Path) -> set[str]:
    """The prerequisites in a Makefile fragment as compilers write it: one rule, spaces and ``#`` escaped."""
    rule = path.read_text().replace("\\\n", " ").splitlines()[0]
    prerequisites = re.split(r"(?<!\\):\s", rule, maxsplit=1)[1]
    words = re.findall(r"(?:\\.|[^\\\s])+", prerequisites)
    return {_normal(re.sub(r"\\(.)", r"\1", word).replace("$$", "$")) for word in words}


def _normal(path: str) -> str:
    """A path relative to the tree if it is in there, else absolute: both hold when the tree is moved or copied."""
    path = os.path.normpath(path)
    return os.path.abspath(path) if path.startswith(os.pardir + os.sep) else path


def write_if_changed(path: Path, text: str) -> None:
    """Write a generated file whole or not at all, and only if that changes it."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
