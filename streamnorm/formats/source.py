"""A source is one file, read by *units* (row groups, pieces, record batches), which threads take in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import pyarrow as pa
import xxhash

from streamnorm.files import CHUNK_BYTES, Place, Spooled, naming, open_input
from streamnorm.formats.csv.pieces import Piece
from streamnorm.formats.options import CsvOptions

__all__ = ["Source", "Unit"]


class Unit(NamedTuple):
    """A part of a source that can be read on its own, and how many bytes of input it stands for."""

    number: int
    size: int
    piece: Piece | None = None


@dataclass(frozen=True)
class Source:
    """A file to be read.

    Parameters
    ----------
    path : Place
    relative : Path
        Its place below the folder or glob that it was found by; where its copy goes in an output folder.
    options : CsvOptions
    """

    path: Place
    relative: Path
    options: CsvOptions

    suffixes: ClassVar[tuple[str, ...]] = ()

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        raise TypeError(f"{type(self).__name__} has no schema")

    def units(self) -> Iterator[Unit]:
        """Yield the parts that can be read on their own, in their order."""
        raise TypeError(f"{type(self).__name__} has no units")

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one unit, of the named columns and those beside them, or of all.

        A file of text gives the named columns as numbers and those beside them as text.
        """
        raise TypeError(f"{type(self).__name__} cannot be read")

    def slices(self, unit: Unit, columns: Sequence[str] | None = None) -> list[list[str]]:
        """Cut columns of a unit, by default all, into those that are better read together than with the others."""
        return [list(self.schema.names if columns is None else columns)]

    def read_to_map(self, unit: Unit, numbers: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
        """Yield all columns of one unit, `numbers` as such, and the text of missing ones where there is some."""
        return map(lambda batch: (batch, None), self.read(unit))  # noqa: C417 (a generator would hold on to it)

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a unit."""
        return 0

    def let_go(self) -> None:
        """Drop what is remembered of the file, where that is much; it is read again when it is needed."""

    @property
    def location(self) -> str:
        """What a record calls it: the path, but for standard input, whose name tells nothing."""
        return self.path.location if isinstance(self.path, Spooled) else str(self.path)

    @property
    def size(self) -> int:
        """Bytes."""
        with naming(self.path):
            return self.path.stat().st_size

    def fingerprint(self) -> str:
        """Hash the content, with 128 bits against chance, not against a forger."""
        digest = xxhash.xxh3_128()
        with naming(self.path), open_input(self.path) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()
