"""Learning by pages: the state is that of decoded batches, `==`, whoever wrote the file and however."""

from __future__ import annotations

import decimal
import importlib.util
import itertools
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import on_reading

import streamnorm as sn
from streamnorm.errors import DataError, SourceError
from streamnorm.formats import Source
from streamnorm.formats.parquet import decode
from streamnorm.formats.parquet.source import ParquetSource

ROWS = 3000


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Name the columns that are decoded to batches."""
    seen: list[str] = []
    whole = ParquetSource.read

    def read(self, unit, columns=None, *more):
        seen.extend(columns)
        return whole(self, unit, columns, *more)

    monkeypatch.setattr(ParquetSource, "read", read)
    return seen


def by_batches(path, normalizer, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(ParquetSource, "portions", lambda *_: iter(()))
        patched.setattr(ParquetSource, "chunks", Source.chunks)
        return sn.fit(path, normalizer)


def by_pieces(path, normalizer, monkeypatch):
    """Fit as if the kernel read no column chunk by itself."""
    with monkeypatch.context() as patched:
        patched.setattr(ParquetSource, "chunks", Source.chunks)
        return sn.fit(path, normalizer)


_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_FLOATS = ("float32", "float64")


def column(kind: str, values: str, nulls: float, rows: int = ROWS) -> pa.Array:
    """Make a column: of few values, of ones that do not repeat, or of few and then of many."""
    random = np.random.default_rng([len(kind), rows])
    few, many = random.integers(0, 7, rows), random.integers(-(2**62), 2**62, rows) * 2
    mixed = np.where(np.arange(rows) < rows // 3, few, many)
    numbers = {"few": few, "many": many, "mixed": mixed}[values]
    if kind in _FLOATS:
        own = numbers * 1.1
        own[random.random(rows) < 0.01] = np.nan
        own[random.random(rows) < 0.01] = -0.0
        own = own.astype(kind)
    else:
        own = numbers.astype(kind)
    return pa.array(own, mask=random.random(rows) < nulls)


def tables(kinds=_INTEGERS + _FLOATS):
    for values, nulls in itertools.product(("few", "many", "mixed"), (0, 0.2, 1)):
        columns = {kind: column(kind, values, nulls) for kind in kinds}
        yield pa.table(columns)


_PROFILES = [sn.TableNormalizer(), sn.TableNormalizer("minmax", profile=True), sn.TableNormalizer("robust")]


@pytest.mark.filterwarnings("ignore:no value")
@pytest.mark.parametrize("normalizer", _PROFILES, ids=["moments", "extremes and profile", "histogram"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_state_is_that_of_batches(tmp_path, decoded, monkeypatch, normalizer, codec, version):
    path = tmp_path / "x.parquet"
    for number, table in enumerate(tables()):
        options = {"dictionary_pagesize_limit": 4000, "data_page_size": 2000, "row_group_size": 1700}
        required = pa.schema([item.with_nullable(bool(number % 3)) for item in table.schema])
        pq.write_table(
            table.cast(required), path, compression=codec, data_page_version=version, write_page_checksum=number == 1,
            **options,
        )  # fmt: skip
        found = sn.fit(path, normalizer)
        assert found == by_pieces(path, normalizer, monkeypatch)
        assert decoded == []
        assert found == by_batches(path, normalizer, monkeypatch)
        decoded.clear()


@pytest.mark.filterwarnings("ignore:no value")
@pytest.mark.parametrize("encoding", ["PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_every_encoding(tmp_path, decoded, monkeypatch, encoding, version):
    path = tmp_path / "x.parquet"
    kinds = _INTEGERS if encoding == "DELTA_BINARY_PACKED" else _INTEGERS + _FLOATS
    for table in tables(kinds):
        pq.write_table(
            table, path, use_dictionary=False, column_encoding=encoding, data_page_version=version, data_page_size=1000
        )
        found = sn.fit(path, sn.TableNormalizer(profile=True))
        assert found == by_pieces(path, sn.TableNormalizer(profile=True), monkeypatch)
        assert decoded == []
        assert found == by_batches(path, sn.TableNormalizer(profile=True), monkeypatch)
        decoded.clear()


@pytest.mark.parametrize("digits", [(5, 2), (9, 0), (15, 3), (18, 17)])
def test_decimals_in_integers(tmp_path, decoded, monkeypatch, digits):
    precision, scale = digits
    random = np.random.default_rng(precision)
    whole = random.integers(-(10**precision) + 1, 10**precision, ROWS)
    values = [decimal.Decimal(int(v)).scaleb(-scale) if v % 5 else None for v in whole]
    path = tmp_path / "x.parquet"
    table = pa.table({"x": pa.array(values, pa.decimal128(precision, scale))})
    pq.write_table(table, path, store_decimal_as_integer=True)
    found = sn.fit(path)
    assert decoded == []
    assert found == by_batches(path, None, monkeypatch)


def test_rows_that_are_not_there(tmp_path, decoded):
    path = tmp_path / "x.parquet"
    schema = pa.schema({"x": pa.float64(), "y": pa.int32()})
    with pq.ParquetWriter(path, schema) as writer:
        for rows in (0, 3, 0, 1):
            writer.write_table(pa.table({"x": pa.nulls(rows, pa.float64()), "y": pa.array(range(rows), pa.int32())}))
    with pytest.warns(UserWarning, match="x"):
        found = sn.fit(path)
        found.transform(pa.table({"x": [1.0], "y": pa.array([1], pa.int32())}))
    assert decoded == []
    assert found.learnt.groups[0].summary.counts.table.tolist() == [[0, 4, 0, 0, 0], [4, 0, 0, 0, 0]]


def test_small_pieces_give_the_same(tmp_path, decoded, monkeypatch):
    path = tmp_path / "x.parquet"
    for table in tables(("int32", "float64")):
        pq.write_table(table, path, dictionary_pagesize_limit=4000, data_page_size=500)
        whole = sn.fit(path, sn.TableNormalizer(profile=True))
        with monkeypatch.context() as patched:
            patched.setattr(decode, "PIECE_BYTES", 64)
            patched.setattr(decode, "UNPACKED_BYTES", 700)
            assert by_pieces(path, sn.TableNormalizer(profile=True), monkeypatch) == whole
    assert decoded == []


@pytest.mark.parametrize(
    "how", [{"log1p": True}, {"clip": (-1.0, 2.5)}, {"fill": "mean"}, {"fill": "median", "clip": (0, 5)}]
)
@pytest.mark.parametrize("values", ["few", "many", "mixed"])
def test_steps_before_scaling(tmp_path, decoded, monkeypatch, how, values):
    path = tmp_path / "x.parquet"
    table = pa.table({kind: column(kind, values, 0.2) for kind in ("float32", "float64", "int32")})
    if "log1p" in how:
        table = pa.table(
            {name: pa.array(np.abs(table[name].to_numpy(zero_copy_only=False))) for name in table.schema.names}
        )
    pq.write_table(table, path, dictionary_pagesize_limit=4000)
    recipe = sn.TableNormalizer.from_recipe({"columns": dict.fromkeys(table.schema.names, how)})
    found = sn.fit(path, recipe)
    assert decoded == []
    assert found == by_batches(path, recipe, monkeypatch)


# ---- what must be told of with its row ----


@pytest.mark.parametrize("values", ["few", "many", "mixed"])
@pytest.mark.parametrize("nulls", [0, 0.3])
def test_an_infinity_is_named_with_its_row(tmp_path, monkeypatch, values, nulls):
    path, own = tmp_path / "x.parquet", column("float64", values, nulls).to_pylist()
    own[2345] = float("-inf")
    pq.write_table(pa.table({"a": column("int64", "few", 0), "b": own}), path, row_group_size=1000)
    with pytest.raises(DataError) as found:
        sn.fit(path)
    with pytest.raises(DataError) as wanted:
        by_batches(path, None, monkeypatch)
    assert str(found.value) == str(wanted.value)
    assert "'b', row 2346" in str(found.value)
    skipping = sn.TableNormalizer(infinite="skip")
    assert sn.fit(path, skipping) == by_batches(path, skipping, monkeypatch)


def test_a_number_without_a_logarithm_is_named_with_its_row(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0, -4.0, None] * 9}), path)
    recipe = sn.TableNormalizer.from_recipe({"columns": {"x": {"log1p": True}}})
    with pytest.raises(DataError) as found:
        sn.fit(path, recipe)
    with pytest.raises(DataError) as wanted:
        by_batches(path, recipe, monkeypatch)
    assert str(found.value) == str(wanted.value)


def test_an_entry_that_never_occurs_is_not_learnt(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    values = pa.DictionaryArray.from_arrays(pa.array([1, 2, 1], pa.int32()), pa.array([-9e9, 1.5, 2.5, np.inf]))
    pq.write_table(pa.table({"x": values}), path, store_schema=False)
    found = sn.fit(path, sn.TableNormalizer("minmax"))
    assert found.learnt.groups[0].summary.minimum.tolist() == [1.5]
    assert found == by_batches(path, sn.TableNormalizer("minmax"), monkeypatch)


# ---- what is left to pyarrow ----


def test_columns_of_other_kinds_are_decoded(tmp_path, decoded, monkeypatch):
    path, rows = tmp_path / "x.parquet", 50
    table = pa.table(
        {
            "half": pa.array(np.arange(rows).astype("f2")),
            "wide": pa.array([decimal.Decimal(i) * 10**20 for i in range(rows)], pa.decimal128(38, 2)),
            "vector": pa.array(np.arange(rows * 2.0).reshape(rows, 2).tolist(), pa.list_(pa.float64(), 2)),
            "plain": np.arange(rows),
        }
    )
    pq.write_table(table, path)
    found = sn.fit(path)
    assert sorted(set(decoded)) == ["half", "vector", "wide"]
    assert found == by_batches(path, None, monkeypatch)


def test_levels_packed_without_runs_are_left_to_pyarrow(tmp_path, decoded, monkeypatch):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"x": [1.0, None, 3.0]}), path, use_dictionary=False, compression="none", write_statistics=False
    )
    data = path.read_bytes()
    header = b"\x15\x06\x15\x00\x15\x06\x15\x06"  # three values, plain, and levels in runs, twice
    assert data.count(header) == 1
    path.write_bytes(data.replace(header, b"\x15\x06\x15\x00\x15\x08\x15\x06"))
    sn.fit(path)
    assert decoded == ["x"]


# ---- other writers ----


def _several(tmp_path):
    return pa.table({kind: column(kind, "mixed", 0.1) for kind in ("int32", "int64", "float32", "float64")})


def _fastparquet(table, path):
    import fastparquet

    fastparquet.write(str(path), table.to_pandas(), compression="SNAPPY", row_group_offsets=1000, stats=False)


def _polars(table, path):
    import polars

    polars.from_arrow(table).write_parquet(path, row_group_size=1000)


def _duckdb(table, path):
    import duckdb

    duckdb.from_arrow(table).write_parquet(str(path), row_group_size=2048)


@pytest.mark.parametrize("writer", [_fastparquet, _polars, _duckdb])
def test_files_of_other_writers(tmp_path, decoded, monkeypatch, writer):
    if importlib.util.find_spec(writer.__name__.strip("_")) is None:
        pytest.skip("is not here")
    path = tmp_path / "x.parquet"
    writer(_several(tmp_path), path)
    found = sn.fit(path, sn.TableNormalizer(profile=True))
    assert decoded == []
    assert found == by_batches(path, sn.TableNormalizer(profile=True), monkeypatch)


# ---- damage ----


def _damaged(path, change):
    """Write a file whose only column chunk has been changed."""
    pq.write_table(pa.table({"first": [1.0] * ROWS, "x": column("int64", "few", 0.1)}), path, write_page_checksum=False)
    chunk = pq.read_metadata(path).row_group(0).column(1)
    start = chunk.dictionary_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + chunk.total_compressed_size] = change(data[start : start + chunk.total_compressed_size])
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: bytes(len(data)),
        lambda data: data[:3] + b"\x7f" + data[4:],
        lambda data: data[:-40] + b"\xff" * 40,
        lambda data: data[40:] + data[:40],
    ],
)
def test_damage_is_named_with_file_column_and_row_group(tmp_path, change):
    path = tmp_path / "x.parquet"
    _damaged(path, change)
    with pytest.raises(SourceError) as found:
        sn.fit(path)
    line = str(found.value)
    assert [part for part in (str(path), "'x'", "row group 0", "restore") if part not in line] == []
    assert "\n" not in line


def test_checksums_that_no_writer_computed_are_passed_over(tmp_path, decoded, monkeypatch):
    path = tmp_path / "x.parquet"
    pq.write_table(
        pa.table({"x": np.arange(9.0)}), path, write_page_checksum=True, use_dictionary=False, compression="none"
    )
    data = path.read_bytes()
    size = pq.read_metadata(path).row_group(0).column(0).total_compressed_size
    crc = zlib.crc32(data[4 + size - 78 : 4 + size])  # 6 bytes of levels, 9 values
    signed = crc - 2**32 if crc >= 2**31 else crc
    written = _varint((signed << 1) ^ (signed >> 31))
    assert data.count(written) == 1
    path.write_bytes(data.replace(written, b"\x80" * (len(written) - 1) + b"\x00"))
    found = sn.fit(path)
    assert decoded == []
    assert found.learnt.groups[0].summary.mean().tolist() == [4.0]
    assert found == by_batches(path, None, monkeypatch)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def test_a_page_larger_than_a_piece(tmp_path, decoded, monkeypatch):
    path = tmp_path / "x.parquet"
    values = np.random.default_rng(1).normal(size=500_000)
    pq.write_table(
        pa.table({"x": values}), path, use_dictionary=False, data_page_size=1 << 24, max_rows_per_page=1 << 20
    )
    assert sn.fit(path) == by_batches(path, None, monkeypatch)
    assert decoded == ["x"]  # by the second alone


def test_events_see_what_is_read_by_pages(tmp_path, monkeypatch):
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "x.parquet")
    seen: list[list[str]] = []
    on_reading(monkeypatch, lambda _, columns: seen.append(columns))
    sn.fit(tmp_path)
    assert seen == [["x"]]


def test_a_dictionary_outlives_the_piece_that_it_stood_in(tmp_path):
    """Of a chunk that is not packed the dictionary is no copy, and the memory of pieces is used again."""
    rng = np.random.default_rng(0)
    table = pa.table({"x": np.sort(rng.normal(size=4096))[rng.integers(0, 4096, 2_000_000)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="none", data_page_size=100_000, row_group_size=2_000_000)
    size = pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0).total_compressed_size
    assert size > 1.5 * decode.PIECE_BYTES
    assert sn.fit(tmp_path / "a.parquet", "robust") == sn.TableNormalizer("robust").fit(table)
