"""Data frames that one matrix would not hold exactly: their columns as Arrow arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["arrays_of_frame"]


def arrays_of_frame(X: Any) -> list[pa.Array] | None:
    """Give each column of a pandas or polars frame as it is stored, None where X is none or has objects.

    A matrix of float64 rounds 64-bit integers beside floats, and turns nulls into NaN.
    """
    library = type(X).__module__.partition(".")[0]
    if library == "polars" and hasattr(X, "to_arrow") and hasattr(X, "columns"):
        return [_whole(column) for column in X.to_arrow().columns]
    if library != "pandas" or getattr(X, "ndim", 0) != 2:
        return None
    kinds = list(X.dtypes)
    numpy_kinds = [kind for kind in kinds if isinstance(kind, np.dtype)]
    if any(kind.kind in "OSUcmM" for kind in numpy_kinds) or any("parse" in str(kind) for kind in kinds):
        return None
    if len(numpy_kinds) == len(kinds) and len(set(kinds)) <= 1:
        return None
    return [_whole(_array(X.iloc[:, i])) for i in range(X.shape[1])]


def _array(column: Any) -> Any:
    if isinstance(column.dtype, np.dtype):
        return pa.array(column.to_numpy(), from_pandas=False)
    return pa.array(column)


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
