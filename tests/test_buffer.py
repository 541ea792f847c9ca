"""Buffers: memory of a device, its sizes and modes, and the buffer protocol over it."""

from __future__ import annotations

import array
import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

Value, Type = mps.BadArgumentError, mps.BadTypeError
SHARED, PRIVATE = mps.MTLStorageMode.SHARED, mps.MTLStorageMode.PRIVATE


@pytest.mark.parametrize("length", [1, 3, 4096, 100_001])
def test_new_memory_is_zero(device: mps.MTLDevice, no_leaks: None, length: int) -> None:
    buffer = device.make_buffer(length=length)
    assert (buffer.device, buffer.length, buffer.allocated_size, buffer.storage_mode) == (
        device,
        length,
        length,
        SHARED,
    )
    assert bytes(buffer.contents()) == bytes(length)


@pytest.mark.parametrize(
    "source",
    [b"abc", bytearray(b"abcd"), array.array("d", [1, 2]), np.arange(6, dtype=">i4").reshape(2, 3), memoryview(b"xy")],
    ids=lambda source: type(source).__name__,
)
def test_bytes_are_copied(device: mps.MTLDevice, source: Any) -> None:
    expected = memoryview(source).tobytes()
    buffer = device.make_buffer(bytes=source)
    assert bytes(buffer.contents()) == expected
    part = device.make_buffer(bytes=source, length=2)
    assert bytes(part.contents()) == expected[:2]
    if not memoryview(source).readonly:
        memoryview(source).cast("B")[0] ^= 255
        assert bytes(buffer.contents()) == expected


def test_contents_are_the_memory(device: mps.MTLDevice) -> None:
    buffer = device.make_buffer(length=8)
    contents = buffer.contents()
    assert (contents.format, contents.itemsize, contents.shape, contents.strides) == ("B", 1, (8,), (1,))
    assert not contents.readonly
    contents.cast("f")[1] = 1.5
    assert np.frombuffer(buffer, np.float32).tolist() == [0, 1.5]
    np.frombuffer(buffer, np.uint8)[0] = 7
    assert contents[0] == 7


def test_views_keep_the_memory(device: mps.MTLDevice, no_leaks: None) -> None:
    before = device.current_allocated_size
    buffer = device.make_buffer(bytes=b"still here")
    view, elements = buffer.contents(), np.frombuffer(buffer, np.uint8)
    del buffer
    assert bytes(view) == elements.tobytes() == b"still here"
    del view
    assert device.current_allocated_size > before
    assert elements.tobytes() == b"still here"
    del elements
    assert device.current_allocated_size == before


def test_private_memory_is_out_of_reach(device: mps.MTLDevice, no_leaks: None) -> None:
    buffer = device.make_buffer(length=16, options=PRIVATE)
    assert (buffer.length, buffer.storage_mode) == (16, PRIVATE)
    words = "^buffer: got one of private storage, expected one that the CPU can reach$"
    refused(buffer.contents, Value, words)
    refused(lambda: memoryview(buffer), Value, words)
    refused(lambda: np.frombuffer(buffer, np.uint8), Value, words)


def test_label(device: mps.MTLDevice) -> None:
    buffer = device.make_buffer(length=5, options=2)
    assert buffer.label is None
    assert repr(buffer) == "<MTLBuffer 5 bytes, PRIVATE>"
    buffer.label = "weights"
    assert repr(buffer) == "<MTLBuffer 'weights' 5 bytes, PRIVATE>"
    refused(lambda: setattr(buffer, "label", 3), Type, r"^label: got 3 \(int\), expected str or None$")


HUGE = 2**62

BAD: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "nothing": ({}, Value, "^length: got None, expected the length of the buffer, or bytes to fill it from$"),
    "length 0": ({"length": 0}, Value, "^length: got 0, expected an int from 1 to "),
    "length -1": ({"length": -1}, Value, "^length: got -1, expected an int from 1 to "),
    "length huge": ({"length": HUGE}, Value, f"^length: got {HUGE}, expected an int from 1 to "),
    "length float": ({"length": 2.0}, Type, r"^length: got 2\.0 \(float\), expected an int$"),
    "length True": ({"length": True}, Type, r"^length: got True \(bool\), expected an int$"),
    "managed": ({"length": 1, "options": 1}, Value, "^options: got MANAGED, expected SHARED or PRIVATE$"),
    "options str": ({"length": 1, "options": "shared"}, Type, "^options: got 'shared'"),
    "bytes int": ({"bytes": 3}, Type, r"^bytes: got a int, expected a buffer \(bytes, memoryview, ndarray\)$"),
    "bytes empty": ({"bytes": b""}, Value, "^bytes: got 0 bytes, expected at least 1$"),
    "bytes strided": ({"bytes": np.zeros(4)[::2]}, Value, "^bytes: got memory that is not C-contiguous"),
    "bytes too short": ({"bytes": b"abc", "length": 4}, Value, "^length: got 4, expected at most the 3 of bytes$"),
    "bytes private": ({"bytes": b"abc", "options": PRIVATE}, Value, "^options: got PRIVATE with bytes"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_arguments(
    device: mps.MTLDevice, no_leaks: None, case: tuple[dict[str, Any], type[mps.Error], str]
) -> None:
    arguments, error, words = case
    refused(lambda: device.make_buffer(**arguments), error, words)


def test_buffers_are_only_made_by_devices(device: mps.MTLDevice) -> None:
    words = r"^MTLBuffer: cannot be constructed, expected MTLDevice\.make_buffer\(\)$"
    refused(mps.MTLBuffer, Type, words)
    refused(lambda: mps.MTLBuffer.__new__(mps.MTLBuffer), Type, words)
    buffer = device.make_buffer(length=1)
    for attempt in (copy.copy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(buffer)


def test_many_threads(device: mps.MTLDevice, no_leaks: None) -> None:
    failures: list[int] = []

    def work(seed: int) -> None:
        for length in range(1, 200):
            filled = bytes([(seed + length) % 256]) * length
            if bytes(device.make_buffer(bytes=filled).contents()) != filled:
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
