"""Columns that are no map of single values (filled, by key, vectors): written by pyarrow, and spliced in."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

__all__ = ["file_of"]

#: pyarrow's names of codecs by Parquet's numbers; it writes LZ4 as LZ4_RAW whatever it is called.
_CODECS = {0: "none", 1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4", 6: "zstd", 7: "lz4"}


def file_of(schema: pa.Schema, batches: Iterable[pa.RecordBatch], codec: int = 0) -> pa.Buffer:
    """Write batches as one row group of a file in memory, plain.

    Parameters
    ----------
    schema : pyarrow.Schema
    batches : iterable of pyarrow.RecordBatch
    codec : int
        By Parquet's number; one that nothing packs is replaced by Snappy.
    """
    import pyarrow.parquet as pq

    table = pa.Table.from_batches(batches, schema)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, schema, compression=_CODECS.get(codec, "snappy"), use_dictionary=False, write_page_checksum=True,
        store_schema=False,
    ) as writer:  # fmt: skip
        writer.write_table(table, row_group_size=max(1, table.num_rows))
    return sink.getvalue()
