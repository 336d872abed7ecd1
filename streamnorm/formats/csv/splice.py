"""CSV to CSV: normalised fields are replaced where they stand, and every other byte is copied."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa

from streamnorm import kernel
from streamnorm.formats.csv.lines import head_of
from streamnorm.formats.csv.opening import recoded
from streamnorm.formats.csv.parsed import NUMBER, TEXT, WHOLE, Parsed, Wanted
from streamnorm.formats.csv.pieces import CsvUnit
from streamnorm.formats.csv.reader import CsvReader
from streamnorm.formats.source import Unit

__all__ = ["Splicer", "spliced_start"]

#: What becomes of a field: its number is replaced, another is written behind it, or it is removed.
_REPLACE, _APPEND, _REMOVE = range(3)


class _Edit(NamedTuple):
    """What becomes of one field of every record.

    Parameters
    ----------
    field : int
        Its number; that of the last one and one more is the end of the record.
    action : int
    source : str
        The column that is read, whose value decides what is missing.
    target : str
        The column of the result.
    """

    field: int
    action: int
    source: str = ""
    target: str = ""


class Splicer:
    """Edits the pieces of one file.

    Parameters
    ----------
    reader : CsvReader
    targets : mapping of str to str
        Columns that are read as numbers, and what the result of each is called.
    dropped : collection of str
        Columns that are left out.
    keys : sequence of str
        Columns that are read as text beside them.
    decimal : str
    """

    def __init__(
        self, reader: CsvReader, targets: Mapping[str, str], dropped: Collection[str], keys: Sequence[str], decimal: str
    ) -> None:
        self._reader, self._targets, self._keys, self._decimal = reader, targets, keys, decimal
        fields = {name: i for i, name in enumerate(reader.names) if name}
        edits, ends = [_Edit(fields[name], _REMOVE) for name in dropped if name in fields], []
        for source, target in targets.items():
            if target in fields and target not in dropped:
                edits.append(_Edit(fields[target], _REPLACE, source, target))
            else:
                ends.append(_Edit(len(reader.names), _APPEND, source, target))
        self._edits, self._ends = sorted(edits), ends
        self._removes = any(edit.action == _REMOVE for edit in edits)
        kinds = {fields[name]: TEXT for name in keys}
        kinds |= {edit.field: TEXT for edit in self._edits if edit.action == _REPLACE and edit.source != edit.target}
        kinds |= {fields[name]: NUMBER for name in targets}
        kinds |= {
            edit.field: WHOLE if kinds.get(edit.field) == NUMBER else TEXT
            for edit in self._edits
            if edit.action == _REMOVE
        }
        kinds |= {edit.field: TEXT for edit in ends}
        self._wanted = [Wanted(field, kind) for field, kind in sorted(kinds.items())]

    def read(self, unit: Unit) -> tuple[pa.RecordBatch, Parsed]:
        """Give the columns that the result is made of, and where all that is edited stands.

        Raises
        ------
        DataError
            If a value is no number, a row has a wrong number of fields, or the bytes are no text.
        """
        piece = cast(CsvUnit, unit).piece
        self._reader.check_text(piece)
        found = self._reader.parse(piece, self._targets, self._keys, beside=self._wanted, spans=True)
        return self._reader.columns(piece, found, dict.fromkeys([*self._targets, *self._keys])), found

    def write(self, mapped: pa.RecordBatch, found: Parsed) -> bytes | memoryview:
        """Give the piece with every record's fields edited.

        Parameters
        ----------
        mapped : pyarrow.RecordBatch
            The results.
        found : Parsed
            As `read` gave it.
        """
        slots = {field: slot for slot, (field, _) in enumerate(found.wanted)}
        names = self._reader.slots(found)
        edits = [*self._edits, *self._ends]
        if not edits or not found.rows:
            return memoryview(found.data)
        order = [slots[edit.field] for edit in edits]
        spans = found.spans
        if order != list(range(len(found.wanted))) or self._removes:
            spans = np.ascontiguousarray(spans[:, order])
        removed = {edit.field for edit in self._edits if edit.action == _REMOVE}
        first_kept = next((field for field in range(len(self._reader.names)) if field not in removed), 0)
        for i, edit in enumerate(edits):
            if edit.action == _REMOVE:  # with the delimiter before it, or behind it where no field is left before it
                spans[:, i, 0] -= edit.field > first_kept
                spans[:, i, 1] += edit.field < first_kept
        done = [_prepared(edit, mapped, found.numbers(names[edit.source]) if edit.source else None) for edit in edits]
        memory, size = kernel.csv_splice(found.data, spans, found.rows, done, found.dialect.delimiter, self._decimal)
        return memoryview(memory)[:size]


def _prepared(edit: _Edit, mapped: pa.RecordBatch, before: pa.Array | None) -> tuple[object, ...]:
    """Give an edit as the kernel takes it.

    Parameters
    ----------
    edit : _Edit
    mapped : pyarrow.RecordBatch
    before : pyarrow.Array or None
        What was read, whose nulls are missing in the file.
    """
    if before is None:
        return edit.action, "d", None, None, 0, None, 0
    column = mapped.column(edit.target)
    if pa.types.is_float16(column.type):
        column = column.cast(pa.float32())
    validity, values = column.buffers()
    width = column.type.bit_width // 8
    missing = before.buffers()[0]
    return (
        edit.action, "d" if width == 8 else "f", values.slice(width * column.offset),
        validity, column.offset, missing, 0,
    )  # fmt: skip


def spliced_start(reader: CsvReader, names: Sequence[str], encoding: str) -> bytes:
    """Give what stands before the rows of the result: that of the file, with other names in its header.

    Parameters
    ----------
    reader : CsvReader
    names : sequence of str
        Of the result's columns.
    encoding : str
    """
    start = reader.start
    if not reader.has_header:
        return start.before
    if list(names) == reader.names:
        return start.before + start.header
    fields = reader.header_fields()
    wanted, there = set(names), set(reader.names)
    removed = {i for i, name in enumerate(reader.names) if name not in wanted}
    added = [name for name in names if name not in there]
    kept = [text for i, text in enumerate(fields) if i not in removed]
    written = "utf-8" if recoded(encoding) else encoding
    more = [head_of([name], start.delimiter).rstrip(b"\n").decode().encode(written) for name in added]
    end = start.header[len(start.header.rstrip(b"\r\n")) :]
    return start.before + start.delimiter.encode().join([*kept, *more]) + end
