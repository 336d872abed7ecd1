"""Tables of every library as record batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from streamnorm.columns import check_container, is_stream, parts_of, to_batches
from streamnorm.errors import DataError

__all__ = ["batches_of"]


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
