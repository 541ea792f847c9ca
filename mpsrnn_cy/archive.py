"""Layers as bytes: what NSSecureCoding is for. Nothing that an archive holds is ever executed.

An archive is a safetensors file, so that other programs can look into it. Its arrays are tensors named by their place,
like ``cells.0.gates.1.input.weights``; everything else is JSON in one entry of the metadata::

    "mpsrnn_cy": {"version": 2, "class": "MPSRNNImageInferenceLayer", "settings": {...}, "cells": [...]}

What is read may come from anybody. It is held against everything that reading data sources would have guaranteed, and
nothing is allocated that the bytes at hand do not cover.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from safetensors.numpy import save

from .archive_reader import ENTRY, HEADER_MAXIMUM, Fields, Tensors, header_size, read_entry
from .archive_schema import build_cells, describe_cells
from .arguments import Buffer, buffer_view
from .cells import IMAGE_CELLS, MATRIX_CELLS, TRAINING_CELLS, Cell, CellFamily
from .errors import BadArgumentError, BadTypeError

__all__ = ["VERSION", "Setting", "archived_class", "decode_layer", "encode_layer"]

Setting: TypeAlias = bool | int | str | list[Any] | None
"""The value of a property that is archived with a layer; a structure of Apple's is a list of such."""

VERSION = 2
"""Of the JSON and of the names of tensors; one more with every change that older releases would misread or refuse.

Version 1 had three settings and no lists among them; it is read too."""

# What the cells of a class may be, where they are not an image layer's.
_FAMILIES: dict[str, CellFamily] = {
    "MPSRNNMatrixInferenceLayer": MATRIX_CELLS,
    "MPSRNNMatrixTrainingLayer": TRAINING_CELLS,
}

_KEYS = ("version", "class", "settings", "cells")
_SETTING_MINIMUM, _SETTING_MAXIMUM = -(2**63), 2**64 - 1
_SETTING_DEPTH = 2


def encode_layer(class_name: str, cells: Sequence[Cell], settings: Mapping[str, Setting]) -> bytes:
    """Write a layer.

    Parameters
    ----------
    class_name
        The class of the layer.
    cells
        What `read_cells` made of its descriptors.
    settings
        Its other properties, by name.

    Returns
    -------
    bytes
        The archive; equal for equal arguments.

    Raises
    ------
    BadArgumentError
        If `decode_layer` would refuse the archive: too many channels, or more layers than a header may describe.
    BadTypeError
        If a setting has a value that no archive can hold.
    """
    for name, value in settings.items():
        if not _is_setting(value):
            expected = "a bool, an int of 64 bits, a str, None or a list of such"
            raise BadTypeError(f"settings.{name}: got {value!r} ({type(value).__name__}), expected {expected}")
    descriptions, tensors = describe_cells(cells)
    entry = {"version": VERSION, "class": class_name, "settings": dict(settings), "cells": descriptions}
    text = json.dumps(entry, allow_nan=False, separators=(",", ":"), sort_keys=True)
    data: bytes = save(tensors, {ENTRY: text})
    if header_size(data) > HEADER_MAXIMUM:
        raise BadArgumentError(
            f"cells: got {len(cells)} layers whose description, settings included, takes {header_size(data)} bytes, "
            f"expected at most {HEADER_MAXIMUM}"
        )
    return data


def decode_layer(data: Buffer, class_name: str) -> tuple[list[Cell], dict[str, Setting]]:
    """Read a layer from bytes of any origin.

    Parameters
    ----------
    data
        What `encode_layer` returned, in any buffer of bytes.
    class_name
        The class of the layer.

    Returns
    -------
    cells, settings
        What was given to `encode_layer`. Which settings there must be is left to the layer to check.

    Raises
    ------
    BadArgumentError
        If `data` is not an archive of this class such as `encode_layer` makes; the message says where it is not.
    BadTypeError
        If `data` is no buffer of bytes.
    """
    archive, fields = _opened(data)
    found = fields.take("class", str)
    if found != class_name:
        raise BadArgumentError(f"data: got an archive of {reprlib.repr(found)}, expected one of {class_name}")
    settings = fields.take("settings", dict)
    for name, value in settings.items():
        if not _is_setting(value):
            where = f"data: {ENTRY}.settings: {reprlib.repr(name)}"
            expected = "true, false, an integer of 64 bits, a string, null or an array of such"
            raise BadArgumentError(f"{where}: got {reprlib.repr(value)}, expected {expected}")
    tensors = Tensors(archive)
    cells = build_cells(fields.take("cells", list), tensors, _FAMILIES.get(class_name, IMAGE_CELLS))
    tensors.check_all_taken()
    return cells, settings


def archived_class(data: Buffer) -> str:
    """Read which class of layer an archive says it holds; anything may be said there.

    Raises
    ------
    BadArgumentError
        If `data` does not begin like an archive.
    """
    _, fields = _opened(data)
    return fields.take("class", str)


def _opened(data: Buffer) -> tuple[bytes, Fields]:
    """The bytes of an archive, and its entry of this version."""
    view = buffer_view(data, "data", np.uint8)
    archive = data if type(data) is bytes else view.tobytes()
    return archive, _current(read_entry(archive))


def _current(entry: object) -> Fields:
    """Check the version before anything that depends on it."""
    version = entry.get("version") if isinstance(entry, dict) else None
    if type(version) is int and version > VERSION:
        raise BadArgumentError(
            f"data: got an archive of version {version}, which a newer release wrote, expected at most {VERSION}"
        )
    fields = Fields(entry, ENTRY, _KEYS)
    if fields.take("version", int) < 1:
        raise BadArgumentError(f"data: got an archive of version {version}, expected 1 to {VERSION}")
    return fields


def _is_setting(value: object, depth: int = _SETTING_DEPTH) -> bool:
    if isinstance(value, int):
        return _SETTING_MINIMUM <= value <= _SETTING_MAXIMUM
    if isinstance(value, list):
        return depth > 0 and all(_is_setting(item, depth - 1) for item in value)
    return value is None or isinstance(value, str)
