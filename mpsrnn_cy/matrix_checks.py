"""Checks of what is passed to an encode call of a matrix layer: all of them before anything is encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .arguments import instance_of, integer
from .cells import Cell, CellKind
from .device import MTLCommandBuffer, MTLDevice
from .enums import MPSDataType
from .errors import BadArgumentError, BadTypeError
from .layer_checks import check_list
from .matrix import MPSMatrix
from .matrix_overlap import Rows, first_overlap
from .matrix_state import MPSRNNRecurrentMatrixState
from .temporary import Reads, Temporary

__all__ = ["MatrixChecks", "Offsets", "View"]

Offsets: TypeAlias = Sequence[int] | npt.NDArray[np.integer] | None
"""One byte offset for every matrix of a list, or None for zeros."""

_ELEMENT_TYPES = (MPSDataType.FLOAT16, MPSDataType.FLOAT32)

_OFFSET_MAXIMUM = 2**63 - 1


class View(NamedTuple):
    """A matrix as a layer uses it: the first one of an `MPSMatrix` or a part of it, moved within its buffer."""

    matrix: MPSMatrix
    offset: int
    """Bytes by which it is moved."""
    rows: int
    columns: int


class _Storage(NamedTuple):
    """Where a matrix lies, unmoved."""

    number: int
    first: int
    """Address of its first element."""
    room: int
    """Bytes from there to the end of the buffer."""
    row_bytes: int
    element_size: int


class MatrixChecks:
    """The matrices of one encode call, checked one list after the other.

    Parameters
    ----------
    device
        The device of the layer.
    command_buffer
        What is encoded into, checked before.
    """

    def __init__(self, device: MTLDevice, command_buffer: MTLCommandBuffer) -> None:
        self._device = device
        self._reads = Reads(command_buffer)
        self._read: list[Rows] = []
        self._written: list[Rows] = []

    def sources(
        self, matrices: object, name: str, columns: int, offsets: object = None, offsets_name: str = ""
    ) -> list[View]:
        """Check matrices that are read, one a time step: none has more rows than the one before."""
        views, memory = self._views(matrices, name, columns, offsets, offsets_name, None)
        for index, (above, below) in enumerate(pairwise(views), start=1):
            if below.rows > above.rows:
                raise BadArgumentError(
                    f"{name}[{index}]: got {below.rows} rows, expected at most {above.rows}, as in the time step "
                    "before: sequences are sorted, the longest first"
                )
        self._add_reads(views, memory)
        return views

    def reads_like(
        self,
        sources: Sequence[View],
        matrices: object,
        name: str,
        columns: int,
        offsets: object = None,
        offsets_name: str = "",
    ) -> list[View]:
        """Check matrices that are read, one for every source and with at least its rows."""
        views, memory = self._views(matrices, name, columns, offsets, offsets_name, sources)
        self._add_reads(views, memory)
        return views

    def destinations(
        self,
        sources: Sequence[View],
        matrices: object,
        name: str,
        columns: int,
        offsets: object = None,
        offsets_name: str = "",
    ) -> list[View]:
        """Check matrices that are written, one for every source and with at least its rows."""
        views, memory = self._views(matrices, name, columns, offsets, offsets_name, sources)
        self._written += memory
        return views

    def stack_destinations(
        self, sources: Sequence[View], stack: Sequence[Cell], matrices: object, name: str
    ) -> list[View] | None:
        """Check the destinations of one of two stacks, which exist if the stack does."""
        return self.destinations(sources, matrices, name, stack[-1].output_channels) if stack else None

    def state(self, state: object, name: str, cells: Sequence[Cell], rows: int) -> None:
        """Check that a state, if any, has what the cells read, for at least so many rows."""
        if state is None:
            return
        given = instance_of(state, name, MPSRNNRecurrentMatrixState)
        if given.number_of_layers != len(cells):
            raise BadArgumentError(f"{name}: got the state of {given.number_of_layers} layers, expected {len(cells)}")
        if given.rows < rows:
            raise BadArgumentError(f"{name}: got {given.rows} rows, expected at least {rows}, as the first source has")
        self._reads.add(given, name)
        for index, cell in enumerate(cells):
            output, memory = given.get_recurrent_output_matrix(index), given.get_memory_cell_matrix(index)
            if (memory is not None) != (cell.kind is CellKind.LSTM):
                found = "no memory cell" if memory is None else "a memory cell"
                raise BadArgumentError(f"{name}: got {found} for layer {index}, expected the state of {cell.kind.name}")
            for matrix in (output, memory):
                if matrix is not None:
                    where = f"{name}, layer {index}"
                    storage = self._check(matrix, where, cell.output_channels, (MPSDataType.FLOAT32,))
                    self._read.append(_rows(View(matrix, 0, given.rows, cell.output_channels), storage, where))

    def matrix(self, matrix: MPSMatrix, name: str, shape: tuple[int, int], data_types: Sequence[MPSDataType]) -> View:
        """Check a matrix of a certain shape, without saying whether it is read or written."""
        if matrix._read_count is not None:
            self._reads.check_write(matrix, name)
        self._check(matrix, name, shape[1], data_types)
        if matrix.rows != shape[0]:
            raise BadArgumentError(f"{name}: got {matrix.rows} rows, expected {shape[0]}")
        return View(matrix, 0, *shape)

    def part(self, matrix: MPSMatrix, name: str, origin: tuple[int, int, int], shape: tuple[int, int]) -> View:
        """Check that a matrix has room for a shape from an origin (column, row, number of the matrix) on."""
        column, row, number = origin
        if matrix._read_count is not None:
            self._reads.check_write(matrix, name)
        storage = self._check(matrix, name, matrix.columns, _ELEMENT_TYPES)
        if number >= matrix.matrices or row + shape[0] > matrix.rows or column + shape[1] > matrix.columns:
            raise BadArgumentError(
                f"{name}: got {matrix.matrices} of {matrix.rows} x {matrix.columns}, expected room for {shape[0]} x "
                f"{shape[1]} from row {row}, column {column} of matrix {number} on"
            )
        offset = number * matrix.matrix_bytes + row * storage.row_bytes + column * storage.element_size
        return View(matrix, offset, *shape)

    def add_reads(self, views: Mapping[str, View]) -> None:
        """Count views, by their names, as read."""
        self._add_reads(views.values(), [_rows(view, _storage(view.matrix), name) for name, view in views.items()])

    def add_writes(self, views: Mapping[str, View]) -> None:
        """Note that views will be written, each apart from all others that are."""
        for name, view in views.items():
            rows = _rows(view, _storage(view.matrix), name)
            _check_apart([rows], self._written)
            self._written.append(rows)

    def read_state(self, state: Temporary, name: str) -> None:
        """Count a state as read."""
        self._reads.add(state, name)

    def check_overlap(self) -> None:
        """Check that nothing is written over what the same call reads."""
        _check_apart(self._written, self._read)

    def finish(self) -> None:
        """Lower the read counts of temporaries, once the call has been encoded."""
        self._reads.finish()

    def _views(
        self,
        matrices: object,
        name: str,
        columns: int,
        offsets: object,
        offsets_name: str,
        sources: Sequence[View] | None,
    ) -> tuple[list[View], list[Rows]]:
        """Check matrices and their offsets: inside their buffers, of one element type, like the sources if given."""
        given = check_list(matrices, name, MPSMatrix, "matrix")
        if sources is not None and len(given) != len(sources):
            raise BadArgumentError(f"{name}: got {len(given)} matrices, expected {len(sources)}, one per source matrix")
        moves = _offsets(offsets, offsets_name, len(given))
        data_types = (given[0].data_type,) if given[0].data_type in _ELEMENT_TYPES else _ELEMENT_TYPES
        checked: dict[int, _Storage] = {}
        views: list[View] = []
        memory: list[Rows] = []
        for index, (matrix, move) in enumerate(zip(given, moves, strict=True)):
            # One matrix may come again and again, with another offset every time.
            storage = checked.get(id(matrix))
            if storage is None:
                if matrix._read_count is not None:
                    self._reads.check_write(matrix, f"{name}[{index}]")
                storage = checked[id(matrix)] = self._check(matrix, f"{name}[{index}]", columns, data_types)
            rows = matrix.rows
            if sources is not None:
                if rows < sources[index].rows:
                    raise BadArgumentError(
                        f"{name}[{index}]: got {rows} rows, expected at least {sources[index].rows}, as its source has"
                    )
                rows = sources[index].rows
            views.append(View(matrix, move, rows, columns))
            memory.append(_rows(views[-1], storage, f"{name}[{index}]"))
            if move:
                _check_move(move, storage, memory[-1], f"{offsets_name}[{index}]")
        return views, memory

    def _check(self, matrix: MPSMatrix, name: str, columns: int, data_types: Sequence[MPSDataType]) -> _Storage:
        if matrix.device != self._device:
            raise BadArgumentError(f"{name}: got a matrix of {matrix.device!r}, expected one of {self._device!r}")
        if matrix.data_type not in data_types:
            expected = " or ".join(data_type.name for data_type in data_types)
            raise BadArgumentError(f"{name}: got elements of {matrix.data_type.name}, expected {expected}")
        if matrix.columns != columns:
            raise BadArgumentError(f"{name}: got {matrix.columns} columns, expected {columns}")
        return _storage(matrix)

    def _add_reads(self, views: Iterable[View], memory: Sequence[Rows]) -> None:
        for view, rows in zip(views, memory, strict=True):
            if view.matrix._read_count is not None:
                self._reads.add(view.matrix, rows.name)
        self._read += memory


def _offsets(value: object, name: str, count: int) -> list[int]:
    if value is None:
        return [0] * count
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise BadTypeError(f"{name}: got a {type(value).__name__}, expected a list of byte offsets or None")
    if len(value) != count:
        raise BadArgumentError(f"{name}: got {len(value)} offsets, expected {count}, one per matrix")
    return [integer(offset, f"{name}[{index}]", maximum=_OFFSET_MAXIMUM) for index, offset in enumerate(value)]


def _check_move(move: int, storage: _Storage, moved: Rows, name: str) -> None:
    """Check that a moved matrix is aligned and still lies in its buffer."""
    if move % storage.element_size != 0:
        raise BadArgumentError(
            f"{name}: got {move}, expected a multiple of {storage.element_size}, the size of an element"
        )
    room = storage.first + storage.room - (moved.end - move)
    if move > room:
        raise BadArgumentError(f"{name}: got {move}, expected at most {room}, so that the matrix ends in its buffer")


def _storage(matrix: MPSMatrix) -> _Storage:
    number, first, _ = matrix.storage_range
    room = matrix.data.length - matrix.offset
    return _Storage(number, first, room, matrix.row_bytes, matrix.data_type.element_size)


def _rows(view: View, storage: _Storage, name: str) -> Rows:
    width = view.columns * storage.element_size
    return Rows(storage.number, storage.first + view.offset, storage.row_bytes, view.rows, width, name)


def _check_apart(written: Sequence[Rows], others: Sequence[Rows]) -> None:
    found = first_overlap(others, written)
    if found is not None:
        other, rows = found
        raise BadArgumentError(f"{rows.name}: got memory that {other.name} has too, expected memory apart")
