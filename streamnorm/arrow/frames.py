"""Data frames that one matrix would not hold exactly, as Arrow arrays; and text in them, by its column."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

from streamnorm.arrow.containers import batch_of, label_name, to_batches
from streamnorm.arrow.given import is_frame, is_sparse, is_stream, library_of, parts_of
from streamnorm.arrow.types import readable
from streamnorm.errors import DataError, NoNumberError, SparseError, StreamnormError

__all__ = [
    "arrays_of_frame",
    "as_output",
    "as_pandas",
    "frame_of",
    "naming_text",
    "plain_numbers",
    "refuse_no_numbers",
    "table_with_nulls",
]


def arrays_of_frame(X: Any) -> list[pa.Array] | None:
    """Give each column of a pandas or polars frame as it is stored, None where X is none or has objects.

    A matrix of float64 rounds 64-bit integers beside floats, and turns nulls into NaN.
    """
    if not is_frame(X):
        return None
    if library_of(X) == "polars":
        return list(batch_of(X, X.columns).columns)
    kinds = list(X.dtypes)
    numpy_kinds = [kind for kind in kinds if isinstance(kind, np.dtype)]
    if any(kind.kind in "OSU" for kind in numpy_kinds) or any("parse" in str(kind) for kind in kinds):
        return None
    if len(numpy_kinds) == len(kinds) and len(set(kinds)) <= 1:
        return None
    return [_whole(_array(X.iloc[:, i])) for i in range(X.shape[1])]


def refuse_no_numbers(X: Any) -> None:
    """Raise DataError where an array or frame is of a type that holds no numbers, though it could be read as some."""
    if is_frame(X):
        kinds = X.schema.items() if library_of(X) == "polars" else zip(X.columns, X.dtypes, strict=True)
        named = [(f"column {name!r}", kind) for name, kind in kinds]
    else:
        named = [("X", getattr(X, "dtype", None))]
    for name, kind in named:
        found = _kind_of(kind)
        if found == "c":
            remedy = "give real and imaginary parts as columns"
            raise DataError(f"Complex data not supported: {name} holds {kind}, not numbers: {remedy}.")
        if found == "Object":
            raise DataError(f"{name} holds Object, not numbers: leave it out, or cast it to a number before.")
        if found == "M":
            raise DataError(f"{name} holds {kind}, not numbers: subtract a start first, or leave it out.")


def _kind_of(kind: Any) -> str:
    """Give NumPy's letter for a type of NumPy, pandas or Polars, where it has one: c for complex, M for times."""
    if hasattr(kind, "categories") and hasattr(kind.categories, "dtype"):
        kind = kind.categories.dtype
    if hasattr(kind, "is_temporal"):
        name = str(kind).partition("(")[0]
        return "M" if kind.is_temporal() and name != "Duration" else name
    letter = getattr(kind, "kind", "")
    return letter if isinstance(letter, str) else ""


def table_with_nulls(X: Any, output: str) -> pa.Table | None:
    """Give a frame as a table where it and the frame asked for tell nulls from NaN, None for all else."""
    library = library_of(X)
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


def frame_of(X: Any, library: str) -> Any:
    """Give a table of any kind as a data frame of a library; an index of pandas is no column.

    Parameters
    ----------
    X : table, data frame or stream of these
    library : {"pandas", "polars"}
    """
    import pandas

    if is_stream(X) and not isinstance(X, pa.RecordBatchReader):
        parts = [frame_of(part, library) for part in parts_of(X)]
        if library == "pandas":
            return pandas.concat(parts)
        import polars

        return polars.concat(parts)
    if library_of(X) == library:
        return X
    if not is_frame(X):
        table = pa.Table.from_batches(list(to_batches(X)))
        return table.to_pandas() if library == "pandas" else _polars_of(table)
    if library == "polars":
        import polars

        names = [label_name(label) for label in X.columns]
        return polars.DataFrame([_polars_of_column(X.iloc[:, i], name) for i, name in enumerate(names)])
    objects = {name for name, kind in X.schema.items() if str(kind) == "Object"}
    columns = {name: X[name].to_list() if name in objects else X[name].to_pandas() for name in X.columns}
    return pandas.DataFrame({name: pandas.Series(values, dtype=object if name in objects else None)
                             for name, values in columns.items()})  # fmt: skip


def _polars_of(table: pa.Table) -> Any:
    import polars

    return polars.from_arrow(table)


def _polars_of_column(column: Any, name: str) -> Any:
    """Give a column of pandas to Polars, as objects where Polars has no type for it."""
    import polars

    try:
        return polars.Series(name, pa.array(column, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError):
        return polars.Series(name, column.to_list(), dtype=polars.Object)


def plain_numbers(X: Any, *, sparse: bool) -> Any:
    """Give an array or frame whose types hold numbers, with durations in seconds and sparse columns as asked for.

    Parameters
    ----------
    X : array or data frame
    sparse : bool
        Whether a frame of sparse columns may stay one: where what is not stored is 0.

    Raises
    ------
    DataError
        If a type holds no numbers.
    """
    refuse_no_numbers(X)
    if library_of(X) == "pandas":
        import pandas

        kinds = [kind if isinstance(kind, pandas.SparseDtype) else None for kind in X.dtypes]
        if any(kinds) and not (sparse and all(map(_is_sparse_number, kinds))):
            X = X.copy(deep=False)
            for i in [i for i, kind in enumerate(kinds) if kind is not None]:
                X.isetitem(i, X.iloc[:, i].sparse.to_dense())
    return _in_seconds(X)


def _is_sparse_number(kind: Any) -> bool:
    return kind is not None and kind.subtype.kind in "iuf" and bool(kind.fill_value == 0)


def _in_seconds(X: Any) -> Any:
    """Give the durations in an array or data frame in seconds, as Arrow's are read; all else stays as it is."""
    if isinstance(X, np.ndarray):
        return X / np.timedelta64(1, "s") if X.dtype.kind == "m" else X
    if library_of(X) == "polars" and hasattr(X, "to_arrow") and hasattr(X, "columns"):
        import polars

        spans = [name for name, kind in X.schema.items() if kind == polars.Duration]
        seconds = {name: polars.from_arrow(readable(X[name].to_arrow(), name)) for name in spans}
        return X.with_columns(**seconds) if spans else X
    if library_of(X) == "pandas" and getattr(X, "ndim", 0) == 2:
        spans = [i for i, kind in enumerate(X.dtypes) if getattr(kind, "kind", "") == "m"]
        X = X.copy(deep=False) if spans else X
        for i in spans:
            array = readable(_whole(_array(X.iloc[:, i])), str(X.columns[i]))
            X.isetitem(i, as_pandas(pa.chunked_array([array]), X.dtypes.iloc[i]))
    return X


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
    """Where X cannot be read as numbers inside the block, say why in a sentence, and in which column and row."""
    try:
        with np.errstate(over="ignore"):  # of long doubles, which are refused as infinities
            yield
    except StreamnormError:
        raise
    except (ValueError, TypeError, RuntimeError, OverflowError, AttributeError, pa.ArrowException) as error:
        if is_sparse(X):
            raise (SparseError if isinstance(error, TypeError) else DataError)(str(error)) from None
        place = _first_odd(X) if isinstance(error, (ValueError, TypeError, OverflowError, pa.ArrowException)) else None
        if place is None:
            words = str(error)
            raise DataError(words if "eature names" in words else " ".join(words.split())) from None
        row, column, value = place
        if isinstance(error, OverflowError):
            raise DataError(
                f"column {column!r}, row {row} of the batch: this {type(value).__name__} is beyond float64: leave the "
                "row out, or divide the column by a power of ten before."
            ) from None
        if isinstance(value, (str, bytes)):
            raise DataError(
                f"could not convert string to float: {value!r} in column {column!r}, row {row} of the batch. "
                "Leave the column out, or cast it to a number before."
            ) from None
        raise NoNumberError(
            f"column {column!r}, row {row} of the batch: the argument must be a string or a real number, found "
            f"{type(value).__name__}: leave the column out."
        ) from None


def _first_odd(X: Any) -> tuple[int, Any, Any] | None:
    """Find the first value that is no number, column by column: its row, its column's name and itself."""
    try:
        values = X.to_numpy() if hasattr(X, "columns") else np.asarray(X, object)
    except (ValueError, TypeError, RuntimeError, AttributeError, pa.ArrowException):
        return None
    if values.ndim != 2 or values.dtype.kind not in "OSU":
        return None
    names = list(X.columns) if hasattr(X, "columns") else range(values.shape[1])
    for name, column in zip(names, values.T, strict=True):
        for row, value in enumerate(column):
            if not _is_number(value):
                return row, name, value
    return None


def _is_number(value: Any) -> bool:
    if value is None or type(value) in (float, bool):
        return True
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return not isinstance(value, complex)


def as_pandas(column: pa.ChunkedArray, given: Any) -> Any:
    """Give a column as the kind of pandas array that it came as: NumPy's, nullable, or Arrow's."""
    import pandas

    if isinstance(given, pandas.ArrowDtype):
        return pandas.arrays.ArrowExtensionArray(column)
    nullable: Any = {pa.float32(): pandas.Float32Dtype(), pa.float64(): pandas.Float64Dtype()}.get(column.type)
    if nullable is not None and pandas.api.types.is_extension_array_dtype(given) and given.kind in "iufb":
        return nullable.__from_arrow__(column)
    return column.to_numpy()
