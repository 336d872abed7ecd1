"""How much of a Parquet row group is in memory at a time: so many rows, so many columns.

A page of every column that is read is in memory at once, decompressed. Of a wide row group columns are read a few
at a time, which is faster too: what they take stays in the processor's cache.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.formats.limits import width_of

__all__ = ["READ_BYTES", "side_by_side", "slices_of"]

#: Usual size of a page and of a dictionary, in bytes before compression: writers end one there, and no footer says it.
PAGE_BYTES = 1 << 20
#: Bytes of the file read at a time, or a whole column chunk where that has fewer.
READ_BYTES = 1 << 16
#: Bytes of column data held by one thread before a row group is read in slices, and bytes of a slice.
HELD_BYTES, SLICE_BYTES = 64 << 20, 12 << 20


def slices_of(schema: pa.Schema, group: Any, columns: Sequence[str], *, paged: bool = True) -> list[list[str]]:
    """Cut columns into runs of neighbours that are read together: all, unless too much of them were in memory.

    Parameters
    ----------
    schema : pyarrow.Schema
    group : pyarrow.parquet.RowGroupMetaData
    columns : sequence of str
    paged : bool
        Whether pages come one by one, and not all of a column at once.
    """
    if len(set(columns)) < len(columns) or not group.num_rows:  # columns of one name are not told apart
        return [list(columns)]
    held = {name: _held(schema.field(name).type, group, paged) for name in columns}
    if sum(held.values()) <= HELD_BYTES:
        return [list(columns)]
    slices: list[list[str]] = [[]]
    size = 0
    for name, own in held.items():
        if slices[-1] and size + own > SLICE_BYTES:
            slices.append([])
            size = 0
        slices[-1].append(name)
        size += own
    return slices


def _held(kind: pa.DataType, group: Any, paged: bool) -> int:
    """Bytes of a column that are in memory at once while it is read, at most.

    Parameters
    ----------
    kind : pyarrow.DataType
    group : pyarrow.parquet.RowGroupMetaData
    paged : bool
        Whether pages are read one by one.
    """
    plain = not kind.num_fields and not pa.types.is_dictionary(kind)
    size = int((plain and group.num_rows * width_of(kind)) or group.total_byte_size)
    return _leaves(kind) * (2 * min(PAGE_BYTES, size) + min(READ_BYTES, size) if paged else size)


def _leaves(kind: pa.DataType) -> int:
    """How many columns a file has for one of a table."""
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    return sum(_leaves(kind.field(i).type) for i in range(kind.num_fields)) or 1


def side_by_side(
    parts: Sequence[list[str]], read: Callable[[list[str]], Iterator[pa.RecordBatch]], of: str
) -> Iterator[pa.RecordBatch]:
    """Read one slice of the columns after the other, and yield batches of all.

    What was read waits in a temporary file: as batches, since nothing reads a page from its middle.

    Parameters
    ----------
    parts : sequence of list of str
        Names of the columns, by slice.
    read : callable
        Gives the batches of a slice, of the same rows for each; there may be more columns in them.
    of : str
        What is read, for errors.

    Raises
    ------
    SourceError
        If there is no room for the temporary file.
    """
    with _temporary_file(of) as (into, out):
        kept = [_keep((batch.select(names) for batch in read(names)), into, of) for names in parts]
        pa.default_memory_pool().release_unused()  # pages are as large as no column of a batch will be
        yield from _joined([pa.ipc.open_stream(out.get_stream(start, size)) for start, size in kept])


@contextmanager
def _temporary_file(of: str) -> Iterator[tuple[pa.NativeFile, pa.NativeFile]]:
    """Open a file twice, to write and to read; where systems allow it, a crash leaves nothing behind."""
    with _making_room(of):
        handle, name = tempfile.mkstemp(prefix="streamnorm-")
        os.close(handle)
    path = Path(name)
    try:
        with pa.OSFile(name, "wb") as into, pa.OSFile(name) as out:
            if os.name != "nt":
                path.unlink()
            yield into, out
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _making_room(of: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{of} cannot be read: its wide row groups wait in a temporary file, for which there is no room "
            f"({error.strerror or error}); make room or set TMPDIR to another folder."
        ) from error


def _keep(batches: Iterator[pa.RecordBatch], file: pa.NativeFile, of: str) -> tuple[int, int]:
    """Write batches behind what a file has; also give where they begin and how many bytes they take.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
    file : pyarrow.NativeFile
    of : str
        The file that is read, for messages.
    """
    start = file.tell()
    first = next(batches)
    with _making_room(of):
        writer = pa.ipc.new_stream(file, first.schema)
        writer.write_batch(first)
    for batch in batches:
        with _making_room(of):
            writer.write_batch(batch)
    with _making_room(of):
        writer.close()
    return start, file.tell() - start


def _joined(streams: Sequence[pa.RecordBatchReader]) -> Iterator[pa.RecordBatch]:
    """Put batches of the same rows together, wherever each stream is cut."""
    schema = pa.schema([item for stream in streams for item in stream.schema], streams[0].schema.metadata)
    heads: list[pa.RecordBatch | None] = [None] * len(streams)
    while True:
        heads = [next(stream, None) if head is None else head for head, stream in zip(heads, streams, strict=True)]
        there = [head for head in heads if head is not None]
        if len(there) < len(heads):  # all have ended: each has given the rows of the footer
            return
        rows = min(head.num_rows for head in there)
        arrays = [array for head in there for array in head.slice(0, rows).columns]
        heads = [None if head.num_rows == rows else head.slice(rows) for head in there]
        ready = [pa.RecordBatch.from_arrays(arrays, schema=schema)]
        del there, arrays
        yield ready.pop()  # which nothing here holds on to
