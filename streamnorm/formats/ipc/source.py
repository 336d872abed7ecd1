"""Arrow IPC files and streams, read by record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.files import naming, open_input
from streamnorm.formats.ipc.file import IpcFile
from streamnorm.formats.ipc.stream import SUFFIX, IpcStream
from streamnorm.formats.signatures import ARROW, ARROW_STREAM, FIRST_BYTES, signature_of
from streamnorm.formats.source import Source, Unit
from streamnorm.once import once

__all__ = ["ArrowSource"]


class ArrowSource(Source):
    """An Arrow IPC file (Feather version 2) or stream: which of them, its first bytes say, whatever its name."""

    suffixes = (".arrow", ".feather", ".ipc", SUFFIX)

    @once
    def _content(self) -> IpcFile | IpcStream:
        with open_input(self.path) as file:
            first = file.read(FIRST_BYTES)
        found = signature_of(first)
        if found and not first.startswith((ARROW, ARROW_STREAM)) and found.ending != ".csv":
            raise SourceError(f"{self.path} is {found.what} by its first bytes, and no Arrow file: {found.remedy}.")
        old_stream = not first.startswith(ARROW) and self.path.name.lower().endswith(
            SUFFIX
        )  # before 2019, without mark
        return IpcStream(self.path) if old_stream or first.startswith(ARROW_STREAM) else IpcFile(self.path)

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream, and no file with a footer."""
        with naming(self.path):
            return isinstance(self._content, IpcStream)

    @property
    def codec(self) -> str | None:
        """What the bodies of its record batches are compressed by: "lz4", "zstd", or None."""
        with naming(self.path):
            return self._content.codec

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with naming(self.path):
            schema = self._content.schema
            try:
                list(schema.names)
            except UnicodeDecodeError:
                raise SourceError(
                    f"{self.path} has a column whose name is no UTF-8 text: restore the file, or write it again."
                ) from None
            return schema

    def units(self) -> Iterator[Unit]:
        """Yield the record batches of a file, or the whole of a stream: nothing tells where in one batches begin."""
        with naming(self.path):
            count = self._content.count
        return (Unit(i, self.size // count) for i in range(count))

    def rows_before(self, unit: Unit) -> int:
        """How many rows come before a unit."""
        with naming(self.path):
            return self._content.rows_before(unit.number)

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the record batches of a unit.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
            By default all.
        beside : sequence of str
            Columns that are read too, of text files as text.
        """
        with naming(self.path):
            yield from self._content.read(unit.number, None if columns is None else [*columns, *beside])
