"""Record batches: one of no rows, and small ones put together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TypeAlias

import pyarrow as pa

from streamnorm.arrow.metadata import keys_for
from streamnorm.errors import DataError

__all__ = ["Column", "bytes_of", "in_large_batches", "neighbours", "no_rows", "with_columns", "with_fields"]

#: A column of a batch.
Column: TypeAlias = tuple[pa.Field, pa.Array]


def bytes_of(batch: pa.RecordBatch) -> int:
    """Give the bytes of a batch: of views of text those of their whole buffers, of all else those of its rows.

    `nbytes` of views raises TypeError in pyarrow before 24, and ends the process in 24.0.0; that of a union of nothing
    ends it always.
    """
    if _has_nbytes(batch.schema):
        return int(batch.nbytes)
    columns = (batch.select([i]) for i in range(batch.num_columns))  # of some types there are no arrays
    return sum(
        int(column.nbytes) if _has_nbytes(column.schema) else column.get_total_buffer_size() for column in columns
    )


def _has_nbytes(schema: pa.Schema) -> bool:
    kinds = str(schema.types)
    return "_view" not in kinds and "union<>" not in kinds


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
        own = bytes_of(batch)
        if pending and (pending[0].schema != batch.schema or size + own > most):
            yield _one_of(pending)
            size = 0
        pending.append(batch)
        size += own
        del batch  # what was put together is not kept beside what it was put together from
        if size >= most:
            yield _one_of(pending)
            size = 0
    if pending:
        yield _one_of(pending)


def neighbours(batches: Iterable[pa.RecordBatch], values: int) -> Iterator[list[pa.RecordBatch]]:
    """Give neighbouring batches of one schema together, which are not copied.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
    values : int
        Values from which on batches are enough.

    Yields
    ------
    list of pyarrow.RecordBatch
        At least one.
    """
    pending: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if pending and pending[0].schema != batch.schema:
            yield pending
            pending, size = [], 0
        pending.append(batch)
        size += batch.num_rows * batch.num_columns
        if size >= values:
            yield pending
            pending, size = [], 0
    if pending:
        yield pending


def _one_of(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Put batches together, and empty the list."""
    whole = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
    batches.clear()
    return whole


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


def with_fields(schema: pa.Schema, new: Mapping[str, pa.Field], without: Collection[str] = ()) -> pa.Schema:
    """Give a schema with other fields under names that it has, those of other names at its end, and some left out.

    Parameters
    ----------
    schema : pyarrow.Schema
        What its metadata say of types is made right.
    new : mapping of str to pyarrow.Field
    without : collection of str
        Names of columns that are left out.
    """
    names = set(schema.names)
    fields = [new.get(item.name, item) for item in schema if item.name not in without]
    result = pa.schema([*fields, *(item for name, item in new.items() if name not in names)])
    return result.with_metadata(keys_for(schema.metadata, schema, result)) if schema.metadata else result


def with_columns(batch: pa.RecordBatch, new: Mapping[str, Column], without: Collection[str] = ()) -> pa.RecordBatch:
    """Give a batch with other columns, as `with_fields` does; no other column is looked at.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    new : mapping of str to Column
    without : collection of str
        Names of columns that are left out.
    """
    schema = with_fields(batch.schema, {name: item for name, (item, _) in new.items()}, without)
    try:
        arrays = batch.columns
    except KeyError:  # of some type pyarrow has columns and no arrays: what it does to whole batches is slower
        return _one_by_one(batch, new, without).replace_schema_metadata(schema.metadata)
    there, names = set(batch.schema.names), batch.schema.names
    kept = [
        new[name][1] if name in new else array for name, array in zip(names, arrays, strict=True) if name not in without
    ]
    added = [array for name, (_, array) in new.items() if name not in there]
    return pa.RecordBatch.from_arrays(kept + added, schema=schema)


def _one_by_one(batch: pa.RecordBatch, new: Mapping[str, Column], without: Collection[str]) -> pa.RecordBatch:
    """Change a batch a column at a time.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    new : mapping of str to Column
    without : collection of str
    """
    at = {name: i for i, name in enumerate(batch.schema.names)}
    for name, (item, array) in new.items():
        batch = batch.set_column(at[name], item, array) if name in at else batch.append_column(item, array)
    for i in reversed(range(len(at))):
        if batch.schema.field(i).name in without:
            batch = batch.remove_column(i)
    return batch


#: Types that pyarrow has no arrays of, by their numbers in Arrow's ``type_fwd.h``: intervals of months, and of days and
#: milliseconds, which `pyarrow.lib` names from some version on.
_INTERVALS = (21, 22)


def _has_arrays(kind: pa.DataType) -> bool:
    """Tell whether an array of a type can be made: none of a union of nothing, which would end the process."""
    if pa.types.is_union(kind) and not kind.num_fields:
        return False
    if isinstance(kind, pa.BaseExtensionType):
        return _has_arrays(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _has_arrays(kind.value_type)
    if pa.types.is_run_end_encoded(kind):
        return _has_arrays(kind.value_type)
    return kind.id not in _INTERVALS and all(_has_arrays(kind.field(i).type) for i in range(kind.num_fields))
