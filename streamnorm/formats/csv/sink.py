"""CSV files, written line by line."""

from __future__ import annotations

import codecs
from pathlib import Path

import pyarrow as pa

from streamnorm.formats.csv.lines import head_of, lines_of, text_of
from streamnorm.formats.csv.source import CsvSource
from streamnorm.formats.source import Source

__all__ = ["CsvSink"]


class CsvSink:
    """Values of text as they were, in the input's encoding; numbers as the shortest that reads back to the same."""

    def __init__(self, path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        tabs = name.name.lower().endswith((".tsv", ".tsv.gz"))
        self._delimiter = like.reader.delimiter if isinstance(like, CsvSource) else "\t" if tabs else ","
        self._encoder = codecs.getincrementalencoder(like.options.encoding)()
        self._plain = codecs.lookup(like.options.encoding).name == "utf-8"
        raw = pa.OSFile(str(path), "wb")
        self._file = pa.CompressedOutputStream(raw, "gzip") if name.suffix.lower() == ".gz" else raw
        self._put(head_of(schema.names, self._delimiter))

    def _put(self, lines: bytes) -> None:
        self._file.write(lines if self._plain else self._encoder.encode(lines.decode()))

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a line for each row."""
        self._put(lines_of(text_of(batch), self._delimiter))

    def end_unit(self) -> None:
        """Do nothing: lines go out as they come."""

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
