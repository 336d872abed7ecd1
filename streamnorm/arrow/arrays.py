"""Arrow arrays of values in Python and NumPy, made without `pyarrow.array`, which would import pandas."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["booleans", "integers", "large_strings", "strings"]


def booleans(values: NDArray[np.bool_]) -> pa.Array:
    """Give booleans of shape (n_rows,)."""
    bits = pa.py_buffer(np.packbits(values, bitorder="little"))
    return pa.BooleanArray.from_buffers(pa.bool_(), len(values), [None, bits])


def integers(values: NDArray[np.integer]) -> pa.Array:
    """Give integers of shape (n_rows,) as int64."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.int64))])


def strings(values: Iterable[str]) -> pa.Array:
    """Give a few texts."""
    return pa.concat_arrays([pa.nulls(0, pa.string()), *(pa.repeat(pa.scalar(v, pa.string()), 1) for v in values)])


def large_strings(values: Sequence[str]) -> pa.Array:
    """Give many texts, whose offsets have 64 bits."""
    encoded = [value.encode() for value in values]
    offsets = np.array([0, *itertools.accumulate(map(len, encoded))], np.int64)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(encoded), buffers)
