"""Settings and fixtures that hold for every test."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

# Read when the package makes its first device: kernels then check every access, and misuse of Metal is an error.
os.environ.setdefault("MPSRNN_VALIDATION", "1")

import mpsrnn_cy as mps
from source_tree import built, tree

__all__ = ["built", "tree"]

# The kernels' builds: the environment that chooses each.
KERNEL_BUILDS = {
    "checked": {"MPSRNN_VALIDATION": "1"},
    "baseline": {"MPSRNN_VALIDATION": "0", "MPSRNN_ISA": "baseline"},
    "x86-64-v3": {"MPSRNN_VALIDATION": "0", "MPSRNN_ISA": "x86-64-v3"},
}


def _has_x86_64_v3() -> bool:
    if platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists():
        return False
    flags = set(Path("/proc/cpuinfo").read_text().split())
    return {"avx2", "fma", "f16c", "bmi1", "bmi2", "abm", "movbe"} <= flags


@pytest.fixture(scope="session")
def device() -> mps.MTLDevice:
    """The system's default device."""
    return mps.MTLCreateSystemDefaultDevice()


@pytest.fixture(scope="session")
def _devices_by_build() -> dict[str, mps.MTLDevice]:
    return {}


@pytest.fixture(params=KERNEL_BUILDS)
def each_build(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _devices_by_build: dict[str, mps.MTLDevice]
) -> mps.MTLDevice:
    """A device whose kernels are, one test after the other, of every build that this machine can run.

    Each build has a device object of its own, for a device object remembers the pipelines it has made.
    """
    if request.param == "x86-64-v3" and not _has_x86_64_v3():
        pytest.skip("this CPU has no x86-64-v3")
    for name, value in KERNEL_BUILDS[request.param].items():
        monkeypatch.setenv(name, value)
    if request.param not in _devices_by_build:
        _devices_by_build[request.param] = mps.MTLCopyAllDevices()[0]
    return _devices_by_build[request.param]


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
