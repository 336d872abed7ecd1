"""Keys that writers put beside a table to describe its types: made right where columns change."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm.arrow.types import vector_values

__all__ = ["field_for", "keys_for"]


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
    if not _KEYS.keys() & metadata.keys() or old.equals(new):
        return dict(metadata)
    changes = _Changes.of(old, new)
    return {
        key: _rewritten(key, value, changes) if key in _DOCUMENTS
        else _arrow_schema(value, old, new) if key == _ARROW
        else value
        for key, value in metadata.items()
    }  # fmt: skip


def field_for(item: pa.Field, kind: pa.DataType, name: str) -> pa.Field:
    """Give the field of a column made of another: without what told of the other's type, or of its number in the file.

    Parameters
    ----------
    item : pyarrow.Field
        The column that it is made of.
    kind : pyarrow.DataType
    name : str
    """
    stale = [b"ARROW:extension:"] * (kind != item.type) + [b"PARQUET:field_id"] * (name != item.name)
    kept = {key: value for key, value in (item.metadata or {}).items() if not key.startswith(tuple(stale))}
    return item.with_type(kind).with_name(name).with_metadata(kept or None)


class _Changes(NamedTuple):
    """How the columns of a table have changed; those whose names are there twice are not told of.

    Parameters
    ----------
    types, added : tuple of (str, pyarrow.DataType)
        Columns that hold another type now, and those that were not there.
    gone : frozenset of str
    """

    types: tuple[tuple[str, pa.DataType], ...]
    added: tuple[tuple[str, pa.DataType], ...]
    gone: frozenset[str]

    @classmethod
    def of(cls, old: pa.Schema, new: pa.Schema) -> _Changes:
        """Compare two schemas by the names of their columns."""
        times = Counter(old.names) | Counter(new.names)
        before = {item.name: item.type for item in old if times[item.name] == 1}
        after = {item.name: item.type for item in new if times[item.name] == 1}
        there = set(old.names)
        return cls(
            tuple((name, kind) for name, kind in after.items() if before.get(name, kind) != kind),
            tuple((name, kind) for name, kind in after.items() if name not in there),
            frozenset(before.keys() - set(new.names)),
        )

    def applied(
        self, entries: list[Any], name: Callable[[Any], Any], changed: Callable[[Any, pa.DataType], Any],
        made: Callable[[str, pa.DataType], Any],
    ) -> list[Any]:  # fmt: skip
        """Give the entries of the columns as they are now, in the order they were in, new ones at the end.

        Parameters
        ----------
        entries : list
            One a column, as a writer describes it.
        name : callable
            Gives the column of an entry.
        changed : callable
            Describes a column of another type: takes the entry and the type.
        made : callable
            Describes a new column: takes its name and type.
        """
        types = dict(self.types)
        kept = (entry for entry in entries if name(entry) not in self.gone)
        now = [changed(entry, types[name(entry)]) if name(entry) in types else entry for entry in kept]
        return now + [made(*column) for column in self.added]


@lru_cache(maxsize=64)
def _rewritten(key: bytes, value: bytes, changes: _Changes) -> bytes:
    """Rewrite a document in JSON; one that is not as its writer writes it stays.

    Parameters
    ----------
    key, value : bytes
    changes : _Changes
    """
    try:
        document = _DOCUMENTS[key](json.loads(value), changes)
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return value


def _float(kind: pa.DataType) -> str:
    """Name a type of floating-point numbers, or that of the values of vectors."""
    values = vector_values(kind)
    return {"halffloat": "float16", "float": "float32", "double": "float64"}[str(kind if values is None else values)]


# ---- pandas ----


def _pandas(document: Any, changes: _Changes) -> Any:
    """What pandas and fastparquet keep: types of columns, the index, the kind of the labels."""

    def changed(entry: Any, kind: pa.DataType) -> Any:
        return {**entry, **_pandas_types(kind, str(entry["numpy_type"])), "metadata": None}

    def made(name: str, kind: pa.DataType) -> Any:
        return {"name": name, "field_name": name, **_pandas_types(kind, ""), "metadata": None}

    columns = changes.applied(document["columns"], _pandas_name, changed, made)
    index = [item for item in document["index_columns"] if not (isinstance(item, str) and item in changes.gone)]
    labels = document.get("column_indexes", [])
    if changes.added and not _are_texts(labels):
        text = {"pandas_type": "unicode", "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}
        labels = [{"name": None, "field_name": None, **text}]  # the new names are no numbers, times or levels
    return {**document, "columns": columns, "index_columns": index, "column_indexes": labels}


def _pandas_name(entry: Any) -> Any:
    return entry.get("field_name", entry["name"])


def _pandas_types(kind: pa.DataType, before: str) -> dict[str, str]:
    """Give the types of a column that had another of NumPy's, of the same family: NumPy's, nullable or Arrow's."""
    name = _float(kind)
    if before.endswith("[pyarrow]"):
        return {"pandas_type": name, "numpy_type": f"{kind}[pyarrow]"}
    if vector_values(kind) is not None:
        return {"pandas_type": f"list[{name}]", "numpy_type": "object"}
    is_nullable = before[:1].isupper() or before == "boolean"
    return {"pandas_type": name, "numpy_type": name.capitalize() if is_nullable and name != "float16" else name}


def _are_texts(labels: list[Any]) -> bool:
    return len(labels) < 2 and all(label["pandas_type"] in ("unicode", "string", "empty", "mixed") for label in labels)


# ---- Spark, Iceberg, Avro, Hugging Face ----

_SPARK = {"float16": "float", "float32": "float", "float64": "double"}


def _word(kind: pa.DataType) -> str:
    return _SPARK[_float(kind)]


def _spark(document: Any, changes: _Changes) -> Any:
    """What Spark keeps: a struct of its own types."""

    def type_of(kind: pa.DataType, before: Any) -> Any:
        if vector_values(kind) is None:
            return _word(kind)
        lists = before if isinstance(before, dict) else {"type": "array", "containsNull": True}
        return {**lists, "elementType": _word(kind)}

    def changed(entry: Any, kind: pa.DataType) -> Any:
        return {**entry, "type": type_of(kind, entry["type"])}

    def made(name: str, kind: pa.DataType) -> Any:
        return {"name": name, "type": type_of(kind, None), "nullable": True, "metadata": {}}

    return {**document, "fields": changes.applied(document["fields"], _name, changed, made)}


def _name(entry: Any) -> Any:
    return entry["name"]


def _iceberg(document: Any, changes: _Changes) -> Any:
    """What Iceberg keeps: a struct of its own types. New columns have no number, and are none of its own."""

    def changed(entry: Any, kind: pa.DataType) -> Any:
        word = _word(kind)
        return {**entry, "type": word if vector_values(kind) is None else {**entry["type"], "element": word}}

    fields = changes._replace(added=()).applied(document["fields"], _name, changed, lambda *column: None)
    return {**document, "fields": fields}


def _avro(document: Any, changes: _Changes) -> Any:
    """What Avro's writers keep: a record, whose columns that may be null are unions."""

    def type_of(kind: pa.DataType, before: Any) -> Any:
        found = _word(kind) if vector_values(kind) is None else {"type": "array", "items": ["null", _word(kind)]}
        return ["null", found] if isinstance(before, list) else found

    def changed(entry: Any, kind: pa.DataType) -> Any:
        kept = {key: value for key, value in entry.items() if key != "default" or value is None}
        if isinstance(entry["type"], list) and entry["type"][:1] != ["null"]:
            kept.pop("default", None)  # must be of the first type
        return {**kept, "type": type_of(kind, entry["type"])}

    def made(name: str, kind: pa.DataType) -> Any:
        return {"name": name, "type": type_of(kind, []), "default": None}

    return {**document, "fields": changes.applied(document["fields"], _name, changed, made)}


def _hugging_face(document: Any, changes: _Changes) -> Any:
    """What Hugging Face's datasets keeps: features by their names."""

    def feature(kind: pa.DataType, before: Any) -> Any:
        value = {"dtype": _float(kind), "_type": "Value"}
        if vector_values(kind) is None:
            return value
        if isinstance(before, list):
            return [value]
        return {**before, "feature": value} if "feature" in before else {**before, "dtype": _float(kind)}

    def changed(entry: Any, kind: pa.DataType) -> Any:
        return entry[0], feature(kind, entry[1])

    def made(name: str, kind: pa.DataType) -> Any:
        return name, feature(kind, {"feature": None, "_type": "List"})

    info = document["info"]
    features = changes.applied(list(info["features"].items()), lambda entry: entry[0], changed, made)
    return {**document, "info": {**info, "features": dict(features)}}


# ---- Arrow ----


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


_ARROW = b"ARROW:schema"
_DOCUMENTS: dict[bytes, Callable[[Any, _Changes], Any]] = {
    b"pandas": _pandas,
    b"org.apache.spark.sql.parquet.row.metadata": _spark,
    b"iceberg.schema": _iceberg,
    b"parquet.avro.schema": _avro,
    b"avro.schema": _avro,
    b"huggingface": _hugging_face,
}
_KEYS = {_ARROW: None, **_DOCUMENTS}
