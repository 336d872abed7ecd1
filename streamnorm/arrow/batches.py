"""Record batches: one of no rows, and small ones put together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

__all__ = ["in_large_batches", "no_rows"]


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
        if pending and (pending[0].schema != batch.schema or size + batch.nbytes > most):
            yield _one_of(pending)
            pending, size = [], 0
        pending.append(batch)
        size += batch.nbytes
    if pending:
        yield _one_of(pending)


def _one_of(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """Give a batch of a schema without rows."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)
