"""Record batches: one of no rows, and small ones put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from streamnorm.errors import DataError

__all__ = ["bytes_of", "in_large_batches", "no_rows"]


def bytes_of(batch: pa.RecordBatch) -> int:
    """Give the bytes of a batch: of views of text those of their whole buffers, of all else those of its rows.

    `nbytes` of views raises TypeError in pyarrow before 24, and ends the process in 24.0.0.
    """
    if "_view" not in str(batch.schema.types):
        return int(batch.nbytes)
    columns = ((str(column.type), column) for column in batch.columns)
    return sum(column.get_total_buffer_size() if "_view" in kind else column.nbytes for kind, column in columns)


def in_large_batches(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """Put neighbouring batches of one schema together.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
    most : int
        Bytes of a batch that is yielded, unless one that came has more.

    Yields
    ------
    pyarrow.RecordBatch
    """
    pending: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if pending and (pending[0].schema != batch.schema or size + bytes_of(batch) > most):
            yield _one_of(pending)
            pending, size = [], 0
        pending.append(batch)
        size += bytes_of(batch)
    if pending:
        yield _one_of(pending)


def _one_of(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """Give a batch of a schema without rows.

    Raises
    ------
    DataError
        If a column is of a type that pyarrow has no arrays of.
    """
    for item in schema:
        if not _has_arrays(item.type):
            raise DataError(
                f"column {item.name!r} holds {item.type}, of which pyarrow has no arrays: write the file without it."
            )
    return pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)


def _has_arrays(kind: pa.DataType) -> bool:
    """Tell whether an array of a type can be made: none of a union of nothing, nor of intervals but the finest."""
    if pa.types.is_union(kind) and not kind.num_fields:
        return False
    if isinstance(kind, pa.BaseExtensionType):
        return _has_arrays(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _has_arrays(kind.value_type)
    if pa.types.is_run_end_encoded(kind):
        return _has_arrays(kind.value_type)
    intervals = pa.types.is_interval(kind) and kind != pa.month_day_nano_interval()
    return not intervals and all(_has_arrays(kind.field(i).type) for i in range(kind.num_fields))
