"""Checks of single arguments: what they accept, what they return, and what they say."""

from __future__ import annotations

import array
import ctypes
from enum import IntEnum
from typing import Any

import numpy as np
import pytest

from mpsrnn_cy import arguments
from mpsrnn_cy.enums import MPSDataLayout, MPSImageFeatureChannelFormat, MPSRNNSequenceDirection
from mpsrnn_cy.errors import BadArgumentError, BadTypeError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_integer_accepts_what_is_an_integer(value: Any) -> None:
    number = arguments.integer(value, "n")
    assert number == 3
    assert type(number) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, np.array([1, 2]), np.float32(3)])
def test_integer_refuses_other_types(value: Any) -> None:
    with pytest.raises(BadTypeError, match=r"^n: got .*, expected an int$"):
        arguments.integer(value, "n")


@pytest.mark.parametrize(("value", "minimum"), [(-1, 0), (0, 1), (2**31, 0), (10**30, 0)])
def test_integer_refuses_other_values(value: int, minimum: int) -> None:
    with pytest.raises(BadArgumentError, match=rf"^n: got {value}, expected an int from {minimum} to 2147483647$"):
        arguments.integer(value, "n", minimum=minimum)


@pytest.mark.parametrize("value", [-2, 0.5, np.float16(0.5), np.float64(-3e38), np.int8(-128)])
def test_real_accepts_numbers_and_keeps_them(value: Any) -> None:
    number = arguments.real(value, "a")
    assert number == value
    assert type(number) is float


@pytest.mark.parametrize("value", [True, np.False_, "1", None, 1j, [1.0]])
def test_real_refuses_other_types(value: Any) -> None:
    with pytest.raises(BadTypeError, match=r"^a: got .*, expected a float$"):
        arguments.real(value, "a")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39, 10**400, np.float32("nan")])
def test_real_refuses_what_float32_cannot_hold(value: Any) -> None:
    with pytest.raises(BadArgumentError, match=r"^a: got .*, expected a finite number in the range of float32$"):
        arguments.real(value, "a")


def test_positive_real_keeps_what_it_accepts() -> None:
    assert arguments.positive_real(2, "p") == 2.0
    assert arguments.positive_real(2.0**-149, "p") == 2.0**-149


@pytest.mark.parametrize("value", [0, -1.0, 1e-50])
def test_positive_real_refuses_zero_even_after_rounding(value: float) -> None:
    with pytest.raises(BadArgumentError, match=rf"^p: got {value}, expected a number above 0 in float32$"):
        arguments.positive_real(value, "p")


def test_boolean_takes_booleans_alone() -> None:
    assert arguments.boolean(np.True_, "flag") is True
    assert arguments.boolean(False, "flag") is False
    for value in (0, 1, None, "yes", np.int8(1)):
        with pytest.raises(BadTypeError, match=r"^flag: got .*, expected a bool$"):
            arguments.boolean(value, "flag")


def test_enum_member_takes_cases_and_their_integers() -> None:
    for value in (MPSRNNSequenceDirection.BACKWARD, 1, np.int32(1)):
        assert arguments.enum_member(value, "d", MPSRNNSequenceDirection) is MPSRNNSequenceDirection.BACKWARD


@pytest.mark.parametrize("value", [True, "FORWARD", None, 1.0, MPSDataLayout.HEIGHT_X_WIDTH_X_FEATURE_CHANNELS])
def test_enum_member_refuses_other_types(value: Any) -> None:
    with pytest.raises(BadTypeError, match=r"^d: got .*, expected a case of MPSRNNSequenceDirection$"):
        arguments.enum_member(value, "d", MPSRNNSequenceDirection)


@pytest.mark.parametrize(
    ("value", "enum_type"),
    [
        (2, MPSRNNSequenceDirection),
        (-1, MPSRNNSequenceDirection),
        (MPSImageFeatureChannelFormat.COUNT, MPSImageFeatureChannelFormat),
        (5, MPSImageFeatureChannelFormat),
    ],
)
def test_enum_member_refuses_unknown_values_and_sentinels(value: int, enum_type: type[IntEnum]) -> None:
    with pytest.raises(
        BadArgumentError, match=rf"^d: got .*, expected a case of {enum_type.__name__}: \w+ \(0\), "
    ) as e:
        arguments.enum_member(value, "d", enum_type)
    assert "COUNT (" not in str(e.value)


def test_instance_of_names_both_types() -> None:
    assert arguments.instance_of("x", "label", str) == "x"
    with pytest.raises(BadTypeError, match=r"^label: got 3 \(int\), expected str$"):
        arguments.instance_of(3, "label", str)


NUMBERS = np.array([1.5, -2.25, 0.0, 65504.0], np.float32)


@pytest.mark.parametrize(
    "buffer",
    [
        NUMBERS,
        NUMBERS.reshape(2, 2),
        NUMBERS.tobytes(),
        bytearray(NUMBERS.tobytes()),
        memoryview(NUMBERS),
        memoryview(NUMBERS.tobytes()),
        array.array("f", NUMBERS.tolist()),
        (ctypes.c_float * 4)(*NUMBERS.tolist()),
    ],
    ids=["array", "shaped array", "bytes", "bytearray", "memoryview", "raw memoryview", "array.array", "ctypes"],
)
def test_buffer_view_sees_the_memory_of_any_buffer(buffer: Any) -> None:
    view = arguments.buffer_view(buffer, "b", np.float32, 4)
    np.testing.assert_array_equal(view, NUMBERS)
    assert view.shape == (4,)
    assert view.dtype == np.float32


def test_buffer_view_does_not_copy() -> None:
    memory = bytearray(NUMBERS.tobytes())
    view = arguments.buffer_view(memory, "b", np.float32)
    view[0] = 7
    assert np.frombuffer(memory, np.float32)[0] == 7


@pytest.mark.parametrize(
    ("buffer", "exception", "message"),
    [
        ([1.0, 2.0], BadTypeError, r"b: got a list, expected a buffer of float32 \(bytes, memoryview, ndarray\)"),
        (None, BadTypeError, r"b: got a NoneType, expected a buffer of float32"),
        ("abcd", BadTypeError, r"b: got a str, expected a buffer of float32"),
        (NUMBERS.astype("M8[s]"), BadTypeError, r"b: got a ndarray, expected a buffer of float32"),
        (NUMBERS.astype(np.float64), BadTypeError, r"b: got elements of float64, expected float32"),
        (NUMBERS.astype(np.uint8), BadTypeError, r"b: got elements of uint8, expected float32"),
        (array.array("d", [1.0]), BadTypeError, r"b: got elements of float64, expected float32"),
        (NUMBERS.astype(">f4"), BadTypeError, r"b: got elements of float32 in foreign byte order, expected float32"),
        (NUMBERS[::2], BadArgumentError, r"b: got memory that is not C-contiguous, expected C-contiguous float32"),
        (NUMBERS.reshape(2, 2).T, BadArgumentError, r"b: got memory that is not C-contiguous"),
        (NUMBERS[:3], BadArgumentError, r"b: got 12 bytes, expected 16 bytes \(4 elements\) of float32"),
        (bytes(20), BadArgumentError, r"b: got 20 bytes, expected 16 bytes \(4 elements\) of float32"),
        (bytes(15), BadArgumentError, r"b: got 15 bytes, expected 16 bytes \(4 elements\) of float32"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else None,
)
def test_buffer_view_refuses(buffer: Any, exception: type[Exception], message: str) -> None:
    with pytest.raises(exception, match=f"^{message}"):
        arguments.buffer_view(buffer, "b", np.float32, 4)


@pytest.mark.parametrize("size", [0, 6])
def test_buffer_view_of_any_count_needs_whole_elements(size: int) -> None:
    with pytest.raises(BadArgumentError, match=f"^b: got {size} bytes, expected at least 1 element of float32$"):
        arguments.buffer_view(bytes(size), "b", np.float32)


def test_read_only_copy_is_contiguous_and_detached() -> None:
    source = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    copy = arguments.read_only_copy(source)
    source[0, 0] = 9
    assert copy[0, 0] == 0
    assert copy.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        copy[0, 0] = 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_finite_array_names_the_first_bad_element(bad: float) -> None:
    numbers = np.zeros((2, 3), np.float16)
    arguments.finite_array(numbers, "w")
    numbers[1, 2] = bad
    with pytest.raises(BadArgumentError, match=rf"^w: got {bad} at index \(1, 2\), expected finite numbers$"):
        arguments.finite_array(numbers, "w")
