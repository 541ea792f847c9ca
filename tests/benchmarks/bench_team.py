"""What the device's threads do to others, and others to them: neighbours on the same processors, and idleness.

Each figure is a ratio of times that were taken in turn, so that it means the same on any machine with two processors.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import mpsrnn_cy as mps

PROCESSORS = sorted(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(len(PROCESSORS) < 2, reason="one processor has no neighbours")

GATES = ("input_gate", "forget_gate", "cell_gate", "output_gate")
SIZES = {"matrix 128": (128, 1, None), "matrix 512": (512, 1, None), "image 64x64": (32, 3, 64)}

BUSY = "import os\nos.sched_setaffinity(0, {{{}}})\nwhile os.getppid() == {}:\n    pass"


def make_descriptor(channels: int, window: int, rng: np.random.Generator) -> mps.MPSLSTMDescriptor:
    descriptor = mps.MPSLSTMDescriptor.create_lstm_descriptor(channels, channels)
    scale = (2 * channels * window * window) ** -0.5
    for gate in GATES:
        for kind in ("input", "recurrent"):
            weights = scale * rng.standard_normal((channels, window, window, channels))
            setattr(descriptor, f"{gate}_{kind}_weights", mps.ArrayDataSource(weights.astype(np.float32)))
    return descriptor


def make_layer(device: mps.MTLDevice, name: str) -> tuple[mps.MPSRNNInferenceLayer, NDArray[np.float32]]:
    """An LSTM layer of one of `SIZES`, and a sequence for it."""
    channels, window, side = SIZES[name]
    rng = np.random.default_rng(0)
    descriptor = make_descriptor(channels, window, rng)
    if side is None:
        x = rng.standard_normal((50, 1, channels))
        return mps.MPSRNNMatrixInferenceLayer(device, [descriptor]), x.astype(np.float32)
    x = rng.standard_normal((2, side, side, channels))
    return mps.MPSRNNImageInferenceLayer(device, [descriptor]), x.astype(np.float32)


def seconds_per_run(run: Callable[[], object], seconds: float) -> float:
    """The mean over as many runs as fit; not the least, for what others take away is the point."""
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        run()
        count += 1
    return (time.perf_counter() - start) / count


@contextlib.contextmanager
def competitor() -> Iterator[None]:
    """Keeps one of the processors busy."""
    process = subprocess.Popen([sys.executable, "-c", BUSY.format(PROCESSORS[-1], os.getpid())])
    try:
        time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", SIZES)
def test_a_competitor_makes_two_threads_no_slower_than_one(device: mps.MTLDevice, name: str) -> None:
    layer, x = make_layer(device, name)
    before = device.number_of_threads
    times: dict[int, list[float]] = {1: [], 2: []}
    try:
        with competitor():
            for _ in range(4):
                for threads, taken in times.items():
                    device.number_of_threads = threads
                    taken.append(seconds_per_run(lambda: layer.predict(x), 1.0))
    finally:
        device.number_of_threads = before
    ratio = np.median(times[2]) / np.median(times[1])
    print(f"\n{name} beside a competitor: two threads take {ratio:.2f} of the time of one")
    assert ratio < 1.1


@contextlib.contextmanager
def two_children(name: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that do so many runs whenever they read a line, and write one then."""
    environment = os.environ | {"MPSRNN_NUM_THREADS": "2"}
    command = [sys.executable, __file__, name, str(count)]
    with contextlib.ExitStack() as stack:
        children = []
        for _ in range(2):
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            children.append(process)
        yield children


def seconds_of(processes: list[subprocess.Popen[str]]) -> float:
    """From the start of all to the end of the last."""
    start = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
    return time.perf_counter() - start


@pytest.mark.parametrize("name", SIZES)
def test_two_processes_are_together_no_slower_than_in_turn(name: str) -> None:
    with two_children(name, count=1) as children:
        once = min(seconds_of([children[0]]) for _ in range(3))
    ratios = []
    with two_children(name, count=max(1, int(1.0 / once))) as children:
        for _ in range(3):
            in_turn = sum(seconds_of([child]) for child in children)
            ratios.append(seconds_of(children) / in_turn)
    ratio = float(np.median(ratios))
    print(f"\n{name} in two processes: together they take {ratio:.2f} of the time in turn")
    assert ratio < 1.1


def test_two_threads_take_a_direction_each(device: mps.MTLDevice) -> None:
    """Nearly twice as fast, where the meetings of a crew would cost a fifth of what it gains."""
    units, steps = 128, 100
    rng = np.random.default_rng(0)
    descriptors = [make_descriptor(units, 1, rng) for _ in range(2)]
    descriptors[1].layer_sequence_direction = mps.MPSRNNSequenceDirection.BACKWARD
    layer = mps.MPSRNNMatrixInferenceLayer(device, descriptors)
    layer.bidirectional_combine_mode = mps.MPSRNNBidirectionalCombineMode.CONCATENATE
    sources = [
        mps.MPSMatrix.from_numpy(device, rng.standard_normal((1, units)).astype(np.float32)) for _ in range(steps)
    ]
    destinations = [mps.MPSMatrix.from_numpy(device, np.zeros((1, 2 * units), np.float32)) for _ in range(steps)]
    queue = device.make_command_queue()
    before = device.number_of_threads
    least = {1: np.inf, 2: np.inf}
    try:
        for turn in range(600):
            # Some runs with as many threads in a row: so none has to be woken up.
            threads = device.number_of_threads = 1 + turn // 10 % 2
            command = queue.make_command_buffer()
            layer.encode_bidirectional_sequence(command, sources, destinations)
            start = time.perf_counter()
            command.commit()
            command.wait_until_completed()
            least[threads] = min(least[threads], time.perf_counter() - start)
    finally:
        device.number_of_threads = before
    ratio = least[2] / least[1]
    print(f"\nboth directions of {units} units: two threads take {ratio:.2f} of the time of one")
    assert ratio < 0.58


def test_an_idle_library_uses_no_processor(device: mps.MTLDevice) -> None:
    layer, x = make_layer(device, "matrix 128")
    layer.predict(x)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.005


def main() -> None:
    device = mps.MTLCreateSystemDefaultDevice()
    layer, x = make_layer(device, sys.argv[1])
    layer.predict(x)
    print("ready", flush=True)
    for _ in sys.stdin:
        for _ in range(int(sys.argv[2])):
            layer.predict(x)
        print("done", flush=True)


if __name__ == "__main__":
    main()
