"""Batches as they come from files: looked at before anything is made of them, and not too large."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa

from streamnorm.errors import DataError

__all__ = [
    "BATCH_BYTES",
    "BATCH_ROWS",
    "TEXT_ROWS",
    "checked",
    "has_text",
    "pieces",
    "rows_for",
    "together",
    "width_of",
]

#: Of a batch in memory: so many that what is done once for a batch does not show, so few that threads stay small.
BATCH_BYTES, BATCH_ROWS = 16 << 20, 1 << 18
#: Rows of a batch with values that are not all of one width: a dictionary can make long ones small in the file.
TEXT_ROWS = 1 << 13

_WRONG_TEXT = re.compile(r"Invalid UTF8 sequence at string index (\d+)")


def checked(
    batch: pa.RecordBatch, columns: Sequence[str] | None = None, rows: int = 0, rows_before: Callable[[], int] = int
) -> pa.RecordBatch:
    """Look at every offset, index and text of a batch, and put the named columns in order.

    Rows are counted for messages: `rows` and then `rows_before()` come before the batch.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    columns : sequence of str, optional
        By default all.
    rows : int
    rows_before : callable, optional

    Raises
    ------
    DataError
        If one is wrong, with its column, and with its row where it is a text.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            _check(name, column, rows, rows_before)
        raise
    return batch if columns is None else batch.select(columns)


def _check(name: str, column: pa.Array, rows: int, rows_before: Callable[[], int]) -> None:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        if match := _WRONG_TEXT.fullmatch(str(error)):
            row = rows_before() + rows + int(match[1]) + 1
            raise DataError(
                f"column {name!r}, row {row}: the text is no UTF-8; write it as such, or as binary."
            ) from None
        raise DataError(f"column {name!r} is damaged: {error}; restore the file or leave it out.") from None


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch that is large."""
    number = max(1, -(-batch.nbytes // BATCH_BYTES))
    rows = max(1, -(-batch.num_rows // number))
    for start in range(0, max(1, batch.num_rows), rows):
        yield batch.slice(start, rows)


def together(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put neighbours together that are small, as those with text may be: what is done once for a batch takes time.

    Batches with columns that are no plain values are left as they are.
    """
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if waiting and (size + batch.nbytes > BATCH_BYTES // 2 or not _is_plain(batch.schema)):
            yield _one_of(waiting)
            waiting, size = [], 0
        waiting.append(batch)
        size += batch.nbytes
    if waiting:
        yield _one_of(waiting)


def _one_of(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _is_plain(schema: pa.Schema) -> bool:
    kinds = schema.types
    return not any(k.num_fields or pa.types.is_dictionary(k) or isinstance(k, pa.BaseExtensionType) for k in kinds)


def has_text(types: Iterable[pa.DataType]) -> bool:
    """Tell whether values of some columns are not all of one width."""
    return any(width_of(kind) == 0 for kind in types)


def rows_for(types: Sequence[pa.DataType], stored: int) -> int:
    """Give the number of rows that fill a batch.

    Parameters
    ----------
    types : sequence of pyarrow.DataType
        Of its columns.
    stored : int
        Bytes of a row in the file, for values that are not of one width.
    """
    widths = [width_of(kind) for kind in types]
    text = 0 in widths
    return min(TEXT_ROWS if text else BATCH_ROWS, max(1, BATCH_BYTES // max(1, sum(widths) + text * stored)))


def width_of(kind: pa.DataType) -> int:
    """Give the bytes of a value in memory; 0 if they are not all of one width."""
    try:
        return -(-int(kind.bit_width) // 8)
    except ValueError:
        return 0
