"""Bytes that are no archive, or the archive of no possible layer: each is refused, and the message says why."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

import archives
import mpsrnn_cy as mps
from archives import CLASS, Parts
from mpsrnn_cy.archive import decode_layer
from mpsrnn_cy.archive_reader import HEADER_MAXIMUM
from mpsrnn_cy.convolution import WINDOW_MAXIMUM
from refusal import refused

Edit = Callable[[Parts], object]


@pytest.mark.parametrize("value", [None, "text", 5, [1, 2], np.zeros(9, np.float32), np.array([object()] * 9)])
def test_no_bytes(value: object) -> None:
    refused(lambda: decode_layer(value, CLASS), mps.BadTypeError, "data: got ")


def test_bytes_in_strides() -> None:
    data = memoryview(archives.archive(archives.single_gate()))[::2]
    refused(lambda: decode_layer(data, CLASS), mps.BadArgumentError, "data: got memory that is not C-contiguous")


def test_another_class() -> None:
    data = archives.archive(archives.single_gate())
    words = f"data: got an archive of '{CLASS}', expected one of Another"
    refused(lambda: decode_layer(data, "Another"), mps.BadArgumentError, words)


def test_truncated_anywhere() -> None:
    data = archives.archive(archives.single_gate())
    for length in range(len(data)):
        refused(lambda length=length: decode_layer(data[:length], CLASS), mps.BadArgumentError, "^data: ")


@pytest.mark.parametrize("more", [b"\0", b"\0" * 4096], ids=len)
def test_more_bytes_than_tensors(more: bytes) -> None:
    data = archives.archive(archives.single_gate()) + more
    refused(lambda: decode_layer(data, CLASS), mps.BadArgumentError, "no safetensors file: ")


def set_at(*path: str | int, value: object) -> Edit:
    """Set a value of the entry; the cells of `archives.stack` are what is changed."""

    def edit(parts: Parts) -> None:
        node = parts.entry
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return edit


def in_cell(index: int, *path: str | int, value: object) -> Edit:
    return set_at("cells", index, *path, value=value)


def in_gate(cell: int, gate: int, *path: str | int, value: object) -> Edit:
    return set_at("cells", cell, "gates", gate, *path, value=value)


def in_tensor(name: str, **values: object) -> Edit:
    return lambda parts: parts.header[name].update(values)


def with_numbers(name: str, numbers: np.ndarray) -> Edit:
    """Overwrite the first numbers of a tensor."""

    def edit(parts: Parts) -> None:
        start = parts.header[name]["data_offsets"][0]
        parts.data = parts.data[:start] + numbers.tobytes() + parts.data[start + numbers.nbytes :]

    return edit


def renamed(name: str, to: str) -> Edit:
    return lambda parts: parts.header.update({to: parts.header.pop(name)})


INPUT = "cells.0.gates.0.input.weights"
DIAGONAL = "cells.1.gates.1.diagonal"
RECURRENT = "cells.1.gates.2.recurrent.weights"
NEURON = {"type": 5, "a": 1.0, "b": 1.0, "c": 0.0}
CONVOLUTION = {"dilation": [1, 1], "groups": 1}

EDITS: dict[str, tuple[Edit, str]] = {
    "newer version": (set_at("version", value=3), "got an archive of version 3, which a newer release wrote"),
    "newer version, other keys": (lambda p: setattr(p, "entry", {"version": 7}), "version 7, which a newer release"),
    "older version": (set_at("version", value=0), "got an archive of version 0, expected 1"),
    "version of another type": (set_at("version", value=True), r"mpsrnn_cy\.version: got True, expected an integer"),
    "class of another type": (set_at("class", value=3), r"mpsrnn_cy\.class: got 3, expected a string"),
    "settings of another type": (set_at("settings", value=[]), r"settings: got \[\], expected an object"),
    "setting of another type": (set_at("settings", "label", value=1.5), "settings: 'label': got 1.5, expected true"),
    "setting too large": (set_at("settings", "label", value=2**64), "settings: 'label': got 18446744073709551616"),
    "entry is an array": (lambda p: setattr(p, "entry", []), r"mpsrnn_cy: got \[\], expected an object"),
    "unknown key": (set_at("author", value=1), "mpsrnn_cy: got an unknown 'author', expected the keys version"),
    "missing key": (lambda p: p.entry.pop("cells"), "mpsrnn_cy: got no 'cells'"),
    "no cells": (set_at("cells", value=[]), "cells: got an empty array"),
    "cell of another type": (in_cell(0, value=None), r"cells\.0: got None, expected an object"),
    "unknown key of a cell": (in_cell(1, "x" * 9999, value=1), r"cells\.1: got an unknown 'xxxxxxxxxxxx\.\.\.x+'"),
    "missing key of a cell": (lambda p: p.entry["cells"][1].pop("kind"), r"cells\.1: got no 'kind'"),
    "kind": (in_cell(0, "kind", value=3), r"cells\.0\.kind: got 3, expected a case of CellKind"),
    "another kind": (in_cell(0, "kind", value=2), "got flip_output_gates True and gate_pnorm_value 1.7 for LSTM"),
    "direction": (in_cell(0, "direction", value=2), r"cells\.0\.direction: got 2, expected a case of MPSRNNSequenceD"),
    "channel as float": (in_cell(0, "input_channels", value=3.0), r"input_channels: got 3\.0, expected an integer"),
    "no channels": (in_cell(0, "input_channels", value=0), r"cells\.0\.input_channels: got 0, expected an int from 1"),
    "many channels": (in_cell(0, "output_channels", value=8193), r"output_channels: got 8193, expected at most 8192"),
    "chain": (in_cell(0, "output_channels", value=4), r"cells\.0\.gates\.0\.bias: got shape \[8\], expected \[4\]"),
    "unequal unit": (in_cell(1, "input_channels", value=4), "got 4 input and 8 output channels, expected equal"),
    "flag as integer": (in_cell(0, "unit_transform", value=1), "unit_transform: got 1, expected true or false"),
    "p = 0": (in_cell(0, "gate_pnorm_value", value=0.0), "gate_pnorm_value: got 0.0, expected a number above 0"),
    "p of float64": (in_cell(0, "gate_pnorm_value", value=1e300), "gate_pnorm_value: got 1e.300, expected a finite"),
    "p as integer": (in_cell(0, "gate_pnorm_value", value=1), "got 1, expected a number with a decimal point"),
    "p of an LSTM": (in_cell(1, "gate_pnorm_value", value=2.0), "for LSTM, expected False and 1.0"),
    "flip of an LSTM": (in_cell(1, "flip_output_gates", value=True), "for LSTM, expected False and 1.0"),
    "output neuron of a GRU": (in_cell(0, "output_neuron", value=NEURON), "got one for GRU, expected the identity"),
    "sentinel": (in_cell(1, "output_neuron", "type", value=16), r"cells\.1\.output_neuron\.type: got 16"),
    "PReLU of an LSTM": (
        lambda p: (
            in_cell(1, "output_neuron", "type", value=10)(p),
            renamed(DIAGONAL, "cells.1.output_neuron.data")(p),
        ),
        r"cells\.1\.output_neuron: got PRELU, expected one set of parameters",
    ),
    "parameter of a neuron": (in_gate(0, 0, "neuron", "b", value="1"), r"neuron\.b: got '1', expected a number with"),
    "PReLU without data": (in_gate(0, 1, "neuron", "type", value=10), r"gates\.1\.neuron\.data: got no such tensor"),
    "data without PReLU": (in_gate(0, 0, "neuron", "type", value=1), r"unknown tensor 'cells\.0\.gat.*\.neuron\.data'"),
    "gates missing": (lambda p: p.entry["cells"][0]["gates"].pop(), r"cells\.0\.gates: got 2, expected the 3 of GRU"),
    "gates of another type": (in_cell(0, "gates", value={}), r"cells\.0\.gates: got \{\}, expected an array"),
    "convolution of another type": (in_gate(0, 0, "input", value=[]), r"gates\.0\.input: got \[\], expected an object"),
    "key of a convolution": (in_gate(0, 0, "input", "stride", value=1), r"gates\.0\.input: got an unknown 'stride'"),
    "no groups": (in_gate(0, 0, "input", "groups", value=0), r"input\.groups: got 0, expected an int from 1"),
    "odd groups": (in_gate(0, 2, "recurrent", "groups", value=4), "got 4 groups for 8 input channels, expected each"),
    "other groups": (in_gate(0, 2, "recurrent", "groups", value=1), r"got shape \[8, 1, 1, 4\], expected \[8, any, an"),
    "no dilation": (in_gate(0, 0, "input", "dilation", value=[1, 0]), r"input\.dilation: got 0, expected an int from"),
    "one dilation": (in_gate(0, 0, "input", "dilation", value=[1]), r"dilation: got \[1\], expected \[y, x\], two int"),
    "dilation as float": (in_gate(0, 0, "input", "dilation", value=[1, 1.0]), r"dilation: got \[1, 1\.0\], expected"),
    "reach": (
        in_gate(0, 0, "input", "dilation", value=[1, WINDOW_MAXIMUM // 2 + 1]),
        rf"got a kernel of \(3, 2\) with dilation \(1, 16384\) .* at most {WINDOW_MAXIMUM} pixels",
    ),
    "input in unit-transform mode": (
        lambda p: (
            in_gate(1, 1, "input", value=CONVOLUTION)(p),
            in_gate(1, 2, "recurrent", value=None)(p),
            renamed(RECURRENT, "cells.1.gates.1.input.weights")(p),
        ),
        r"cells\.1\.gates\.1\.input: got weights in unit-transform mode",
    ),
    "bias without input": (in_cell(1, "unit_transform", value=False), "got a bias or a neuron without input weights"),
    "neuron without input": (in_gate(0, 1, "neuron", value=NEURON), "got a bias or a neuron without input weights"),
    "memory of a reset gate": (
        lambda p: (
            in_gate(0, 1, "memory", value=CONVOLUTION)(p),
            in_gate(0, 2, "memory", value=None)(p),
            renamed("cells.0.gates.2.memory.weights", "cells.0.gates.1.memory.weights")(p),
        ),
        r"cells\.0\.gates\.1: got memory weights, expected none in this gate of GRU",
    ),
    "diagonal of a GRU": (
        lambda p: (
            in_gate(0, 2, "diagonal", value=True)(p),
            in_gate(1, 1, "diagonal", value=False)(p),
            renamed(DIAGONAL, "cells.0.gates.2.diagonal")(p),
        ),
        r"gates\.2\.diagonal: got true for GRU, expected it for LSTM alone",
    ),
    "both kinds of memory": (
        lambda p: (
            in_gate(1, 2, "recurrent", value=None)(p),
            in_gate(1, 2, "memory", value=CONVOLUTION)(p),
            renamed(RECURRENT, "cells.1.gates.2.memory.weights")(p),
        ),
        r"cells\.1\.gates: got memory weights and diagonal ones",
    ),
    "diagonal not rounded": (with_numbers(DIAGONAL, np.float32([0.1])), r"diagonal: got numbers that float16 does not"),
    "diagonal too large": (with_numbers(DIAGONAL, np.float32([1e6])), r"diagonal: got numbers that float16 does not"),
    "float32 NaN": (with_numbers(INPUT, np.float32([np.nan])), r"input\.weights: got nan at index \(0, 0, 0, 0\)"),
    "float16 infinity": (with_numbers(RECURRENT, np.float16([-np.inf])), r"recurrent\.weights: got -inf at index"),
    "bias NaN": (with_numbers("cells.0.gates.0.bias", np.float32([1, np.nan])), r"bias: got nan at index \(1,\)"),
    "PReLU NaN": (with_numbers("cells.0.gates.0.neuron.data", np.float32([np.inf])), r"neuron\.data: got inf at ind"),
    "precision": (in_cell(1, "use_float32_weights", value=True), "weights: got elements of F16, expected F32"),
    "element type": (in_tensor(RECURRENT, dtype="BF16"), "weights: got elements of BF16, expected F16"),
    "big endian": (in_tensor(RECURRENT, dtype=">F16"), "no safetensors file: "),
    "unknown tensor": (renamed(RECURRENT, "x" * 9999), r"gates\.2\.recurrent\.weights: got no such tensor"),
    "spare tensor": (in_gate(1, 1, "bias", value=False), r"got an unknown tensor 'cells\.1\.gates\.1\.bias', expected"),
    "tensor name": (renamed(RECURRENT, "cells.01.gates.2.recurrent.weights"), "got no such tensor, expected one"),
    "transposed": (in_tensor(INPUT, shape=[3, 3, 2, 8]), r"got shape \[3, 3, 2, 8\], expected \[8, any, any, 3\]"),
    "flat": (in_tensor(INPUT, shape=[144]), r"got shape \[144\], expected \[8, any, any, 3\]"),
    "more axes": (in_tensor(INPUT, shape=[8, 3, 2, 3, 1]), r"got shape \[8, 3, 2, 3, 1\], expected \[8, any, any, 3\]"),
    "bias of two axes": (in_tensor("cells.0.gates.0.bias", shape=[8, 1]), r"got shape \[8, 1\], expected \[8\]"),
    "huge shape": (in_tensor(INPUT, shape=[8, 2**40, 2**40, 3]), "no safetensors file: "),
    "large shape": (in_tensor(INPUT, shape=[8, 2**20, 2, 3]), "no safetensors file: "),
    "shape above 64 bits": (in_tensor(INPUT, shape=[2**65]), "no safetensors file: "),
    "negative shape": (in_tensor(INPUT, shape=[-8, 3, 2, -3]), "no safetensors file: "),
    "empty kernel": (
        lambda p: (
            in_gate(1, 3, "recurrent", value=CONVOLUTION)(p),
            p.header.update(
                {"cells.1.gates.3.recurrent.weights": {"dtype": "F16", "shape": [8, 0, 1, 8], "data_offsets": [0, 0]}}
            ),
        ),
        r"got shape \[8, 0, 1, 8\], expected \[8, any, any, 8\]",
    ),
    "key of a tensor": (in_tensor(INPUT, order="C"), r"header: 'cells.*weights': got an unknown 'order'"),
    "overlapping offsets": (in_tensor(RECURRENT, data_offsets=[0, 256]), "no safetensors file: "),
    "offsets backwards": (in_tensor(INPUT, data_offsets=[576, 0]), "no safetensors file: "),
    "offsets beyond the end": (in_tensor(INPUT, data_offsets=[2**62, 2**62 + 576]), "no safetensors file: "),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited(name: str) -> None:
    edit, words = EDITS[name]
    parts = archives.unpack(archives.archive(archives.stack()))
    edit(parts)
    refused(lambda: decode_layer(archives.pack(parts), CLASS), mps.BadArgumentError, f"^data: .*{words}")


def test_channels_of_a_stack_fit() -> None:
    parts = archives.unpack(archives.archive(archives.bidirectional()))
    parts.entry["cells"][1]["direction"] = 0
    words = r"cells\.1: got 2 input channels, expected the 3 output channels of the layer below"
    refused(lambda: decode_layer(archives.pack(parts), CLASS), mps.BadArgumentError, words)


def bomb(opening: str, inner: str, closing: str) -> str:
    """As much JSON as a header may hold."""
    # Within a header the entry is a string, where quotes take two bytes.
    return opening + inner * ((HEADER_MAXIMUM - 2000) // (len(json.dumps(inner)) - 2)) + closing


def doubled(text: str) -> str:
    """Every key of the outermost object twice."""
    return "{" + text[1:-1] + "," + text[1:]


ENTRY_TEXT = json.dumps(archives.unpack(archives.archive(archives.single_gate())).entry)
TENSOR_TEXT = '"t":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
METADATA_TEXT = '"__metadata__":{"mpsrnn_cy":"{}"}'

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "got 0 bytes"),
    "no header": (b"\0\0\0\0\0\0\0\0", "header: got no strict JSON"),
    "largest length": (b"\xff" * 64, "begin with a header of 18446744073709551615"),
    "length in big endian": ((64).to_bytes(8, "big") + b" " * 64, "begin with a header of 4611686018427387904"),
    "header too long": (
        archives.with_header(b" " * (HEADER_MAXIMUM + 1)),
        "expected a whole header of at most 1048576",
    ),
    "UTF-16": (archives.with_header("{}".encode("utf-16")), "header: got no strict JSON: 'utf-8' codec"),
    "no UTF-8": (archives.with_header(b'{"\xff": 1}'), "header: got no strict JSON: 'utf-8' codec"),
    "byte order mark": (archives.with_header("\ufeff{}"), "header: got no strict JSON: Unexpected UTF-8 BOM"),
    "array": (archives.with_header("[]"), r"header: got \[\], expected an object"),
    "no metadata": (archives.with_header("{}"), "__metadata__: got None, expected an object"),
    "metadata is null": (archives.with_header('{"__metadata__":null}'), "__metadata__: got None, expected an object"),
    "other metadata": (archives.with_header('{"__metadata__":{"format":"pt"}}'), "__metadata__: got no 'mpsrnn_cy'"),
    "more metadata": (
        archives.with_header('{"__metadata__":{"mpsrnn_cy":"{}","format":"pt"}}'),
        "__metadata__: got an unknown 'format'",
    ),
    "entry is no string": (archives.with_header('{"__metadata__":{"mpsrnn_cy":{}}}'), "got {}, expected a string"),
    "tensor is null": (archives.with_header(f'{{{METADATA_TEXT},"t":null}}'), "header: 't': got None, expected an obj"),
    "tensor twice": (archives.with_header(f"{{{METADATA_TEXT},{TENSOR_TEXT},{TENSOR_TEXT}}}"), "a key occurs twice"),
    "metadata twice": (archives.with_header(f"{{{METADATA_TEXT},{METADATA_TEXT}}}"), "a key occurs twice"),
    "entry twice": (archives.with_entry(doubled(ENTRY_TEXT)), "mpsrnn_cy: got no strict JSON: a key occurs twice"),
    "key of a neuron twice": (
        archives.with_entry(ENTRY_TEXT.replace('"a": 0.0', '"a": 0.0, "a": 1.0')),
        "occurs twice",
    ),
    "NaN": (archives.with_entry(ENTRY_TEXT.replace('"a": 0.0', '"a": NaN')), "NaN is no number"),
    "-Infinity": (archives.with_entry(ENTRY_TEXT.replace('"a": 0.0', '"a": -Infinity')), "-Infinity is no number"),
    "1e999": (
        archives.with_entry(ENTRY_TEXT.replace('"a": 0.0', '"a": 1e999')),
        "neuron.a: got inf, expected a finite",
    ),
    "half a surrogate": (archives.with_entry("\ud800"), "mpsrnn_cy: got no strict JSON: 'utf-8' codec"),
    "pickle": (b"\x80\x04\x95" + b"\0" * 64, "begin with a header of"),
    "deep arrays": (archives.with_entry(bomb("", "[", "")), "mpsrnn_cy: got no strict JSON: maximum recursion"),
    "deep objects": (archives.with_entry(bomb("", '{"":', "")), "mpsrnn_cy: got no strict JSON: maximum recursion"),
    "deep header": (archives.with_header(bomb("", "[", "")), "header: got no strict JSON: maximum recursion"),
    "deep within limits": (archives.with_entry('{"version":' + "[" * 400 + "]" * 400 + "}"), "got no 'class'"),
    "many arrays": (archives.with_entry(bomb("[", "[],", "0]")), r"mpsrnn_cy: got \[\[\], \[\]"),
    "many objects": (archives.with_header(bomb("[", "{},", "0]")), r"header: got \[\{\}, \{\}"),
    "many digits": (archives.with_entry(bomb("", "7", "")), "an integer of 10[0-9]+ characters"),
    "many decimals": (archives.with_entry(bomb("0.", "7", "")), r"mpsrnn_cy: got 0\.7777777777777778, expected an obj"),
    "many cells": (
        archives.with_entry(ENTRY_TEXT.replace('"cells": [', bomb('"cells": [', "0,", ""))),
        "cells.0: got 0",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_hostile_file(name: str) -> None:
    data, words = FILES[name]
    tracemalloc.start()
    try:
        refused(lambda: decode_layer(data, CLASS), mps.BadArgumentError, f"^data: .*{words}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # What a header of the largest size can be made to take: an object of some 64 bytes for every three characters.
    assert peak < 2**20 + 40 * len(data)
