"""Parquet files, read by row groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamnorm import kernel
from streamnorm.errors import SourceError
from streamnorm.files import Remote, naming, open_input
from streamnorm.formats.limits import BATCH_BYTES, rows_for, together, validated, width_of
from streamnorm.formats.parquet.bounds import bounds_of
from streamnorm.formats.parquet.decode import portions_of
from streamnorm.formats.parquet.flat import Chunk, FlatColumns
from streamnorm.formats.parquet.footer import check_footer
from streamnorm.formats.parquet.layout import NotByPagesError, descriptor_of, read_footer
from streamnorm.formats.parquet.pages import check_pages, longest_text
from streamnorm.formats.parquet.slices import READ_BYTES, side_by_side, slices_of
from streamnorm.formats.parquet.thrift import Thrift
from streamnorm.formats.parquet.walk import damage
from streamnorm.formats.source import Bounds, Hashing, Lying, Portion, Source, Unit
from streamnorm.once import once

__all__ = ["ParquetSource"]

#: What a file begins with; bytes that the header of its first page, which follows, has at most; the numbers of the
#: fields with a page's size and its checksum.
_MAGIC, _HEADER, _SIZE, _CRC = b"PAR1", 1 << 12, 3, 4

#: Column chunks of more bytes are read through a buffer; for thousands of small ones buffers would take more than they
#: save. Files are not mapped to memory: one that another process cuts short would end this one.
_LARGE_CHUNK = 1 << 20


class ParquetSource(Source):
    """A Parquet file, by its row groups."""

    suffixes = (".parquet", ".pq")

    @once
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

    @once
    def _has_checksums(self) -> bool:
        """Whether the checksum of the first page, if it has one, is computed and not 0, as some writers leave it.

        That of a page without a body, as in a row group without rows, is 0 when it is computed: the next page tells.
        """
        if isinstance(self.path, Remote):  # far away another look is too dear
            return True
        with open_input(self.path) as file:
            head = memoryview(file.read(_HEADER)).cast("B")
        try:
            headers = Thrift(head, len(_MAGIC))
            page = headers.struct()
            while page.get(_CRC) == 0 and page.get(_SIZE) == 0:
                page = headers.struct()
            return bool(page.get(_CRC) != 0)
        except (IndexError, KeyError, TypeError, ValueError, RecursionError):
            return True

    def _open(self, metadata: Any = None, *, buffered: bool = False, verified: bool = False) -> Any:
        """Open the file.

        Parameters
        ----------
        metadata : pyarrow.parquet.FileMetaData, optional
            Its footer, where that was read.
        buffered : bool
            Whether column chunks are read through a buffer.
        verified : bool
            Whether pages are compared with their checksums.
        """
        import pyarrow.parquet as pq

        local = isinstance(self.path, Path)
        return pq.ParquetFile(
            self.path if local else open_input(self.path), metadata=metadata,
            buffer_size=READ_BYTES if local and buffered else 0, pre_buffer=not local,
            page_checksum_verification=verified and self._has_checksums,
        )  # fmt: skip

    @once
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with naming(self.path):
            return self._metadata.schema.to_arrow_schema()

    def units(self) -> Iterator[Unit]:
        """Yield the row groups, each with its share of the file.

        The shares are by size before compression. Sizes of columns, asked of a footer that is damaged or encrypted,
        would end the process: nothing in pyarrow catches what Arrow throws there. A damaged
        footer may tell of less than no bytes.
        """
        sizes = [max(0, self._metadata.row_group(i).total_byte_size) for i in range(self._metadata.num_row_groups)]
        whole = max(1, sum(sizes))
        return (Unit(i, self.size * size // whole) for i, size in enumerate(sizes))

    @property
    def metadata(self) -> Any:
        """The footer; what it says of columns may only be asked where `check_columns` has passed."""
        return self._metadata

    def let_go(self) -> None:
        """Drop the footer, which takes ten times its size in the file."""
        for name in ("_metadata", "schema", "_flat"):
            self.__dict__.pop(name, None)

    def check_columns(self, groups: Iterable[int] | None = None, columns: Collection[str] | None = None) -> None:
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

    def bounds(self, unit: Unit, names: Collection[str]) -> Mapping[str, Bounds]:
        """Give least and greatest values of columns of a row group that the footer tells exactly."""
        check = partial(self.check_columns, [unit.number])
        return bounds_of(self.schema, self._metadata, unit.number, names, check)

    @contextmanager
    def chunks(self, unit: Unit, names: Collection[str], hashing: Hashing | None = None) -> Iterator[Lying | None]:
        """Tell where column chunks lie that the kernel reads by itself; far away all are read at once instead.

        Parameters
        ----------
        unit : Unit
        names : collection of str
        hashing : Hashing, optional
            What gets the bytes that the kernel reads.
        """
        columns = self._flat if kernel.COMPILED and names else None
        there, records = columns.read_by_kernel(unit.number, names) if columns else ([], ())
        if not there:
            yield None
            return
        with naming(self.path), open_input(self.path) as file:
            number = descriptor_of(file)
            rows = self._metadata.row_group(unit.number).num_rows
            yield None if number is None else Lying(
                there, rows, kernel.Chunks(number, records, hashing and hashing.take)
            )  # fmt: skip

    @property
    def may_be_hashed_while_read(self) -> bool:
        """Whether `chunks` gives away the bytes that are read."""
        return kernel.COMPILED and isinstance(self.path, Path)

    def portions(self, unit: Unit, names: Collection[str]) -> Iterator[tuple[str, int, Iterator[Portion]]]:
        """Yield flat columns of a row group, which are read by their pages; far away all are read at once instead."""
        found = {name: self._flat.chunk(unit.number, name) for name in names} if self._flat else {}
        rows = self._metadata.row_group(unit.number).num_rows
        with naming(self.path), open_input(self.path) as file:
            for name, chunk in found.items():
                if chunk is not None:
                    yield name, rows, self._portions(file, chunk, name, self.schema.field(name).type, unit)

    def _portions(
        self, file: pa.NativeFile, chunk: Chunk, name: str, kind: pa.DataType, unit: Unit
    ) -> Iterator[Portion]:
        """Read a column, and say where it is damaged.

        Parameters
        ----------
        file : pyarrow.NativeFile
        chunk : Chunk
        name : str
        kind : pyarrow.DataType
        unit : Unit
        """
        with damage(self.path, name, unit.number):
            yield from portions_of(file, chunk, kind)

    @once
    def _flat(self) -> FlatColumns | None:
        """The flat columns; none of them where the footer makes no sense, or is far away."""
        if not isinstance(self.path, Path):
            return None
        try:
            with naming(self.path), open_input(self.path) as file:
                return FlatColumns(self._metadata, self.schema, read_footer(file)[0])
        except (NotByPagesError, ValueError):
            return None

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
        """Yield the batches of one row group; what it delivers is checked against the footer's count.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
            By default all.
        beside : sequence of str
            Columns that are read too, of text files as text.
        """
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
        """Yield batches of a size, all from one reader.

        Parameters
        ----------
        unit : Unit
        size : int
            Bytes.
        columns : sequence of str, optional
            By default all.
        """
        group, rows = self._metadata.row_group(unit.number), 0
        buffered = unit.size > _LARGE_CHUNK * max(1, group.num_columns)
        with naming(self.path), self._open(self._metadata, buffered=buffered, verified=True) as file:
            for batch in file.iter_batches(size, row_groups=[unit.number], columns=columns, use_threads=False):
                yield validated(batch, rows=rows, rows_before=partial(self.rows_before, unit))
                rows += batch.num_rows
        if rows != group.num_rows:
            raise SourceError(
                f"{self.path} is damaged: row group {unit.number} gave {rows} rows, its footer says {group.num_rows}; "
                "restore the file or leave it out."
            )
