"""MPSKeyedUnarchiver: a layer out of bytes, whichever class of layer it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mpsrnn_cy as mps
from refusal import refused

LAYER = mps.MPSRNNImageInferenceLayer


@pytest.fixture
def data(device: mps.MTLDevice) -> bytes:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    descriptor.input_weights = mps.ArrayDataSource(np.full((1, 1, 1, 1), 2, np.float32))
    layer = LAYER(device, descriptor)
    layer.label = "doubles"
    return layer.to_bytes()


READERS: dict[str, Callable[[bytes, mps.MTLDevice], Any]] = {
    "of": lambda data, device: mps.MPSKeyedUnarchiver.unarchived_object(LAYER, data, device),
    "of a base": lambda data, device: mps.MPSKeyedUnarchiver.unarchived_object(
        of=mps.MPSKernel, from_=data, device=device
    ),
    "of_classes": lambda data, device: mps.MPSKeyedUnarchiver.unarchived_object(
        of_classes={LAYER, mps.MPSCNNKernel}, from_=data, device=device
    ),
    "instance": lambda data, device: mps.MPSKeyedUnarchiver(for_reading_from=data, device=device).decode_object(LAYER),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_reads_what_a_layer_wrote(device: mps.MTLDevice, data: bytes, read: Callable, wrap: type) -> None:
    layer = read(wrap(data), device)
    assert type(layer) is LAYER
    assert layer.label == "doubles"
    assert layer.device is device
    assert layer.predict(np.full((1, 1, 1, 1), 3, np.float32)).item() == 6.0


def archives(device: mps.MTLDevice) -> dict[type, bytes]:
    """An archive of a layer of every class."""
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    made = [
        LAYER(device, descriptor),
        mps.MPSRNNMatrixInferenceLayer(device, descriptor),
        mps.MPSRNNMatrixTrainingLayer(device, descriptor, []),
    ]
    return {type(layer): layer.to_bytes() for layer in made}


def test_archive_says_which_of_several_classes_it_is(device: mps.MTLDevice) -> None:
    every = archives(device)
    for cls, data in every.items():
        for expected in (every.keys(), {mps.MPSKernel}):
            layer = mps.MPSKeyedUnarchiver.unarchived_object(of_classes=set(expected), from_=data, device=device)
            assert type(layer) is cls


def test_class_that_is_not_expected_is_refused(device: mps.MTLDevice) -> None:
    every = archives(device)
    for cls, data in every.items():
        others = tuple(other for other in every if other is not cls)
        words = (
            f"^data: got an archive of {cls.__name__}, expected one of {', '.join(sorted(o.__name__ for o in others))}$"
        )
        read = mps.MPSKeyedUnarchiver(data, device).decode_object
        refused(lambda read=read, others=others: read(others), mps.BadArgumentError, words)


def test_unarchiver_provides_its_device(device: mps.MTLDevice, data: bytes) -> None:
    assert mps.MPSKeyedUnarchiver(data, device).mps_mtl_device() is device


def test_bytes_are_kept_as_they_were(device: mps.MTLDevice, data: bytes) -> None:
    given = bytearray(data)
    unarchiver = mps.MPSKeyedUnarchiver(given, device)
    given[:] = bytes(len(given))
    assert unarchiver.decode_object(LAYER).label == "doubles"


def test_nothing_is_under_another_key(device: mps.MTLDevice, data: bytes) -> None:
    assert mps.MPSKeyedUnarchiver(data, device).decode_object(LAYER, for_key="weights") is None


BAD: dict[str, tuple[dict[str, Any], type[mps.Error], str]] = {
    "no class": ({"of": None}, mps.BadTypeError, "^of: got neither or both of of and of_classes"),
    "both": ({"of_classes": [LAYER]}, mps.BadTypeError, "^of: got neither or both of of and of_classes"),
    "not a class": ({"of": "MPSKernel"}, mps.BadTypeError, "^of: got 'MPSKernel', expected a class of layers"),
    "not classes": ({"of": None, "of_classes": 1}, mps.BadTypeError, "^of_classes: got 1, expected a class of layers"),
    "no classes": ({"of": None, "of_classes": ()}, mps.BadArgumentError, "^of_classes: got no class"),
    "no layer": ({"of": mps.MPSImage}, mps.BadArgumentError, "^of: got MPSImage, expected MPSRNN"),
    "no bytes": ({"from_": None}, mps.BadTypeError, "^from_: got None, expected bytes"),
    "no device": ({"device": None}, mps.BadTypeError, "^device: got None, expected an MTLDevice"),
    "device": ({"device": "GPU"}, mps.BadTypeError, r"^device: got 'GPU' \(str\), expected MTLDevice"),
    "text": ({"from_": "archive"}, mps.BadTypeError, "^for_reading_from: got a str, expected a buffer"),
    "noise": ({"from_": b"noise" * 20}, mps.BadArgumentError, "^data: got 100 bytes that begin with a header"),
    "nothing": ({"from_": b""}, mps.BadArgumentError, "^for_reading_from: got 0 bytes"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_refusals(device: mps.MTLDevice, data: bytes, case: tuple[dict[str, Any], type[mps.Error], str]) -> None:
    changes, exception, words = case
    arguments = {"of": LAYER, "from_": data, "device": device, **changes}
    refused(lambda: mps.MPSKeyedUnarchiver.unarchived_object(**arguments), exception, words)


def test_archive_of_a_class_that_is_none(device: mps.MTLDevice, data: bytes) -> None:
    # As many characters, so that the lengths in the archive stay true.
    forged = data.replace(b"MPSRNNImageInferenceLayer", b"MPSRNNImageInferencePlayer"[:25])
    words = "^data: got an archive of 'MPSRNNImageInferencePlaye', expected one of MPSRNN"
    refused(lambda: mps.MPSKeyedUnarchiver(forged, device), mps.BadArgumentError, words)


def test_key_is_text(device: mps.MTLDevice, data: bytes) -> None:
    unarchiver = mps.MPSKeyedUnarchiver(data, device)
    refused(lambda: unarchiver.decode_object(LAYER, for_key=1), mps.BadTypeError, "^for_key: got 1")  # type: ignore[arg-type]
