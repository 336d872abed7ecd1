"""One CSV file: its names, and of each piece the numbers and texts that are asked for.

The text of a value stays what it is in the file; numbers are read exactly, by the kernel, where they stand.
"""

from __future__ import annotations

import codecs
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from streamnorm.errors import DataError
from streamnorm.files import Place
from streamnorm.formats.csv.checks import (
    WIDEST,
    OpenQuoteError,
    check_header,
    check_signs,
    no_header,
    no_number,
    wrong_fields,
    wrong_text,
)
from streamnorm.formats.csv.opening import recoded
from streamnorm.formats.csv.parsed import NUMBER, TEXT, BadTextError, Dialect, Parsed, Wanted, parse
from streamnorm.formats.csv.pieces import Piece, Pieces, Start
from streamnorm.formats.csv.seen import Seen
from streamnorm.formats.options import CsvOptions
from streamnorm.once import once

__all__ = ["CsvReader"]


class CsvReader:
    """Reads one CSV file.

    Parameters
    ----------
    path : Place
    options : CsvOptions
    """

    def __init__(self, path: Place, options: CsvOptions) -> None:
        self._path = path
        self._options = options

    @once
    def pieces(self) -> Pieces:
        """The file as pieces of whole rows."""
        check_signs(self._path, self._options.encoding)
        tabs = "tsv" in self._path.name.lower().split(".")[1:]
        return Pieces(self._path, self._options.delimiter or ("\t" if tabs else ","), self._options)

    @once
    def start(self) -> Start:
        """What stands before the rows."""
        found = self.pieces.start()
        if not found.header.strip(b"\r\n"):
            raise no_header(self._options.skip_rows)
        check_header(found.header, found.delimiter)
        return found

    @once
    def dialect(self) -> Dialect:
        """How the file is written, for the parser."""
        options = self._options
        encoding = "utf-8" if recoded(options.encoding) else codecs.lookup(options.encoding).name
        return Dialect(
            self.start.delimiter, options.comment or "", options.decimal, options.thousands or "",
            [text.encode(encoding, "replace") for text in options.null_values],
            np.array(options.null_numbers, np.float64).tobytes(), encoding,
        )  # fmt: skip

    @property
    def has_header(self) -> bool:
        """Whether there is a line of names."""
        return not self._options.no_header

    @once
    def _header(self) -> Parsed:
        """The fields of the header, or of the first row."""
        header, dialect = self.start.header, self.dialect._replace(comment="")
        fields = parse(header, dialect, WIDEST + 1, []).found
        return parse(header, dialect, fields, [Wanted(i, TEXT) for i in range(fields)])

    @property
    def has_numbers_as_names(self) -> bool:
        """Whether the names are nothing but numbers."""
        header, fields = self.start.header, len(self.names)
        if not self.has_header:
            return False
        found = parse(header, self.dialect._replace(comment=""), fields, [Wanted(i, NUMBER) for i in range(fields)])
        return all(found.seen(slot).numbers == 1 for slot in range(fields))

    def header_fields(self) -> list[bytes]:
        """Give the names as they are written."""
        return [self.start.header[start:end] for start, end in self._header.spans[0].tolist()]

    @once
    def names(self) -> list[str]:
        """Names of the columns; without a header they are ``column_1`` and so on."""
        parsed = self._header
        fields = len(parsed.wanted)
        if not self.has_header:
            return [f"column_{i + 1}" for i in range(fields)]
        try:
            names: list[str] = [parsed.text(i)[0].as_py() for i in range(fields)]
        except BadTextError:
            raise DataError(
                f"the names of the columns are no {self._options.encoding}: say what the file is written in "
                "(--encoding latin1)."
            ) from None
        name, times = Counter(name for name in names if name).most_common(1)[0] if any(names) else ("", 1)
        if times > 1:
            raise DataError(f"there are {times} columns {name!r}: rename all but one.")
        return names

    @once
    def _fields(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def rows(self) -> Iterator[Piece]:
        """Yield the pieces behind the header.

        Raises
        ------
        DataError
            If a quote is never closed, with its row.
        """
        try:
            yield from self.pieces
        except OpenQuoteError as error:
            raise DataError(f"row {self.rows_before(None) + 1}: {error}") from None

    def rows_before(self, piece: Piece | None) -> int:
        """Count the rows before a piece, or all that are whole: only who reports an error wants to know."""
        rows = 0
        with suppress(OpenQuoteError):
            for earlier in itertools.islice(self.pieces, piece.number - 1 if piece else None):
                rows += parse(earlier.data, self.dialect, len(self.names), []).rows
        return rows

    def text_at(self, name: str, row: int) -> str:
        """Give the text of a field, of the row counted from 1: only who reports an error wants to know."""
        rows = 0
        for piece in self.pieces:
            found = self.parse(piece, (), [name])
            if rows < row <= rows + found.rows:
                return str(self._text(piece, found, name, 0)[row - rows - 1].as_py())
            rows += found.rows
        return ""

    def parse(
        self, piece: Piece, numbers: Iterable[str], texts: Iterable[str] = (), *, beside: Sequence[Wanted] = (),
        strict: Iterable[str] | None = None, spans: bool = False,
    ) -> Parsed:  # fmt: skip
        """Parse columns of a piece.

        Parameters
        ----------
        piece : Piece
        numbers, texts : iterable of str
            Columns that are read as such.
        beside : sequence of Wanted
            Other fields.
        strict : iterable of str, optional
            Those of `numbers` whose values must be numbers; by default all.
        spans : bool
            Whether it matters where fields stand.

        Raises
        ------
        DataError
            If a row has too few or too many fields, or a value is no number where it must be one: the first of them.
        """
        numbers = list(numbers)
        wanted = {self._fields[name]: Wanted(self._fields[name], TEXT) for name in texts}
        wanted |= {self._fields[name]: Wanted(self._fields[name], NUMBER) for name in numbers}
        wanted |= {field.field: field for field in beside}
        found = parse(piece.data, self.dialect, len(self.names), [wanted[i] for i in sorted(wanted)], spans=spans)
        self._check(piece, found, set(numbers if strict is None else strict))
        return found

    def _check(self, piece: Piece, found: Parsed, strict: set[str]) -> None:
        """Raise DataError for the first value that is no number, or the row of a wrong number of fields.

        Parameters
        ----------
        piece : Piece
        found : Parsed
        strict : set of str
            Columns whose values must be numbers.
        """
        firsts = []
        for slot, (field, kind) in enumerate(found.wanted):
            if kind != TEXT and field < len(self.names) and self.names[field] in strict:
                first = found.seen(slot).first_other
                if first is not None and first.row <= found.rows:
                    firsts.append((first.row, field, slot))
        if firsts:
            _, field, slot = min(firsts)
            first = found.seen(slot, self.rows_before(piece)).first_other
            assert first is not None
            raise no_number(self.names[field], first)
        if found.found >= 0:
            raise wrong_fields(self.rows_before(piece) + found.rows + 1, len(self.names), found.found)

    def slots(self, found: Parsed) -> dict[str, int]:
        """Find the columns of what was parsed, by their names."""
        pairs = ((field, slot) for slot, (field, _) in enumerate(found.wanted) if field < len(self.names))
        return {self.names[field]: slot for field, slot in pairs}

    def columns(self, piece: Piece, found: Parsed, names: Iterable[str]) -> pa.RecordBatch:
        """Give columns of what was parsed as a batch, numbers as float64.

        Parameters
        ----------
        piece : Piece
        found : Parsed
        names : iterable of str
        """
        slots, names = self.slots(found), list(names)
        arrays = []
        for name in names:
            slot = slots[name]
            is_text = found.wanted[slot].kind == TEXT
            arrays.append(self._text(piece, found, name, slot) if is_text else found.numbers(slot))
        if not arrays:
            return _no_columns(found.rows)
        return pa.RecordBatch.from_arrays(arrays, names)

    def _text(self, piece: Piece, found: Parsed, name: str, slot: int) -> pa.Array:
        """Give a column as text.

        Parameters
        ----------
        piece : Piece
        found : Parsed
        name : str
        slot : int
        """
        try:
            return found.text(slot)
        except BadTextError as error:
            raise wrong_text(name, self.rows_before(piece) + error.row + 1, self._options.encoding) from None

    def check_text(self, piece: Piece) -> None:
        """Find out whether all of a piece is text in its encoding, which copying it does not tell.

        Raises
        ------
        DataError
            If it is not, with column and row.
        """
        data = pa.py_buffer(piece.data)
        offsets = pa.py_buffer(np.array([0, len(piece.data)], np.int64))
        try:
            if self.dialect.encoding == "utf-8":
                pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, data]).validate(full=True)
        except pa.ArrowInvalid:
            found = self.parse(piece, (), [name for name in self.names if name])
            self.columns(piece, found, (name for name in self.names if name))

    @once
    def head(self) -> Mapping[str, Seen]:
        """What was seen of each column in the first piece."""
        piece = next(self.rows(), Piece(b"\n", 1, 0))
        self.check_text(piece)
        found = self.parse(piece, self._fields, strict=())
        return {name: found.seen(slot) for name, slot in self.slots(found).items() if name}

    @once
    def schema(self) -> pa.Schema:
        """Names and types: numbers where nothing of the first piece speaks against them.

        A column with leading zeros (``00501``) is a code. One without any value yet counts as numbers, as does one of
        mostly numbers, which the values of all files decide of, and one without a name as text.
        """
        return pa.schema([(name, self._kind(name)) for name in self.names])

    def _kind(self, name: str) -> pa.DataType:
        seen = self.head.get(name)
        if seen is None or not (seen.is_number or seen.is_mostly_numbers):
            return pa.string()
        return pa.int64() if seen.is_whole else pa.float64()

    @property
    def blanks(self) -> set[str]:
        """Columns that have no value in the first piece, and so tell nothing of what they hold."""
        return {name for name, seen in self.head.items() if not seen.values}


def _no_columns(rows: int) -> pa.RecordBatch:
    """Give a batch of rows without columns."""
    one: Any = pa.RecordBatch.from_arrays([pa.nulls(rows)], [""])
    return one.select([])
