"""Bounds from Parquet footers: the bits that reading gives, or the column is read."""

from __future__ import annotations

import decimal
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import on_reading
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError
from streamnorm.inputs.expand import expand
from streamnorm.jobs.verify import verify

INTEGERS = [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
DECIMALS = [pa.decimal32(7, 2), pa.decimal64(17, 4), pa.decimal128(38, 3), pa.decimal256(60, 1), pa.decimal128(9, 0)]


def column(kind: pa.DataType, n: int, seed: int) -> pa.Array:
    """Draw values from the whole range of a type, with nulls and both ends now and then."""
    random = np.random.default_rng(seed)
    if pa.types.is_integer(kind):
        limits = np.iinfo(kind.to_pandas_dtype())
        values = random.integers(limits.min, limits.max, n, kind.to_pandas_dtype(), endpoint=True)
        return pa.array(values, kind, mask=random.random(n) < 0.3)
    digits = random.integers(1, kind.precision, n, endpoint=True).tolist()
    whole = [int("".join(map(str, random.integers(0, 10, d)))) * int(random.choice([-1, 1])) for d in digits]
    with decimal.localcontext(prec=80):
        values = [decimal.Decimal(v).scaleb(-kind.scale) if random.random() > 0.3 else None for v in whole]
    return pa.array(values, kind)


def everything(n: int = 500, seed: int = 0) -> pa.Table:
    kinds = [*INTEGERS, *DECIMALS]
    columns = {f"{i:02} {kind}": column(kind, n, 100 * seed + i) for i, kind in enumerate(kinds)}
    return pa.table(columns | {"zero": pa.array([0] * n, pa.int8()), "null": pa.nulls(n, pa.int32())})


@pytest.fixture
def reads(monkeypatch) -> list[list[str]]:
    """Write down which columns are read of a Parquet file."""
    seen: list[list[str]] = []
    on_reading(monkeypatch, lambda path, columns: seen.append(columns))
    return seen


@pytest.mark.filterwarnings("ignore:no value")
@pytest.mark.parametrize("scaler", ["minmax", "maxabs"])
@pytest.mark.parametrize("as_integers", [False, True])
def test_nothing_is_read_and_the_bits_are_those_of_reading(tmp_path, reads, scaler, as_integers):
    tables = [everything(500, seed) for seed in range(3)]
    for number, table in enumerate([*tables, everything(0)]):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(table, path, row_group_size=70, store_decimal_as_integer=as_integers)
    normalizer = sn.TableNormalizer(scaler)
    fitted = sn.fit(tmp_path, normalizer)
    assert reads == []
    wanted = normalizer.fit(pa.concat_tables(tables))
    assert fitted == wanted
    assert fitted.digest() == wanted.digest()


def mixed(n: int = 300) -> pa.Table:
    """Columns of which a footer tells too little, between those of which it tells all."""
    random = np.random.default_rng(1)
    return pa.table(
        {
            "b": random.integers(-9, 9, n),
            "a float": np.where(random.random(n) < 0.2, np.nan, random.normal(size=n)),
            "c": pa.array(random.integers(0, 99, n), mask=random.random(n) < 0.5),
            "single": random.normal(size=n).astype(np.float32),
            "clipped": random.integers(0, 9, n),
            "mean": random.integers(0, 9, n),
            "z": random.integers(0, 9, n),
            "filled": random.integers(0, 9, n),
            "pair": pa.FixedSizeListArray.from_arrays(pa.array(range(2 * n)), 2),
        }
    )


MIXED = {
    "mean": "standard",
    "clipped": {"scaler": "minmax", "clip": (2, 5)},
    "filled": {"scaler": "minmax", "fill": "mean"},
}


def test_only_what_a_footer_does_not_tell_is_read(tmp_path, reads):
    pq.write_table(mixed(), tmp_path / "in.parquet", row_group_size=100)
    normalizer = sn.TableNormalizer.from_recipe({"default": "minmax", "columns": MIXED})
    assert sn.fit(tmp_path, normalizer) == normalizer.fit(mixed())
    assert sorted(name for names in reads for name in names) == sorted(
        ["a float", "clipped", "filled", "mean", "pair", "single"] * 3
    )


def test_floats_and_profiles_are_read(tmp_path, reads):
    table = pa.table({"x": [1, 2], "y": [1.0, float("nan")]})
    pq.write_table(table, tmp_path / "in.parquet")
    for normalizer in (sn.TableNormalizer("minmax", profile=True), sn.TableNormalizer(None, {"y": "minmax"})):
        assert sn.fit(tmp_path, normalizer) == normalizer.fit(table)
    assert reads == [["x", "y"], ["y"]]


def test_a_file_without_statistics_is_read_and_one_that_has_them_is_not(tmp_path, reads):
    for number, statistics in enumerate([False, True, ["x"]]):
        table = pa.table({"x": [number, 5], "y": [7, -number]})
        pq.write_table(table, tmp_path / f"{number}.parquet", write_statistics=statistics)
    whole = pa.table({"x": [0, 5, 1, 5, 2, 5], "y": [7, 0, 7, -1, 7, -2]})
    assert sn.fit(tmp_path, "minmax") == sn.TableNormalizer("minmax").fit(whole)
    assert sorted(reads) == [["x", "y"], ["y"]]


def test_names_that_are_paths_elsewhere_are_not_mixed_up(tmp_path):
    table = pa.table({"a.b": [1, 2], "a": [{"b": 7}, {"b": None}]})
    pq.write_table(table, tmp_path / "in.parquet")
    assert sn.fit(tmp_path, "minmax") == sn.TableNormalizer("minmax").fit(table)


def test_columns_that_cannot_be_null(tmp_path, reads):
    table = pa.table({"x": [3, 1]}, pa.schema([pa.field("x", pa.int64(), nullable=False)]))
    pq.write_table(table, tmp_path / "in.parquet")
    assert sn.fit(tmp_path, "minmax") == sn.TableNormalizer("minmax").fit(table)
    assert reads == []


def test_show_says_where_bounds_are_from_and_equality_does_not_see_it(tmp_path, capsys):
    parquet, state, other = tmp_path / "in", tmp_path / "a.json", tmp_path / "b.json"
    parquet.mkdir()
    for number in range(2):
        table = pa.table({"x": [number, 9], "y": [1.5, 2.5], "z": [4, None]})
        pq.write_table(table, parquet / f"{number}.parquet", write_statistics=number == 0)
    streamnorm(capsys, "fit", parquet, "--state", state, "--scaler", "minmax")
    shown = streamnorm(capsys, "show", state)
    assert shown.out.endswith("\nleast and greatest value of 2 columns taken from the footers of 1 of them\n")
    told = [source["from_footer"] for source in json.loads(streamnorm(capsys, "show", state, "--json").out)["sources"]]
    assert told == [2, 0]
    sn.save(sn.TableNormalizer("minmax").fit(pq.read_table(parquet)), other)
    assert sn.load(state) == sn.load(other)
    assert "footer" not in streamnorm(capsys, "show", other).out
    assert streamnorm(capsys, "verify", state, parquet).code == 0
    streamnorm(capsys, "forget", state, parquet / "0.parquet")


def test_verify_reads_and_finds_a_footer_that_is_wrong(tmp_path, capsys):
    path, state = tmp_path / "in.parquet", tmp_path / "s.json"
    pq.write_table(pa.table({"x": [10, 20]}), path)
    data = path.read_bytes()
    greatest = data.rindex((20).to_bytes(8, "little"))
    path.write_bytes(data[:greatest] + (21).to_bytes(8, "little") + data[greatest + 8 :])
    streamnorm(capsys, "fit", path, "--state", state, "--scaler", "minmax")
    found = streamnorm(capsys, "verify", state, path)
    assert found.code == 1
    assert f"{path} gives other statistics than when it was counted" in found.err
    assert pq.read_table(path)["x"].to_pylist() == [10, 20]
    with pytest.raises(DataError, match="gives other statistics"):
        verify(state, [path], expand(path))


def test_bounds_that_cannot_be_are_not_believed(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"x": [10, 20]}), path)
    data = path.read_bytes()
    footer = data.rindex(b"PAR1", 0, -4) if b"PAR1" in data[4:-4] else len(data) // 2
    wrong = data[:footer] + data[footer:].replace((20).to_bytes(8, "little"), (9).to_bytes(8, "little"))
    path.write_bytes(wrong)
    assert sn.fit(path, "minmax").learnt.groups[0].summary.maximum.tolist() == [20.0]
