"""A source is one file, read by *units* (row groups, pieces, record batches), which threads take in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from streamnorm.files import CHUNK_BYTES, Place, Spooled, naming, open_input
from streamnorm.formats.options import CsvOptions

__all__ = ["Bounds", "Counted", "Portion", "Source", "Unit"]


@dataclass(frozen=True)
class Unit:
    """A part of a source that can be read on its own.

    Parameters
    ----------
    number : int
        Its place among the units of the source, from 0.
    size : int
        Bytes of input that it stands for.
    """

    number: int
    size: int


class Bounds(NamedTuple):
    """What a footer tells of a column: counts of values and nulls, the least and the greatest value."""

    values: int
    nulls: int
    least: float
    greatest: float


#: Numbers, none of them null, and how often each occurs, int64: once where that is None.
Counted: TypeAlias = tuple[pa.Array, NDArray[np.int64] | None]


class Portion(NamedTuple):
    """Numbers of a column, in no order.

    Parameters
    ----------
    arrays : list of Counted
    nulls : int
        How many rows of the column are null beside.
    """

    arrays: list[Counted]
    nulls: int


@dataclass(frozen=True)
class Source(ABC):
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

    #: Endings of the names that a folder is searched for.
    suffixes: ClassVar[tuple[str, ...]] = ()
    #: Whether the file itself says what its columns hold; text says it only when it is read.
    typed: ClassVar[bool] = True
    #: Whether a unit is found without reading those before it.
    splittable: ClassVar[bool] = True

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""

    @abstractmethod
    def units(self) -> Iterator[Unit]:
        """Yield the parts that can be read on their own, in their order."""

    @abstractmethod
    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one unit, of the named columns and those beside them, or of all.

        A file of text gives the named columns as numbers and those beside them as text.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
            By default all.
        beside : sequence of str
            Columns that are read too, of text files as text.
        """

    def schema_as_numbers(self, names: Collection[str]) -> pa.Schema:
        """Give the schema when these columns are read as numbers, which changes only text."""
        return self.schema

    def schema_to_choose(self, named: Collection[str]) -> pa.Schema:
        """Give the schema that columns are chosen by, when these columns are named by the user."""
        return self.schema

    def schema_to_map(self, numbers: Collection[str]) -> pa.Schema:
        """Give the schema of the batches of `read_to_map`."""
        return self.schema

    @property
    def strays(self) -> Mapping[str, tuple[int, str]]:
        """Columns of text that hold mostly numbers: the row, from 1, and the text of a value that is none."""
        return {}

    @property
    def remembered_options(self) -> tuple[tuple[str, Any], ...]:
        """What a record keeps of how the file is written, as far as it is no common way."""
        return ()

    def bounds(self, unit: Unit, names: Collection[str]) -> Mapping[str, Bounds]:
        """Give what is known of columns of a unit without reading it, exactly; nothing of those it cannot tell of."""
        return {}

    def portions(self, unit: Unit, names: Collection[str]) -> Iterator[tuple[str, int, Iterator[Portion]]]:
        """Yield columns of a unit whose numbers can be had without their order.

        Parameters
        ----------
        unit : Unit
        names : collection of str
            Columns that are asked for.

        Yields
        ------
        name : str
        rows : int
            Of the unit.
        portions : iterator of Portion
            All numbers of the column. It raises `NotByPagesError` where the column has to be read as a whole after all,
            and SourceError where it is damaged.
        """
        yield from ()

    def slices(self, unit: Unit, columns: Sequence[str] | None = None) -> list[list[str]]:
        """Cut columns of a unit, by default all, into those that are better read together than with the others."""
        return [list(self.schema.names if columns is None else columns)]

    def read_to_map(self, unit: Unit, numbers: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch | None]]:
        """Yield all columns of one unit, `numbers` as such, and the text of missing ones where there is some."""
        return map(lambda batch: (batch, None), self.read(unit))  # noqa: C417 (a generator would hold on to it)

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a unit."""
        return 0

    def let_go(self) -> None:  # noqa: B027 (most remember little)
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
