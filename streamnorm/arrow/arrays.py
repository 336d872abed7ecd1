"""Arrow arrays of values in Python and NumPy, made without `pyarrow.array`, which would import pandas."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["boolean_of", "booleans", "integers", "large_strings", "null_of", "strings"]


def booleans(values: NDArray[np.bool_]) -> pa.Array:
    """Give booleans of shape (n_rows,)."""
    bits = pa.py_buffer(np.packbits(values, bitorder="little"))
    return pa.BooleanArray.from_buffers(pa.bool_(), len(values), [None, bits])


def integers(values: NDArray[np.integer]) -> pa.Array:
    """Give integers of shape (n_rows,) as int64."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])


def strings(values: Iterable[str]) -> pa.Array:
    """Give texts, whose offsets have 32 bits."""
    return _texts(pa.string(), np.int32, list(values))


def large_strings(values: Sequence[str]) -> pa.Array:
    """Give texts, whose offsets have 64 bits."""
    return _texts(pa.large_string(), np.int64, values)


def _texts(kind: pa.DataType, offset: type[np.signedinteger[Any]], values: Sequence[str]) -> pa.Array:
    """Make an array of text.

    Parameters
    ----------
    kind : pyarrow.DataType
    offset : numpy type
        Of the kind's offsets.
    values : sequence of str
    """
    encoded = [value.encode() for value in values]
    offsets = np.array([0, *itertools.accumulate(map(len, encoded))], offset)
    return pa.Array.from_buffers(kind, len(encoded), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])


def null_of(kind: pa.DataType) -> pa.Scalar:
    """Give a missing value; `pyarrow.scalar` would import pandas."""
    return pa.nulls(1, kind)[0]


def boolean_of(value: bool) -> pa.Scalar:
    """Give a boolean; `pyarrow.scalar` would import pandas."""
    return booleans(np.array([value]))[0]
