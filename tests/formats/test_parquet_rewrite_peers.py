"""Files of other writers, transformed by pages: fastparquet, Polars, DuckDB, Spark, and LZ4 of long ago."""

from __future__ import annotations

import shutil
import struct
import warnings
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rewritten import by_pages_only, check, check_peers, chunk_bytes

import streamnorm as sn
from streamnorm.formats.parquet.layout import Layout
from streamnorm.formats.parquet.tree import I32, STRUCT, read_struct, write_struct

ROWS = 20_000


@pytest.fixture(autouse=True)
def _by_pages(monkeypatch) -> Iterator[None]:
    with by_pages_only(monkeypatch):
        yield


def table() -> pa.Table:
    rng = np.random.default_rng(0)
    some = rng.random(ROWS) < 0.1
    return pa.table(
        {
            "few": pa.array(rng.integers(0, 90, ROWS), mask=some),
            "many": rng.normal(size=ROWS),
            "small": rng.integers(-5, 5, ROWS).astype(np.int32),
            "single": rng.normal(size=ROWS).astype(np.float32),
            "quarter": pa.array(rng.integers(0, 40, ROWS) / 4, mask=some),
            "text": [f"t{i % 30}" for i in range(ROWS)],
        }
    )


def test_polars(tmp_path):
    polars = pytest.importorskip("polars")
    path = tmp_path / "in.parquet"
    frame = polars.from_arrow(table())
    for codec in ("zstd", "snappy", "lz4", "uncompressed"):
        frame.write_parquet(
            path, compression=codec, row_group_size=7000, data_page_size=9000, metadata={"mine": "kept"}
        )
        check(path, tmp_path / "out.parquet")
        assert pq.read_metadata(tmp_path / "out.parquet").metadata[b"mine"] == b"kept"


def test_duckdb_and_its_bloom_filters(tmp_path):
    """Those of columns that are mapped are left out: they would hide rows. Others lie elsewhere and are the same."""
    duckdb = pytest.importorskip("duckdb")
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    with duckdb.connect() as connection:
        given = table()
        connection.register("given", given)
        for version in ("V1", "V2"):
            connection.execute(f"copy (select *, few::decimal(9, 2) as price from given) to '{path}' "
                               f"(format parquet, row_group_size 6000, parquet_version {version})")  # fmt: skip
            normalizer = sn.TableNormalizer(None, dict.fromkeys(("few", "quarter", "many", "price"), "standard"))
            check(path, target, normalizer.fit(pq.read_table(path)))
            old, new = (pq.read_metadata(file).row_group(0) for file in (path, target))
            blooms = {old.column(i).path_in_schema for i in range(old.num_columns) if old.column(i).bloom_filter_offset}
            kept = {new.column(i).path_in_schema for i in range(new.num_columns) if new.column(i).bloom_filter_offset}
            assert "text" in kept
            assert kept == blooms - {"few", "quarter", "many", "price"}
            before, after = path.read_bytes(), target.read_bytes()
            for i in range(old.num_columns):
                mine, theirs = new.column(i), old.column(i)
                if mine.path_in_schema in kept:
                    at, other, size = mine.bloom_filter_offset, theirs.bloom_filter_offset, theirs.bloom_filter_length
                    assert after[at : at + size] == before[other : other + size]
            found = connection.sql(f"select count(*) from '{target}' where text = 't3'").fetchall()
            assert found == [(sum(text == "t3" for text in given["text"].to_pylist()),)]


@pytest.mark.filterwarnings("ignore")
def test_fastparquet(tmp_path):
    fastparquet = pytest.importorskip("fastparquet")
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    frame = table().to_pandas()
    for codec in ("SNAPPY", "GZIP", "ZSTD", None):
        fastparquet.write(str(path), frame, compression=codec, row_group_offsets=7000, stats=True)
        check(path, target)
        found = fastparquet.ParquetFile(str(target)).to_pandas()
        np.testing.assert_array_equal(found["many"].to_numpy(), pq.read_table(target).column("many").to_numpy())


def test_lz4_of_before_its_name_was_clear(tmp_path):
    """Blocks in Hadoop's framing: columns that are mapped are written as LZ4_RAW, all others are copied."""
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    for version in ("1.0", "2.0"):
        for dictionary in (True, False):
            pq.write_table(
                table(), path, compression="lz4", row_group_size=9000, data_page_version=version,
                use_dictionary=dictionary or ["text"], write_page_checksum=False, write_statistics=False,
            )  # fmt: skip
            wanted = pq.read_table(path)
            path.write_bytes(as_hadoop(path.read_bytes()))
            normalizer = sn.TableNormalizer().fit(wanted)
            sn.transform(normalizer, path, target, overwrite=True)
            check_peers(target, normalizer.transform(wanted), ["few", "many", "small", "single", "quarter"])
            before, after = chunk_bytes(path), chunk_bytes(target)
            assert before[0, "text"] == after[0, "text"]
            codecs = {chunk.meta.get(4) for chunk in Layout.read(pa.OSFile(str(target))).chunks[0]}
            assert codecs == {5, 7}


def as_hadoop(data: bytes) -> bytes:
    """Put each page of a file in LZ4_RAW into a block of Hadoop's framing."""
    layout = Layout.read(pa.BufferReader(data))
    out = bytearray(b"PAR1")
    for chunks in layout.chunks:
        for chunk in chunks:
            start, at, first = len(out), chunk.start, None
            while at < chunk.start + chunk.size:
                header, body = read_struct(data, at)
                packed, size = header.get(3), header.get(2)
                levels = header.get(8).get(5, 0) + header.get(8).get(6, 0) if header.get(1) == 3 else 0
                own = data[body + levels : body + packed]
                is_packed = header.get(1) != 3 or header.get(8).get(7, True)
                if is_packed:
                    own = struct.pack(">II", size - levels, len(own)) + own
                if header.get(1) != 2 and first is None:
                    first = len(out)
                header.set(3, I32, levels + len(own))
                out += write_struct(header) + data[body : body + levels] + own
                at = body + packed
            meta = chunk.meta
            dictionary = meta.get(11)
            meta.set(4, I32, 5).set(9, 6, first).set(11, 6, start if dictionary else None).set(7, 6, len(out) - start)
            chunk.column.set(3, STRUCT, meta)
    footer = write_struct(layout.meta)
    return bytes(out + footer + struct.pack("<I", len(footer)) + b"PAR1")


def test_what_rows_are_sorted_by_is_said_while_it_is_certain(tmp_path):
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    data = pa.table({"z": [0.5] * 4, "a": ["a", "a", "b", "b"], "x": [1.0, 2.0, 1.0, 2.0], "b": [1, 2, 3, 4]})
    order = [pq.SortingColumn(1), pq.SortingColumn(2), pq.SortingColumn(3)]
    pq.write_table(data, path, sorting_columns=order)
    normalizer = sn.TableNormalizer.from_recipe({"columns": {"z": {"drop": True}, "b": "none"}}).fit(data)
    sn.transform(normalizer, path, target)
    assert pq.read_metadata(target).row_group(0).sorting_columns == (pq.SortingColumn(0),)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_spark(tmp_path):
    pyspark = pytest.importorskip("pyspark")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java")
    assert pyspark
    from pyspark.sql import SparkSession

    source, target = tmp_path / "in", tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
        frame = session.createDataFrame(table().to_pandas()).selectExpr(
            "*", "cast(many as decimal(9, 2)) as price", "cast('9999-12-31' as timestamp) as day"
        )
        frame.repartition(2).write.option("parquet.bloom.filter.enabled#text", "true").parquet(str(source))
        normalizer = sn.fit(source)
        sn.transform(normalizer, source, target)
        found = session.read.parquet(str(target)).orderBy("many").drop("day").toPandas()
        wanted = pa.concat_tables(
            normalizer.transform(pq.read_table(path)) for path in sorted(source.glob("*.parquet"))
        )
        wanted = wanted.drop_columns("day").to_pandas().sort_values("many")
        np.testing.assert_array_equal(found["many"].to_numpy(), wanted["many"].to_numpy())
        np.testing.assert_array_equal(found["price"].to_numpy(), wanted["price"].to_numpy())
        assert session.read.parquet(str(target)).schema["many"].dataType.typeName() == "double"
        assert session.read.parquet(str(target)).selectExpr("max(day)").collect()[0][0].year == 9999
    for path in sorted(source.glob("*.parquet")):
        check(path, target / path.name, normalizer)


def test_how_a_writer_is_called_stays_readable(tmp_path):
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    names = {
        "parquet-mr version 1.13.1 (build db4183109d5b734ec5930d870cdae161e408ddba)":
            "parquet-mr version 1.13.1 (build db4183109d5b734ec5930d870cdae161e408ddba, rewritten by streamnorm)",
        "Polars": "Polars",
        "DuckDB version v1.4": "DuckDB version v1.4 (build rewritten by streamnorm)",
    }  # fmt: skip
    pq.write_table(table().slice(0, 10), path)
    good = path.read_bytes()
    size = int.from_bytes(good[-8:-4], "little")
    for before, after in names.items():
        footer, _ = read_struct(good[-8 - size : -8])
        made = write_struct(footer.set(6, 8, before.encode()))
        path.write_bytes(good[: -8 - size] + made + struct.pack("<I", len(made)) + b"PAR1")
        for _ in range(2):
            sn.transform(sn.fit(path), path, target, overwrite=True)
            assert pq.read_metadata(target).created_by == after
            shutil.copy(target, path)
