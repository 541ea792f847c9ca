"""Settings and fixtures that hold for every test."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

# Read when the package makes its first device: kernels then check every access, and misuse of Metal is an error.
os.environ.setdefault("MPSRNN_VALIDATION", "1")

import mpsrnn_cy as mps
import oracle
from source_tree import built, tree

__all__ = ["built", "tree"]

# The kernels' builds, and their tuned twins where there are some: the environment that chooses each.
KERNEL_BUILDS = {
    "checked": {"MPSRNN_VALIDATION": "1"},
    "baseline": {"MPSRNN_ISA": "baseline"},
    "x86-64-v3-msl": {"MPSRNN_ISA": "x86-64-v3", "MPSRNN_KERNELS": "msl"},
    "x86-64-v3": {"MPSRNN_ISA": "x86-64-v3"},
    "x86-64-v4": {"MPSRNN_ISA": "x86-64-v4"},
}

# What the processor must have for a build.
_FEATURES = {
    "x86-64-v3": {"avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"},
    "x86-64-v4": {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"},
}


def _can_run(isa: str) -> bool:
    if isa not in _FEATURES:
        return True
    if platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists():
        return False
    return _FEATURES[isa] <= set(Path("/proc/cpuinfo").read_text().split())


@pytest.fixture(scope="session")
def device() -> mps.MTLDevice:
    """The system's default device."""
    return mps.MTLCreateSystemDefaultDevice()


@pytest.fixture(scope="session")
def _devices_by_build() -> dict[str, mps.MTLDevice]:
    return {}


# What hardly a machine chooses by itself is tested with the slow ones.
_RARE_BUILDS = {"baseline", "x86-64-v3-msl"} if platform.machine() == "x86_64" else {"x86-64-v3-msl"}
_BUILDS = [pytest.param(name, marks=pytest.mark.slow if name in _RARE_BUILDS else ()) for name in KERNEL_BUILDS]


@pytest.fixture(params=_BUILDS)
def each_build(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _devices_by_build: dict[str, mps.MTLDevice]
) -> Iterator[mps.MTLDevice]:
    """A device whose kernels are, one test after the other, of every build that this machine can run.

    Each build has a device object of its own, for a device object remembers the pipelines it has made. A test may
    change how many threads it has.
    """
    environment = {"MPSRNN_VALIDATION": "0", "MPSRNN_KERNELS": ""} | KERNEL_BUILDS[request.param]
    if not _can_run(environment.get("MPSRNN_ISA", "")):
        pytest.skip(f"this CPU cannot run {request.param}")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if request.param not in _devices_by_build:
        _devices_by_build[request.param] = mps.MTLCopyAllDevices()[0]
    has_twins = request.param in ("x86-64-v3", "x86-64-v4") or (
        request.param == "baseline" and platform.machine() in ("aarch64", "arm64")
    )
    made = _devices_by_build[request.param]
    threads = made.number_of_threads
    with oracle.tiled() if has_twins else nullcontext():
        yield made
    made.number_of_threads = threads


@pytest.fixture
def no_leaks(device: mps.MTLDevice) -> Iterator[None]:
    """Fail the test if it leaves native objects or device memory behind."""
    import gc

    from mpsrnn_cy.device import live_handle_count

    gc.collect()
    handles, size = live_handle_count(), device.current_allocated_size
    yield
    gc.collect()
    assert (live_handle_count(), device.current_allocated_size) == (handles, size)
