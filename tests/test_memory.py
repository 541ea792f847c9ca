"""How much memory layers take while they run, and that they give it back."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import conversion
import matrix_stacks
import mpsrnn_cy as mps
from image_stacks import gru, lstm
from mpsrnn_cy.device import live_handle_count


def image_call(device: mps.MTLDevice) -> Callable[[], object]:
    layer = conversion.layer(device, [lstm(np.random.default_rng(2), 2, 6), gru(np.random.default_rng(3), 6, 3)])
    x = np.ones((7, 40, 40, 2), np.float32)
    _, state = layer.predict(x, return_state=True)
    return lambda: layer.predict(x, state, return_state=True)


def matrix_call(device: mps.MTLDevice) -> Callable[[], object]:
    layer = conversion.matrix_layer(device, matrix_stacks.STACKS["stack"](np.random.default_rng(4)))
    x = np.ones((7, 5, 3), np.float32)
    _, state = layer.predict(x, return_state=True)
    return lambda: (layer.predict(x, state, return_state=True), layer.predict(list(x)), layer.predict(x[:, ::-1]))


@pytest.mark.parametrize("make", [image_call, matrix_call])
def test_predict_keeps_nothing(device: mps.MTLDevice, make: Callable, no_leaks: None) -> None:
    call = make(device)
    call()
    gc.collect()
    handles, size = live_handle_count(), device.current_allocated_size
    call()
    gc.collect()
    assert (live_handle_count(), device.current_allocated_size) == (handles, size)


def test_layers_release_everything(device: mps.MTLDevice, no_leaks: None) -> None:
    image_call(device)()
    matrix_call(device)()


def _child(program: str) -> int:
    """What a program prints, run by itself: the peak of a process never falls."""
    environment = os.environ | {"MPSRNN_VALIDATION": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


_PREDICT = """
import resource
import numpy as np
import conversion
import mpsrnn_cy as mps
from image_stacks import lstm

layer = conversion.layer(mps.MTLCreateSystemDefaultDevice(), [lstm(np.random.default_rng(0), 8, 8)])
x = np.ones((400, 64, 64, 8), np.float32)
layer.predict(x[:40])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y = layer.predict(x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts bytes elsewhere, and a GPU's memory not at all")
def test_predict_takes_memory_for_a_few_frames_besides_the_arrays() -> None:
    outputs = 400 * 64 * 64 * 8 * 4
    assert _child(_PREDICT) < outputs + (12 << 20)


_BLOCKS = """
import mpsrnn_cy as mps

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

device = mps.MTLCreateSystemDefaultDevice()
before = resident()
for size in range(1, 40):
    memory = device.make_buffer(length=size << 20)
    memory.contents()[:] = bytes(size << 20)
    del memory
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the portable device keeps large storage")
def test_released_memory_that_is_kept_for_others_is_bounded() -> None:
    assert _child(_BLOCKS) < (64 + 16) << 20


# ---- Memory that is shared ----


def overlap(reads: list[tuple[int, int, int]], writes: list[tuple[int, int, int]], width: int) -> bool:
    """Whether bytes of matrices, each a first byte, rows and bytes from row to row, are both read and written."""

    def cells(matrices: list[tuple[int, int, int]]) -> set[int]:
        return {at + row * step + i for at, rows, step in matrices for row in range(rows) for i in range(width)}

    return bool(cells(reads) & cells(writes))


MATRICES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3), st.integers(2, 6)), min_size=1, max_size=5)


@given(MATRICES, st.data())
def test_what_is_written_lies_apart_from_what_is_read(reads: list, data: st.DataObject) -> None:
    device = mps.MTLCreateSystemDefaultDevice()
    reads = sorted(reads, key=lambda matrix: -matrix[1])
    places = data.draw(st.lists(st.integers(0, 80), min_size=len(reads), max_size=len(reads)))
    width = 8
    # As many rows as the source; floats, two to a row.
    read = [(4 * at, rows, 4 * step) for at, rows, step in reads]
    write = [(4 * at, rows, step) for at, (_, rows, step) in zip(places, read, strict=True)]
    buffer = device.make_buffer(length=4 * 120)

    def matrix(place: tuple[int, int, int]) -> mps.MPSMatrix:
        at, rows, step = place
        return mps.MPSMatrix(buffer=buffer, offset=at, descriptor=mps.MPSMatrixDescriptor(rows, 2, step))

    cell = matrix_stacks.single_gate(np.random.default_rng(5), 2, 2)
    layer = conversion.matrix_layer(device, [cell])
    command = device.make_command_queue().make_command_buffer()
    arguments = (command, [matrix(place) for place in read], [matrix(place) for place in write])
    if overlap(read, write, width):
        with pytest.raises(mps.BadArgumentError, match="expected memory apart"):
            layer.encode_sequence(*arguments)
        assert command.dispatch_count == 0
    else:
        layer.encode_sequence(*arguments)
        assert command.dispatch_count == 1
