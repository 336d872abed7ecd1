"""Keys that writers put beside a table to describe its types: made right where columns change."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

__all__ = ["keys_for"]


def keys_for(metadata: Mapping[bytes, bytes], old: pa.Schema, new: pa.Schema) -> dict[bytes, bytes]:
    """Give the key-value metadata of a file whose columns have changed.

    Keys that describe no types, or cannot be read, come back as they are.

    Parameters
    ----------
    metadata : mapping of bytes to bytes
        What the file has beside its columns.
    old, new : pyarrow.Schema
        Its columns before and after.

    Examples
    --------
    >>> old, new = pa.schema([("x", pa.int64())]), pa.schema([("x", pa.float64())])
    >>> found = keys_for({b"ARROW:schema": base64.b64encode(old.serialize()), b"mine": b"1"}, old, new)
    >>> pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found[b"ARROW:schema"]))), found[b"mine"]
    (x: double, b'1')
    """
    if old.equals(new):
        return dict(metadata)
    return {key: _KEYS[key](value, old, new) if key in _KEYS else value for key, value in metadata.items()}


def _arrow_schema(value: bytes, old: pa.Schema, new: pa.Schema) -> bytes:
    """Rewrite Arrow's own schema, an IPC message in base64.

    Parameters
    ----------
    value : bytes
    old, new : pyarrow.Schema
    """
    try:
        stored = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value)))
    except (pa.ArrowException, OSError, binascii.Error):
        return value
    fields = [_field_of(item, new.names[:at].count(item.name), stored, old) for at, item in enumerate(new)]
    metadata = None if stored.metadata is None else keys_for(stored.metadata, old, new)
    return base64.b64encode(pa.schema(fields, metadata).serialize())


def _field_of(item: pa.Field, before: int, stored: pa.Schema, old: pa.Schema) -> pa.Field:
    """Give the field as it is stored, unless the column has changed.

    Parameters
    ----------
    item : pyarrow.Field
        The field after the change.
    before : int
        How many of its name come before it.
    stored, old : pyarrow.Schema
        As it was written, and as it was read.
    """
    theirs, mine = (schema.get_all_field_indices(item.name)[before : before + 1] for schema in (stored, old))
    if theirs and mine and old.field(mine[0]).type == item.type:
        return stored.field(theirs[0])
    kept = {key: value for key, value in (item.metadata or {}).items() if not key.startswith(b"PARQUET:")}
    return item.with_metadata(kept or None)


def _in_json(
    edit: Callable[[dict[str, Any], pa.Schema, pa.Schema], None],
) -> Callable[[bytes, pa.Schema, pa.Schema], bytes]:
    """Make what rewrites a key that holds JSON."""

    def rewritten(value: bytes, old: pa.Schema, new: pa.Schema) -> bytes:
        """Give the key's value as it is after the change; as it was where it is not understood.

        Parameters
        ----------
        value : bytes
        old, new : pyarrow.Schema
        """
        try:
            found = json.loads(value)
            edit(found, old, new)
        except (ValueError, TypeError, KeyError, AttributeError):
            return value
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()

    return rewritten


def _changed(old: pa.Schema, new: pa.Schema) -> tuple[dict[str, pa.DataType], list[str], set[str]]:
    """Give the types of columns that have another, the names of those that are added, and of those that are gone.

    Parameters
    ----------
    old, new : pyarrow.Schema
    """
    before, after = ({item.name: item.type for item in schema} for schema in (old, new))
    types = {name: kind for name, kind in after.items() if kind != before.get(name)}
    return types, [name for name in types if name not in before], before.keys() - after.keys()


def _pandas(found: dict[str, Any], old: pa.Schema, new: pa.Schema) -> None:
    """Rewrite what pandas needs to make the same frame again: a column that may be null stays one of that kind.

    Parameters
    ----------
    found : dict
    old, new : pyarrow.Schema
    """
    types, added, gone = _changed(old, new)
    columns = [item for item in found["columns"] if item["field_name"] not in gone]
    columns += [{"name": name, "field_name": name, "numpy_type": "", "metadata": None} for name in added]
    for item in columns:
        kind = types.get(item["field_name"])
        if kind is not None:
            item["pandas_type"] = _PANDAS.get(kind, "object")
            item["numpy_type"] = _numpy_type(kind, item["numpy_type"])
            item["metadata"] = None
    found["columns"] = columns
    found["index_columns"] = [item for item in found["index_columns"] if item not in list(gone)]


_PANDAS = {pa.float16(): "float16", pa.float32(): "float32", pa.float64(): "float64"}


def _numpy_type(kind: pa.DataType, before: str) -> str:
    """Name the type of a column of a frame: of pandas' own, Arrow's or NumPy's, as the one before."""
    name = _PANDAS.get(kind)
    if before.endswith("[pyarrow]"):
        return f"{kind}[pyarrow]"
    return "object" if name is None else name.capitalize() if before[:1].isupper() and name != "float16" else name


def _spark(found: dict[str, Any], old: pa.Schema, new: pa.Schema) -> None:
    """Rewrite the schema that Spark reads a file by.

    Parameters
    ----------
    found : dict
    old, new : pyarrow.Schema
    """
    types, added, gone = _changed(old, new)
    fields = [item for item in found["fields"] if item["name"] not in gone]
    fields += [{"name": name, "nullable": True, "metadata": {}} for name in added]
    for item in fields:
        if item["name"] in types:
            item["type"] = _spark_type(types[item["name"]])
    found["fields"] = fields


def _spark_type(kind: pa.DataType) -> Any:
    if kind.num_fields == 1:
        return {"type": "array", "elementType": _spark_type(kind.field(0).type), "containsNull": True}
    return "double" if kind == pa.float64() else "float"


def _iceberg(found: dict[str, Any], old: pa.Schema, new: pa.Schema) -> None:
    """Rewrite the types of Iceberg's schema. Columns that are added have no id yet, and are none of its own.

    Parameters
    ----------
    found : dict
    old, new : pyarrow.Schema
    """
    types, _, gone = _changed(old, new)
    found["fields"] = [item for item in found["fields"] if item["name"] not in gone]
    for item in found["fields"]:
        kind = types.get(item["name"])
        if kind is not None and kind.num_fields == 1:
            item["type"]["element"] = _spark_type(kind.field(0).type)
        elif kind is not None:
            item["type"] = _spark_type(kind)


_KEYS: dict[bytes, Callable[[bytes, pa.Schema, pa.Schema], bytes]] = {
    b"ARROW:schema": _arrow_schema,
    b"pandas": _in_json(_pandas),
    b"org.apache.spark.sql.parquet.row.metadata": _in_json(_spark),
    b"iceberg.schema": _in_json(_iceberg),
}
