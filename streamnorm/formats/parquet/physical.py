"""Between Parquet's physical types and Arrow's: plain values as arrays, and what a result is stored as."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from streamnorm.formats.parquet.tree import I32, STRUCT, Struct

__all__ = ["array_of", "can_map", "letter_of", "stored_as", "width_of_physical"]

_INT32, _INT64, _FLOAT, _DOUBLE, _FIXED = 1, 2, 4, 5, 7
_WIDTHS = {_INT32: 4, _INT64: 8, _FLOAT: 4, _DOUBLE: 8}
#: Physical type and bytes of a result.
_STORED = {pa.float64(): (_DOUBLE, 8), pa.float32(): (_FLOAT, 4), pa.float16(): (_FIXED, 2)}
#: Letters of numbers, as in Python's struct.
_LETTERS = {
    pa.int32(): "i", pa.uint32(): "I", pa.int64(): "q", pa.uint64(): "Q", pa.float32(): "f", pa.float64(): "d",
}  # fmt: skip
#: Number of FLOAT16 among the logical types.
_FLOAT16 = 15


def width_of_physical(physical: int) -> int:
    """Give the bytes of a value in a plain page; 0 for types whose values are not mapped by pages."""
    return _WIDTHS.get(physical, 0)


def letter_of(kind: pa.DataType, width: int) -> str | None:
    """Give the letter of plain values that are what lies in the page; None for those that are made of it.

    Parameters
    ----------
    kind : pyarrow.DataType
    width : int
        Bytes of a value in a plain page.
    """
    return _LETTERS.get(kind) if kind in _LETTERS and kind.bit_width == 8 * width else None


def can_map(kind: pa.DataType, physical: int, result: pa.DataType) -> bool:
    """Tell whether plain values can be read as an Arrow type, and the result be written by pages.

    Parameters
    ----------
    kind : pyarrow.DataType
        Of the values as they are.
    physical : int
        What they are stored as, by Parquet's number.
    result : pyarrow.DataType
    """
    width = width_of_physical(physical)
    if not width or result not in _STORED:
        return False
    if pa.types.is_decimal128(kind):
        return physical in (_INT32, _INT64)
    if pa.types.is_integer(kind):
        return physical in (_INT32, _INT64) and kind.bit_width <= 8 * width
    floats = {_FLOAT: pa.float32(), _DOUBLE: pa.float64()}
    return bool(kind == floats.get(physical) or (pa.types.is_duration(kind) and physical == _INT64))


def array_of(kind: pa.DataType, physical: int, data: Any, count: int) -> pa.Array:
    """Give plain values as an Arrow array without nulls.

    Parameters
    ----------
    kind : pyarrow.DataType
        One that `can_map` says yes to.
    physical : int
    data : buffer
    count : int
        Values in it.
    """
    if pa.types.is_decimal128(kind):
        whole = np.frombuffer(data, np.int32 if physical == _INT32 else np.int64, count)
        words = np.empty((count, 2), np.int64)
        words[:, 0] = whole
        words[:, 1] = words[:, 0] >> 63
        data = words
    elif kind.bit_width < 8 * width_of_physical(physical):
        whole = np.frombuffer(data, np.int32 if physical == _INT32 else np.int64, count)
        data = whole.astype(kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(data)])


def stored_as(element: Struct, result: pa.DataType, name: str, replaced: Struct | None) -> tuple[Struct, int, int]:
    """Give the schema's element of a result, its physical type and the bytes of a value.

    Parameters
    ----------
    element : Struct
        The element of the column that was mapped.
    result : pyarrow.DataType
    name : str
        The result's.
    replaced : Struct, optional
        The element of the column that the result replaces, whose id it has; one that stands beside has none yet.
    """
    physical, length = _STORED[result]
    made = Struct().set(1, I32, physical).set(4, element.fields[4][0], name.encode())
    for number, from_ in ((3, element), (9, replaced)):  # repetition, and the field's id
        if from_ is not None and number in from_.fields:
            made.fields[number] = from_.fields[number]
    if result == pa.float16():
        made.set(2, I32, length).set(10, STRUCT, Struct().set(_FLOAT16, STRUCT, Struct()))
    return made, physical, length
