"""Batches to files, in the format of the file's name. Knows no statistics.

A sink writes to a path that is nobody's yet; giving the file its name is the caller's business.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from streamnorm.csv_files import head_of, lines_of, text_of
from streamnorm.errors import OutputError, StreamnormError
from streamnorm.sources import ArrowSource, CsvSource, ParquetSource, Source, kind_of

__all__ = ["Sink", "open_sink", "writing"]


class Sink(Protocol):
    """Where batches go."""

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Write the batches of one unit."""

    def close(self) -> None:
        """Finish the file."""


class _ParquetSink:
    """Row groups as they come, compressed and encoded after the input's.

    Normalised floats hardly repeat, so that a dictionary would make writing them many times slower; the
    other columns keep theirs where the input has one.
    """

    def __init__(self, path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        import pyarrow.parquet as pq

        compression: Any = "snappy"
        dictionary: Any = [item.name for item in schema if item.name not in changed]
        if isinstance(like, ParquetSource) and like.metadata.num_row_groups:
            group = like.metadata.row_group(0)
            chunks = [group.column(i) for i in range(group.num_columns)]
            compression = {c.path_in_schema: c.compression.lower().replace("uncompressed", "none") for c in chunks}
            for item in schema:
                compression.setdefault(item.name, "snappy")
            encoded = [c.path_in_schema for c in chunks if "RLE_DICTIONARY" in c.encodings]
            dictionary = [leaf for leaf in encoded if leaf not in changed and leaf.partition(".")[0] not in changed]
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path, schema, compression=compression, use_dictionary=dictionary, write_page_checksum=True
        )

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        table = pa.Table.from_batches(list(batches), self._schema)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)

    def close(self) -> None:
        self._writer.close()


class _CsvSink:
    """Text as it stood, in the input's encoding; numbers as the shortest that reads back to the same."""

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

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            self._put(lines_of(text_of(batch), self._delimiter))

    def close(self) -> None:
        self._file.close()


class _ArrowSink:
    def __init__(self, path: Path, name: Path, schema: pa.Schema, like: Source, changed: set[str]) -> None:
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, schema)

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()
        self._file.close()


_SINKS: dict[type[Source], type[Any]] = {
    ParquetSource: _ParquetSink,
    CsvSource: _CsvSink,
    ArrowSource: _ArrowSink,
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
