"""Tables of every library as record batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from streamnorm.arrow.batches import no_rows
from streamnorm.arrow.given import is_arrow, is_frame, is_stream, known, library_of, parts_of
from streamnorm.errors import DataError

__all__ = [
    "_array_of_column",
    "as_table",
    "batch_of",
    "batches_of",
    "flat",
    "held",
    "label_name",
    "numbers_of",
    "schema_of",
    "to_batches",
]


def flat(X: Any) -> Iterator[Any]:
    """Yield the tables in X, one after the other: data frames, and Tables, batches and readers of Arrow.

    Raises
    ------
    DataError
        If X is no table or stream of tables.
    """
    X = known(X)
    if is_frame(X) or isinstance(X, (pa.Table, pa.RecordBatch, pa.RecordBatchReader)):
        yield X
    elif is_stream(X):
        for part in parts_of(X):
            yield from flat(part)
    elif hasattr(X, "__arrow_c_array__") and is_arrow(X):
        yield _imported(pa.record_batch, X)
    elif is_arrow(X):
        yield _imported(pa.RecordBatchReader.from_stream, X)
    else:
        raise DataError(
            f"expected a table (pyarrow, pandas, polars or what exports Arrow data), found {type(X).__name__}: give "
            "its columns names, as pandas.DataFrame(X) does, or use a scaler that takes arrays."
        )


def batches_of(X: Any) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a table, frame, stream or dataset, with all their columns."""
    for part in flat(X):
        yield from [batch_of(part, schema_of(part).names)] if is_frame(part) else to_batches(part)


def to_batches(X: Any) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of anything Arrow; a table without rows yields one empty batch."""
    if isinstance(X, pa.RecordBatch):
        yield X
    elif isinstance(X, pa.Table):
        yield from X.to_batches() or [no_rows(X.schema)]
    elif isinstance(X, pa.RecordBatchReader):
        yield from X
    elif hasattr(X, "__arrow_c_array__"):
        yield _imported(pa.record_batch, X)
    else:
        yield from _imported(pa.RecordBatchReader.from_stream, X)


def as_table(X: Any) -> pa.Table:
    """Give Arrow data of any kind as a table."""
    return X if isinstance(X, pa.Table) else _imported(pa.table, X)


def _imported(take: Callable[[Any], Any], X: Any) -> Any:
    try:
        return take(X)
    except (pa.ArrowException, ValueError, TypeError) as error:
        kind, words = type(X).__name__, str(error).splitlines()[0].rstrip(".")
        raise DataError(f"X is a {kind}, which exports no table of Arrow ({words}): give a table.") from None


def schema_of(frame: Any) -> pa.Schema:
    """Give the Arrow type of each column of a data frame, without reading the columns that have a type.

    What Arrow has no type for is binary, with the name of its type as metadata (`held`).
    """
    if library_of(frame) == "polars":
        kinds = {name: str(kind) for name, kind in frame.schema.items()}
        plain = frame.head(0).select([name for name, kind in kinds.items() if kind != "Object"]).to_arrow().schema
        return pa.schema([plain.field(name) if name in plain.names else _opaque(name, kinds[name]) for name in kinds])
    types: dict[Any, pa.DataType | None] = {}
    fields = []
    for i, (label, kind) in enumerate(zip(frame.columns, frame.dtypes, strict=True)):
        objects = getattr(kind, "char", "") == "O"
        if not objects and kind not in types:
            types[kind] = _type_of_pandas(kind)
        own = _type_of_objects(frame.iloc[:, i]) if objects else types[kind]
        name = label_name(label)
        fields.append(_opaque(name, str(kind)) if own is None else pa.field(name, own))
    return pa.schema(fields)


def label_name(label: Any) -> str:
    """Name a column of pandas by its label: a tuple of levels by its first where the others are empty."""
    if isinstance(label, tuple) and label and all(level == "" for level in label[1:]):
        label = label[0]
    return str(label)


def held(field: pa.Field) -> str:
    """Name the type of a column as the one who gave it knows it."""
    known_as: bytes = (field.metadata or {}).get(b"held", str(field.type).encode())
    return known_as.decode()


def _opaque(name: str, kind: str) -> pa.Field:
    return pa.field(name, pa.binary(), metadata={"held": kind})


def _type_of_pandas(kind: Any) -> pa.DataType | None:
    """Give the Arrow type of a type of pandas; None where there is none."""
    import pandas

    if isinstance(kind, pandas.SparseDtype):
        kind = kind.subtype
    if isinstance(kind, pandas.ArrowDtype):
        return kind.pyarrow_dtype
    if isinstance(kind, np.dtype):
        if kind.char == "O":
            return None
        kind = _native(kind)
    try:
        return pa.array(pandas.Series([], dtype=kind)).type
    except (pa.ArrowException, TypeError, ValueError):
        return None


def _type_of_objects(column: Any) -> pa.DataType | None:
    try:
        return pa.array(column, from_pandas=True).type
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def batch_of(frame: Any, names: Iterable[str]) -> pa.RecordBatch:
    """Give columns of a data frame, and no others, as a record batch.

    Raises
    ------
    DataError
        If a column holds what Arrow has no type for.
    """
    names = list(names)
    if library_of(frame) == "polars":
        odd = next((name for name in names if str(frame.schema[name]) == "Object"), None)
        if odd is not None:
            raise DataError(f"column {odd!r} holds Object, not numbers: leave it out, or cast it to a number before.")
        table = frame.select(names).to_arrow()
        return pa.RecordBatch.from_arrays([_whole(column) for column in table.columns], table.column_names)
    at = {label_name(label): i for i, label in reversed(list(enumerate(frame.columns)))}
    places = [at[name] for name in names]
    arrays: list[Any] = [None] * len(names)
    kinds = frame.dtypes.to_numpy()
    for kind in {kinds[place] for place in places if isinstance(kinds[place], np.dtype) and kinds[place].kind in "iuf"}:
        own = [i for i, place in enumerate(places) if kinds[place] == kind]
        matrix = np.asfortranarray(numbers_of(frame, [places[i] for i in own]))
        for i, values in zip(own, matrix.T, strict=True):
            arrays[i] = pa.array(values, from_pandas=True)
    for i, (name, place) in enumerate(zip(names, places, strict=True)):
        if arrays[i] is None:
            arrays[i] = _array_of_column(frame.iloc[:, place], name)
    return pa.RecordBatch.from_arrays(arrays, names)


def numbers_of(frame: Any, places: Sequence[int]) -> np.ndarray[Any, Any]:
    """Give columns of pandas that are of one type of numbers as a matrix; long doubles as float64."""
    matrix: np.ndarray[Any, Any] = frame.iloc[:, places].to_numpy()
    with np.errstate(over="ignore"):  # what is beyond float64 is refused as an infinity
        return matrix.astype(_native(matrix.dtype), copy=False)


def _native(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Give the type that Arrow has for a type of NumPy's numbers."""
    return np.dtype(np.float64) if kind.char == "g" else kind.newbyteorder("=")


def _array_of_column(column: Any, name: str) -> pa.Array:
    """Give a column of pandas as it is stored, NaN as null.

    Raises
    ------
    DataError
        If Arrow has no type for it.
    """
    import pandas

    kind = column.dtype
    if isinstance(kind, pandas.SparseDtype):
        column = column.sparse.to_dense()
    if isinstance(column.dtype, np.dtype) and column.dtype.char != "O":
        column = column.to_numpy().astype(_native(column.dtype), copy=False)
    try:
        return _whole(pa.array(column, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise DataError(
            f"column {name!r} holds {kind}, not numbers: leave it out, or cast it to a number before."
        ) from None


def _whole(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
