"""CSV without guessing: the text of a value stays what it is in the file, numbers are read exactly.

Pieces of the file are parsed on their own. Numbers are read as float64; where one does not parse, is beyond the
integers that float64 holds, or is written in an uncommon way, the piece is read as text and cast column by column,
to int64 where all values are integers. For statistics, integers that float64 would round are kept apart, so that
nothing depends on where the pieces end.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv

from streamnorm.arrow import EXACT, null_of
from streamnorm.arrow import compute as pc
from streamnorm.errors import DataError
from streamnorm.files import Place
from streamnorm.formats.csv.checks import OpenQuoteError, check_header, check_signs, explaining, no_header, stray
from streamnorm.formats.csv.pieces import Piece, Pieces
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
        tabs = path.name.lower().endswith((".tsv", ".tsv.gz"))
        #: Whether every missing value so far was an empty field. Threads write it without a lock: it only saves
        #: looking for other texts, and one that still reads True looks once more.
        self._only_blanks = True
        self.delimiter = options.delimiter or ("\t" if tabs else ",")

    @once
    def pieces(self) -> Pieces:
        """The file as pieces of whole rows, the first of which is the header."""
        check_signs(self._path, self._options.encoding)
        return Pieces(self._path, self.delimiter, self._options)

    @once
    def _names(self) -> list[str]:
        header = bytes(next(iter(self.pieces)).data).rstrip(b"\r\n")
        if not header:
            raise no_header(self._options.skip_rows)
        check_header(header, self.delimiter)
        read, parse = pv.ReadOptions(block_size=len(header) + 2), pv.ParseOptions(delimiter=self.delimiter)
        with self._explaining(), pv.open_csv(pa.BufferReader(header + b"\n"), read, parse) as reader:
            names: list[str] = reader.schema.names
        name, times = Counter(name for name in names if name).most_common(1)[0] if any(names) else ("", 1)
        if times > 1:
            raise DataError(f"there are {times} columns {name!r}: rename all but one.")
        return names

    def _explaining(self, piece: Piece | None = None, columns: Sequence[str] = ()) -> AbstractContextManager[None]:
        return explaining(columns, self._options.encoding, lambda: self.rows_before(piece) if piece else 0)

    def rows(self) -> Iterator[Piece]:
        """Yield the pieces behind the header.

        Raises
        ------
        DataError
            If a quote is never closed, with its row.
        """
        try:
            yield from itertools.islice(self.pieces, 1, None)
        except OpenQuoteError as error:
            raise DataError(f"row {self.rows_before(None) + 1}: {error}") from None

    def _parse(
        self,
        block: bytes | memoryview,
        columns: Sequence[str] | None,
        numbers: Collection[str] = (),
        nulls: Sequence[str] = (),
    ) -> pa.RecordBatch:
        """Parse columns of whole rows, those of `numbers` as float64 and the others as text.

        Parameters
        ----------
        block : bytes-like
            Whole rows.
        columns : sequence of str, optional
            By default all.
        numbers : collection of str
            Columns to parse as float64.
        nulls : sequence of str
            Texts of missing numbers.
        """
        as_floats = set(numbers)
        table = pv.read_csv(
            pa.BufferReader(block),
            pv.ReadOptions(block_size=len(block) + 1, column_names=self._names, use_threads=False),
            pv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            pv.ConvertOptions(
                column_types={name: pa.float64() if name in as_floats else pa.string() for name in self._names},
                include_columns=columns,
                null_values=nulls if numbers else [],
                strings_can_be_null=False,
                decimal_point=self._options.decimal,
            ),
        )
        return next(iter(table.combine_chunks().to_batches() or _no_rows(table.schema)))

    def text(self, piece: Piece, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Read columns as text.

        Raises
        ------
        DataError
            If a row has more or less fields than the header.
        """
        with self._explaining(piece, columns or self._names):
            return self._parse(piece.data, columns)

    def _floats(
        self, piece: Piece, columns: Sequence[str] | None, numbers: Collection[str], nulls: Sequence[str]
    ) -> pa.RecordBatch | None:
        """Parse numbers straight from the bytes; None where the text needs a closer look.

        Parameters
        ----------
        piece : Piece
            Whole rows of the file.
        columns : sequence of str, optional
            By default all.
        numbers : collection of str
            Columns to parse as float64.
        nulls : sequence of str
            Texts of missing numbers.
        """
        try:
            batch = self._parse(piece.data, columns, numbers, nulls)
        except pa.ArrowInvalid:
            return None
        changed = {}
        for name in numbers if self._options.null_numbers else ():
            column = _without(batch.column(name), batch.column(name), self._options.null_numbers)
            changed[name] = column
        return _with_columns(batch, changed)

    def rows_before(self, piece: Piece | None) -> int:
        """Count the rows before a piece, or all that are whole: only who reports an error wants to know."""
        rows = 0
        with suppress(OpenQuoteError):
            for earlier in itertools.islice(self.pieces, 1, piece.number if piece else None):
                rows += self.text(earlier, self._names[:1]).num_rows
        return rows

    @once
    def _head(self) -> pa.RecordBatch:
        """The first rows as text."""
        return self.text(next(self.rows(), Piece(b"\n", 1, 0)))

    @once
    def schema(self) -> pa.Schema:
        """Names and types: a column is of numbers if all of the first block's values are, and is no code.

        A column with leading zeros (``00501``) is a code. One without any value yet counts as numbers, and
        one without a name as text.
        """
        head = self._head
        kinds = [
            self._kind(column) if name else pa.string()
            for name, column in zip(head.schema.names, head.columns, strict=True)
        ]
        return pa.schema(list(zip(head.schema.names, kinds, strict=True)))

    def _kind(self, column: pa.Array) -> pa.DataType:
        if _is_code(column):
            return pa.string()
        numbers = self._cast(column)
        return pa.string() if numbers is None else numbers.type

    @once
    def blanks(self) -> set[str]:
        """Columns that have no value in the first block, and so tell nothing of what they hold."""
        pairs = zip(self._head.schema.names, self._head.columns, strict=True)
        return {name for name, column in pairs if name and self._without_missing(column).null_count == len(column)}

    @once
    def strays(self) -> dict[str, tuple[int, str]]:
        """Columns of the first block that most values are numbers of: row and text of the first that is none."""
        found = {}
        for name, column in zip(self._head.schema.names, self._head.columns, strict=True):
            if name and pa.types.is_string(self.schema.field(name).type) and not _is_code(column):
                at = stray(self._without_missing(column), self._options.decimal)
                if at >= 0:
                    found[name] = (at + 1, column[at].as_py()[:40])
        return found

    def _without_missing(self, column: pa.Array) -> pa.Array:
        text = pc.utf8_trim_whitespace(column)
        missing = pc.is_in(text, value_set=self._options.null_texts)
        return pc.if_else(missing, null_of(pa.string()), text)

    def _cast(self, column: pa.Array) -> pa.Array | None:
        """Cast text to int64, or to float64, or give None where a value is no number."""
        options = self._options
        text = self._without_missing(column)
        if options.decimal != ".":  # a point is then no part of a number
            text = pc.replace_substring(pc.replace_substring(text, ".", "?"), options.decimal, ".")
        floats = _as(text, pa.float64())
        if floats is None:
            return None
        integers = _as(text, pa.int64())  # second, since it would take 0x1A
        return _without(floats if integers is None else integers, floats, options.null_numbers)

    def _numbers(self, text: pa.RecordBatch, names: Iterable[str], piece: Piece) -> pa.RecordBatch:
        """Cast the named columns of a batch.

        Parameters
        ----------
        text : pyarrow.RecordBatch
        names : sequence of str
            Columns.
        piece : Piece
            Whole rows of the file.
        """
        cast = {}
        for name in names:
            column = text.column(name)
            numbers = self._cast(column)
            if numbers is None:
                raise self._no_number(name, column, piece)
            cast[name] = numbers
        return _with_columns(text, cast)

    def numbers(self, piece: Piece, names: Sequence[str], beside: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        """Read columns of numbers for statistics, and those beside them as text.

        The text of integers that float64 may round is looked at.

        Parameters
        ----------
        piece : Piece
            Whole rows of the file.
        names : sequence of str
            Columns.
        beside : sequence of str
            Columns that are read too, of text files as text.

        Raises
        ------
        DataError
            If a value is no number, with its row and column.
        """
        every = self._options.null_values
        for nulls in ([""] if "" in every and self._only_blanks else every, every):
            batch = self._floats(piece, [*names, *beside], names, nulls)
            if batch is not None and all(_are_common(batch.column(name)) for name in names):
                yield batch
                return
            self._only_blanks = False
        yield from self._exact(self.text(piece, [*names, *beside]), names, piece)

    def _exact(self, text: pa.RecordBatch, names: Sequence[str], piece: Piece) -> Iterator[pa.RecordBatch]:
        """Cast a batch, those rows apart that hold an integer float64 would round.

        It is one batch, in the order of its rows, unless a column mixes such integers with other numbers.

        Parameters
        ----------
        text : pyarrow.RecordBatch
        names : sequence of str
            Columns.
        piece : Piece
            Whole rows of the file.
        """
        batch = self._numbers(text, names, piece)
        for name in names:
            apart = _rounded(batch.column(name), text.column(name))
            if apart is not None:
                yield from self._exact(text.filter(apart), names, piece)
                yield from self._exact(text.filter(pc.invert(apart)), names, piece)
                return
        yield batch

    def table(self, piece: Piece, numbers: Sequence[str]) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
        """Read all columns, `numbers` as such and the others as text, and the text of numbers that are missing.

        Raises
        ------
        DataError
            If a value is no number, with its row and column.
        """
        batch = self._floats(piece, None, numbers, self._options.null_values)
        if batch is None:
            text = self.text(piece)
            return self._numbers(text, numbers, piece), text
        missing = [name for name in numbers if batch.column(name).null_count]
        return batch, self.text(piece, missing) if missing else None

    def _no_number(self, name: str, text: pa.Array, piece: Piece) -> DataError:
        """Give the error for the first value that is no number.

        Parameters
        ----------
        name : str
            The column, for messages.
        text : pyarrow.Array
        piece : Piece
            Whole rows of the file.
        """
        at, end = 0, len(text)
        while end - at > 1:  # the first half that cannot be cast holds the first such value
            middle = (at + end) // 2
            if self._cast(text.slice(at, middle - at)) is None:
                end = middle
            else:
                at = middle
        row, found = self.rows_before(piece) + at + 1, text[at].as_py()[:40]
        return DataError(
            f"column {name!r}, row {row}: expected a number, found {found!r}; correct it, "
            "name it among the null values (--null-values), or leave the column out (--exclude, or name others)."
        )


def _is_code(text: pa.Array) -> bool:
    """Tell whether a value has leading zeros."""
    return bool(pc.any(pc.match_substring_regex(text, r"^\s*[+-]?0[0-9]")).as_py())


def _no_rows(schema: pa.Schema) -> list[pa.RecordBatch]:
    return [pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema=schema)]


def _with_columns(batch: pa.RecordBatch, changed: Mapping[str, pa.Array]) -> pa.RecordBatch:
    names = batch.schema.names
    columns = [changed.get(name, column) for name, column in zip(names, batch.columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, names)


def _as(text: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Cast text, or give None where a value is none of that kind.

    A few are tried first: Arrow makes an error of every value that is none, in 20 times the time of one that is.
    """
    try:
        text.slice(0, 16).cast(kind)
        return text.cast(kind)
    except pa.ArrowInvalid:
        return None


def _without(numbers: pa.Array, floats: pa.Array, missing: Iterable[float]) -> pa.Array:
    """Make missing the numbers that stand for missing ones.

    Parameters
    ----------
    numbers : pyarrow.Array
    floats : pyarrow.Array
        The same as float64.
    missing : iterable of float
        Numbers that stand for missing ones.
    """
    for number in missing:
        numbers = pc.if_else(pc.equal(floats, number), null_of(numbers.type), numbers)
    return numbers


def _are_common(column: pa.Array) -> bool:
    """Tell whether all values are numbers, and none an integer that float64 may have rounded."""
    values = np.frombuffer(column.buffers()[1], np.float64, len(column)) if len(column) else np.zeros(0)
    return bool((np.abs(values) < EXACT).all())  # under a null lies a 0


def _rounded(numbers: pa.Array, text: pa.Array) -> pa.BooleanArray | None:
    """Find the integers of 64 bits that are not what float64 made of them; None where there are none."""
    if not pa.types.is_floating(numbers.type) or not len(numbers):
        return None
    values = numbers.fill_null(0.0).to_numpy()
    apart = np.zeros(len(values), bool)
    for i in np.flatnonzero(np.abs(values) >= EXACT).tolist():
        written = text[i].as_py().strip()
        apart[i] = re.fullmatch(r"-?0*[0-9]{1,19}", written) is not None and -(2**63) <= int(written) < 2**63
    return pa.BooleanArray.from_buffers(
        pa.bool_(), len(apart), [None, pa.py_buffer(np.packbits(apart, bitorder="little"))]
    ) if apart.any() else None  # fmt: skip
