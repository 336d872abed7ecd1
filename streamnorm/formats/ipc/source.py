"""Arrow IPC files and streams, read by record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import pyarrow as pa

from streamnorm.files import naming
from streamnorm.formats.ipc.file import IpcFile
from streamnorm.formats.ipc.stream import IpcStream
from streamnorm.formats.source import Source, Unit

__all__ = ["ArrowSource", "ArrowStreamSource"]


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
        """Yield one record batch.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
            By default all.
        beside : sequence of str
            Columns that are read too, of text files as text.
        """
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
        """Yield the record batches.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
            By default all.
        beside : sequence of str
            Columns that are read too, of text files as text.
        """
        with naming(self.path):
            yield from self._stream.read(None if columns is None else [*columns, *beside])
