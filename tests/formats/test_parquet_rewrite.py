"""Parquet to Parquet by pages: what is not mapped is copied as bytes, what is mapped has `transform`'s bits."""

from __future__ import annotations

import contextlib
import decimal
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rewritten import by_pages_only, check, chunk_bytes, same

import streamnorm as sn

ROWS = 3000
TYPES = {
    "int8": pa.int8(), "uint8": pa.uint8(), "int16": pa.int16(), "uint16": pa.uint16(), "int32": pa.int32(),
    "uint32": pa.uint32(), "int64": pa.int64(), "uint64": pa.uint64(), "float": pa.float32(), "double": pa.float64(),
    "decimal9": pa.decimal128(9, 2), "decimal18": pa.decimal128(18, 4),
}  # fmt: skip


def column(kind: pa.DataType, few: bool, nulls: float, seed: int) -> pa.Array:
    """Numbers of a type: few or many different ones, over the type's range."""
    rng = np.random.default_rng(seed)
    mask = rng.random(ROWS) < nulls
    if pa.types.is_decimal(kind):
        whole = rng.integers(-(10**kind.precision) + 1, 10**kind.precision, 9 if few else ROWS)
        scale = decimal.Decimal(1).scaleb(-kind.scale)
        values = [int(x) * scale for x in (rng.choice(whole, ROWS) if few else whole)]
        return pa.array([None if hide else x for x, hide in zip(values, mask, strict=True)], kind)
    if pa.types.is_integer(kind):
        info = np.iinfo(kind.to_pandas_dtype())
        values = rng.integers(info.min, info.max, 9 if few else ROWS, kind.to_pandas_dtype(), endpoint=True)
    else:
        values = rng.normal(3, 2, 9 if few else ROWS).astype(kind.to_pandas_dtype())
        values[:3] = [np.nan, 0.0, -0.0]
    return pa.array(rng.choice(values, ROWS) if few else values, kind, mask=mask)


def table(nulls: float = 0.1, few: bool | None = None) -> pa.Table:
    """Every type that is mapped by pages, few and many different values, and columns that stay."""
    made = {}
    for number, (name, kind) in enumerate(TYPES.items()):
        for word in ("few", "many") if few is None else ("few" if few else "many",):
            made[f"{name}_{word}"] = column(kind, word == "few", nulls, number)
    made["text"] = pa.array([None if i % 9 == 0 else f"t{i % 40}" for i in range(ROWS)])
    made["list"] = pa.array([[i, i + 1] if i % 3 else None for i in range(ROWS)], pa.list_(pa.int16()))
    return pa.table(made).append_column("deep", pa.array([{"a": i, "b": [i] * (i % 3)} for i in range(ROWS)]))


@pytest.fixture(autouse=True)
def _by_pages(monkeypatch) -> Iterator[None]:
    with by_pages_only(monkeypatch):
        yield


def scaler() -> sn.TableNormalizer:
    return sn.TableNormalizer(exclude=["list"])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_every_type_codec_and_page_version(version, codec, tmp_path):
    path = tmp_path / "in.parquet"
    data = table()
    pq.write_table(data, path, row_group_size=1300, compression=codec, data_page_version=version, data_page_size=3000)
    check(path, tmp_path / "out.parquet", scaler().fit(data))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("nulls", [0, 0.3, 1])
@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {"dictionary_pagesize_limit": 1500, "data_page_size": 800},
        {"write_statistics": False},
        {"write_page_index": True, "data_page_size": 1000},
        {"write_page_checksum": True},
        {"store_schema": False, "store_decimal_as_integer": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_nulls_and_how_a_writer_writes(options, nulls, version, tmp_path):
    path, data = tmp_path / "in.parquet", table(nulls)
    pq.write_table(data, path, row_group_size=1100, data_page_version=version, **options)
    with pytest.warns(UserWarning, match="no value") if nulls == 1 else contextlib.nullcontext():
        check(path, tmp_path / "out.parquet", scaler().fit(pq.read_table(path)))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("encoding", ["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"])
def test_encodings_of_plain_values(encoding, version, tmp_path):
    data = table(0.2, few=False)
    kinds = ("int32", "int64", "uint32", "uint64", "int8") + (("float", "double") if "SPLIT" in encoding else ())
    data = data.select([f"{kind}_many" for kind in kinds] + ["text"])
    path = tmp_path / "in.parquet"
    names = [name for name in data.column_names if name != "text" and ("SPLIT" not in encoding or "8" not in name)]
    pq.write_table(
        data, path, use_dictionary=["text"], column_encoding=dict.fromkeys(names, encoding), data_page_size=2000,
        data_page_version=version,
    )  # fmt: skip
    check(path, tmp_path / "out.parquet")


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"])
def test_pages_of_nulls_alone(encoding, tmp_path):
    data = pa.table({"int64": pa.array([1, None, 3, None]), "text": ["a", "b", None, "c"]})
    path = tmp_path / "in.parquet"
    pq.write_table(data, path, use_dictionary=False, column_encoding={"int64": encoding}, row_group_size=1)
    check(path, tmp_path / "out.parquet", sn.TableNormalizer().fit(data))


def test_required_columns_stay_required(tmp_path):
    data = table(0)
    schema = pa.schema([item.with_nullable(item.name in ("text", "list", "deep")) for item in data.schema])
    pq.write_table(data.cast(schema), tmp_path / "in.parquet", row_group_size=999)
    check(tmp_path / "in.parquet", tmp_path / "out.parquet", scaler().fit(data.cast(schema)))


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows, tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(table().slice(0, rows), path)
    check(path, tmp_path / "out.parquet", scaler().fit(table()))


def test_no_row_group(tmp_path):
    path = tmp_path / "in.parquet"
    pq.ParquetWriter(path, table().schema).close()
    check(path, tmp_path / "out.parquet", scaler().fit(table()))


SCALERS = {
    "minmax": {"default": "minmax"},
    "quantile": {"default": "quantile"},
    "float32": {"dtype": "float32"},
    "float16": {"dtype": "float16"},
    "suffix": {"suffix": "_z"},
    "log1p": {"columns": {"x": "log1p"}},
}


def small() -> pa.Table:
    rng = np.random.default_rng(4)
    x = rng.choice(np.round(rng.gamma(2, 2, 50), 2), ROWS)
    y = rng.normal(size=ROWS)
    names = pa.array([f"n{i % 7}" for i in range(ROWS)])
    x_field = pa.field("x", pa.float64(), metadata={b"PARQUET:field_id": b"1"})
    fields = [x_field, ("y", pa.float64()), ("k", pa.string())]
    return pa.table([pa.array(x, mask=rng.random(ROWS) < 0.1), pa.array(y), names], schema=pa.schema(fields))


@pytest.mark.parametrize("name", SCALERS)
def test_what_is_made_of_columns(name, tmp_path):
    path, target, back = (tmp_path / f"{word}.parquet" for word in ("in", "out", "back"))
    pq.write_table(small(), path, row_group_size=700, data_page_size=1000)
    options = SCALERS[name]
    if name == "log1p":
        options = {"columns": {"x": {"log1p": True}, "k": {"drop": True}}}
    normalizer = sn.TableNormalizer.from_recipe(options) if name == "log1p" else sn.TableNormalizer(**options)
    normalizer.fit(small())
    check(path, target, normalizer, peers=name != "float16")
    if name != "log1p":
        sn.transform(normalizer, target, back, inverse=True)
        same(pq.read_table(back), normalizer.inverse_transform(pq.read_table(target)))
        for file in (path, target, back):
            ids = [(item.metadata or {}).get(b"PARQUET:field_id") for item in pq.read_schema(file)]
            assert ids[0] == b"1"
            assert ids.count(b"1") == 1


@pytest.mark.parametrize(
    "recipe",
    [
        {"columns": {"x": {"fill": "mean"}}},
        {"by": "k"},
        {"columns": {"x": {"fill": "median", "suffix": "_filled"}}, "suffix": "_z"},
    ],
    ids=["fill", "by", "fill beside"],
)
def test_what_is_no_map_of_single_values_is_written_from_values(recipe, tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(small(), path, row_group_size=700)
    check(path, tmp_path / "out.parquet", sn.TableNormalizer.from_recipe(recipe).fit(small()))


def test_vectors_beside_numbers(tmp_path):
    rng = np.random.default_rng(1)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=4 * ROWS)), 4)
    lists = pa.array([[float(i), 2.0 * i] for i in range(ROWS)], pa.list_(pa.float32()))
    data = pa.table({"v": vectors, "x": rng.normal(size=ROWS), "l": lists, "t": [f"{i}" for i in range(ROWS)]})
    path = tmp_path / "in.parquet"
    pq.write_table(data, path, row_group_size=800)
    check(path, tmp_path / "out.parquet", sn.TableNormalizer(columns={"l": "standard"}).fit(data))


def test_what_is_not_mapped_stays_to_the_byte(tmp_path):
    """Dates of INT96 beyond 2262, keys of the footer, Bloom filters, encodings and the page index."""
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    days = pa.array(np.array(["9999-12-31T00:00:00", "2024-01-01T00:00:00"] * (ROWS // 2), "datetime64[us]"))
    data = pa.table({"x": np.arange(ROWS) % 7, "day": days, "id": np.arange(ROWS), "t": [f"{i}" for i in range(ROWS)]})
    metadata = {b"geo": b'{"version": "1.1.0"}', b"mine": b"\xff\x00"}
    with pq.ParquetWriter(
        path, data.schema.with_metadata(metadata), use_deprecated_int96_timestamps=True, write_page_index=True,
        use_dictionary=["x"], column_encoding={"id": "DELTA_BINARY_PACKED", "t": "DELTA_BYTE_ARRAY"},
    ) as writer:  # fmt: skip
        writer.write_table(data)
        writer.add_key_value_metadata({"beside": "it"})
    normalizer = sn.TableNormalizer(None, {"x": "standard"}).fit(data)
    sn.transform(normalizer, path, target)
    before, after = chunk_bytes(path), chunk_bytes(target)
    assert {key for key in before if before[key] != after[key]} == {(0, "x")}
    old, new = pq.read_metadata(path), pq.read_metadata(target)
    without = {key: value for key, value in old.metadata.items() if key != b"ARROW:schema"}
    assert without.items() <= new.metadata.items()
    assert new.row_group(0).column(0).has_offset_index
    found = pq.read_table(target, coerce_int96_timestamp_unit="us").column("day")
    assert found.equals(pq.read_table(path, coerce_int96_timestamp_unit="us").column("day"))


def test_bytes_do_not_depend_on_threads(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(table(), path, row_group_size=400, write_page_index=True)
    normalizer = scaler().fit(table())
    made = []
    for threads in (1, 2, 7):
        target = tmp_path / f"{threads}.parquet"
        sn.transform(normalizer, path, target, threads=threads)
        made.append(target.read_bytes())
    assert made[0] == made[1] == made[2]


TWIN = """
import sys
import streamnorm as sn
from streamnorm import kernel
assert not kernel.COMPILED
sn.transform("state.json", "in.parquet", "twin.parquet")
"""


def test_bytes_are_those_of_the_kernel_in_python(tmp_path):
    pq.write_table(
        table().slice(0, 700), tmp_path / "in.parquet", data_page_size=900, dictionary_pagesize_limit=700,
        write_page_index=True, write_page_checksum=True,
    )  # fmt: skip
    state, target = tmp_path / "state.json", tmp_path / "out.parquet"
    sn.fit(tmp_path / "in.parquet", scaler(), state=state)
    sn.transform(state, tmp_path / "in.parquet", target)
    where = {**os.environ, "STREAMNORM_PURE": "1", "PYTHONPATH": os.pathsep.join([str(Path(sn.__file__).parents[1])])}
    subprocess.run([sys.executable, "-c", TWIN], cwd=tmp_path, env=where, check=True)
    assert (tmp_path / "twin.parquet").read_bytes() == target.read_bytes()


def test_an_entry_of_the_dictionary_that_no_value_has_is_no_infinity(tmp_path):
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"x": [1.0, np.inf, 3.0, -5.0] * 2}), path, compression="none")
    indices, others = (bytes([3, *[sum(i << 2 * at for at, i in enumerate(four)) for four in fours]]) for fours in (
        [(0, 1, 2, 3)] * 2, [(0, 2, 0, 2)] * 2,
    ))  # fmt: skip
    data = path.read_bytes()
    assert data.count(indices) == 1
    path.write_bytes(data.replace(indices, others))
    assert pq.read_table(path).column("x").to_pylist() == [1.0, 3.0] * 4
    sn.transform(sn.TableNormalizer().fit(pa.table({"x": [1.0, 3.0]})), path, target)
    assert pq.read_table(target).column("x").to_pylist() == [-1.0, 1.0] * 4
    statistics = pq.read_metadata(target).row_group(0).column(0).statistics
    assert (statistics.min, statistics.max) == (-1.0, 1.0)


def test_errors_say_where(tmp_path):
    path, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    x = np.arange(ROWS, dtype=float)
    x[2345] = np.inf
    normalizer = sn.TableNormalizer().fit(pa.table({"x": [1.0, 3.0]}))
    for dictionary in (True, False):
        pq.write_table(pa.table({"x": x}), path, row_group_size=500, use_dictionary=dictionary)
        with pytest.raises(sn.errors.DataError, match=r"in\.parquet: there is an infinity in column 'x', row 2346: "):
            sn.transform(normalizer, path, target)
    assert sorted(tmp_path.iterdir()) == [path]
