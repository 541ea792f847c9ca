"""The bytes of an archive, taken apart by somebody who trusts nothing: header, objects of its JSON, tensors."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize

from .arguments import Float32Array, enum_member, finite_array, read_only_copy
from .errors import BadArgumentError

__all__ = ["ENTRY", "HEADER_MAXIMUM", "Fields", "Tensors", "header_size", "read_entry"]

ENTRY = "mpsrnn_cy"
"""The entry in the metadata of the file that holds our JSON."""

HEADER_MAXIMUM = 2**20
"""Bytes of JSON: enough for two hundred layers, and little enough to be parsed before anything else is known."""

# safetensors begins with the length of its header, 64 bits in little endian.
_LENGTH_SIZE = 8
# Characters of the longest integer in 64 bits, sign included; Python is slow to read, or refuses, thousands of digits.
_LONGEST_INTEGER = 20
# Of an error of a library, which may repeat what the file says at any length.
_LONGEST_MESSAGE = 200

# What safetensors calls the element types of cells, and how its bytes are laid out on every machine.
_DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}

_TYPES: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number with a decimal point",
    str: "a string",
    list: "an array",
    dict: "an object",
}

_ValueT = TypeVar("_ValueT")
_EnumT = TypeVar("_EnumT", bound=IntEnum)


class Fields:
    """An object of the JSON: its keys are checked at once, its values when they are taken.

    Parameters
    ----------
    value
        What the JSON has there.
    place
        Where that is.
    keys
        The keys it must have, and no others.
    """

    def __init__(self, value: object, place: str, keys: Sequence[str]) -> None:
        if not isinstance(value, dict):
            raise BadArgumentError(f"data: {place}: got {reprlib.repr(value)}, expected an object")
        missing = [key for key in keys if key not in value]
        unknown = [key for key in value if key not in keys]
        if missing or unknown:
            found = f"no {missing[0]!r}" if missing else f"an unknown {reprlib.repr(unknown[0])}"
            raise BadArgumentError(f"data: {place}: got {found}, expected the keys {', '.join(keys)}")
        self._value: dict[str, Any] = value
        self.place = place

    def where(self, key: str) -> str:
        """What messages call the value of a key."""
        return f"data: {self.place}.{key}"

    def take(self, key: str, expected: type[_ValueT]) -> _ValueT:
        """Get a value of exactly this type: true is no integer and 1 is no float."""
        value = self._value[key]
        if type(value) is not expected:
            raise BadArgumentError(f"{self.where(key)}: got {reprlib.repr(value)}, expected {_TYPES[expected]}")
        return value

    def take_enum(self, key: str, expected: type[_EnumT]) -> _EnumT:
        """Get a case of an enumeration, which the JSON has as its integer."""
        return enum_member(self.take(key, int), self.where(key), expected)

    def take_fields(self, key: str, keys: Sequence[str]) -> Fields:
        """Get an object within this one."""
        return Fields(self._value[key], f"{self.place}.{key}", keys)

    def take_optional_fields(self, key: str, keys: Sequence[str]) -> Fields | None:
        """Get an object within this one, None for null."""
        return None if self._value[key] is None else self.take_fields(key, keys)


class Tensors:
    """The tensors of an archive, each to be taken once."""

    def __init__(self, data: bytes) -> None:
        try:
            # The library sees to it that every tensor has the bytes its shape asks for, and every byte one tensor.
            self._left: dict[str, dict[str, Any]] = dict(deserialize(data))  # type: ignore[no-untyped-call]
        except SafetensorError as error:
            raise BadArgumentError(f"data: got no safetensors file: {str(error)[:_LONGEST_MESSAGE]}") from error

    def take(self, name: str, dtype: str, shape: Sequence[int | None]) -> npt.NDArray[Any]:
        """Get a tensor of finite numbers; where `shape` has None, any length but 0 will do."""
        where = f"data: {name}"
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise BadArgumentError(f"{where}: got no such tensor, expected one")
        if tensor["dtype"] != dtype:
            raise BadArgumentError(f"{where}: got elements of {tensor['dtype']}, expected {dtype}")
        found = tensor["shape"]
        if len(found) != len(shape) or not all(_fits(*sizes) for sizes in zip(found, shape, strict=True)):
            expected = ", ".join("any" if size is None else str(size) for size in shape)
            raise BadArgumentError(f"{where}: got shape {reprlib.repr(found)}, expected [{expected}]")
        array: npt.NDArray[Any] = np.frombuffer(tensor["data"], _DTYPES[dtype]).reshape(found)
        finite_array(array, where)
        return read_only_copy(array, array.dtype.newbyteorder("="))

    def take_channels(self, name: str, channels: int) -> Float32Array:
        """Get one float32 per channel."""
        return self.take(name, "F32", (channels,))

    def check_all_taken(self) -> None:
        """Refuse tensors that nothing has asked for."""
        if self._left:
            raise BadArgumentError(f"data: got an unknown tensor {reprlib.repr(min(self._left))}, expected none")


def _fits(found: int, expected: int | None) -> bool:
    return found > 0 if expected is None else found == expected


def header_size(data: bytes) -> int:
    """Length of the JSON at the beginning of a safetensors file, as the file has it."""
    return int.from_bytes(data[:_LENGTH_SIZE], "little")


def read_entry(data: bytes) -> object:
    """Read our entry in the metadata.

    The library will parse the header once more. It lets the last of duplicate keys win and ignores keys that it does
    not know, so that one file could say different things to different readers.
    """
    size, rest = header_size(data), len(data) - _LENGTH_SIZE
    if size > min(rest, HEADER_MAXIMUM):
        raise BadArgumentError(
            f"data: got {len(data)} bytes that begin with a header of {size}, "
            f"expected a whole header of at most {HEADER_MAXIMUM}"
        )
    header = _parse(data[_LENGTH_SIZE : _LENGTH_SIZE + size], "header")
    if not isinstance(header, dict):
        raise BadArgumentError(f"data: header: got {reprlib.repr(header)}, expected an object")
    metadata = Fields(header.pop("__metadata__", None), "__metadata__", (ENTRY,))
    for name, tensor in header.items():
        Fields(tensor, f"header: {reprlib.repr(name)}", ("dtype", "shape", "data_offsets"))
    # What cannot be encoded is not UTF-8 either, which is for _parse to say.
    return _parse(metadata.take(ENTRY, str).encode("utf-8", "surrogatepass"), ENTRY)


def _parse(text: bytes, place: str) -> Any:
    """Parse JSON by the letter: in UTF-8, with every key once and no number that JSON does not have."""
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_int=_integer, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise BadArgumentError(f"data: {place}: got no strict JSON: {str(error)[:_LONGEST_MESSAGE]}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"an integer of {len(digits)} characters")
    return int(digits)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
