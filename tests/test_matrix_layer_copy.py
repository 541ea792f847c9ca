"""Copies of a matrix layer: on a device, as bytes, in another process. All give the same bits."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mpsrnn_cy as mps
import oracle
from matrices import assert_same_bits, layer
from matrix_stacks import STACKS
from mpsrnn_cy.archive import encode_layer
from mpsrnn_cy.cells import read_cells
from refusal import refused

Mode = mps.MPSRNNBidirectionalCombineMode
Layer = mps.MPSRNNMatrixInferenceLayer

COPIES = {
    "copy()": lambda network: network.copy(),
    "copy() on another device object": lambda network: network.copy(mps.MTLCopyAllDevices()[0]),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda network: pickle.loads(pickle.dumps(network)),
    "bytes": lambda network: Layer.from_bytes(network.to_bytes()),
}


@pytest.fixture(params=STACKS)
def cells(request: pytest.FixtureRequest) -> list[oracle.Cell]:
    return STACKS[request.param](np.random.default_rng(30))


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def copied(request: pytest.FixtureRequest):
    return request.param


def array(cells: list[oracle.Cell]) -> np.ndarray:
    return np.random.default_rng(31).standard_normal((4, 3, cells[0].inputs)).astype(np.float32)


def test_same_bits(device: mps.MTLDevice, cells: list[oracle.Cell], copied) -> None:
    network = layer(device, cells)
    expected, state = network.predict(array(cells), return_state=True)
    other = copied(network)
    assert type(other) is Layer
    assert other is not network
    assert_same_bits(other.predict(array(cells)), expected)
    if other.device is device:
        assert_same_bits(other.predict(array(cells), state), network.predict(array(cells), state))


def test_settings_go_along_and_part(device: mps.MTLDevice, copied) -> None:
    def settings(network: Layer) -> tuple:
        return (
            network.label,
            network.options,
            network.store_all_intermediate_states,
            network.recurrent_output_is_temporary,
            network.bidirectional_combine_mode,
        )

    network = layer(device, STACKS["lstm"](np.random.default_rng(32)))
    network.label = "wörds"
    network.options = mps.MPSKernelOptions.VERBOSE
    network.store_all_intermediate_states = True
    network.recurrent_output_is_temporary = True
    network.bidirectional_combine_mode = Mode.ADD
    before = settings(network)
    assert before == ("wörds", mps.MPSKernelOptions.VERBOSE, True, True, Mode.ADD)
    other = copied(network)
    assert settings(other) == before
    other.label = None
    other.options = mps.MPSKernelOptions.NONE
    other.store_all_intermediate_states = False
    other.recurrent_output_is_temporary = False
    other.bidirectional_combine_mode = Mode.NONE
    assert settings(network) == before


def test_file_read_by_another_process(device: mps.MTLDevice, cells: list[oracle.Cell], tmp_path: Path) -> None:
    network = layer(device, cells)
    network.save(tmp_path / "layer.safetensors")
    np.save(tmp_path / "x.npy", array(cells))
    program = """
import sys, numpy as np, mpsrnn_cy as mps
layer = mps.MPSRNNMatrixInferenceLayer.load(sys.argv[1] + "/layer.safetensors")
np.save(sys.argv[1] + "/y.npy", layer.predict(np.load(sys.argv[1] + "/x.npy")))
"""
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)
    assert_same_bits(np.load(tmp_path / "y.npy"), network.predict(array(cells)))


def test_same_layer_gives_same_bytes(device: mps.MTLDevice, cells: list[oracle.Cell]) -> None:
    data = layer(device, cells).to_bytes()
    assert data == Layer.from_bytes(data).to_bytes()


def convolution(kernel: int) -> mps.MPSRNNSingleGateDescriptor:
    descriptor = mps.MPSRNNSingleGateDescriptor.create_rnn_single_gate_descriptor(1, 1)
    descriptor.input_weights = mps.ArrayDataSource(np.ones((1, kernel, 1, 1), np.float32))
    return descriptor


def test_archives_of_other_classes(device: mps.MTLDevice) -> None:
    data = mps.MPSRNNImageInferenceLayer(device, convolution(1)).to_bytes()
    words = "^data: got an archive of 'MPSRNNImageInferenceLayer', expected one of MPSRNNMatrixInferenceLayer$"
    refused(lambda: Layer.from_bytes(data), mps.BadArgumentError, words)
    with pytest.raises(mps.BadArgumentError, match=r"^data: got an archive of 'MPSRNNMatrixInferenceLayer', expected"):
        mps.MPSRNNImageInferenceLayer.from_bytes(Layer(device, convolution(1)).to_bytes())


def test_an_archive_is_held_against_what_matrices_allow() -> None:
    """What says that it is a matrix layer may have been made by hand."""
    data = encode_layer("MPSRNNMatrixInferenceLayer", read_cells([convolution(3)]), {})
    refused(lambda: Layer.from_bytes(data), mps.BadArgumentError, r"^data: .*input: got a kernel of \(3, 1\), expected")


def test_copies_leave_nothing_behind(device: mps.MTLDevice, copied, no_leaks: None) -> None:
    cells = STACKS["lstm"](np.random.default_rng(35))
    copied(layer(device, cells)).predict(array(cells))
