"""Batches from files: Parquet, CSV and Arrow IPC. Knows no statistics.

A source is one file. It is read by *units* (row groups, blocks), which threads may take in any order.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import xxhash

from streamnorm.errors import SourceError
from streamnorm.files.places import STDIN, Place, Remote, Spooled, is_elsewhere, location_of, naming, open_input
from streamnorm.formats.csv.pieces import Piece
from streamnorm.formats.csv.reader import CsvOptions, CsvReader
from streamnorm.formats.ipc.file import IpcFile, IpcStream
from streamnorm.formats.limits import BATCH_BYTES, checked, rows_for, together, width_of
from streamnorm.formats.parquet.pages import check_footer, check_pages, longest_text
from streamnorm.formats.parquet.slices import READ_BYTES, side_by_side, slices_of
from streamnorm.inputs.folders import files_below, matches
from streamnorm.inputs.stdin import spool
from streamnorm.inputs.stores import files_at

__all__ = [
    "ArrowSource", "ArrowStreamSource", "CsvSource", "ParquetSource", "Source", "Unit", "expand", "is_data",
    "is_one_file", "kind_of",
]  # fmt: skip

#: Column chunks of more bytes are read through a buffer; for thousands of small ones buffers would take more than they
#: save. Files are not mapped to memory: one that another process cuts short would end this one.
_LARGE_CHUNK = 1 << 20
#: Read at a time of a file that is hashed.
_CHUNK = 1 << 20


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
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


class ParquetSource(Source):
    """A Parquet file, by its row groups."""

    suffixes = (".parquet", ".pq")

    @cached_property
    def _metadata(self) -> Any:
        with naming(self.path), self._open() as file:
            metadata = file.metadata
        rows = sum(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
        if rows != metadata.num_rows:
            raise SourceError(
                f"{self.path} is damaged: its row groups have {rows} rows, its footer says {metadata.num_rows}; "
                "restore the file or leave it out."
            )
        return metadata

    def _open(self, metadata: Any = None, *, buffered: bool = False) -> Any:
        import pyarrow.parquet as pq

        local = isinstance(self.path, Path)
        return pq.ParquetFile(
            self.path if local else open_input(self.path), metadata=metadata,
            buffer_size=READ_BYTES if local and buffered else 0, pre_buffer=not local, page_checksum_verification=True,
        )  # fmt: skip

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with naming(self.path), self._open(self._metadata) as file:
            return file.schema_arrow

    def units(self) -> Iterator[Unit]:
        """Yield the row groups, each with its share of the file.

        The shares are by size before compression. Sizes of columns, asked of a footer that is damaged or encrypted,
        would end the process: nothing in pyarrow catches what Arrow throws there.
        """
        sizes = [self._metadata.row_group(i).total_byte_size for i in range(self._metadata.num_row_groups)]
        whole = max(1, sum(sizes))
        return (Unit(i, self.size * size // whole) for i, size in enumerate(sizes))

    @property
    def metadata(self) -> Any:
        """The footer; what it says of columns may only be asked where `check_columns` has passed."""
        return self._metadata

    def let_go(self) -> None:
        """Drop the footer, which takes ten times its size in the file."""
        for name in ("_metadata", "schema"):
            self.__dict__.pop(name, None)

    def check_columns(self, groups: Iterable[int] | None = None, columns: Sequence[str] | None = None) -> None:
        """Find out whether asking the footer for columns would end the process.

        Parameters
        ----------
        groups : iterable of int, optional
            Row groups; by default all.
        columns : sequence of str, optional
            Columns; by default all.

        Raises
        ------
        SourceError
            If it would.
        """
        with naming(self.path):
            for i in range(self._metadata.num_row_groups) if groups is None else groups:
                check_footer(self.path, self._metadata, i, self.schema.names if columns is None else columns)

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a row group."""
        return sum(self._metadata.row_group(i).num_rows for i in range(unit.number))

    def slices(self, unit: Unit, columns: Sequence[str] | None = None) -> list[list[str]]:
        """Cut columns of a row group, by default all, into those whose pages may be in memory at once."""
        group, names = self._metadata.row_group(unit.number), self.schema.names if columns is None else columns
        return slices_of(self.schema, group, names, paged=isinstance(self.path, Path))  # see `_open`

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group; what it delivers is checked against the footer's count."""
        wanted = None if columns is None else [*columns, *beside]
        group = self._metadata.row_group(unit.number)
        types = {item.name: item.type for item in self.schema if wanted is None or item.name in wanted}
        texts = [name for name, kind in types.items() if width_of(kind) == 0]
        slices, longest = self.slices(unit, wanted), 0
        with naming(self.path):
            check_pages(self.path, self._metadata, unit.number, slices)
            if texts and not isinstance(self.path, Remote):  # far away another look is too dear
                longest = longest_text(self.path, self._metadata, unit.number, texts)
        size = BATCH_BYTES // (2 if columns is None else 1)  # all columns are read to be mapped, and are there twice
        rows = rows_for(list(types.values()), group.total_byte_size // max(1, group.num_rows), longest, size)
        read = partial(self._read, unit, rows)
        batches = read(wanted) if len(slices) == 1 else side_by_side(slices, read, str(self.path))
        return together(batches, types.values()) if texts else batches

    def _read(self, unit: Unit, size: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Yield batches of a size, all from one reader."""
        group, rows = self._metadata.row_group(unit.number), 0
        buffered = unit.size > _LARGE_CHUNK * max(1, group.num_columns)
        with naming(self.path), self._open(self._metadata, buffered=buffered) as file:
            for batch in file.iter_batches(size, row_groups=[unit.number], columns=columns, use_threads=False):
                yield checked(batch, rows=rows, rows_before=partial(self.rows_before, unit))
                rows += batch.num_rows
        if rows != group.num_rows:
            raise SourceError(
                f"{self.path} is damaged: row group {unit.number} gave {rows} rows, its footer says {group.num_rows}; "
                "restore the file or leave it out."
            )


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


class ArrowSource(Source):
    """An Arrow IPC file (Feather version 2), by its record batches."""

    suffixes = (".arrow", ".feather", ".ipc")

    @cached_property
    def _file(self) -> IpcFile:
        return IpcFile(self.path)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with naming(self.path):
            return self._file.schema

    def units(self) -> Iterator[Unit]:
        """Yield the record batches."""
        with naming(self.path):
            count = self._file.count
        return (Unit(i, self.size // count) for i in range(count))

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a record batch."""
        with naming(self.path):
            return self._file.rows_before(unit.number)

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield one record batch."""
        with naming(self.path):
            yield from self._file.read(unit.number, None if columns is None else [*columns, *beside])


class ArrowStreamSource(Source):
    """An Arrow IPC stream, from its beginning to its end."""

    suffixes = (".arrows",)

    @cached_property
    def _stream(self) -> IpcStream:
        return IpcStream(self.path)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with naming(self.path):
            return self._stream.schema

    def units(self) -> Iterator[Unit]:
        """Yield the whole, since nothing tells where in it batches begin."""
        yield Unit(0, self.size)

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the record batches."""
        with naming(self.path):
            yield from self._stream.read(None if columns is None else [*columns, *beside])


_KINDS: tuple[type[Source], ...] = (ParquetSource, CsvSource, ArrowSource, ArrowStreamSource)


def kind_of(path: Place | PurePath) -> type[Source] | None:
    """Find the kind of source by the end of a file's name."""
    name = path.name.lower()
    return next((kind for kind in _KINDS if name.endswith(kind.suffixes)), None)


def expand(sources: Any, options: CsvOptions | None = None) -> list[Source]:
    """Find the files that paths, globs and folders name, in the order of their names.

    Parameters
    ----------
    sources : str, Path or sequence of these
        Files, folders and globs, here or in an object store (a URI such as ``s3://bucket/folder``), and "-" for
        standard input. A folder stands for every file of a known kind below it; hidden ones are passed over.
    options : CsvOptions, optional
        How CSV files are written.

    Raises
    ------
    SourceError
        If a path does not exist, a folder or glob holds no file, or a file is of no known kind.
    """
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    found: dict[Place, Source] = {}
    for item in given:
        for path, relative in _files(item):
            kind = kind_of(path)
            if kind is None:
                known = ", ".join(suffix for kind in _KINDS for suffix in kind.suffixes)
                raise SourceError(f"{path} is of no known kind: expected a name that ends in {known}.")
            found.setdefault(path.resolve(), kind(path, relative, options or CsvOptions()))
    if not found:
        raise SourceError("no source was named: name a file, folder or glob.")
    return list(found.values())


def _files(item: str | Path) -> Iterable[tuple[Place, Path]]:
    if str(item) == STDIN:
        spooled = spool()
        return [(spooled, Path(spooled.name))]
    if is_elsewhere(item):
        found = [pair for pair in files_at(str(item)) if location_of(item) == str(pair[0]) or is_data(pair[1])]
        if not found:
            raise SourceError(f"there is no Parquet, CSV or Arrow file at {location_of(item)}: name another place.")
        return [(remote, relative) for remote, relative in found]
    path = Path(item)
    if path.is_dir():
        files = files_below(path, is_data)
        if not files:
            raise SourceError(f"the folder {path} holds no Parquet, CSV or Arrow file: name another.")
        return [(p, p.relative_to(path)) for p in files]
    if path.exists():
        return [(path, Path(path.name))]
    if glob.has_magic(str(item)):
        found_here = matches(str(item))
        files = [p for match in found_here for p in (files_below(match, is_data) if match.is_dir() else [match])]
        if not files:
            raise SourceError(f"no file matches {item}: check the pattern.")
        root = Path(str(item)[: str(item).index(next(c for c in str(item) if c in "*?["))] + "x").parent
        return [(p, p.relative_to(root)) for p in files]
    raise SourceError(f"there is no file {path}: check the path.")


def is_one_file(item: str | Path, source: Source) -> bool:
    """Tell whether a source is all that was named, and not the only one in a folder."""
    if is_elsewhere(item):
        return str(item) == STDIN or location_of(item) == str(source.path)
    return Path(item).is_file()


def is_data(relative: Path) -> bool:
    """Tell whether a file at this place below a folder is read with the folder."""
    hidden = any(part.startswith((".", "_")) for part in relative.parts)
    return not hidden and kind_of(relative) is not None
