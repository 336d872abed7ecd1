"""A source is one file, read by *units* (row groups, pieces, record batches), which threads take in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.files import CHUNK_BYTES, Place, Spooled, naming, open_input
from streamnorm.formats.csv.seen import Seen
from streamnorm.formats.options import CsvOptions

__all__ = ["Bounds", "Counted", "Editor", "Hashing", "Lying", "Portion", "Source", "Unit"]


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


class Lying(NamedTuple):
    """Columns that lie in a file as the kernel reads them.

    Parameters
    ----------
    names : list of str
        In the order in which they lie.
    rows : int
        Of each.
    chunks : kernel.Chunks
        A slot for each.
    """

    names: list[str]
    rows: int
    chunks: kernel.Chunks


class Hashing:
    """The hash of a file: of bytes that others read anyway, in the order in which they lie, and of the rest.

    Parameters
    ----------
    path : Place
    """

    def __init__(self, path: Place) -> None:
        self._path, self._hash, self._at = path, xxhash.xxh3_128(), 0

    def take(self, at: int, data: Any) -> None:
        """Hash bytes from a place on, after those before them; what was hashed already is passed over."""
        if at < self._at:
            return
        if at > self._at:
            self._read(at - self._at)
        self._hash.update(data)
        self._at = at + len(data)

    def digest(self) -> str:
        """Read the rest, and give the hash of all."""
        self._read(None)
        return self._hash.hexdigest()

    def _read(self, size: int | None) -> None:
        """Hash so many bytes that follow, or all."""
        piece = memoryview(kernel.memory(CHUNK_BYTES))
        with naming(self._path), open_input(self._path) as file:
            if self._at:
                file.seek(self._at)
            while got := file.readinto(piece[: size if size is None else min(size, CHUNK_BYTES)]):
                self._hash.update(piece[:got])
                self._at += got
                size = size if size is None else size - got


class Editor(Protocol):
    """What writes a part of a file anew by changing it where it stands."""

    def read(self, unit: Unit) -> tuple[pa.RecordBatch, Any]:
        """Give the columns that the result is made of, and where they stand."""

    def write(self, mapped: pa.RecordBatch, found: Any) -> bytes | memoryview:
        """Give the part with the results in place, for the sink."""


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

    def with_open(self, names: Collection[str]) -> Source:
        """Give the same file, to be learnt from while it is not known whether these columns hold numbers."""
        return self

    def seen_columns(self) -> Mapping[str, Seen]:
        """Give what was seen of columns in all that was read of a text file."""
        return {}

    @property
    def has_numbers_as_names(self) -> bool:
        """Whether a text file has a line of names that are nothing but numbers, as if it were one of the rows."""
        return False

    def padded_rows(self) -> tuple[int, int]:
        """Give how many rows of a text file have empty fields beyond the last column, and the first of them, from 1."""
        return 0, 0

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

    def chunks(
        self, unit: Unit, names: Collection[str], hashing: Hashing | None = None
    ) -> AbstractContextManager[Lying | None]:
        """Tell where columns of a unit lie that the kernel reads by itself, while the file is open; None of none.

        Parameters
        ----------
        unit : Unit
        names : collection of str
            Columns that are asked for.
        hashing : Hashing, optional
            What gets the bytes that the kernel reads.
        """
        return nullcontext()

    def slices(self, unit: Unit, columns: Sequence[str] | None = None) -> list[list[str]]:
        """Cut columns of a unit, by default all, into those that are better read together than with the others."""
        return [list(self.schema.names if columns is None else columns)]

    def read_to_map(self, unit: Unit, numbers: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield all columns of one unit, `numbers` as such; of text files the others as text."""
        return self.read(unit)

    def editor(self, targets: Mapping[str, str], dropped: Collection[str], keys: Sequence[str]) -> Editor | None:
        """Give what changes parts of the file where they stand for an output of the same format, if anything does.

        Parameters
        ----------
        targets : mapping of str to str
            Columns that are mapped, and what the result of each is called.
        dropped : collection of str
            Columns that are left out.
        keys : sequence of str
            Columns that rows are grouped by.
        """
        return None

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a unit."""
        return 0

    def number_at(self, name: str, row: int) -> str | None:
        """Give the text of a number, of the row counted from 1; None of what is no text, or a word for an infinity."""
        return None

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

    @property
    def may_be_hashed_while_read(self) -> bool:
        """Whether `chunks` gives away the bytes that are read."""
        return False

    def fingerprint(self) -> str:
        """Hash the content, with 128 bits against chance, not against a forger."""
        return Hashing(self.path).digest()
