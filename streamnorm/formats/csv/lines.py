"""Batches as lines of CSV: values of text as they are, numbers as the shortest text that reads back to the same."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from streamnorm import kernel
from streamnorm.arrow import compute as pc
from streamnorm.arrow import strings
from streamnorm.errors import DataError

__all__ = ["head_of", "lines_of", "text_of"]


def text_of(batch: pa.RecordBatch, decimal: str = ".") -> pa.RecordBatch:
    """Write a batch's columns as text, numbers as the shortest that reads back to the same, and nulls as nothing.

    Raises
    ------
    DataError
        If a column holds what CSV cannot, such as lists.
    """
    columns = []
    for item, column in zip(batch.schema, batch.columns, strict=True):
        try:
            text = _numbers(column, decimal) if pa.types.is_floating(item.type) else column.cast(pa.string())
        except pa.ArrowException:
            raise DataError(
                f"column {item.name!r} holds {item.type}, which CSV cannot: end the output's name in .parquet."
            ) from None
        columns.append(text.fill_null("") if text.null_count else text)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _numbers(column: pa.Array, decimal: str) -> pa.Array:
    """Write numbers as text."""
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    width = column.type.bit_width // 8
    values = column.buffers()[1].slice(width * column.offset, width * len(column))
    offsets, texts = kernel.shortest(values, "d" if width == 8 else "f", decimal)
    validity = column.is_valid().buffers()[1] if column.null_count else None
    return pa.Array.from_buffers(pa.string(), len(column), [validity, pa.py_buffer(offsets), pa.py_buffer(texts)])


def head_of(names: Iterable[str], delimiter: str) -> bytes:
    """Write the line of names."""
    columns = [strings([name]) for name in names]
    return lines_of(pa.RecordBatch.from_arrays(columns, [str(i) for i in range(len(columns))]), delimiter)


def _quoted(column: pa.Array, special: str, *, alone: bool) -> pa.Array:
    """Put quotes around the values that need them; the only one of a line needs them where it is empty.

    Parameters
    ----------
    column : pyarrow.Array
        Text.
    special : str
        Pattern of what needs quotes.
    alone : bool
        Whether a line has no other value.
    """
    needed = pc.match_substring_regex(column, special)
    if alone:
        needed = pc.or_(needed, pc.equal(column, ""))
    if not pc.any(needed).as_py():
        return column
    doubled = pc.replace_substring(column, '"', '""')
    return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), column)


def lines_of(batch: pa.RecordBatch, delimiter: str) -> bytes:
    """Write a batch of text as CSV lines, with quotes only around what needs them."""
    if batch.num_rows == 0:
        return b""
    special = "[" + re.escape(delimiter) + '"\r\n]'
    fields = [_quoted(column, special, alone=batch.num_columns == 1) for column in batch.columns]
    lines = pc.binary_join_element_wise(*fields, delimiter)
    lines = pc.binary_join_element_wise(lines, "", "\n")  # each with its end; their bytes lie one after another
    _, offsets, data = lines.buffers()
    end = int(np.frombuffer(offsets, np.int32)[len(lines)])
    return data.slice(0, end).to_pybytes()  # type: ignore[no-any-return]
