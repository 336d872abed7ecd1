"""Arrow IPC files and streams, written by record batches."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from streamnorm.files import Draft, Target, open_output
from streamnorm.formats.ipc.source import ArrowSource
from streamnorm.formats.ipc.stream import SUFFIX
from streamnorm.formats.source import Source

__all__ = ["ArrowSink"]


class ArrowSink:
    """An Arrow IPC file or stream, compressed as the input is.

    An output whose name ends as the input's does is what that is; of any other ``.arrows`` is a stream.

    Parameters
    ----------
    path : Path or Upload
        The file to be written.
    name : Path or Remote
        What it will be called.
    schema : pyarrow.Schema
    like : Source
        The input.
    changed : set of str
        Columns that hold normalised numbers.
    """

    def __init__(self, path: Draft, name: Target, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        stream, codec = name.suffix.lower() == SUFFIX, None
        if isinstance(like, ArrowSource):
            codec = like.codec
            if name.suffix.lower() == Path(like.path.name).suffix.lower():
                stream = like.is_stream
        self._file = open_output(path)
        new = pa.ipc.new_stream if stream else pa.ipc.new_file
        self._writer = new(self._file, schema, options=pa.ipc.IpcWriteOptions(compression=codec))

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a record batch."""
        self._writer.write_batch(batch)

    def end_unit(self) -> None:
        """Do nothing: batches go out as they come."""

    def close(self) -> None:
        """Write the footer or the end mark."""
        self._writer.close()
        self._file.close()
