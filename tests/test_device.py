from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import mpsrnn_cy as mps
from mpsrnn_cy.device import live_handle_count
from running_sum import encoded, running_sum


def test_names_the_cpu(device: mps.MTLDevice) -> None:
    if sys.platform == "darwin":
        pytest.skip("a Mac names its GPU")
    assert "CPU" in device.name
    assert device.name in repr(device)


def test_default_device_is_one_object(device: mps.MTLDevice) -> None:
    assert mps.MTLCreateSystemDefaultDevice() is device
    (listed,) = [other for other in mps.MTLCopyAllDevices() if other == device]
    assert hash(listed) == hash(device)
    assert listed.registry_id == device.registry_id
    assert device != "device"


def test_number_of_threads(device: mps.MTLDevice) -> None:
    before = device.number_of_threads
    assert before >= 1
    try:
        device.number_of_threads = 3
        assert device.number_of_threads == 3
        for wrong in (0, -1, 10**6):
            with pytest.raises(mps.BadArgumentError, match=r"number_of_threads|thread"):
                device.number_of_threads = wrong
        with pytest.raises(mps.BadTypeError, match=r"number_of_threads: got 2\.5"):
            device.number_of_threads = 2.5
        assert device.number_of_threads == 3
    finally:
        device.number_of_threads = before


def test_environment_sets_number_of_threads() -> None:
    program = "import mpsrnn_cy as m; print(m.MTLCreateSystemDefaultDevice().number_of_threads)"
    environment = {**os.environ, "MPSRNN_NUM_THREADS": "5"}
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "5\n"


def test_bad_environment_is_named() -> None:
    program = "import mpsrnn_cy as m; m.MTLCreateSystemDefaultDevice()"
    environment = {**os.environ, "MPSRNN_NUM_THREADS": "many"}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert "NoDeviceError" in result.stderr
    assert "MPSRNN_NUM_THREADS" in result.stderr


def test_results_do_not_depend_on_threads(device: mps.MTLDevice) -> None:
    rng = np.random.default_rng(1)
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(5, 7)
    descriptor.input_weights = mps.ArrayDataSource(rng.standard_normal((7, 3, 3, 5)).astype(np.float32))
    descriptor.recurrent_weights = mps.ArrayDataSource(rng.standard_normal((7, 3, 3, 7)).astype(np.float32) / 8)
    layer = mps.MPSRNNImageInferenceLayer(device, descriptor)
    x = rng.standard_normal((3, 21, 34, 5)).astype(np.float32)
    before = device.number_of_threads
    results = []
    try:
        for count in (1, 2, 5):
            device.number_of_threads = count
            results.append(layer.predict(x))
    finally:
        device.number_of_threads = before
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("cls", [mps.MTLDevice, mps.MTLCommandQueue, mps.MTLCommandBuffer])
def test_metal_objects_cannot_be_constructed(cls: type) -> None:
    for make in (cls, lambda: cls.__new__(cls)):
        with pytest.raises(mps.BadTypeError, match=f"{cls.__name__}: cannot be constructed, expected M"):
            make()


def test_life_of_a_command_buffer(device: mps.MTLDevice) -> None:
    queue = device.make_command_queue()
    assert queue.device is device
    command, destination = encoded(queue, running_sum(device), 2.0)
    assert command.command_queue is queue
    assert command.device is device
    assert command.status == mps.MTLCommandBufferStatus.NOT_ENQUEUED
    assert (command.gpu_start_time, command.gpu_end_time) == (0.0, 0.0)
    with pytest.raises(mps.BadArgumentError, match="not committed"):
        command.wait_until_completed()
    command.commit()
    command.wait_until_completed()
    assert command.status == mps.MTLCommandBufferStatus.COMPLETED
    assert command.error is None
    assert 0.0 < command.gpu_start_time <= command.gpu_end_time
    assert destination.to_numpy().item() == 2.0


def test_second_commit_is_refused(device: mps.MTLDevice) -> None:
    command, destination = encoded(device.make_command_queue(), running_sum(device), 1.0)
    command.commit()
    with pytest.raises(mps.BadArgumentError, match=r"commit\(\): the command buffer is already committed"):
        command.commit()
    with pytest.raises(mps.BadArgumentError, match=r"add_completed_handler\(\): the command buffer is already"):
        command.add_completed_handler(print)
    command.wait_until_completed()
    assert destination.to_numpy().item() == 1.0


def test_encoding_after_commit_is_refused(device: mps.MTLDevice) -> None:
    layer = running_sum(device)
    command, destination = encoded(device.make_command_queue(), layer, 1.0)
    command.commit()
    command.wait_until_completed()
    source = mps.MPSImage.from_numpy(device, np.full((1, 1, 1), 9, np.float32))
    states: list = []
    with pytest.raises(mps.BadArgumentError, match="command_buffer: got one that is already committed"):
        layer.encode_sequence(command, [source], [destination], None, states)
    assert states == []
    assert command.dispatch_count == 1
    assert destination.to_numpy().item() == 1.0


def test_completed_handlers(device: mps.MTLDevice) -> None:
    command, _ = encoded(device.make_command_queue(), running_sum(device), 1.0)
    seen = []
    command.add_completed_handler(lambda buffer: seen.append((buffer, buffer.status, threading.get_ident())))
    command.add_completed_handler(lambda buffer: seen.append(2))
    command.commit()
    command.wait_until_completed()
    (buffer, status, thread), second = seen
    assert buffer is command
    assert status == mps.MTLCommandBufferStatus.COMPLETED
    assert thread != threading.get_ident()
    assert second == 2


def test_handler_needs_to_be_callable(device: mps.MTLDevice) -> None:
    command = device.make_command_queue().make_command_buffer()
    with pytest.raises(mps.BadTypeError, match=r"block: got 3 \(int\), expected a callable"):
        command.add_completed_handler(3)


def test_exception_of_a_handler_is_reported(device: mps.MTLDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    reported = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    command, _ = encoded(device.make_command_queue(), running_sum(device), 1.0)

    def fail(_: mps.MTLCommandBuffer) -> None:
        raise ValueError("oh")

    called = []
    command.add_completed_handler(fail)
    command.add_completed_handler(called.append)
    command.commit()
    command.wait_until_completed()
    assert called == [command]
    (report,) = reported
    assert report.exc_type is ValueError
    assert str(report.exc_value) == "oh"


def test_dropping_everything_before_completion(device: mps.MTLDevice, no_leaks: None) -> None:
    """The work keeps what it needs; a handler still sees it finish."""
    done = threading.Event()
    values = []

    def start() -> None:
        command, destination = encoded(device.make_command_queue(), running_sum(device), 3.0, side=64)

        def read(_: mps.MTLCommandBuffer) -> None:
            values.append(float(destination.to_numpy().max()))
            done.set()

        command.add_completed_handler(read)
        command.commit()

    before = live_handle_count()
    start()
    assert done.wait(60)
    assert values == [3.0]
    # The driver drops its references after the handlers, in its own time.
    deadline = time.monotonic() + 60
    while live_handle_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
        gc.collect()


def test_command_buffers_of_a_queue_run_in_order(device: mps.MTLDevice) -> None:
    queue = device.make_command_queue()
    layer = running_sum(device)
    order: list[int] = []
    commands = []
    for index in range(20):
        command, _ = encoded(queue, layer, 1.0, side=1 if index % 2 else 40)
        command.add_completed_handler(lambda _, index=index: order.append(index))
        command.commit()
        commands.append(command)
    for command in commands:
        command.wait_until_completed()
    assert order == list(range(20))


def test_many_threads_share_a_layer(device: mps.MTLDevice) -> None:
    layer = running_sum(device)
    failures = []

    def work(start: int) -> None:
        try:
            for repeat in range(20):
                x = np.arange(start + repeat, start + repeat + 5, dtype=np.float32).reshape(5, 1, 1, 1)
                np.testing.assert_array_equal(layer.predict(x), np.cumsum(x, axis=0))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(100 * index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_threads_encode_into_one_command_buffer(device: mps.MTLDevice) -> None:
    layer = running_sum(device)
    command = device.make_command_queue().make_command_buffer()
    destinations = [mps.MPSImage.from_numpy(device, np.zeros((1, 1, 1), np.float32)) for _ in range(16)]

    def encode(index: int) -> None:
        source = mps.MPSImage.from_numpy(device, np.full((1, 1, 1), index, np.float32))
        layer.encode_sequence(command, [source], [destinations[index]])

    threads = [threading.Thread(target=encode, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    command.commit()
    command.wait_until_completed()
    assert [image.to_numpy().item() for image in destinations] == list(range(16))
    assert command.dispatch_count == 16


def test_waiting_lets_other_threads_run(device: mps.MTLDevice) -> None:
    """The wait ends after the handler, and that after another thread has run: none could if the wait held the lock."""
    command, _ = encoded(device.make_command_queue(), running_sum(device), 1.0)
    called, ran = threading.Event(), threading.Event()

    def answer() -> None:
        called.wait(60)
        ran.set()

    def ask(_: mps.MTLCommandBuffer) -> None:
        called.set()
        ran.wait(60)

    thread = threading.Thread(target=answer)
    thread.start()
    command.add_completed_handler(ask)
    command.commit()
    command.wait_until_completed()
    assert ran.is_set()
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork(device: mps.MTLDevice) -> None:
    """A child gets an error from its parent's queue, and a device of its own."""
    program = """
import os, numpy as np, mpsrnn_cy as mps
from running_sum import encoded, running_sum
device = mps.MTLCreateSystemDefaultDevice()
layer = running_sum(device)
layer.predict(np.ones((1, 1, 1, 1), np.float32))
command, _ = encoded(device.make_command_queue(), layer, 1.0)
child = os.fork()
if child == 0:
    code = 1
    try:
        try:
            command.commit()
            command.wait_until_completed()
        except mps.CommandError as error:
            assert "fork" in str(error), error
            mine = mps.MTLCreateSystemDefaultDevice()
            assert mine is not device
            result = running_sum(mine).predict(np.ones((2, 1, 1, 1), np.float32))
            assert result.ravel().tolist() == [1.0, 2.0]
            code = 0
    finally:
        os._exit(code)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr


def test_exit_waits_for_handlers() -> None:
    """A handler that is due never runs into an interpreter that has gone."""
    program = """
import numpy as np, mpsrnn_cy as mps
device = mps.MTLCreateSystemDefaultDevice()
descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
descriptor.use_layer_input_unit_transform_mode = True
layer = mps.MPSRNNImageInferenceLayer(device, descriptor)
big = np.zeros((800, 800, 1), np.float32)
command = device.make_command_queue().make_command_buffer()
layer.encode_sequence(command, [mps.MPSImage.from_numpy(device, big)], [mps.MPSImage.from_numpy(device, big)])
command.add_completed_handler(lambda _: print("done", flush=True))
command.commit()
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")
