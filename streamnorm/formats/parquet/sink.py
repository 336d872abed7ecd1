"""Parquet files, written by row groups."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from streamnorm.arrow import bytes_of
from streamnorm.files import Draft, Target, naming, open_output
from streamnorm.formats.parquet.source import ParquetSource
from streamnorm.formats.source import Source

__all__ = ["ParquetSink"]

#: Size of a row group, in bytes of memory: it waits there until it is full, one for each file that is written.
GROUP_BYTES = 48 << 20
_WIDTHS = {"FLOAT": 4, "DOUBLE": 8, "INT32": 4, "INT64": 8, "INT96": 12}


class ParquetSink:
    """Row groups as they come, compressed and encoded after the input's.

    A column keeps its dictionary where that makes the input smaller; any other dictionary would only make
    writing many times slower, above all of normalised floats, which hardly repeat.
    """

    def __init__(self, path: Draft, name: Target, schema: pa.Schema, like: Source, changed: set[str]) -> None:
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
            open_output(path), schema, compression=compression, use_dictionary=dictionary, write_page_checksum=True
        )

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch, once a row group is full."""
        self._waiting.append(batch)
        size = bytes_of(batch)
        self._bytes += size
        if self._bytes + size > GROUP_BYTES:  # the next finds no room, and need not wait beside these
            self.end_unit()

    def end_unit(self) -> None:
        """Write what waits as a row group."""
        table = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._bytes = [], 0
        if table.num_rows:
            self._writer.write_table(table, row_group_size=table.num_rows)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _repeats(metadata: Any, column: int) -> bool:
    """Tell whether a column is stored with dictionaries, and takes less room so than without."""
    chunks = [metadata.row_group(i).column(column) for i in range(metadata.num_row_groups)]
    width = _WIDTHS.get(chunks[0].physical_type, math.inf)
    stored, plain = sum(c.total_uncompressed_size for c in chunks), width * sum(c.num_values for c in chunks)
    return all(c.has_dictionary_page for c in chunks if c.num_values) and stored < max(plain, 1)
