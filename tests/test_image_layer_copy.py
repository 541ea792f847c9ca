"""Copies of a layer: on a device, as bytes, in another process. All give the same bits."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import conversion
import mpsrnn_cy as mps
import oracle
from image_stacks import STACKS, assert_same_bits, frames

Mode = mps.MPSRNNBidirectionalCombineMode

COPIES = {
    "copy()": lambda layer: layer.copy(),
    "copy() on another device object": lambda layer: layer.copy(mps.MTLCopyAllDevices()[0]),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "bytes": lambda layer: mps.MPSRNNImageInferenceLayer.from_bytes(layer.to_bytes()),
}


@pytest.fixture(params=STACKS)
def cells(request: pytest.FixtureRequest) -> list[oracle.Cell]:
    return STACKS[request.param](np.random.default_rng(30))


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def copied(request: pytest.FixtureRequest):
    return request.param


def test_same_bits(device: mps.MTLDevice, cells: list[oracle.Cell], copied) -> None:
    layer = conversion.layer(device, cells)
    x = frames(np.random.default_rng(31), cells)
    expected, state = layer.predict(x, return_state=True)
    other = copied(layer)
    assert other is not layer
    assert_same_bits(other.predict(x), expected)
    if other.device is device:
        assert_same_bits(other.predict(x, state), layer.predict(x, state))


def test_settings_go_along_and_part(device: mps.MTLDevice, copied) -> None:
    layer = conversion.layer(device, STACKS["stack"](np.random.default_rng(32)))
    layer.label = "forecast, läyer 1"
    layer.store_all_intermediate_states = True
    layer.bidirectional_combine_mode = Mode.ADD
    other = copied(layer)
    assert (other.label, other.store_all_intermediate_states, other.bidirectional_combine_mode) == (
        "forecast, läyer 1",
        True,
        Mode.ADD,
    )
    other.store_all_intermediate_states = False
    other.label = None
    other.bidirectional_combine_mode = Mode.NONE
    assert (layer.label, layer.store_all_intermediate_states, layer.bidirectional_combine_mode) == (
        "forecast, läyer 1",
        True,
        Mode.ADD,
    )


def test_without_data_sources(device: mps.MTLDevice, copied) -> None:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    other = copied(mps.MPSRNNImageInferenceLayer(device, descriptor))
    assert other.predict(np.ones((1, 1, 1, 1), np.float32)).item() == 0.0


def test_directions_are_kept(device: mps.MTLDevice, copied) -> None:
    descriptors = [mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1) for _ in range(2)]
    descriptors[1].layer_sequence_direction = mps.MPSRNNSequenceDirection.BACKWARD
    for descriptor in descriptors:
        descriptor.use_layer_input_unit_transform_mode = True
        descriptor.recurrent_weights = mps.ArrayDataSource(np.ones((1, 1, 1, 1), np.float32))
    layer = mps.MPSRNNImageInferenceLayer(device, descriptors)
    layer.bidirectional_combine_mode = Mode.CONCATENATE
    other = copied(layer)
    sources = [mps.MPSImage.from_numpy(other.device, np.full((1, 1, 1), x, np.float32)) for x in (1, 2, 3)]
    joined = [mps.MPSImage.from_numpy(other.device, np.zeros((1, 1, 2), np.float32)) for _ in sources]
    command = other.device.make_command_queue().make_command_buffer()
    other.encode_bidirectional_sequence(command, sources, joined)
    command.commit()
    command.wait_until_completed()
    assert [image.to_numpy().ravel().tolist() for image in joined] == [[1, 6], [3, 5], [6, 3]]


def test_file_read_by_another_process(device: mps.MTLDevice, cells: list[oracle.Cell], tmp_path: Path) -> None:
    layer = conversion.layer(device, cells)
    x = frames(np.random.default_rng(33), cells)
    layer.save(tmp_path / "layer.safetensors")
    np.save(tmp_path / "x.npy", x)
    program = """
import sys, numpy as np, mpsrnn_cy as mps
layer = mps.MPSRNNImageInferenceLayer.load(sys.argv[1] + "/layer.safetensors")
np.save(sys.argv[1] + "/y.npy", layer.predict(np.load(sys.argv[1] + "/x.npy")))
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
    assert_same_bits(np.load(tmp_path / "y.npy"), layer.predict(x))


def test_what_is_no_layer_is_refused(device: mps.MTLDevice, tmp_path: Path) -> None:
    data = conversion.layer(device, STACKS["lstm"](np.random.default_rng(34))).to_bytes()
    for wrong in (b"", b"nonsense", data[:-1], data + b"x"):
        with pytest.raises(mps.BadArgumentError):
            mps.MPSRNNImageInferenceLayer.from_bytes(wrong)
    with pytest.raises(mps.BadTypeError):
        mps.MPSRNNImageInferenceLayer.from_bytes("text")
    with pytest.raises(mps.BadTypeError, match="device: got 3"):
        mps.MPSRNNImageInferenceLayer.from_bytes(data, 3)
    with pytest.raises(FileNotFoundError):
        mps.MPSRNNImageInferenceLayer.load(tmp_path / "missing")


def test_same_layer_gives_same_bytes(device: mps.MTLDevice, cells: list[oracle.Cell]) -> None:
    layer = conversion.layer(device, cells)
    data = layer.to_bytes()
    assert data == layer.to_bytes()
    assert data == mps.MPSRNNImageInferenceLayer.from_bytes(data).to_bytes()


def test_copies_leave_nothing_behind(device: mps.MTLDevice, copied, no_leaks: None) -> None:
    copied(conversion.layer(device, STACKS["stack"](np.random.default_rng(35)))).predict(
        frames(np.random.default_rng(35), STACKS["stack"](np.random.default_rng(35)))
    )
