"""Layers become bytes and come back bit by bit."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archives
import conversion
import mpsrnn_cy as mps
import strategies
from archives import CLASS, SETTINGS
from mpsrnn_cy import archive_schema
from mpsrnn_cy.archive import VERSION, decode_layer, encode_layer
from mpsrnn_cy.archive_reader import HEADER_MAXIMUM
from mpsrnn_cy.cells import CHANNELS_MAXIMUM, Cell, GateWeights, read_cells
from mpsrnn_cy.weight_reader import ConvolutionWeights, Neuron
from refusal import refused

SAMPLES = {
    "single gate": archives.single_gate,
    "stack": archives.stack,
    "bidirectional": archives.bidirectional,
}


# Round trips --------------------------------------------------------------------------------------------------


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=strategies.cases(max_steps=1), direction=st.sampled_from(mps.MPSRNNSequenceDirection))
def test_any_stack(case: strategies.Case, direction: mps.MPSRNNSequenceDirection) -> None:
    descriptors = [conversion.descriptor(cell) for cell in case.cells]
    for descriptor in descriptors:
        descriptor.layer_sequence_direction = direction
    cells = read_cells(descriptors)
    data = encode_layer(CLASS, cells, SETTINGS)
    found, found_settings = decode_layer(data, CLASS)
    archives.assert_same(found, cells)
    assert found_settings == SETTINGS
    assert encode_layer(CLASS, found, found_settings) == data
    archives.assert_same(found, archives.reread(found))


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples(sample: str) -> None:
    cells = SAMPLES[sample]()
    found, found_settings = decode_layer(archives.archive(cells), CLASS)
    archives.assert_same(found, cells)
    assert found_settings == SETTINGS
    assert [type(value) for value in found_settings.values()] == [type(SETTINGS[name]) for name in found_settings]


def test_settings_in_any_order_make_the_same_bytes() -> None:
    backwards = dict(reversed(SETTINGS.items()))
    assert encode_layer(CLASS, archives.stack(), backwards) == archives.archive(archives.stack())


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_any_buffer_of_bytes(wrap: Callable[[bytes], mps.arguments.Buffer]) -> None:
    found, _ = decode_layer(wrap(archives.archive(archives.stack())), CLASS)
    archives.assert_same(found, archives.stack())


def test_arrays_do_not_refer_to_the_bytes() -> None:
    data = bytearray(archives.archive(archives.stack()))
    found, _ = decode_layer(data, CLASS)
    data[:] = bytes(len(data))
    archives.assert_same(found, archives.stack())


@pytest.mark.parametrize("value", [0.1, -0.0, 1e-45, 3.4028234663852886e38, 1 / 3, np.float32(0.1), 5e-324])
def test_parameters_keep_every_bit(value: float) -> None:
    lstm = mps.MPSLSTMDescriptor.create_lstm_descriptor(1, 1)
    lstm.cell_to_output_neuron_param_b = value
    found, _ = decode_layer(archives.archive(read_cells([lstm])), CLASS)
    assert repr(found[0].output_neuron.b) == repr(float(value))


def test_another_process_reads_it() -> None:
    program = (
        "import sys; from mpsrnn_cy.archive import decode_layer, encode_layer;"
        f"sys.stdout.buffer.write(encode_layer({CLASS!r}, *decode_layer(sys.stdin.buffer.read(), {CLASS!r})))"
    )
    data = archives.archive(archives.stack())
    run = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert run.stdout == data


def test_layout() -> None:
    parts = archives.unpack(archives.archive(archives.stack()))
    assert set(parts.header) == {
        "cells.0.gates.0.bias",
        "cells.0.gates.0.input.weights",
        "cells.0.gates.0.neuron.data",
        "cells.0.gates.2.memory.weights",
        "cells.0.gates.2.recurrent.weights",
        "cells.1.gates.1.bias",
        "cells.1.gates.1.diagonal",
        "cells.1.gates.2.recurrent.weights",
    }
    assert parts.entry["version"] == VERSION == 2
    assert parts.entry["cells"][0]["gates"][0]["input"] == {"dilation": [2, 3], "groups": 1}


def test_every_field_is_archived() -> None:
    def names(of: type) -> list[str]:
        return [field.name for field in dataclasses.fields(of)]

    assert list(archive_schema._CELL) == names(Cell)
    assert list(archive_schema._GATE) == names(GateWeights)
    # The weights and the data are tensors; bias and neuron of a convolution are those of its gate.
    assert sorted((*archive_schema._CONVOLUTION, "weights", "bias", "neuron")) == sorted(names(ConvolutionWeights))
    assert [*archive_schema._NEURON, "data"] == names(Neuron)


# What is not written ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.5, 2**64, -(2**63) - 1, b"bytes", (1,), [1.5], [[[1]]], np.bool_(True)])
def test_settings_that_no_archive_holds(value: object) -> None:
    refused(lambda: encode_layer(CLASS, archives.single_gate(), {"name": value}), mps.BadTypeError, r"settings\.name: ")


def test_header_that_would_not_be_read() -> None:
    longest = {"label": "x" * (HEADER_MAXIMUM - 2000)}
    found, found_settings = decode_layer(encode_layer(CLASS, archives.single_gate(), longest), CLASS)
    assert found_settings == longest
    too_long = {"label": "x" * HEADER_MAXIMUM}
    refused(lambda: encode_layer(CLASS, found, too_long), mps.BadArgumentError, "cells: got 1 layers whose description")


def test_channels_that_would_not_be_read() -> None:
    def cells(channels: int) -> list[Cell]:
        return read_cells([mps.MPSGRUDescriptor.create_gru_descriptor(channels, 1)])

    found, _ = decode_layer(archives.archive(cells(CHANNELS_MAXIMUM)), CLASS)
    archives.assert_same(found, cells(CHANNELS_MAXIMUM))
    refused(
        lambda: archives.archive(cells(CHANNELS_MAXIMUM + 1)),
        mps.BadArgumentError,
        "got 8193 input and 1 output channels",
    )
