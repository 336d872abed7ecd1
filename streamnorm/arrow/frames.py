"""Data frames that one matrix would not hold exactly, as Arrow arrays; and text in them, by its column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from streamnorm.arrow.types import readable
from streamnorm.errors import DataError

__all__ = ["arrays_of_frame", "as_output", "as_pandas", "in_seconds", "naming_text", "table_with_nulls"]


def arrays_of_frame(X: Any) -> list[pa.Array] | None:
    """Give each column of a pandas or polars frame as it is stored, None where X is none or has objects.

    A matrix of float64 rounds 64-bit integers beside floats, and turns nulls into NaN.
    """
    library = _library(X)
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


def table_with_nulls(X: Any, output: str) -> pa.Table | None:
    """Give a frame as a table where it and the frame asked for tell nulls from NaN, None for all else."""
    library = _library(X)
    if output not in ("polars", library):
        return None
    if library != "polars" and not (library == "pandas" and any(map(_has_nulls, getattr(X, "dtypes", ())))):
        return None
    arrays = arrays_of_frame(X)
    return None if arrays is None else pa.Table.from_arrays(arrays, [str(name) for name in X.columns])


def as_output(table: pa.Table, output: str, given: Any) -> Any:
    """Give a table as polars frame, or as one of pandas with the index and the kinds of columns of the given one.

    Parameters
    ----------
    table : pyarrow.Table
    output : {"pandas", "polars"}
    given : object
        What the table was made of.
    """
    if output == "polars":
        import polars

        return polars.from_arrow(table)
    import pandas

    columns = enumerate(zip(table.columns, given.dtypes, strict=True))
    return pandas.DataFrame({i: as_pandas(column, kind) for i, (column, kind) in columns}, index=given.index)


def in_seconds(X: Any) -> Any:
    """Give the durations in an array or data frame in seconds, as Arrow's are read; all else stays as it is."""
    if isinstance(X, np.ndarray):
        return X / np.timedelta64(1, "s") if X.dtype.kind == "m" else X
    if _library(X) == "polars" and hasattr(X, "to_arrow") and hasattr(X, "columns"):
        import polars

        spans = [name for name, kind in X.schema.items() if kind == polars.Duration]
        seconds = {name: polars.from_arrow(readable(X[name].to_arrow(), name)) for name in spans}
        return X.with_columns(**seconds) if spans else X
    if _library(X) == "pandas" and getattr(X, "ndim", 0) == 2:
        spans = [i for i, kind in enumerate(X.dtypes) if getattr(kind, "kind", "") == "m"]
        X = X.copy(deep=False) if spans else X
        for i in spans:
            array = readable(_whole(_array(X.iloc[:, i])), str(X.columns[i]))
            X.isetitem(i, as_pandas(pa.chunked_array([array]), X.dtypes.iloc[i]))
    return X


def _library(X: Any) -> str:
    return type(X).__module__.partition(".")[0]


def _has_nulls(kind: Any) -> bool:
    """Tell whether columns of a type of pandas hold nulls that are not NaN: Arrow's and the nullable ones."""
    import pandas

    if isinstance(kind, (np.dtype, pandas.SparseDtype)):
        return False
    return isinstance(kind, pandas.ArrowDtype) or getattr(kind, "kind", "") in tuple("iufb")


def _array(column: Any) -> Any:
    if isinstance(column.dtype, np.dtype):
        return pa.array(column.to_numpy(), from_pandas=False)
    return pa.array(column)


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


@contextmanager
def naming_text(X: Any) -> Iterator[None]:
    """Where X turns out to hold text inside the block, say in which column: scikit-learn does not."""
    try:
        yield
    except ValueError:
        place = _first_text(X)
        if place is None:
            raise
        row, column, text = place
        raise DataError(
            f"could not convert string to float: {text!r} in column {column!r}, row {row} of the batch. "
            "Leave the column out, or cast it to a number before."
        ) from None


def _first_text(X: Any) -> tuple[int, Any, str] | None:
    """Find the first text that is no number, column by column: its row, its column's name and itself."""
    values = X.to_numpy() if hasattr(X, "columns") else np.asarray(X, object)
    if values.ndim != 2:
        return None
    names = list(X.columns) if hasattr(X, "columns") else range(values.shape[1])
    for name, column in zip(names, values.T, strict=True):
        for row, value in enumerate(column):
            if isinstance(value, str) and not _is_number(value):
                return row, name, str(value)
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_pandas(column: pa.ChunkedArray, given: Any) -> Any:
    """Give a column as the kind of pandas array that it came as: NumPy's, nullable, or Arrow's."""
    import pandas

    if isinstance(given, pandas.ArrowDtype):
        return pandas.arrays.ArrowExtensionArray(column)
    nullable: Any = {pa.float32(): pandas.Float32Dtype(), pa.float64(): pandas.Float64Dtype()}.get(column.type)
    if nullable is not None and pandas.api.types.is_extension_array_dtype(given) and given.kind in "iufb":
        return nullable.__from_arrow__(column)
    return column.to_numpy()
