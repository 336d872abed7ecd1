"""Batches as they come from files: looked at before anything is made of them, and not too large."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from streamnorm.arrow import bytes_of, in_large_batches
from streamnorm.errors import DataError, SourceError
from streamnorm.files import Place

__all__ = [
    "BATCH_BYTES",
    "LARGEST",
    "check_unpacked",
    "is_bomb",
    "pieces",
    "rows_for",
    "together",
    "validated",
    "width_of",
]

#: Largest batch, in bytes of memory and in rows: what is done once a batch does not show, and threads stay small.
BATCH_BYTES, BATCH_ROWS = 16 << 20, 1 << 18
#: Largest batch, in rows, with columns of texts or lists: a dictionary can make long values small in the file.
TEXT_ROWS = 1 << 13

#: Largest sum of the texts of a batch, in bytes, if each were the longest of the dictionary.
TEXT_BYTES = 64 << 20

#: Largest part, in bytes unpacked, that is read whatever it takes in the file; every thread holds one.
LARGEST = 128 << 20
#: Largest ratio of unpacked to packed bytes before a larger part counts as a bomb. Numbers reach 3, a table with one
#: value in a hundred that is not zero 120, one repeated value 250 (lz4) to 30,000 (zstd).
MOST = 200

_VIEWS = ("string_view", "binary_view")
_WRONG_TEXT = re.compile(r"Invalid UTF8 sequence at string index (\d+)")


def is_bomb(packed: int, unpacked: int) -> bool:
    """Tell whether few bytes in a file stand for more than memory is taken for."""
    return unpacked > LARGEST and unpacked > MOST * packed


def check_unpacked(path: Place, what: str, packed: int, unpacked: int, remedy: str) -> None:
    """Refuse a bomb before it is unpacked.

    Parameters
    ----------
    path : Place
    what : str
        The part of the file that is unpacked at once.
    packed, unpacked : int
        Its bytes in the file and in memory.
    remedy : str
        How it would be written else.

    Raises
    ------
    SourceError
        If it is one.
    """
    if is_bomb(packed, unpacked):
        raise SourceError(
            f"{path} cannot be read: {what} would unpack from {packed} bytes to {unpacked}; write it {remedy}, or "
            "leave it out."
        )


def validated(
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
        for i, name in enumerate(batch.schema.names):
            _check(name, batch.select([i]), rows, rows_before)
        raise
    return batch if columns is None else batch.select(columns)


def _check(name: str, column: pa.RecordBatch, rows: int, rows_before: Callable[[], int]) -> None:
    """Raise DataError for the first text that is no UTF-8.

    Parameters
    ----------
    name : str
        The column, for messages.
    column : pyarrow.RecordBatch
        It alone: of some types there are no arrays.
    rows : int
        Rows of the unit before the batch.
    rows_before : callable
        Gives the rows of the source before the unit, for messages.
    """
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as invalid:
        error = str(invalid).removeprefix("In column 0: Invalid: ")
        if match := _WRONG_TEXT.fullmatch(error):
            row = rows_before() + rows + int(match[1]) + 1
            raise DataError(
                f"column {name!r}, row {row}: the text is no UTF-8; write it as such, or as binary."
            ) from None
        raise DataError(f"column {name!r} is damaged: {error}; restore the file or leave it out.") from None


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch that is large, or would be with its texts one behind the other."""
    kinds = map(str, batch.schema.types)
    texts = sum(_viewed(batch.column(i)) for i, kind in enumerate(kinds) if kind in _VIEWS)
    number = max(1, -(-bytes_of(batch) // BATCH_BYTES), -(-texts // TEXT_BYTES))
    rows = max(1, -(-batch.num_rows // number))
    for start in range(0, max(1, batch.num_rows), rows):
        yield batch.slice(start, rows)


def together(batches: Iterable[pa.RecordBatch], types: Iterable[pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Put neighbours together that are small, as those with text may be; not those whose values are no plain ones.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
    types : iterable of pyarrow.DataType
        Of their columns.

    Yields
    ------
    pyarrow.RecordBatch
    """
    yield from in_large_batches(batches, BATCH_BYTES // 2) if all(map(_is_plain, types)) else batches


def _is_plain(kind: pa.DataType) -> bool:
    """Tell whether values have bytes of their own, and do not view what others may have too."""
    tests = pa.types
    large = tests.is_large_string(kind) or tests.is_large_binary(kind)
    text = large or tests.is_string(kind) or tests.is_binary(kind)
    return bool(text or tests.is_primitive(kind) or tests.is_decimal(kind))


def _viewed(column: pa.Array) -> int:
    """Add up the bytes of texts, many of which may lie at the same place."""
    words = np.frombuffer(column.buffers()[1], np.int32, 4 * len(column), 16 * column.offset)
    return int(np.maximum(words[::4], 0).sum(dtype=np.int64))  # a text's length, and where it lies


def rows_for(types: Sequence[pa.DataType], stored: int, longest: int, size: int) -> int:
    """Give the number of rows that fill a batch.

    Parameters
    ----------
    types : sequence of pyarrow.DataType
        Of its columns.
    stored : int
        Bytes of a row in the file, for values that are not of one width.
    longest : int
        Bytes that such values of a row may have, which the file repeats without having them again.
    size : int
        Bytes of a full batch.
    """
    widths = [width_of(kind) for kind in types]
    if 0 not in widths:
        return min(BATCH_ROWS, max(1, size // max(1, sum(widths))))
    return max(1, min(TEXT_ROWS, size // max(1, sum(widths) + stored), TEXT_BYTES // max(1, longest)))


def width_of(kind: pa.DataType) -> int:
    """Give the bytes of a value in memory; 0 if they are not all of one width."""
    try:
        return -(-int(kind.bit_width) // 8)
    except ValueError:
        return 0
