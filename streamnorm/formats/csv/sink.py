"""CSV files, written line by line or by pieces that were spliced."""

from __future__ import annotations

import codecs

import pyarrow as pa

from streamnorm.files import Draft, Target, open_output
from streamnorm.formats.csv.lines import head_of, lines_of, text_of
from streamnorm.formats.csv.opening import PACKINGS, recoded
from streamnorm.formats.csv.source import CsvSource
from streamnorm.formats.csv.splice import spliced_start
from streamnorm.formats.source import Source

__all__ = ["CsvSink"]


class CsvSink:
    """Bytes of a CSV file as they were but for what is normalised; of other files, numbers as the shortest text.

    Parameters
    ----------
    path : Path or Upload
        The file to be written.
    name : Path or Remote
        What it will be called: its ending decides the compression.
    schema : pyarrow.Schema
    like : Source
        The input. What is written of a CSV file has its delimiter and all that stands before its rows.
    changed : set of str
        Columns that hold normalised numbers.
    """

    def __init__(self, path: Draft, name: Target, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        tabs = "tsv" in name.name.lower().split(".")[1:]
        encoding = like.options.encoding
        self._delimiter = like.options.delimiter or ("\t" if tabs else ",")
        spliced = isinstance(like, CsvSource)
        self._encoder = codecs.getincrementalencoder(encoding)() if recoded(encoding) or not spliced else None
        raw = open_output(path)
        packing = next((packing for packing in PACKINGS if name.name.lower().endswith(packing.ending)), None)
        self._raw, self._file = raw, packing.pack(raw) if packing else raw
        if isinstance(like, CsvSource):
            self._put(spliced_start(like.reader, schema.names, encoding))
        else:
            self._put(head_of(schema.names, self._delimiter))

    def _put(self, data: bytes | memoryview) -> None:
        self._file.write(self._encoder.encode(str(data, "utf-8")) if self._encoder else data)

    def write(self, batch: pa.RecordBatch | bytes | memoryview) -> None:
        """Write a line for each row, or a piece as it is."""
        self._put(batch if isinstance(batch, (bytes, memoryview)) else lines_of(text_of(batch), self._delimiter))

    def end_unit(self) -> None:
        """Do nothing: lines go out as they come."""

    def close(self) -> None:
        """Finish the file."""
        self._file.close()
        self._raw.close()
