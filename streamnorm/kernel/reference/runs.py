"""Columns of runs as arrays: the twin of arguments.h, columns.h, segments.h, groups.h and arrow.h."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Tallies",
    "column_of",
    "finite_values",
    "group",
    "in_segments",
    "instructions",
    "memory",
    "new_tallies",
    "plain",
    "sort",
    "trim",
    "write_early",
]

Tallies = tuple[NDArray[np.int64], NDArray[np.int64]]


def instructions(at_most: str | None = None) -> str:
    """Name what runs."""
    return "python"


def plain(schema: Any) -> bool:
    """Tell whether a record batch can be read without its arrays: not in Python."""
    return False


def column_of(run: Any, slot: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Give one column of a run and which of its rows are not null."""
    dtype = np.dtype(run[2])
    fortran = isinstance(run[3], np.ndarray) and not run[3].flags.c_contiguous
    raw = np.frombuffer(run[3].T if fortran else run[3], np.uint8)
    start = run[4] + (slot - run[0]) * run[6]
    length = run[7]
    if length == 0:
        return np.empty(0, dtype), np.empty(0, bool)
    view = np.ndarray((length,), dtype, raw.data, start, (run[5],))
    valid = np.ones(length, bool)
    if run[8] is not None:
        bits = np.unpackbits(np.frombuffer(run[8], np.uint8), bitorder="little")
        valid = bits[run[9] : run[9] + length].astype(bool)
    return view, valid


def in_segments(run: Any, bounds: Any) -> list[Any]:
    """Give a run for each segment of one."""
    ends = np.frombuffer(bounds, np.int64).tolist()
    return [
        (slot, 1, *run[2:4], run[4] + start * run[5], *run[5:7], stop - start, run[8], run[9] + start)
        + (() if run[10] is None else (run[10][start:stop],))
        for slot, (start, stop) in enumerate(pairwise(ends))
    ]


def finite_values(
    slots: int, runs: Sequence[Any], tallies: Tallies
) -> list[list[tuple[NDArray[Any], NDArray[Any] | None]]]:
    """Sort the finite values of every column out, with their weights or times, and count the others.

    Parameters
    ----------
    slots : int
        Columns.
    runs : sequence of Run, Exported or Segments
    tallies : Tallies
        Counts and rows of first infinities, which are added to.
    """
    counts, infinities = tallies
    rows = np.zeros(slots, np.int64)
    if isinstance(runs, tuple):
        runs = in_segments(*runs)
    columns: list[list[tuple[NDArray[Any], NDArray[Any] | None]]] = [[] for _ in range(slots)]
    for run in runs:
        weights, times = _weights_of(run)
        for slot in range(run[0], run[0] + run[1]):
            values, valid = column_of(run, slot)
            present = np.ones(len(values), bool) if weights is None else weights != 0
            infinite = np.isinf(values) & valid & present
            if infinite.any() and infinities[slot] < 0:
                infinities[slot] = rows[slot] + int(np.argmax(infinite))
            keep = valid & present & np.isfinite(values)
            kinds = (
                keep,
                present & ~valid,
                present & valid & np.isnan(values),
                infinite & (values > 0),
                infinite & (values < 0),
            )
            counts[slot] += [(kind * times).sum() for kind in kinds]
            rows[slot] += len(values)
            columns[slot].append((values[keep], None if weights is None else weights[keep]))
    return columns


def _weights_of(run: Any) -> tuple[NDArray[Any] | None, Any]:
    """Give what the rows of a run count for: weights or times, if there are some, and how many rows each stands for."""
    weights, times = (*run[10:12], None, None)[:2]
    if times is not None:
        counts = np.frombuffer(times, np.int64)[: run[7]]
        if (counts < 0).any() or run[1] != 1 or weights is not None:
            raise ValueError("times are numbers of rows of one column without weights")
        return counts, counts
    return (None if weights is None else np.frombuffer(weights, np.float64)[: run[7]]), 1


def new_tallies(slots: int) -> Tallies:
    """Give counts and rows of first infinities for columns of which nothing was read."""
    return np.zeros((slots, 5), np.int64), np.full(slots, -1, np.int64)


def sort(groups: int, of: Any) -> tuple[bytes, bytes]:
    """Sort rows by their group."""
    ids = np.frombuffer(of, np.int32)
    if len(ids) and not (ids.min() >= 0 and ids.max() < groups):
        raise ValueError("a row is of a group that is not there")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(ids, minlength=groups))]).astype(np.int64)
    return np.argsort(ids, kind="stable").astype(np.int64).tobytes(), bounds.tobytes()


def group(rows: int, values: Any, offsets: Any, validity: Any, validity_offset: int) -> tuple[bytes, bytes]:
    """Number equal rows as they first occur; also give the rows that they first occur in.

    Parameters
    ----------
    rows : int
    values : buffer
        One int64 a row, or the bytes that `offsets` part.
    offsets : buffer of int64, shape (rows + 1,), optional
    validity : buffer, optional
        Bitmap; null is a value like others.
    validity_offset : int
        Bits before the first row's.
    """
    raw, ends = np.frombuffer(values, np.uint8), None if offsets is None else np.frombuffer(offsets, np.int64)
    bits = None if validity is None else np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
    small = 8 * rows > len(raw) if ends is None else rows + 1 > len(ends)
    if rows < 0 or validity_offset < 0 or small or (bits is not None and validity_offset + rows > len(bits)):
        raise ValueError("the keys do not lie in their buffers, or are more than 2^31")
    if ends is None:
        keys: list[Any] = np.frombuffer(values, np.int64, rows).tolist()
    else:
        ends = ends[: rows + 1]
        if rows and (ends[0] < 0 or (np.diff(ends) < 0).any() or ends[-1] > len(raw)):
            raise ValueError("offsets of texts ascend and stay in their bytes")
        keys = [raw[start:stop].tobytes() for start, stop in pairwise(ends.tolist())]
    if bits is not None:
        there = bits[validity_offset : validity_offset + rows].tolist()
        keys = [key if valid else None for key, valid in zip(keys, there, strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    ids = np.array([numbers[key] for key in keys], np.int32)
    return ids.tobytes(), np.unique(ids, return_index=True)[1].astype(np.int64).tobytes()


def memory(size: int) -> bytearray:
    """Give a writable buffer."""
    return bytearray(size)


def write_early(file: int, start: int, size: int) -> None:
    """Leave bytes of a file to the system, which brings them to the disk when it sees fit.

    Parameters
    ----------
    file : int
        Its number.
    start, size : int
        Where the bytes are.
    """


def trim() -> None:
    """Give memory back that nobody uses: Python does what it can by itself."""
