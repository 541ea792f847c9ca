"""Copies between matrices, as a C caller encodes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mpsrnn_cy as mps
from contract import BAD_ARGUMENT, Command, Device, Handle, Matrix, Refusal, Rows, call, pointer

TYPES = [np.float16, np.float32]
SHAPES = [(1, 1), (3, 5), (2, 4), (17, 33)]


class Copying:
    """A device and one command buffer of it."""

    def __init__(self) -> None:
        self.device = Device()
        self.command = Command(Handle("queue_create", self.device.value))

    def encode(self, source: Matrix, destination: Matrix) -> None:
        call("command_copy_matrix", self.command.value, pointer(source), pointer(destination))

    def run(self, source: Rows, destination: Rows) -> None:
        self.encode(source.view, destination.view)
        self.command.commit_and_wait()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("destination_type", TYPES)
@pytest.mark.parametrize("source_type", TYPES)
def test_elements_arrive_rounded_once(
    each_build: mps.MTLDevice, source_type: type, destination_type: type, shape: tuple[int, int]
) -> None:
    copying = Copying()
    source = Rows(copying.device, *shape, source_type, gap=2)
    destination = Rows(copying.device, *shape, destination_type, gap=1)
    values = np.random.default_rng(0).standard_normal(shape).astype(source_type)
    values.flat[: min(values.size, 4)] = np.array([-0.0, np.inf, -np.inf, np.nan])[: min(values.size, 4)]
    source.array = values
    copying.run(source, destination)
    np.testing.assert_array_equal(destination.array, values.astype(destination_type))
    np.testing.assert_array_equal(np.signbit(destination.array), np.signbit(values))
    destination.assert_margin_untouched()


@pytest.mark.parametrize("element_type", TYPES)
def test_a_copy_within_a_type_keeps_every_bit(each_build: mps.MTLDevice, element_type: type) -> None:
    """NaNs and their payloads too."""
    copying = Copying()
    bits = np.random.default_rng(1).integers(0, 2**16, (64, 64), np.uint16)
    values = bits.view(element_type)
    source, destination = (Rows(copying.device, *values.shape, element_type) for _ in range(2))
    source.array = values
    copying.run(source, destination)
    np.testing.assert_array_equal(destination.array.view(np.uint16), bits)


def test_part_of_a_matrix_as_a_view(device: mps.MTLDevice) -> None:
    copying = Copying()
    source, destination = Rows(copying.device, 6, 8), Rows(copying.device, 6, 8)
    source.array = np.arange(48).reshape(6, 8)
    destination.array = np.zeros((6, 8))
    for matrix, row, column in ((source, 1, 2), (destination, 3, 5)):
        matrix.view.offset += row * matrix.view.row_bytes + column * 4
        matrix.view.rows, matrix.view.columns = 2, 3
    copying.encode(source.view, destination.view)
    copying.command.commit_and_wait()
    for matrix, row, column in ((source, 1, 2), (destination, 3, 5)):
        matrix.view.offset -= row * matrix.view.row_bytes + column * 4
    expected = np.zeros((6, 8))
    expected[3:5, 5:8] = source.array[1:3, 2:5]
    np.testing.assert_array_equal(destination.array, expected)


WRONG: dict[str, tuple[Callable[[Matrix], None], str]] = {
    "absent": (lambda m: setattr(m, "buffer", None), "absent"),
    "type": (lambda m: setattr(m, "data_type", 8), "data type 0x8"),
    "no rows": (lambda m: setattr(m, "rows", 0), "0 x 5"),
    "no columns": (lambda m: setattr(m, "columns", 0), "0 columns|3 x 0"),
    "more rows than the buffer": (lambda m: setattr(m, "rows", 1000), "the buffer has|3 rows"),
    "other columns": (lambda m: setattr(m, "columns", 4), "4 columns expected|3 x 4"),
    "offset beyond the buffer": (lambda m: setattr(m, "offset", 1 << 20), "the buffer has"),
    "row bytes too short": (lambda m: setattr(m, "row_bytes", 16), "rows of 5 elements"),
    "offset not aligned": (lambda m: setattr(m, "offset", 2), "multiples of 4"),
}


@pytest.mark.parametrize("which", [0, 1], ids=["source", "destination"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_matrix_that_is_wrong(device: mps.MTLDevice, wrong: str, which: int) -> None:
    copying = Copying()
    matrices = [Rows(copying.device, 3, 5), Rows(copying.device, 3, 5)]
    spoil, message = WRONG[wrong]
    spoil(matrices[which].view)
    with pytest.raises(Refusal, match=message) as refusal:
        copying.encode(matrices[0].view, matrices[1].view)
    assert refusal.value.status == BAD_ARGUMENT
    assert copying.command.dispatch_count == 0


def test_a_command_buffer_that_is_committed(device: mps.MTLDevice) -> None:
    copying = Copying()
    matrices = [Rows(copying.device, 3, 5), Rows(copying.device, 3, 5)]
    copying.run(*matrices)
    with pytest.raises(Refusal, match="already committed"):
        copying.encode(matrices[0].view, matrices[1].view)
