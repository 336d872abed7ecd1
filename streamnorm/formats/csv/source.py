"""CSV files, read by pieces of whole rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import pyarrow as pa

from streamnorm.files import naming
from streamnorm.formats.csv.pieces import Piece
from streamnorm.formats.csv.reader import CsvReader
from streamnorm.formats.source import Source, Unit

__all__ = ["CsvSource"]


class CsvSource(Source):
    """A CSV file, compressed or not, from its beginning to its end."""

    suffixes = (".csv", ".csv.gz", ".tsv", ".tsv.gz")

    @cached_property
    def reader(self) -> CsvReader:
        """What parses it."""
        with naming(self.path):
            return CsvReader(self.path, self.options)

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns; numbers are what the first block has only numbers in."""
        with naming(self.path):
            return self.reader.schema

    def units(self) -> Iterator[Unit]:
        """Yield pieces of whole rows."""
        with naming(self.path):
            before = 0
            for piece in self.reader.rows():
                yield Unit(piece.number, piece.end - before, piece)
                before = piece.end

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a piece; it reads them again."""
        return self.reader.rows_before(_piece_of(unit))

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of a piece as numbers, or all as text."""
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
    if unit.piece is None:
        raise TypeError("this unit is none of a CSV file")
    return unit.piece
