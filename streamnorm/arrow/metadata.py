"""Keys that writers put beside a table to describe its types: made right where columns change."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping

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
    return base64.b64encode(pa.schema(fields, stored.metadata).serialize())


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


_KEYS: dict[bytes, Callable[[bytes, pa.Schema, pa.Schema], bytes]] = {b"ARROW:schema": _arrow_schema}
