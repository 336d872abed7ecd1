"""Batches to files, in the format of the file's name. Knows no statistics.

A sink writes to a path that is nobody's yet; giving the file its name is the caller's business.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from streamnorm.errors import OutputError, StreamnormError
from streamnorm.files.places import naming
from streamnorm.formats.csv.lines import head_of, lines_of, text_of
from streamnorm.formats.source import ArrowSource, ArrowStreamSource, CsvSource, ParquetSource, Source, kind_of

__all__ = ["Sink", "open_sink", "writing"]

#: Of a row group before it is written: it waits in memory, one in each file that is being written.
GROUP_BYTES = 48 << 20

_WIDTHS = {"FLOAT": 4, "DOUBLE": 8, "INT32": 4, "INT64": 8, "INT96": 12}


class Sink(Protocol):
    """Where batches go."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""

    def end_unit(self) -> None:
        """End what was one part of the input."""

    def close(self) -> None:
        """Finish the file."""


class _ParquetSink:
    """Row groups as they come, compressed and encoded after the input's.

    A column keeps its dictionary where that makes the input smaller; any other dictionary would only make
    writing many times slower, above all of normalised floats, which hardly repeat.
    """

    def __init__(self, path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        import pyarrow.parquet as pq

        compression: Any = "snappy"
        dictionary = [item.name for item in schema if item.name not in changed]
        if isinstance(like, ParquetSource) and like.metadata.num_row_groups:
            with naming(like.path):
                like.check_columns()
                group = like.metadata.row_group(0)
                chunks = [group.column(i) for i in range(group.num_columns)]
                compression = {c.path_in_schema: c.compression.lower().replace("uncompressed", "none") for c in chunks}
                dictionary = [chunks[i].path_in_schema for i in range(len(chunks)) if _repeats(like.metadata, i)]
            for item in schema:
                compression.setdefault(item.name, "snappy")
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = 0
        self._writer = pq.ParquetWriter(
            path, schema, compression=compression, use_dictionary=dictionary, write_page_checksum=True
        )

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._bytes += batch.nbytes
        if self._bytes + batch.nbytes > GROUP_BYTES:  # the next finds no room, and need not wait beside these
            self.end_unit()

    def end_unit(self) -> None:
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._bytes = [], 0
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)

    def close(self) -> None:
        self._writer.close()


def _repeats(metadata: Any, column: int) -> bool:
    """Tell whether a column is stored with dictionaries, and takes less room so than without."""
    chunks = [metadata.row_group(i).column(column) for i in range(metadata.num_row_groups)]
    width = _WIDTHS.get(chunks[0].physical_type, math.inf)
    stored, plain = sum(c.total_uncompressed_size for c in chunks), width * sum(c.num_values for c in chunks)
    return all(c.has_dictionary_page for c in chunks if c.num_values) and stored < max(plain, 1)


class _CsvSink:
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
        self._put(lines_of(text_of(batch), self._delimiter))

    def end_unit(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


class _ArrowSink:
    _new = staticmethod(pa.ipc.new_file)

    def __init__(self, path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        self._file = pa.OSFile(str(path), "wb")
        self._writer = self._new(self._file, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def end_unit(self) -> None:
        pass

    def close(self) -> None:
        self._writer.close()
        self._file.close()


class _ArrowStreamSink(_ArrowSink):
    _new = staticmethod(pa.ipc.new_stream)


_SINKS: dict[type[Source], type[Any]] = {
    ParquetSource: _ParquetSink,
    CsvSource: _CsvSink,
    ArrowSource: _ArrowSink,
    ArrowStreamSource: _ArrowStreamSink,
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while writing into one sentence that names the file."""
    try:
        yield
    except StreamnormError:
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise OutputError(f"{path} cannot be written: {reason}; make room or choose another output.") from error


def open_sink(path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> Sink:
    """Open a file for writing.

    Parameters
    ----------
    path : Path
        The file to be written.
    name : Path
        What it will be called: its ending decides the format.
    schema : pyarrow.Schema
    like : Source
        The input, whose layout is kept where the formats agree.
    changed : set of str
        Columns that hold normalised numbers.

    Raises
    ------
    OutputError
        If the name is of no known format.
    """
    kind = kind_of(name)
    if kind is None:
        raise OutputError(f"{name} is of no known format: end the name in .parquet, .csv or .arrow.")
    sink: Sink = _SINKS[kind](path, name, schema, like, changed)
    return sink
