"""One piece of a CSV file, parsed by the kernel: numbers as Arrow arrays, text where it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.formats.csv.seen import First, Seen
from streamnorm.once import once

__all__ = ["NUMBER", "TEXT", "WHOLE", "BadTextError", "Dialect", "Parsed", "Wanted", "parse"]

#: What a field is read as: text, a number whose span is that of its text, a number whose span is the field's.
TEXT, NUMBER, WHOLE = range(3)

#: Places in a column's tallies: those of counts, in the order of `Seen`, and of what stands somewhere.
_COUNTS, _FIRST_OTHER, _FIRST_CODE, _TALLIES = [0, 2, 3, 4, 5], 6, 9, 12
_NUMBERS, _CODES = 0, 4


_FLOAT64 = pa.float64()
_WRONG_TEXT = re.compile(r"Invalid UTF8 sequence at string index (\d+)")


class BadTextError(ValueError):
    """Bytes that are no text in the encoding, and the record that they stand in, from 0."""

    def __init__(self, row: int) -> None:
        super().__init__(f"record {row} is no text")
        self.row = row


class Dialect(NamedTuple):
    """How a file is written.

    Parameters
    ----------
    delimiter, comment, decimal, thousands : str
    missing : list of bytes
        What stands for a missing number.
    missing_values : bytes
        Numbers that do, as float64.
    encoding : str
        That of the bytes that are parsed.
    """

    delimiter: str
    comment: str
    decimal: str
    thousands: str
    missing: list[bytes]
    missing_values: bytes
    encoding: str


class Wanted(NamedTuple):
    """A field that is read, by its number, and what as."""

    field: int
    kind: int


@dataclass(frozen=True)
class Parsed:
    """What the kernel gave of one piece.

    Parameters
    ----------
    data : bytes-like
    dialect : Dialect
    wanted : sequence of Wanted
        In ascending order.
    result : tuple
        As the kernel gives it.
    """

    data: Any
    dialect: Dialect
    wanted: Sequence[Wanted]
    result: tuple[Any, ...]

    @property
    def rows(self) -> int:
        """Records that are right."""
        return int(self.result[0])

    @property
    def padded(self) -> tuple[int, int]:
        """How many records have empty fields beyond the header's, and the first of them."""
        return self.result[7], self.result[8]

    @property
    def found(self) -> int:
        """Fields of record `rows`, where these are too few or too many; -1 where all are right."""
        return int(self.result[9])

    @once
    def _tallies(self) -> NDArray[np.int64]:
        return np.frombuffer(self.result[4], np.int64).reshape(len(self.wanted), _TALLIES)

    @once
    def spans(self) -> NDArray[np.int32]:
        """Starts and ends of the wanted fields, of shape (n_rows, n_wanted, 2)."""
        count = self.rows * len(self.wanted) * 2
        return np.frombuffer(self.result[5], np.int32, count).reshape(self.rows, len(self.wanted), 2)

    @once
    def _buffers(self) -> tuple[pa.Buffer, pa.Buffer]:
        """Values and validity of all columns."""
        return pa.py_buffer(self.result[2]), pa.py_buffer(self.result[3])

    def numbers(self, slot: int) -> pa.Array:
        """Give a column as float64; null is what is missing, or no number."""
        capacity, rows = self.result[1], self.rows
        values, validity = self._buffers
        valid = self._tallies[slot, _NUMBERS] + self._tallies[slot, _CODES]
        bits = validity.slice(capacity // 8 * slot, (rows + 7) // 8) if valid < rows else None
        return pa.Array.from_buffers(_FLOAT64, rows, [bits, values.slice(8 * capacity * slot, 8 * rows)])

    @once
    def counts(self) -> NDArray[np.int64]:
        """How many values of each kind the columns hold, in the order of `Seen`."""
        return self._tallies[:, _COUNTS]

    @once
    def with_firsts(self) -> frozenset[int]:
        """Columns that have a value that is no number, or a code."""
        return frozenset(np.flatnonzero(self._tallies[:, [_FIRST_OTHER, _FIRST_CODE]].max(axis=1) >= 0).tolist())

    def firsts(self, slot: int, rows_before: int = 0) -> Seen:
        """Give only where the first values of a column stand that are no numbers, or codes."""
        tally = self._tallies[slot].tolist()
        first_other, first_code = (self._first(tally[at : at + 3], rows_before) for at in (_FIRST_OTHER, _FIRST_CODE))
        return Seen(first_other=first_other, first_code=first_code)

    def seen(self, slot: int, rows_before: int = 0) -> Seen:
        """Give what a column holds; rows are counted on from those before."""
        return Seen(*self.counts[slot].tolist()) + self.firsts(slot, rows_before)

    def _first(self, place: Sequence[int], rows_before: int) -> First | None:
        row, start, end = place
        return None if row < 0 else First(rows_before + row + 1, self._text_between(start, end))

    def _text_between(self, start: int, end: int) -> str:
        spans = np.array([start, end], np.int32)
        _, text = kernel.csv_texts(self.data, spans, 0, 1, 1)
        return bytes(text).decode(self.dialect.encoding, "replace")

    def text(self, slot: int) -> pa.Array:
        """Give a column as text.

        Raises
        ------
        BadTextError
            If one is none in this encoding.
        """
        offsets, texts = kernel.csv_texts(self.data, self.result[5], slot, len(self.wanted), self.rows)
        if self.dialect.encoding != "utf-8":
            offsets, texts = _as_utf8(offsets, texts, self.dialect.encoding)
        column = pa.Array.from_buffers(pa.string(), self.rows, [None, pa.py_buffer(offsets), pa.py_buffer(texts)])
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            found = _WRONG_TEXT.search(str(error))
            raise BadTextError(int(found[1]) if found else 0) from None
        return column

    @once
    def wide(self) -> list[tuple[int, int, int]]:
        """Integers that float64 cannot hold: slot, row and value."""
        found = np.frombuffer(self.result[6], [("slot", "i8"), ("row", "i8"), ("negative", "i8"), ("size", "u8")])
        entries: list[tuple[int, int, int, int]] = found.tolist()
        return [(slot, row, -size if negative else size) for slot, row, negative, size in entries if row < self.rows]


def parse(data: Any, dialect: Dialect, fields: int, wanted: Sequence[Wanted], *, spans: bool = False) -> Parsed:
    """Parse whole rows.

    Parameters
    ----------
    data : bytes-like
    dialect : Dialect
    fields : int
        Of the header.
    wanted : sequence of Wanted
        In ascending order.
    spans : bool
        Whether it matters where fields stand; text is read by its place.
    """
    numbers = np.array([field for field, _ in wanted], np.int32)
    kinds = bytes(kind for _, kind in wanted)
    result = kernel.csv_fields(
        data, dialect.delimiter, dialect.comment, dialect.decimal, dialect.thousands, fields, numbers, kinds,
        dialect.missing, dialect.missing_values, spans or TEXT in kinds,
    )  # fmt: skip
    return Parsed(data, dialect, wanted, result)


@cache
def _utf8_lengths(encoding: str) -> NDArray[np.int32]:
    """Give how many bytes of UTF-8 stand for each byte of an encoding of single bytes."""
    return np.array([len(bytes([byte]).decode(encoding, "replace").encode()) for byte in range(256)], np.int32)


def _as_utf8(offsets: bytes, texts: bytes, encoding: str) -> tuple[Any, bytes]:
    """Recode Arrow texts of an encoding of single bytes.

    Parameters
    ----------
    offsets, texts : bytes
    encoding : str
    """
    places = np.frombuffer(offsets, np.int32)
    try:
        recoded = texts.decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise BadTextError(int(np.searchsorted(places, error.start, "right")) - 1) from None
    lengths = _utf8_lengths(encoding)[np.frombuffer(texts, np.uint8)]
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)[places], recoded
