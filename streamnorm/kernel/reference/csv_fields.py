"""Records and values of CSV: the twin of csv_scanner.h to csv_fields.h, and of decimal_text.h."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["LINE_END", "csv_fields", "field_end", "line_or_field_end", "unquoted"]

#: Bytes that are left out around a value, and those that fields beyond the header's may have.
SPACES, PADDING = b" \t\n\v\f\r", b' \t,;"'
#: What a field is read as.
TEXT, NUMBER, WHOLE = range(3)
#: Places in a column's tallies, in the order of the compiled kernel.
NUMBERS, MISSING, OTHERS, LOOKS, CODES, FRACTIONS, FIRST_OTHER, FIRST_CODE, TALLIES = 0, 1, 2, 3, 4, 5, 6, 9, 12

LINE_END = re.compile(rb"[\r\n]")
_WORD = re.compile(rb"[+-]?(inf|infinity|nan)", re.IGNORECASE)
_LOOKS = re.compile(rb"[+-]?([0-9]*)((?:[., '][0-9]*)*)(?:[eE][+-]?[0-9]+)?")


class _Record(NamedTuple):
    """Start, end and whether it is quoted of each field."""

    fields: list[tuple[int, int, bool]]
    behind: int


class _Written(NamedTuple):
    """How numbers are written, and what stands for missing ones."""

    number: re.Pattern[bytes]
    decimal: bytes
    thousands: bytes
    texts: frozenset[bytes]
    values: frozenset[float]


def unquoted(field: bytes) -> bytes:
    """Give what a field says."""
    if not field.startswith(b'"'):
        return field
    out, at = bytearray(), 1
    while at < len(field):
        if field[at : at + 1] == b'"':
            if field[at + 1 : at + 2] != b'"':
                return bytes(out + field[at + 1 :])
            at += 1
        out += field[at : at + 1]
        at += 1
    return bytes(out)


def line_or_field_end(delimiter: bytes) -> re.Pattern[bytes]:
    """Give what a field ends before."""
    return re.compile(b"[\r\n" + re.escape(delimiter) + b"]")


def field_end(data: bytes, start: int, ends: re.Pattern[bytes], *, quoted: bool = True) -> int:
    """Give the end of the field at `start`, or -1 where its quote is never closed.

    Parameters
    ----------
    data : bytes
    start : int
    ends : pattern
        What the field ends before.
    quoted : bool
        Whether quotes are none of the text.
    """
    at = start
    if quoted and data[at : at + 1] == b'"':
        at += 1
        while True:
            at = data.find(b'"', at)
            if at < 0:
                return -1
            if data[at + 1 : at + 2] != b'"':
                break
            at += 2
        at += 1
    found = ends.search(data, at)
    return found.start() if found else len(data)


def _records(data: bytes, delimiter: bytes, comment: bytes) -> Iterator[_Record | int]:
    """Yield the records, and where a quote stands that is never closed.

    Parameters
    ----------
    data : bytes
    delimiter, comment : bytes
    """
    ends = line_or_field_end(delimiter)
    at = 0
    while at < len(data):
        if data[at : at + 1] in (b"\n", b"\r"):
            at += 1
            continue
        if comment and data.startswith(comment, at):
            at = field_end(data, at, LINE_END, quoted=False) + 1
            continue
        fields = []
        while True:
            end = field_end(data, at, ends)
            if end < 0:
                yield at
                return
            fields.append((at, end, data[at : at + 1] == b'"'))
            at = end + 1
            if data[end : end + 1] != delimiter:
                break
        yield _Record(fields, at)


def _number(text: bytes, written: _Written) -> tuple[float, int | None, bool] | None:
    """Give a number, its integer where it is written as one of 64 bits, and whether a zero leads; None for others."""
    if written.thousands and written.thousands in text:
        sign = re.escape(written.thousands)
        grouped = re.match(rb"([+-]?[0-9]{1,3}(?:" + sign + rb"[0-9]{3})+)(?![0-9" + sign + rb"])", text)
        if not grouped:
            return None
        text = grouped[1].replace(written.thousands, b"") + text[grouped.end() :]
    if not written.number.fullmatch(text):
        return None
    value = float(text.replace(written.decimal, b"."))
    digits = text.lstrip(b"+-")
    exact = int(digits) if len(digits) <= 4000 and digits.isdigit() else None
    if exact is not None:
        exact = -exact if text.startswith(b"-") else exact
        exact = exact if abs(exact) < 2**64 else None
    return value, exact, re.match(rb"0[0-9]", digits) is not None


def _looks_like_number(text: bytes) -> bool:
    """Tell whether a text is a number in some country: with a point or a comma, or with groups of three digits."""
    found = _LOOKS.fullmatch(text)
    if not found:
        return False
    first, groups = len(found[1]), re.findall(rb"([., '])([0-9]*)", found[2])
    if not groups:
        return first > 0
    ends = groups[-1][0] in b".,"
    if len(groups) == 1 and ends:
        return first + len(groups[0][1]) > 0
    inner = all(len(digits) == 3 for _, digits in groups[:-1])
    return 1 <= first <= 3 and inner and (ends or len(groups[-1][1]) == 3)


def csv_fields(
    data: Any, delimiter: str, comment: str, decimal: str, thousands: str, fields: int, wanted: Any, kinds: Any,
    missing: Sequence[bytes], missing_values: Any, with_spans: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """Read the wanted fields of whole records.

    Parameters
    ----------
    data : bytes-like
    delimiter, comment, decimal, thousands : str
        One character, or none for `comment` and `thousands`.
    fields : int
        Of a record, as the header has them.
    wanted : int32 array
        Numbers of fields, ascending; `fields` is the end of the record.
    kinds : bytes-like
        For each of them 0 for text, 1 for a number whose span is that of its text, 2 for one whose span is the field's.
    missing : sequence of bytes
        Texts that stand for a missing number.
    missing_values : float64 array
        Numbers that do, however they are written.
    with_spans : bool

    Returns
    -------
    tuple
        (rows, capacity, values, validity, tallies, spans, wides, padded, first_padded, found, open)
    """
    text, sign = bytes(data), re.escape(decimal.encode())
    number = re.compile(rb"[+-]?([0-9]+(" + sign + rb"[0-9]*)?|" + sign + rb"[0-9]+)([eE][+-]?[0-9]+)?")
    nulls = frozenset(np.frombuffer(missing_values, np.float64).tolist())
    written = _Written(number, decimal.encode(), thousands.encode(), frozenset(missing), nulls)
    reading = _Reading(text, np.frombuffer(wanted, np.int32).tolist(), list(bytes(kinds)), written)
    reading.fields = fields
    padded, first_padded, found, unclosed = 0, -1, -1, -1
    for record in _records(text, delimiter.encode(), comment.encode()):
        if isinstance(record, int):
            unclosed = record
            break
        beyond = [text[start:end] for start, end, _ in record.fields[fields:]]
        if len(record.fields) < fields or any(field.strip(PADDING) for field in beyond):
            found = len(record.fields)
            break
        reading.add(record.fields[:fields])
        if beyond:
            first_padded = reading.rows if not padded else first_padded
            padded += 1
        reading.rows += 1
    return *reading.result(with_spans), padded, first_padded, found, unclosed


class _Reading:
    """What the records gave so far."""

    def __init__(self, text: bytes, wanted: list[int], kinds: list[int], written: _Written) -> None:
        self.text, self.wanted, self.kinds, self.written = text, wanted, kinds, written
        self.rows = self.fields = 0
        self.values: list[list[float | None]] = [[] for _ in wanted]
        self.tallies = np.zeros((len(wanted), TALLIES), np.int64)
        self.tallies[:, [FIRST_OTHER, FIRST_CODE]] = -1
        self.spans: list[int] = []
        self.wides: list[bytes] = []

    def add(self, fields: Sequence[tuple[int, int, bool]]) -> None:
        for slot, field in enumerate(self.wanted):
            start, end, _ = fields[field] if field < self.fields else (fields[-1][1], fields[-1][1], False)
            if self.kinds[slot] == TEXT:
                self.spans += [start, end]
            else:
                self._add_value(slot, start, end)

    def _add_value(self, slot: int, start: int, end: int) -> None:
        """Read a field as a number.

        Parameters
        ----------
        slot : int
            Its place among the wanted ones.
        start, end : int
        """
        field = self.text[start:end]
        said = unquoted(field)
        trimmed = said.strip(SPACES)
        mixed = field.startswith(b'"') and (said != field[1:-1] or b'"' in said)
        if mixed or self.kinds[slot] == WHOLE:
            span = start, end
        else:
            first = start + field.startswith(b'"') + len(said) - len(said.lstrip(SPACES))
            span = first, first + len(trimmed)
        self.spans += span
        value, which = self._value_of(slot, trimmed)
        self.values[slot].append(value)
        tally = self.tallies[slot]
        tally[which] += 1
        for kind, place in ((OTHERS, FIRST_OTHER), (CODES, FIRST_CODE)):
            if which == kind and tally[place] < 0:
                tally[place : place + 3] = self.rows, start, end
        if which == OTHERS:
            tally[LOOKS] += _looks_like_number(trimmed)

    def _value_of(self, slot: int, text: bytes) -> tuple[float | None, int]:
        written = self.written
        if not text:
            return (None, MISSING) if b"" in written.texts else (None, OTHERS)
        found = _number(text, written)
        if found is None:
            if text in written.texts:
                return None, MISSING
            if not _WORD.fullmatch(text):
                return None, OTHERS
            found = float(text), None, False
        value, exact, code = found
        if value in written.values:
            return None, MISSING
        if exact is None or not -(2**63) <= exact < 2**63:
            self.tallies[slot, FRACTIONS] += 1
        if exact is not None and exact >= -(2**63) and int(value) != exact:
            self.wides.append(struct.pack("=qqqQ", slot, self.rows, exact < 0, abs(exact)))
        return value, CODES if code else NUMBERS

    def result(self, with_spans: bool) -> tuple[Any, ...]:
        """Give what was read as the compiled kernel gives it."""
        capacity = (self.rows + 7) // 8 * 8
        values = np.zeros((len(self.wanted), capacity))
        valid = np.zeros((len(self.wanted), capacity), bool)
        for slot, column in enumerate(self.values):
            present = [value is not None for value in column[: self.rows]]
            valid[slot, : len(present)] = present
            values[slot, : len(present)] = [0.0 if value is None else value for value in column[: self.rows]]
        spans = np.array(self.spans, np.int32).tobytes() if with_spans else b""
        bits = np.packbits(valid, axis=1, bitorder="little")
        return (self.rows, capacity, values.tobytes(), bits.tobytes(), self.tallies.tobytes(), spans,
                b"".join(self.wides))  # fmt: skip
