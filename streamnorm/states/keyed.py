"""Statistics per key in a state file: the keys once, in order, and each column's slots as packed arrays."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from streamnorm.arrow import integers, large_strings
from streamnorm.rules import BoundRule
from streamnorm.summaries import pack, unpack
from streamnorm.tables import KEY_TYPES, Keyed, Keys

__all__ = ["columns_to_json", "keyed_from_json", "keys_from_json", "keys_to_json"]

_EPOCH = datetime.date(1970, 1, 1).toordinal()


def keys_to_json(keys: Keys) -> dict[str, Any]:
    """Write keys in ascending order, column by column."""
    columns = zip(keys.names, keys.kinds, keys.values(), strict=True)
    return {
        "count": len(keys),
        "columns": [{"name": name, "type": kind, "values": values} for name, kind, values in columns],
    }


def columns_to_json(keyed: Keyed) -> list[dict[str, Any]]:
    """Write each column's slots, in the order of `keys_to_json`."""
    return [pack(column.take(keyed.keys.order)) for column in keyed.columns]


def keys_from_json(document: Mapping[str, Any]) -> Keys:
    """Read what `keys_to_json` gave; raises ValueError or KeyError where it is not that."""
    count, names = document["count"], tuple(column["name"] for column in document["columns"])
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError("the key columns have no names, or not different ones")
    arrays = [_array(column["values"], column["type"]) for column in document["columns"]]
    if type(count) is not int or any(len(array) != count for array in arrays):
        raise ValueError("the key columns do not have as many keys as there are")
    distinct, _ = Keys.of(names, arrays)
    keys = Keys(names, tuple(arrays))
    if len(distinct) < count or (keys.order != np.arange(count)).any():
        raise ValueError("the keys are not distinct, or not in order")
    return keys


def _array(values: Any, kind: str) -> pa.Array:
    """Make an array of Python's objects; `pyarrow.array` would import pandas."""
    if not isinstance(values, list):
        raise TypeError("the keys are no list")
    wanted, missing = KEY_TYPES[kind], np.array([value is None for value in values], bool)
    present = [value for value in values if value is not None]
    if kind == "string":
        array = large_strings(present)
    elif kind == "integer":
        array = integers(_checked([value if type(value) is int else None for value in present]))
    elif kind == "date":
        days = integers(_checked([datetime.date.fromisoformat(value).toordinal() - _EPOCH for value in present]))
        array = days.cast(pa.int32()).cast(wanted)
    elif present:
        raise ValueError("a key that is null has a value")
    else:
        return pa.nulls(len(values))
    places = np.where(missing, len(present), np.cumsum(~missing) - 1)  # the place behind the last is null
    return pa.concat_arrays([array, pa.nulls(1, wanted)]).take(integers(places))


def _checked(values: Sequence[int | None]) -> Any:
    if not all(value is not None and -(2**63) <= value < 2**63 for value in values):
        raise ValueError("a key is no 64-bit integer")
    return np.array(values, np.int64)


def keyed_from_json(keys: Keys, rule: BoundRule, summaries: Sequence[Mapping[str, Any]]) -> Keyed:
    """Read the columns of one rule; raises ValueError or KeyError where they are not what `columns_to_json` gave.

    Parameters
    ----------
    keys : Keys
    rule : BoundRule
    summaries : sequence of mapping
    """
    nothing = rule.summary.empty(len(keys))
    columns = [unpack(nothing, summary) for summary in summaries]
    rows = {column.counts.rows.tobytes() for column in columns}
    if len(rows) > 1 or any((column.counts.rows == 0).any() for column in columns):
        raise ValueError("the columns have other numbers of rows of a key, or none")
    if any(column.counts.table.sum(dtype=np.float64) >= 2.0**63 for column in columns):
        raise ValueError("there are more rows than 63 bits can count")
    return Keyed.make(keys, columns)
