"""Tables of every library, told apart and read as record batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from streamnorm.arrow.batches import no_rows
from streamnorm.errors import DataError

__all__ = ["batches_of", "check_container", "is_arrow", "is_stream", "parts_of", "to_batches"]


def batches_of(X: Any) -> Iterable[pa.RecordBatch]:
    """Yield the record batches of a table, frame, stream or dataset."""
    check_container(X)
    if is_stream(X) and not isinstance(X, pa.RecordBatchReader):
        return (batch for item in parts_of(X) for batch in batches_of(item))
    if type(X).__module__.partition(".")[0] == "pandas":
        return to_batches(_table_of_pandas(X))
    if type(X).__module__.partition(".")[0] == "polars":
        return to_batches(X.to_arrow())
    if not (hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__")):
        raise DataError(
            f"expected a table (pyarrow, pandas, polars or what exports Arrow data), found {type(X).__name__}."
        )
    return to_batches(X)


def _table_of_pandas(frame: Any) -> pa.Table:
    """Give a frame as a table; what Arrow has no type for, such as columns of mixed objects, as text."""
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError):
        columns = {name: _array_or_text(column) for name, column in frame.items()}
        return pa.table({str(name): array for name, array in columns.items()})


def _array_or_text(column: Any) -> pa.Array:
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, TypeError):
        return pa.array(column.astype(str), pa.string())


def check_container(X: Any) -> None:
    """Refuse what has no columns that can be read.

    Raises
    ------
    DataError
        If X is a lazy frame, a single column of Arrow's, or a frame with integers of 128 bits.
    """
    if isinstance(X, (pa.Array, pa.ChunkedArray)) and not pa.types.is_struct(X.type):
        raise DataError(f"X is one column of {X.type} without a name: give a table, as pa.table({{'x': X}}) is.")
    if type(X).__module__.partition(".")[0] != "polars":
        return
    if type(X).__name__ == "LazyFrame":
        raise DataError(
            "X is a polars LazyFrame, which has no rows yet: call its collect() and give what that returns."
        )
    for name, kind in getattr(X, "schema", {}).items():
        if str(kind) in ("Int128", "UInt128"):
            raise DataError(f"column {name!r} holds {kind}, which Arrow cannot: cast it to Int64 or Float64 before.")


def is_arrow(X: Any) -> bool:
    """Tell whether X is answered in Arrow: Arrow's own, or what exports it and is no data frame."""
    if isinstance(X, (pa.Table, pa.RecordBatch, pa.RecordBatchReader)):
        return True
    exports = hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__")
    return exports and type(X).__module__.partition(".")[0] not in ("pandas", "polars", "numpy")


def is_stream(X: Any) -> bool:
    """Tell whether X yields batches and is used up by reading: a reader, a dataset, an iterator."""
    is_dataset = hasattr(X, "to_batches") and hasattr(X, "get_fragments")
    return isinstance(X, (pa.RecordBatchReader, Iterator)) or is_dataset


def parts_of(stream: Any) -> Iterable[Any]:
    """Give the batches of a stream, for which `is_stream` holds, one by one."""
    batches: Iterable[Any] = stream.to_batches() if hasattr(stream, "get_fragments") else stream
    return batches


def to_batches(X: Any) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of anything Arrow; a table without rows yields one empty batch."""
    check_container(X)
    if isinstance(X, pa.RecordBatch):
        yield X
    elif isinstance(X, pa.Table):
        yield from X.to_batches() or [no_rows(X.schema)]
    elif isinstance(X, pa.RecordBatchReader):
        yield from X
    elif hasattr(X, "__arrow_c_array__"):
        yield pa.record_batch(X)
    else:
        yield from pa.RecordBatchReader.from_stream(X)
