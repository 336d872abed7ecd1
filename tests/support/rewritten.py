"""Whether a Parquet file that was written by pages is what it should be."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bits import assert_same_bits

import streamnorm as sn
from streamnorm.formats.parquet.layout import Layout
from streamnorm.jobs import copies


@contextlib.contextmanager
def by_pages_only(monkeypatch):
    """Fail where a file is written anew from its values."""

    def refuse(*given: Any) -> None:
        raise AssertionError("the file was not written by pages")

    with monkeypatch.context() as patch:
        patch.setattr(copies, "_by_batches", refuse)
        yield


def same(found: pa.Table, wanted: pa.Table) -> None:
    """Compare tables: schemas with metadata, nulls, and floats as bits."""
    assert found.schema.equals(wanted.schema), (found.schema, wanted.schema)
    described = {b"pandas", b"org.apache.spark.sql.parquet.row.metadata"}  # whose types are those of the file
    mine, theirs = (
        {key: value for key, value in (schema.metadata or {}).items() if key not in described}
        for schema in (found.schema, wanted.schema)
    )
    assert mine == theirs
    for name, mine, theirs in zip(found.schema.names, found.columns, wanted.columns, strict=True):
        if pa.types.is_floating(mine.type):
            assert mine.is_null().equals(theirs.is_null()), name
            assert_same_bits(mine.drop_null().to_numpy(), theirs.drop_null().to_numpy())
        else:
            assert mine.combine_chunks().equals(theirs.combine_chunks()), name


def chunk_bytes(path: Path) -> dict[tuple[int, str], bytes]:
    """Give the bytes of each column chunk by row group and path in the schema."""
    data = path.read_bytes()
    layout = Layout.read(pa.BufferReader(data))
    return {
        (group, b".".join(chunk.meta.get(3).items).decode()): data[chunk.start : chunk.start + chunk.size]
        for group, chunks in enumerate(layout.chunks)
        for chunk in chunks
    }


def check_statistics(path: Path, names: set[str]) -> None:
    """Bounds in the footer and in the page index are those of the values."""
    file = pq.ParquetFile(path)
    for number in range(file.metadata.num_row_groups):
        group, table = file.metadata.row_group(number), file.read_row_group(number)
        assert group.total_byte_size == sum(group.column(i).total_uncompressed_size for i in range(group.num_columns))
        for i in range(group.num_columns):
            chunk = group.column(i)
            if chunk.path_in_schema not in names or not chunk.is_stats_set:
                continue
            column = table.column(chunk.path_in_schema)
            if chunk.statistics.has_null_count:
                assert chunk.statistics.null_count == column.null_count
            numbers = column.drop_null().to_numpy()
            numbers = numbers[~np.isnan(numbers)]
            if chunk.statistics.has_min_max and column.type != pa.float16():  # of which pyarrow gives bytes
                assert (chunk.statistics.min, chunk.statistics.max) == (numbers.min(), numbers.max())


def check(source: Path, target: Path, normalizer: Any = None, *, peers: bool = True) -> None:
    """Transform a file, and hold the result against `transform` of its table; look at every part of it."""
    normalizer = normalizer or sn.fit(source)
    sn.transform(normalizer, source, target, overwrite=True, threads=2)
    wanted = normalizer.transform(pq.read_table(source))
    found = pq.read_table(target, page_checksum_verification=True)
    same(found, wanted)
    mapped = set(normalizer.inputs(False).values())
    before, after = chunk_bytes(source), chunk_bytes(target)
    for key, data in before.items():
        if key[1].partition(".")[0] not in mapped and key in after:
            assert after[key] == data, key
    check_statistics(target, mapped)
    old, new = pq.read_metadata(source), pq.read_metadata(target)
    assert [new.row_group(i).num_rows for i in range(new.num_row_groups)] == [
        old.row_group(i).num_rows for i in range(old.num_row_groups)
    ]
    if peers:
        check_peers(target, wanted, sorted(mapped))


def check_peers(path: Path, wanted: pa.Table, names: list[str]) -> None:
    """Polars and DuckDB read the same numbers, and find the same rows by them."""
    import duckdb
    import polars

    frame = polars.read_parquet(path)
    with duckdb.connect() as connection:
        relation = connection.read_parquet(str(path))
        for name in names:
            mine = wanted.column(name)
            if not pa.types.is_float64(mine.type) and not pa.types.is_float32(mine.type):
                continue
            numbers = mine.drop_null().to_numpy()
            assert_same_bits(frame[name].drop_nulls().to_numpy(), numbers)
            assert_same_bits(relation.select(f'"{name}"').to_arrow_table().column(0).drop_null().to_numpy(), numbers)
            numbers = numbers[~np.isnan(numbers)]
            if not len(numbers):
                continue
            middle = float(np.sort(numbers)[len(numbers) // 2])
            column = polars.col(name)
            some = polars.scan_parquet(path).filter((column >= middle) & column.is_not_nan()).collect()
            assert len(some) == int((numbers >= middle).sum())
            if len(numbers) == len(mine) - mine.null_count:  # DuckDB takes bounds for a word that there is no NaN
                some = relation.filter(f'"{name}" >= {middle!r}::DOUBLE').to_arrow_table()
                assert len(some) == int((numbers >= middle).sum())
