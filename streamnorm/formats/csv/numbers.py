"""Integers that float64 cannot hold, for statistics that are exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm.arrow import integers
from streamnorm.formats.csv.parsed import Parsed

__all__ = ["exactly"]

#: Integers of more than 63 bits are of another type.
_LARGEST = 2**63 - 1


def exactly(batch: pa.RecordBatch, found: Parsed, slots: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    """Yield a batch with every integer exactly: rows with some that float64 would round stand apart.

    It is one batch, in the order of its rows, unless a column mixes such integers with other numbers.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Numbers as float64.
    found : Parsed
        What they were parsed as.
    slots : mapping of str to int
        Where its columns stand there.
    """
    wide: dict[int, dict[int, int]] = {}
    for slot, row, value in found.wide:
        wide.setdefault(slot, {})[row] = value
    if not wide:
        yield batch
        return
    names = {slot: name for name, slot in slots.items()}
    kinds = np.zeros((len(wide), found.rows), np.uint8)  # of each value: 0 float64, 1 int64, 2 uint64
    columns = []
    for kind, (slot, values) in zip(kinds, wide.items(), strict=True):
        kind[list(values)] = [1 + (value > _LARGEST) for value in values.values()]
        columns.append(_as_integers(found, slot, values))
        if found.seen(slot).is_whole:
            kind[:] = 1
    for pattern in np.unique(kinds, axis=1).T:
        rows = np.flatnonzero((kinds == pattern[:, None]).all(axis=0))
        part = batch if len(rows) == found.rows else batch.take(integers(rows))
        for slot, which, values_of in zip(wide, pattern, columns, strict=True):
            if which:
                at = part.schema.get_field_index(names[slot])
                column = _column(values_of[bool(which == 2)][rows], part.column(at))
                part = part.set_column(at, names[slot], column)
        yield part


def _as_integers(
    found: Parsed, slot: int, wide: Mapping[int, int]
) -> dict[bool, NDArray[np.int64] | NDArray[np.uint64]]:
    """Give a column as int64 and as uint64, right where it holds such integers.

    Parameters
    ----------
    found : Parsed
    slot : int
    wide : mapping of int to int
        Rows and values of those that float64 cannot hold.
    """
    floats = np.frombuffer(found.numbers(slot).buffers()[1], np.float64, found.rows)
    fits = np.abs(floats) < 2.0**63
    signed = np.where(fits, floats, 0).astype(np.int64)
    signed[floats == -(2.0**63)] = -(2**63)
    unsigned = np.zeros(found.rows, np.uint64)
    for row, value in wide.items():
        (unsigned if value > _LARGEST else signed)[row] = value
    return {False: signed, True: unsigned}


def _column(values: NDArray[np.int64] | NDArray[np.uint64], like: pa.Array) -> pa.Array:
    """Give integers with the nulls of another column."""
    kind = pa.int64() if values.dtype == np.int64 else pa.uint64()
    validity = like.is_valid().buffers()[1] if like.null_count else None
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(np.ascontiguousarray(values))])
