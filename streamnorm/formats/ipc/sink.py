"""Arrow IPC files and streams, written by record batches."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from streamnorm.formats.source import Source

__all__ = ["ArrowSink", "ArrowStreamSink"]


class ArrowSink:
    """An Arrow IPC file."""

    _new = staticmethod(pa.ipc.new_file)

    def __init__(self, path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        self._file = pa.OSFile(str(path), "wb")
        self._writer = self._new(self._file, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a record batch."""
        self._writer.write_batch(batch)

    def end_unit(self) -> None:
        """Do nothing: batches go out as they come."""

    def close(self) -> None:
        """Write the footer or the end mark."""
        self._writer.close()
        self._file.close()


class ArrowStreamSink(ArrowSink):
    """An Arrow IPC stream."""

    _new = staticmethod(pa.ipc.new_stream)
