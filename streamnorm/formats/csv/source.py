"""CSV files, read by pieces of whole rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pyarrow as pa

from streamnorm.files import naming
from streamnorm.formats.csv.numbers import exactly
from streamnorm.formats.csv.opening import PACKINGS
from streamnorm.formats.csv.pieces import CsvUnit, Piece
from streamnorm.formats.csv.reader import CsvReader
from streamnorm.formats.csv.seen import Seen
from streamnorm.formats.csv.splice import Splicer
from streamnorm.formats.csv.tally import Tally
from streamnorm.formats.source import Source, Unit
from streamnorm.once import once

__all__ = ["CsvSource"]


@dataclass(frozen=True)
class CsvSource(Source):
    """A CSV file, compressed or not, from its beginning to its end.

    Parameters
    ----------
    path, relative, options
        As of `Source`.
    open : frozenset of str
        Columns that are read as numbers until a value is none; others must be numbers.
    tally : Tally
        What was seen of columns in the units that were read to be learnt from.
    """

    open: frozenset[str] = frozenset()
    tally: Tally = field(default_factory=Tally, compare=False, repr=False)

    suffixes = tuple(
        f"{kind}{packed}" for kind in (".csv", ".tsv") for packed in ("", *(packing.ending for packing in PACKINGS))
    )
    typed = False
    splittable = False

    @once
    def reader(self) -> CsvReader:
        """What parses it."""
        with naming(self.path):
            return CsvReader(self.path, self.options)

    def with_open(self, names: Collection[str]) -> CsvSource:
        """Give the same file, to be learnt from: values of these columns that are no numbers are noted, no errors."""
        opened = replace(self, open=frozenset(names), tally=Tally())
        opened.__dict__["reader"] = self.reader
        return opened

    def seen_columns(self) -> Mapping[str, Seen]:
        """Give what was seen of the columns that were learnt from, and of text in what was looked at before."""
        texts = {name: seen for name, seen in self.reader.head.items() if not seen.is_number}
        return texts | self.tally.columns

    @property
    def has_numbers_as_names(self) -> bool:
        """Whether it has a line of names that are nothing but numbers, as if it were one of the rows."""
        with naming(self.path):
            return self.reader.has_numbers_as_names

    def padded_rows(self) -> tuple[int, int]:
        """Give how many rows have empty fields beyond the last column, and the first of them, from 1."""
        return self.tally.padded

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; numbers are what the first piece has only numbers in."""
        with naming(self.path):
            return self.reader.schema

    def schema_as_numbers(self, names: Collection[str]) -> pa.Schema:
        """Give the schema when these columns are read as numbers."""
        numbers = [pa.field(item.name, pa.float64()) if item.name in names else item for item in self.schema]
        return pa.schema(numbers)

    def schema_to_choose(self, named: Collection[str]) -> pa.Schema:
        """Give the schema with text of named columns as numbers, and columns without a value as nulls.

        The parser says best which value of a named column is no number.
        """
        texts = {item.name for item in self.schema if item.name in named and pa.types.is_string(item.type)}
        blanks = self.reader.blanks - texts
        schema = self.schema_as_numbers(texts)
        return pa.schema([item.with_type(pa.null()) if item.name in blanks else item for item in schema])

    def schema_to_map(self, numbers: Collection[str]) -> pa.Schema:
        """Give the schema in which `numbers` are such, and all else is text."""
        return pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in self.schema.names])

    @property
    def remembered_options(self) -> tuple[tuple[str, Any], ...]:
        """What a record keeps of how the file is written, as far as it is no common way."""
        return self.options.uncommon()

    def units(self) -> Iterator[Unit]:
        """Yield pieces of whole rows."""
        with naming(self.path):
            before = 0
            for piece in self.reader.rows():
                yield CsvUnit(piece.number, piece.end - before, piece)
                before = piece.end

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a piece; it reads them again."""
        return self.reader.rows_before(_piece_of(unit))

    def number_at(self, name: str, row: int) -> str | None:
        """Give the text of a number, which is read again; None of a word for an infinity."""
        text = self.reader.text_at(name, row)
        return text if any(map(str.isdigit, text)) else None

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of a piece as numbers, or all as text.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
            By default all.
        beside : sequence of str
            Columns that are read too, of text files as text.
        """
        piece, reader = _piece_of(unit), self.reader
        with naming(self.path):
            numbers = [] if columns is None else [name for name in columns if name not in beside]
            texts = reader.names if columns is None else beside
            found = reader.parse(piece, numbers, texts, strict=[name for name in numbers if name not in self.open])
            slots = reader.slots(found)
            self.tally.add(piece.number, found, {name: slots[name] for name in numbers})
            yield from exactly(reader.columns(piece, found, [*numbers, *texts]), found, slots)

    def read_to_map(self, unit: Unit, numbers: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield all columns, `numbers` as such and the others as text."""
        piece, names = _piece_of(unit), self.reader.names
        with naming(self.path):
            found = self.reader.parse(piece, numbers, [name for name in names if name not in numbers])
            yield self.reader.columns(piece, found, names)

    def editor(self, targets: Mapping[str, str], dropped: Collection[str], keys: Sequence[str]) -> Splicer:
        """Give what replaces normalised fields where they stand, and copies every other byte.

        Parameters
        ----------
        targets : mapping of str to str
            Columns that are mapped, and what the result of each is called.
        dropped : collection of str
            Columns that are left out.
        keys : sequence of str
            Columns that rows are grouped by.
        """
        with naming(self.path):
            return Splicer(self.reader, targets, dropped, keys, self.options.decimal)


def _piece_of(unit: Unit) -> Piece:
    return cast(CsvUnit, unit).piece
