"""What each Arrow type is to a normalizer: which columns hold numbers, and as which numbers they are read.

The README has the whole table, under "What becomes of each type".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from streamnorm.arrow.compute import compute as pc
from streamnorm.errors import DataError

__all__ = ["EXACT", "index_columns", "is_choosable", "is_chosen", "is_numeric", "readable", "vector_values", "widest"]

_PLAIN = frozenset(
    kind.id
    for kind in (
        pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64(),
        pa.float32(), pa.float64(),
    )
)  # fmt: skip
#: Types that are read as another one that holds all their values.
_READ_AS = {pa.bool_(): pa.uint8(), pa.float16(): pa.float32(), pa.null(): pa.float64()}
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
#: Largest magnitude up to which float64 holds every integer.
EXACT = 2**53
#: Largest exponent up to which float64 holds every power of ten.
_EXACT_POWER = 22


def is_numeric(kind: pa.DataType) -> bool:
    """Tell whether a column of this Arrow type holds one number a row, written as such."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def index_columns(schema: pa.Schema) -> frozenset[str]:
    """Name the columns that pandas wrote its index to: they tell rows apart, and are left alone unless named."""
    try:
        found = json.loads((schema.metadata or {})[b"pandas"])["index_columns"]
        return frozenset(name for name in found if isinstance(name, str))  # a range is no column
    except (KeyError, TypeError, ValueError, RecursionError):
        return frozenset()


def is_chosen(kind: pa.DataType) -> bool:
    """Tell whether a column of this Arrow type is normalised unless it is excluded."""
    values = None if pa.types.is_list(kind) or pa.types.is_large_list(kind) else vector_values(kind)
    return is_numeric(kind if values is None else values)


def is_choosable(kind: pa.DataType) -> bool:
    """Tell whether a column of this Arrow type is normalised if it is named."""
    values = vector_values(kind)
    if values is None and pa.types.is_dictionary(kind):
        values = kind.value_type
    return is_numeric(kind if values is None else values) or pa.types.is_boolean(kind) or pa.types.is_duration(kind)


def vector_values(kind: pa.DataType) -> pa.DataType | None:
    """Give the type of the values of a list or tensor, None for every other type and where no list has a value."""
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    nested = storage is not kind and (hasattr(kind, "shape") or _is_nested(storage))  # an array of several dimensions
    if storage is not kind and not nested:
        return None  # a geometry, for instance
    found = None
    while found is None or nested:
        of_one_length = pa.types.is_fixed_size_list(storage) and storage.list_size
        if not (of_one_length or pa.types.is_list(storage) or pa.types.is_large_list(storage)):
            break
        found = storage = storage.value_type
    return found


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_fixed_size_list(kind.value_type))


def readable(array: pa.Array, name: str) -> pa.Array:
    """Give an array of one of the types that the kernel reads; its nulls stay where they are.

    Raises
    ------
    DataError
        If the column holds no numbers.
    """
    kind = array.type
    if kind.id in _PLAIN:
        return array
    if kind in _READ_AS:
        return array.cast(_READ_AS[kind])
    if pa.types.is_decimal(kind):
        return _nearest(array)
    if pa.types.is_duration(kind):
        return pc.divide(array.cast(pa.int64()).cast(pa.float64(), safe=False), _TICKS[kind.unit])
    if pa.types.is_dictionary(kind):
        return readable(array.dictionary_decode(), name)
    raise DataError(f"column {name!r} holds {kind}, not numbers: leave it out, or cast it to a number before.")


def _nearest(array: pa.Array) -> pa.Array:
    """Give the float64 nearest to each decimal, which Arrow's own cast misses by a bit now and then."""
    kind = array.type
    if kind.bit_width <= 128 and 0 <= kind.scale <= _EXACT_POWER:
        whole = array.cast(pa.decimal128(38, kind.scale))
        words = np.frombuffer(whole.buffers()[1] or b"", np.int64)[2 * whole.offset : 2 * (whole.offset + len(whole))]
        low, high = words[::2], words[1::2]
        valid = np.ones(len(low), bool) if not array.null_count else np.asarray(array.is_valid())
        small = (high == low >> 63) & (low >= -EXACT) & (low <= EXACT)
        if (small | ~valid).all():
            values = np.true_divide(low, 10.0**kind.scale)  # of two exact numbers: rounded once
            validity = whole.is_valid().buffers()[1] if whole.null_count else None
            return pa.Array.from_buffers(pa.float64(), len(values), [validity, pa.py_buffer(values)])
    return array.cast(pa.string()).cast(pa.float64())


#: Families of types, each from narrow to wide. Columns that came as types of two families hold float64.
_FAMILIES = (
    ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    ("halffloat", "float", "double"),
)


def widest(mine: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """Give for each column of `mine` the wider of its two types, as Arrow writes them.

    Examples
    --------
    >>> widest({"a": "int32", "b": "float", "c": "null"}, {"a": "int8", "b": "int8", "c": "float"})
    {'a': 'int32', 'b': 'double', 'c': 'float'}
    """
    return {name: _wider(kind, theirs.get(name, kind)) for name, kind in mine.items()}


def _wider(a: str, b: str) -> str:
    if b in (a, "null"):
        return a
    if a == "null":
        return b
    if _family(a) != _family(b):
        return "double"
    return max(a, b, key=_rank)


def _family(kind: str) -> str:
    """Name the family of a type: its narrowest, or what stands before its parameters."""
    named = next((family[0] for family in _FAMILIES if kind in family), None)
    return named or kind.partition("<")[0].partition("[")[0].partition("(")[0]


def _rank(kind: str) -> tuple[int, str]:
    return next((family.index(kind) for family in _FAMILIES if kind in family), 0), kind
