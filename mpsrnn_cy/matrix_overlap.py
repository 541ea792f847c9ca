"""Whether what an encode call writes shares memory with what it reads. Rows of matrices may be interleaved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Rows", "first_overlap"]

_Addresses = npt.NDArray[np.uint64]


class Rows(NamedTuple):
    """Memory of some rows of a matrix."""

    storage: int
    """Number of the storage; addresses of one storage can be compared."""
    first: int
    """Address of the first row."""
    row_bytes: int
    """From one row to the next."""
    rows: int
    width: int
    """Bytes of a row that belong to it."""
    name: str
    """What messages call it."""

    @property
    def end(self) -> int:
        """Address behind the last row."""
        return self.first + (self.rows - 1) * self.row_bytes + self.width


def first_overlap(reads: Iterable[Rows], writes: Iterable[Rows]) -> tuple[Rows, Rows] | None:
    """Find something written that shares memory with something read: both of them, or None.

    Exact, row by row: two matrices that are different columns of one array do not overlap.
    """
    read_by_storage, written_by_storage = _by_storage(reads), _by_storage(writes)
    for storage, written in written_by_storage.items():
        read = read_by_storage.get(storage)
        if read is None:
            continue
        # Whole lists lie apart almost always, so that rows need not be looked at.
        first, end = min(rows.first for rows in written), max(rows.end for rows in written)
        near = [rows for rows in read if rows.first < end and first < rows.end]
        if near:
            found = _overlap_in_storage(near, written)
            if found is not None:
                return found
    return None


def _by_storage(many: Iterable[Rows]) -> dict[int, list[Rows]]:
    groups: dict[int, list[Rows]] = defaultdict(list)
    for rows in many:
        groups[rows.storage].append(rows)
    return groups


def _overlap_in_storage(read: Sequence[Rows], written: Sequence[Rows]) -> tuple[Rows, Rows] | None:
    starts, ends, owners = _intervals(read)
    order = np.argsort(starts, kind="stable")
    starts, ends, owners = starts[order], ends[order], owners[order]
    # The farthest end of all intervals up to each: one that starts before a written row ends and reaches past the
    # row's start overlaps it.
    reach = np.maximum.accumulate(ends)
    write_starts, write_ends, write_owners = _intervals(written)
    before = np.searchsorted(starts, write_ends, side="left")
    overlaps = (before > 0) & (reach[np.maximum(before, 1) - 1] > write_starts)
    if not overlaps.any():
        return None
    row = int(np.argmax(overlaps))
    place = int(np.argmax(ends[: before[row]]))
    return read[owners[place]], written[write_owners[row]]


def _intervals(many: Sequence[Rows]) -> tuple[_Addresses, _Addresses, npt.NDArray[np.intp]]:
    """First and end address of every row, and which of `many` it belongs to; rows without gaps are one."""
    starts, widths, counts = [], [], []
    for rows in many:
        if rows.rows == 1 or rows.row_bytes == rows.width:
            starts.append(np.array([rows.first], np.uint64))
            widths.append(rows.end - rows.first)
        else:
            steps = np.arange(rows.rows, dtype=np.uint64) * np.uint64(rows.row_bytes)
            starts.append(np.uint64(rows.first) + steps)
            widths.append(rows.width)
        counts.append(starts[-1].size)
    first = np.concatenate(starts)
    return first, first + np.repeat(np.array(widths, np.uint64), counts), np.repeat(np.arange(len(many)), counts)
