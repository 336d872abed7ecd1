"""Values of messages, as tables and back: JSON objects, a row each, and Arrow IPC streams.

What cannot be read is told apart from what can, message by message, and harms no other one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from streamnorm.errors import DataError, SourceError, StreamnormError
from streamnorm.files import Remote, Store
from streamnorm.formats import IpcStream
from streamnorm.inputs import expand

__all__ = ["Decoded", "Format", "Json", "format_of"]


@dataclass
class Decoded:
    """What messages hold.

    Parameters
    ----------
    tables : list of pyarrow.Table
        Their rows, in their order; of one schema each.
    rows : dict of int to int
        How many rows each message has that can be read, by its place among them.
    bad : dict of int to str
        Why the others cannot be.
    parts : dict of int to int
        In which of the tables the rows of a message are, where they can be none.
    objects : dict of int to dict
        The messages as they are, where they will be written again as JSON.
    """

    tables: list[pa.Table] = field(default_factory=list)
    rows: dict[int, int] = field(default_factory=dict)
    bad: dict[int, str] = field(default_factory=dict)
    parts: dict[int, int] = field(default_factory=dict)
    objects: dict[int, dict[str, Any]] = field(default_factory=dict)


class Format(Protocol):
    """How values of messages are written."""

    def decode(self, values: Sequence[bytes]) -> Decoded:
        """Read the values of messages."""

    def encode(self, decoded: Decoded, mapped: Sequence[pa.Table], results: Collection[str]) -> Iterator[bytes]:
        """Write the values of the messages that could be read.

        Parameters
        ----------
        decoded : Decoded
        mapped : sequence of pyarrow.Table
            Its tables, mapped.
        results : collection of str
            The columns that have results.
        """


# ---- JSON ----


class Json:
    """Messages that are one JSON object each.

    Parameters
    ----------
    schema : pyarrow.Schema
        The fields that are read; others are passed over, and stay in what is written.
    whole : bool
        Whether they will be written again.
    """

    def __init__(self, schema: pa.Schema, *, whole: bool = False) -> None:
        self._schema, self._whole = schema, whole
        self._has_text = any(not _is_number(item.type) for item in schema)

    def decode(self, values: Sequence[bytes]) -> Decoded:
        """Read the values of messages, all at once; where that fails, half by half until it is known which is bad."""
        decoded = Decoded()
        places = []
        for place, value in enumerate(values):
            stripped = value.strip()
            if stripped[:1] == b"{" and stripped[-1:] == b"}":
                places.append(place)
            else:
                decoded.bad[place] = "is no JSON object"
        if self._whole:
            places = [place for place in places if _parsed(values[place], place, decoded)]
        if places:
            self._decode(values, places, decoded)
        decoded.rows = {place: 1 for place in places if place not in decoded.bad}
        return decoded

    def _decode(self, values: Sequence[bytes], places: Sequence[int], decoded: Decoded) -> None:
        """Read some of the values, by halves where not all of them can be.

        Parameters
        ----------
        values : sequence of bytes
        places : sequence of int
        decoded : Decoded
            Gets what they hold.
        """
        try:
            table = self._read([values[place] for place in places])
        except (pa.ArrowException, UnicodeError) as error:
            if len(places) == 1:
                decoded.bad[places[0]] = _reason(error)
                return
            half = len(places) // 2
            self._decode(values, places[:half], decoded)
            self._decode(values, places[half:], decoded)
        else:
            decoded.tables.append(table)

    def _read(self, values: Sequence[bytes]) -> pa.Table:
        """Read objects, one a value; each begins and ends with a brace, so that none can reach into the next."""
        from pyarrow import json as pyarrow_json

        data = b"\n".join(values)
        if data.count(b"\n") >= len(values):
            data = b"\n".join(value.replace(b"\n", b" ") for value in values)
        data.decode()  # what is not read may be no text
        table = pyarrow_json.read_json(
            pa.BufferReader(data),
            read_options=pyarrow_json.ReadOptions(use_threads=False, block_size=len(data) + 1),
            parse_options=pyarrow_json.ParseOptions(explicit_schema=self._schema, unexpected_field_behavior="ignore"),
        )
        if len(table) != len(values):
            raise pa.ArrowInvalid(f"{len(values)} messages hold {len(table)} objects")
        if self._has_text:
            table.validate(full=True)
        return table

    def encode(self, decoded: Decoded, mapped: Sequence[pa.Table], results: Collection[str]) -> Iterator[bytes]:
        """Write the objects as they were, but for the fields that have a result.

        Parameters
        ----------
        decoded : Decoded
        mapped : sequence of pyarrow.Table
            Its tables, mapped.
        results : collection of str
            The columns that have results.
        """
        places = iter(decoded.rows)
        for before, after in zip(decoded.tables, mapped, strict=True):
            gone = set(before.column_names) - set(after.column_names)
            for row in after.select([name for name in after.column_names if name in results]).to_pylist():
                found = {name: value for name, value in decoded.objects[next(places)].items() if name not in gone}
                found |= {name: _plain(value) for name, value in row.items()}
                yield _WRITE(found).encode()


_READ = json.JSONDecoder().decode
_WRITE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def _plain(value: Any) -> Any:
    """Give what JSON holds: no NaN, which stands for what is missing."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parsed(value: bytes, place: int, decoded: Decoded) -> bool:
    """Keep a message as Python's objects; tell whether it is one.

    Parameters
    ----------
    value : bytes
    place : int
    decoded : Decoded
    """
    try:
        decoded.objects[place] = _READ(value.decode())
    except (ValueError, RecursionError) as error:
        decoded.bad[place] = _reason(error)
    return place not in decoded.bad


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


# ---- Arrow ----


class Arrow:
    """Messages that are an Arrow IPC stream each, of any number of rows."""

    def decode(self, values: Sequence[bytes]) -> Decoded:
        """Read the values of messages, one by one; tables of one schema are put together."""
        decoded = Decoded()
        for place, value in enumerate(values):
            try:
                stream = IpcStream(Remote("it", "", _Values(value)))
                table = pa.Table.from_batches(stream.read(0), stream.schema)
            except (pa.ArrowException, StreamnormError, OSError, ValueError) as error:
                decoded.bad[place] = _reason(error)
                continue
            decoded.rows[place] = len(table)
            if decoded.tables and decoded.tables[-1].schema.equals(table.schema, check_metadata=True):
                decoded.tables[-1] = pa.concat_tables([decoded.tables[-1], table])
            else:
                decoded.tables.append(table)
            decoded.parts[place] = len(decoded.tables) - 1
        return decoded

    def encode(self, decoded: Decoded, mapped: Sequence[pa.Table], results: Collection[str]) -> Iterator[bytes]:
        """Write a stream for each message.

        Parameters
        ----------
        decoded : Decoded
        mapped : sequence of pyarrow.Table
            Its tables, mapped.
        results : collection of str
            The columns that have results; all of a table's are written.
        """
        starts = dict.fromkeys(range(len(mapped)), 0)
        for place, rows in decoded.rows.items():
            number = decoded.parts[place]
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, mapped[number].schema) as stream:
                stream.write_table(mapped[number].slice(starts[number], rows))
            starts[number] += rows
            yield sink.getvalue().to_pybytes()


class _Values(Store):
    """A store that holds the value of one message."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    @property
    def filesystem(self) -> Any:
        """Give itself."""
        return self

    def open_input_file(self, key: str) -> pa.NativeFile:
        """Open it for reading."""
        return pa.BufferReader(self._value)


def _reason(error: Exception) -> str:
    return f"cannot be read: {' '.join(str(error).split())[:200].rstrip('.')}"


# ---- what is asked for ----

_FORMATS = ("json", "arrow")


def format_of(name: str | None, schema: str | Path | pa.Schema | None, *, whole: bool) -> Format:
    """Make the format of a name.

    Parameters
    ----------
    name : {"json", "arrow"}
    schema : str, Path or pyarrow.Schema, optional
        Of JSON: the fields that are read, or a file that says them.
    whole : bool
        Whether messages will be written again.

    Raises
    ------
    DataError
        If there is no such format, or the schema is missing or not wanted.
    """
    if name == "arrow":
        if schema is not None:
            raise DataError("messages of Arrow bring their schema: leave it out (schema, --schema).")
        return Arrow()
    if name != "json":
        raise DataError(f"the format of messages is json or arrow, got {name!r}: say which (format, --format).")
    if schema is None:
        raise DataError(
            "JSON does not say the types of its fields: name a file that does (schema, --schema), such as a Parquet "
            'file with these columns, or one of JSON: {"price": "double"}.'
        )
    return Json(schema if isinstance(schema, pa.Schema) else schema_at(schema), whole=whole)


def schema_at(path: str | Path) -> pa.Schema:
    """Read a schema from a Parquet or Arrow file, or from a JSON object of names and types.

    Raises
    ------
    SourceError, DataError
        If there is no such file, or it says no schema.
    """
    if Path(path).suffix.lower() == ".json":
        return _schema_of_json(Path(path))
    (source, *others) = expand(path)
    if others or not source.typed:
        raise DataError(f"{path} does not say the types of columns: name one Parquet, Arrow or JSON file (--schema).")
    return source.schema.remove_metadata()


def _schema_of_json(path: Path) -> pa.Schema:
    try:
        with path.open("rb") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read as a schema: {error}; write names and types in it.") from None
    if not isinstance(found, dict) or not found:
        raise DataError(f'{path} holds no schema: expected names and types, such as {{"price": "double"}}.')
    fields = []
    for name, kind in found.items():
        try:
            fields.append(pa.field(name, pa.type_for_alias(kind)))
        except (ValueError, TypeError, AttributeError):
            raise DataError(
                f"{path}: field {name!r} is of type {kind!r}, which Arrow does not know: write double, float, int64, "
                "string, bool, timestamp[ms] or the like."
            ) from None
    return pa.schema(fields)
