"""Checks of single arguments: each returns the value in its plain form, or says what came and what was expected."""

from __future__ import annotations

import functools
import operator
from enum import IntEnum, IntFlag
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from .errors import BadArgumentError, BadTypeError

__all__ = [
    "INTEGER_MAXIMUM",
    "Buffer",
    "Float32Array",
    "boolean",
    "buffer_view",
    "described",
    "enum_member",
    "finite_array",
    "finite_float32",
    "instance_of",
    "integer",
    "label",
    "option_set",
    "positive_real",
    "read_only_copy",
    "real",
    "span",
]

Buffer: TypeAlias = bytes | bytearray | memoryview | npt.NDArray[Any]
"""Memory of known length; any object with the buffer protocol works."""

Float32Array: TypeAlias = npt.NDArray[np.float32]

INTEGER_MAXIMUM = 2**31 - 1
"""Largest count accepted: kernels index with 32 bits."""

_EnumT = TypeVar("_EnumT", bound=IntEnum)
_FlagT = TypeVar("_FlagT", bound=IntFlag)
_T = TypeVar("_T")

_FLOAT32_MAXIMUM = float(np.finfo(np.float32).max)

# Formats of memoryview whose elements are bytes without a meaning of their own.
_RAW_FORMATS = ("B", "b", "c")


def integer(value: object, name: str, *, minimum: int = 0, maximum: int = INTEGER_MAXIMUM) -> int:
    """Check a count: an integer from `minimum` to `maximum`; booleans and floats are refused."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise BadTypeError(f"{name}: got {value!r} ({type(value).__name__}), expected an int")
    try:
        number = operator.index(value)
    except TypeError as error:
        # Arrays have __index__ and refuse to use it unless they hold one integer.
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected an int") from error
    if not minimum <= number <= maximum:
        raise BadArgumentError(f"{name}: got {number}, expected an int from {minimum} to {maximum}")
    return number


def span(first: object, count: object, limit: int, name: str) -> tuple[int, int]:
    """Check that `count` things, at least one, from number `first` on are among `limit` of them."""
    start = integer(first, f"{name}: first")
    length = integer(count, f"{name}: count", minimum=1)
    if start + length > limit:
        raise BadArgumentError(f"{name}: got {length} from {start}, expected to end within {limit}")
    return start, length


def real(value: object, name: str) -> float:
    """Check a parameter that kernels hold as float32: a real number that float32 can hold, neither NaN nor infinite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise BadTypeError(f"{name}: got {value!r} ({type(value).__name__}), expected a float")
    # Python's own numbers compare exactly; NumPy's would round the limit to their type.
    number = int(value) if isinstance(value, (int, np.integer)) else float(value)
    if not abs(number) <= _FLOAT32_MAXIMUM:
        raise BadArgumentError(f"{name}: got {value!r}, expected a finite number in the range of float32")
    return float(number)


def positive_real(value: object, name: str) -> float:
    """Check a parameter like `real` that must still be above 0 when rounded to float32."""
    number = real(value, name)
    if not np.float32(number) > 0:
        raise BadArgumentError(f"{name}: got {value!r}, expected a number above 0 in float32")
    return number


def boolean(value: object, name: str) -> bool:
    """Check a flag: True or False and nothing that merely has a truth value."""
    if not isinstance(value, (bool, np.bool_)):
        raise BadTypeError(f"{name}: got {value!r} ({type(value).__name__}), expected a bool")
    return bool(value)


def enum_member(value: object, name: str, enum_type: type[_EnumT]) -> _EnumT:
    """Check a case of `enum_type`, given as the case or as its integer; sentinels are refused."""
    wrong_type = isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer))
    if wrong_type or (isinstance(value, IntEnum) and not isinstance(value, enum_type)):
        raise BadTypeError(f"{name}: got {value!r} ({type(value).__name__}), expected a case of {enum_type.__name__}")
    cases = [case for case in enum_type if case.name != "COUNT"]
    for case in cases:
        if case == value:
            return case
    expected = ", ".join(f"{case.name} ({case.value})" for case in cases)
    raise BadArgumentError(f"{name}: got {value!r}, expected a case of {enum_type.__name__}: {expected}")


def option_set(value: object, name: str, flag_type: type[_FlagT]) -> _FlagT:
    """Check a set of bits of `flag_type`, given as such or as an integer; bits that it does not have are refused."""
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    if not is_integer or (isinstance(value, IntFlag) and not isinstance(value, flag_type)):
        raise BadTypeError(f"{name}: got {value!r} ({type(value).__name__}), expected a set of {flag_type.__name__}")
    bits = operator.index(value)  # type: ignore[arg-type]
    known = functools.reduce(operator.or_, flag_type)
    if bits & ~int(known):
        cases = ", ".join(f"{case.name} ({case.value})" for case in flag_type.__members__.values())
        raise BadArgumentError(f"{name}: got {value!r}, expected a set of {flag_type.__name__}: {cases}")
    return flag_type(bits)


def instance_of(value: object, name: str, expected: type[_T]) -> _T:
    """Check that `value` is an instance of `expected`."""
    if not isinstance(value, expected):
        found = f"array of shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)
        raise BadTypeError(f"{name}: got {found} ({type(value).__name__}), expected {expected.__name__}")
    return value


def label(value: object) -> str | None:
    """Check a name for people: text, or None for none."""
    if value is not None and not isinstance(value, str):
        raise BadTypeError(f"label: got {value!r} ({type(value).__name__}), expected str or None")
    return value


def buffer_view(value: object, name: str, dtype: npt.DTypeLike, count: int | None = None) -> npt.NDArray[Any]:
    """See the memory of `value` as a flat array of `dtype`, without a copy.

    Parameters
    ----------
    value
        An object with the buffer protocol, C-contiguous. Raw bytes are taken as they are; anything whose elements have
        a type must have `dtype` in native byte order: nothing is converted.
    name
        What messages call the value.
    dtype
        The element type.
    count
        The exact number of elements; None accepts any number above 0.
    """
    expected = np.dtype(dtype)
    try:
        memory = memoryview(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError) as error:
        raise BadTypeError(
            f"{name}: got a {type(value).__name__}, expected a buffer of {expected} (bytes, memoryview, ndarray)"
        ) from error
    if not memory.c_contiguous:
        raise BadArgumentError(f"{name}: got memory that is not C-contiguous, expected C-contiguous {expected}")
    is_raw = not isinstance(value, np.ndarray) and memory.format in _RAW_FORMATS
    found = expected if is_raw else np.asarray(memory).dtype
    if found != expected:
        raise BadTypeError(f"{name}: got elements of {described(found)}, expected {expected}")
    wanted = "at least 1 element" if count is None else f"{count * expected.itemsize} bytes ({count} elements)"
    whole = memory.nbytes % expected.itemsize == 0 and memory.nbytes > 0
    if not whole or (count is not None and memory.nbytes != count * expected.itemsize):
        raise BadArgumentError(f"{name}: got {memory.nbytes} bytes, expected {wanted} of {expected}")
    return np.frombuffer(memory, dtype=expected)


def read_only_copy(array: npt.NDArray[Any], dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """Copy `array` into new C-contiguous memory, cast to `dtype` if given, and forbid writing to it."""
    copy = np.array(array, dtype=dtype, order="C", copy=True, subok=False)
    copy.flags.writeable = False
    return copy


def finite_array(array: npt.NDArray[Any], name: str) -> None:
    """Check that no element of `array` is NaN or infinite; the message names the first that is."""
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(axis[0]) for axis in np.nonzero(~finite))
        raise BadArgumentError(f"{name}: got {float(array[place])} at index {place}, expected finite numbers")


def finite_float32(value: object, name: str, count: int | None = None) -> Float32Array:
    """See a buffer of float32 like `buffer_view` and check that its numbers are finite."""
    view = buffer_view(value, name, np.float32, count)
    finite_array(view, name)
    return view


def described(dtype: np.dtype[Any]) -> str:
    """Name an element type, telling the byte order where it is not the machine's."""
    return str(dtype) if dtype.isnative else f"{dtype.newbyteorder('=')} in foreign byte order"
