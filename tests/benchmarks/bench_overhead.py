"""What a call costs besides the work itself: layers so small that there is hardly any.

Each test has a ceiling in microseconds for its least time. They hold on a processor of three gigahertz or more that has
nothing else to do; `MPSRNN_OVERHEAD_FACTOR=2` doubles them for a slower one. A thread is woken up nowhere here, so the
number of threads does not matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import conversion
import matrix_stacks
import mpsrnn_cy as mps
from image_stacks import lstm

CHANNELS, STEPS, FRAMES, SIDE = 32, 1000, 10, 64

# Microseconds. Twice what was measured, and never above what the layers are meant for.
CEILINGS = {
    "create a command buffer": 2,
    "create, commit and wait for an empty command buffer": 5,
    "predict one step": 10,
    "predict one step from a state to a state": 14,
    "predict a thousand steps": 900,
    "encode a matrix": 8,
    "encode a thousand matrices": 800,
    "encode ten frames": 50,
    "encode ten frames and take a state": 60,
}


def command_buffer(device: mps.MTLDevice) -> Callable[[], object]:
    return device.make_command_queue().make_command_buffer


def empty_command_buffer(device: mps.MTLDevice) -> Callable[[], object]:
    queue = device.make_command_queue()

    def run() -> None:
        command = queue.make_command_buffer()
        command.commit()
        command.wait_until_completed()

    return run


def matrix_layer(device: mps.MTLDevice) -> mps.MPSRNNMatrixInferenceLayer:
    return conversion.matrix_layer(device, [matrix_stacks.lstm(np.random.default_rng(0), CHANNELS, CHANNELS)])


def one_step(device: mps.MTLDevice) -> Callable[[], object]:
    layer, x = matrix_layer(device), np.ones((1, CHANNELS), np.float32)
    return lambda: layer.predict(x)


def one_step_with_states(device: mps.MTLDevice) -> Callable[[], object]:
    layer, x = matrix_layer(device), np.ones((1, CHANNELS), np.float32)
    _, state = layer.predict(x, return_state=True)
    return lambda: layer.predict(x, state, return_state=True)


def many_steps(device: mps.MTLDevice) -> Callable[[], object]:
    layer, x = matrix_layer(device), np.ones((STEPS, CHANNELS), np.float32)
    return lambda: layer.predict(x)


def matrices(device: mps.MTLDevice, count: int) -> Callable[[], object]:
    layer, queue = matrix_layer(device), device.make_command_queue()
    sources, destinations = (
        [mps.MPSMatrix(device, mps.MPSMatrixDescriptor(1, CHANNELS)) for _ in range(count)] for _ in range(2)
    )
    return lambda: layer.encode_sequence(queue.make_command_buffer(), sources, destinations)


def frames(device: mps.MTLDevice, takes_state: bool) -> Callable[[], object]:
    inputs, outputs = 16, CHANNELS
    layer, queue = (
        conversion.layer(device, [lstm(np.random.default_rng(0), inputs, outputs)]),
        device.make_command_queue(),
    )
    sources, destinations = (
        [mps.MPSImage.from_numpy(device, np.zeros((SIDE, SIDE, channels), np.float32)) for _ in range(FRAMES)]
        for channels in (inputs, outputs)
    )
    return lambda: layer.encode_sequence(
        queue.make_command_buffer(), sources, destinations, None, [] if takes_state else None
    )


CALLS: dict[str, Callable[[mps.MTLDevice], Callable[[], object]]] = {
    "create a command buffer": command_buffer,
    "create, commit and wait for an empty command buffer": empty_command_buffer,
    "predict one step": one_step,
    "predict one step from a state to a state": one_step_with_states,
    "predict a thousand steps": many_steps,
    "encode a matrix": lambda device: matrices(device, 1),
    "encode a thousand matrices": lambda device: matrices(device, STEPS),
    "encode ten frames": lambda device: frames(device, False),
    "encode ten frames and take a state": lambda device: frames(device, True),
}


@pytest.mark.parametrize("call", CALLS)
def test_overhead(benchmark: Any, device: mps.MTLDevice, call: str) -> None:
    if os.environ.get("MPSRNN_VALIDATION") != "0":
        pytest.fail("kernels that check every access are not what is to be measured: set MPSRNN_VALIDATION=0")
    benchmark.group = "overhead"
    benchmark.pedantic(CALLS[call](device), rounds=3000, warmup_rounds=100)
    if benchmark.stats is None:
        return  # --benchmark-disable
    ceiling = CEILINGS[call] * float(os.environ.get("MPSRNN_OVERHEAD_FACTOR", "1"))
    assert benchmark.stats.stats.min * 1e6 <= ceiling
