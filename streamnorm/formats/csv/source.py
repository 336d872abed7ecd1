"""CSV files, read by pieces of whole rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from streamnorm.files import naming
from streamnorm.formats.csv.pieces import Piece
from streamnorm.formats.csv.reader import CsvReader
from streamnorm.formats.source import Source, Unit
from streamnorm.once import once

__all__ = ["CsvSource", "CsvUnit"]


@dataclass(frozen=True)
class CsvUnit(Unit):
    """A piece of whole rows."""

    piece: Piece


class CsvSource(Source):
    """A CSV file, compressed or not, from its beginning to its end."""

    suffixes = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
    typed = False
    splittable = False

    @once
    def reader(self) -> CsvReader:
        """What parses it."""
        with naming(self.path):
            return CsvReader(self.path, self.options)

    @once
    def schema(self) -> pa.Schema:
        """Names and types of the columns; numbers are what the first block has only numbers in."""
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
    def strays(self) -> Mapping[str, tuple[int, str]]:
        """Columns of text that hold mostly numbers: the row, from 1, and the text of a value that is none."""
        return self.reader.strays

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
        with naming(self.path):
            if columns is None:
                yield self.reader.text(_piece_of(unit))
            else:
                yield from self.reader.numbers(_piece_of(unit), list(columns), beside)

    def read_to_map(self, unit: Unit, numbers: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
        """Yield all columns, `numbers` as such, and the text of those that are missing."""
        with naming(self.path):
            yield self.reader.table(_piece_of(unit), list(numbers))


def _piece_of(unit: Unit) -> Piece:
    return cast(CsvUnit, unit).piece
