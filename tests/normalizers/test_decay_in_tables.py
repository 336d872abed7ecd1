"""Rows that weigh by their time, in containers, files and streams, and what is refused."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ageing import normalizer, scaler, summary_of, table_of, times_of
from pyarrow import csv, feather
from scipy import sparse
from shell import streamnorm
from sklearn.base import clone

import streamnorm as sn
from streamnorm.errors import DataError, MergeError, StateError
from streamnorm.summaries import DecayedMoments

# ---- containers ----


def test_containers_agree_and_leave_times_alone():
    table = table_of(missing=0).drop_columns(["shop"])
    frame, batch = table.to_pandas(), table.to_batches()[0]
    whole = scaler().fit(table)
    for X in (frame, pl.from_arrow(table), batch, table.to_reader(7), iter([table[:9], table[9:]])):
        assert scaler().fit(X) == whole
    z = whole.transform(table)
    assert z.column_names == table.column_names
    assert z["ts"].equals(table["ts"])
    assert whole.transform(batch).column("ts").equals(batch.column("ts"))
    assert whole.transform(table.to_reader(7)).read_all().equals(z)
    assert [part["ts"].to_pylist() for part in whole.transform(iter([table[:9]]))] == [table["ts"][:9].to_pylist()]
    assert whole.transform(table.drop_columns(["ts"])).equals(z.drop_columns(["ts"]))
    back = whole.inverse_transform(z)
    np.testing.assert_allclose(back["n"].to_numpy(), table["n"].to_numpy(), atol=1e-12)
    assert back["ts"].equals(table["ts"])
    features = z.drop_columns(["ts"]).to_pandas().to_numpy()
    assert np.array_equal(whole.transform(frame), features, equal_nan=True)
    assert np.array_equal(whole.transform(pl.from_arrow(table)), features, equal_nan=True)
    assert list(whole.get_feature_names_out()) == list(whole.feature_names_in_) == ["x", "n"]
    for kind in ("pandas", "polars"):
        for X in (frame, table, pl.from_arrow(table), table.to_reader(7)):
            assert list(scaler().fit(table).set_output(transform=kind).transform(X).columns) == ["x", "n"]


def test_arrays_have_a_column_by_its_number():
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[:, 1] = np.linspace(1e9, 1e9 + 1e6, 40)
    fitted = sn.StandardScaler(halflife=86_400, time=1).fit(X)
    z = fitted.transform(X)
    assert np.array_equal(z[:, 1], X[:, 1])
    assert np.array_equal(fitted.transform(X[:, [0, 2]]), z[:, [0, 2]])
    np.testing.assert_allclose(fitted.inverse_transform(z), X, atol=1e-12)
    assert sn.loads(sn.dumps(fitted)) == fitted
    assert fitted == clone(fitted).partial_fit(X[:11].tolist()).partial_fit(X[11:])
    assert fitted.n_features_in_ == 2
    assert fitted.to_sklearn().transform(X[:, [0, 2]]).tolist() == z[:, [0, 2]].tolist()
    for time, words in (("ts", "no names of columns"), (3, "none of number 3"), (-1, "none of number -1")):
        with pytest.raises(DataError, match=words):
            sn.StandardScaler(halflife=86_400, time=time).fit(X)


# ---- what cannot be ----


WRONG = [
    ({"halflife": "7d"}, "needs to know which column"),
    ({"time": "ts"}, "nothing without a halflife"),
    ({"halflife": "7x", "time": "ts"}, "must be a duration"),
    ({"halflife": "-7d", "time": "ts"}, "must be a duration"),
    ({"halflife": "0d", "time": "ts"}, "above 0"),
    ({"halflife": "0.1ns", "time": "ts"}, "whole nanoseconds"),
    ({"halflife": datetime.timedelta(0), "time": "ts"}, "above 0"),
    ({"halflife": np.timedelta64("NaT"), "time": "ts"}, "must be a duration"),
    ({"halflife": "7d", "time": "tz"}, "no column 'tz' to weigh rows by"),
    ({"halflife": "7d", "time": "x"}, "column 'x' holds double, not times"),
    ({"halflife": 7, "time": "ts"}, r"give it a unit \('7d'\)"),
    ({"halflife": "7d", "time": "shop"}, "expected a time like"),
    ({"halflife": "7d", "time": "ts", "ddof": 1}, "ddof must be 0"),
]


@pytest.mark.parametrize(("given", "words"), WRONG)
def test_errors_say_what_to_do(given, words):
    table = table_of(20).drop_columns(["x"]).append_column("x", pa.array(np.arange(20.0)))
    table = table.set_column(2, "shop", pa.array(["a"] * 20))
    with pytest.raises(DataError, match=words):
        sn.StandardScaler(**given).fit(table)
    with pytest.raises(DataError, match=words):
        sn.TableNormalizer(sn.StandardScaler(**given)).fit(table)


@pytest.mark.parametrize("missing", [None, "", " "])
def test_a_row_without_a_time_is_an_error(missing):
    times = ["2026-01-01", "2026-01-02", missing]
    for kind in (normalizer(), scaler()):
        with pytest.raises(DataError, match="'ts', row 2 of the batch: there is no time"):
            kind.fit(pa.table({"ts": times, "x": [1.0, 2.0, 3.0]}))
    with pytest.raises(DataError, match="row 1 of the batch: there is no time"):
        sn.StandardScaler(halflife=1, time=0).fit([[1.0, 2.0], [np.nan, 3.0]])
    with pytest.raises(DataError, match="row 1 of the batch: the time is infinite"):
        sn.StandardScaler(halflife=1, time=0).fit([[1.0, 2.0], [np.inf, 3.0]])
    with pytest.raises(ValueError, match="NaT"):  # as in pandas
        pd.Series([1.0, 2.0]).ewm(halflife="1D", times=pd.Series(pd.to_datetime(["2026-01-01", None])))


def test_mixed_zones_are_refused():
    with pytest.raises(DataError, match="with a zone and times without"):
        scaler().fit(pa.table({"ts": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00"], "x": [1.0, 2.0]}))


def test_what_a_table_refuses():
    table = table_of()
    with pytest.raises(DataError, match="nothing without a scaler that has a halflife"):
        sn.TableNormalizer(time="ts").fit(table)
    with pytest.raises(DataError, match="'n' cannot be normalised and weigh rows"):
        sn.TableNormalizer(sn.StandardScaler(halflife=7, time="n"), {"n": "robust"}).fit(table)
    with pytest.raises(DataError, match="time must be the name of a column"):
        sn.TableNormalizer(sn.StandardScaler(halflife="7d"), time=1).fit(table)
    with pytest.raises(MergeError, match="halflife='8d'"):
        normalizer("7d").fit(table) + normalizer("8d").fit(table)
    with pytest.raises(TypeError, match="a halflife needs a column of times"):
        sn.StandardScaler(halflife=7, time=0).fit(sparse.csr_array(np.eye(3)))
    numbers = sn.TableNormalizer(sn.StandardScaler(halflife=7, time="n"), {"n*": "robust"})
    assert numbers.fit(table.append_column("n2", table["n"])).learnt.columns().keys() == {"x", "n2"}
    with pytest.raises(DataError, match="'ts' is missing"):
        normalizer().fit(table).partial_fit(table.drop_columns(["ts"]))
    dropped = sn.TableNormalizer(scaler(), {"ts": "drop"}).fit(table)
    assert dropped.transform(table).column_names == ["x", "n", "shop"]


def test_a_state_that_lies_is_refused():
    fitted = normalizer("7d").fit(table_of())
    document = json.loads(sn.dumps(fitted))
    assert document["version"] == 5
    assert document["rules"][0]["parameters"] == {
        "ddof": 0,
        "halflife": "7d",
        "time": "ts",
        "with_mean": True,
        "with_std": True,
    }
    slots = summary_of(fitted).to_json()
    for text in ("1p9999999999999999", "1p99999999999999999999", "f" * 300_000, "1p-1099511999999", "x"):
        for odd in ([{**slots[0], "weight": text}, slots[1]], [slots[0], {**slots[1], "squares": text}]):
            with pytest.raises(ValueError, match=r"exact|exponent|apart"):
                DecayedMoments.from_json(odd)
    with pytest.raises(ValueError, match="apart"):
        DecayedMoments.from_json([{**slots[0], "weight": "1p900000000"}, slots[1]])
    with pytest.raises(StateError):
        sn.loads(sn.dumps(fitted).replace('"7d"', '"8d"'))


def test_states_without_times_are_what_they_were():
    document = json.loads(sn.dumps(sn.TableNormalizer(exclude="ts").fit(table_of())))
    assert document["version"] == 1
    assert document["rules"][0]["parameters"] == {"ddof": 0, "with_mean": True, "with_std": True}


# ---- files ----


def test_files_of_every_format_are_the_table(tmp_path):
    table = table_of()
    whole = normalizer().fit(table)
    for folder in ("parquet", "csv"):
        (tmp_path / folder).mkdir()
    for i in range(4):
        part = table[100 * i : 100 * i + 100]
        pq.write_table(part, tmp_path / "parquet" / f"{i}.parquet", row_group_size=30)
        csv.write_csv(part, tmp_path / "csv" / f"{i}.csv")
    feather.write_feather(table, tmp_path / "all.arrow")
    for name in ("parquet", "csv", "all.arrow"):
        for threads in (1, 2):
            assert sn.fit(tmp_path / name, normalizer(), threads=threads).learnt.groups == whole.learnt.groups
        by_key = sn.fit(tmp_path / name, normalizer(by="shop"))
        key = summary_of(by_key).keys.parse(["a"])
        only = table.filter(pc.equal(table["shop"], "a"))
        assert summary_of(by_key).of_key(key) == summary_of(normalizer().fit(only))


def test_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = table_of(missing=0)
    for i in range(2):
        pq.write_table(table[200 * i : 200 * i + 200], f"{i}.parquet")

    def run(*words, code=0):
        result = streamnorm(capsys, *words)
        assert result.code == code, result.err
        return result.err if code else result.out

    run("fit", "0.parquet", "--halflife", "7d", "--time", "ts", "--state", "s.json", "--keep-parts")
    run("fit", "0.parquet", "1.parquet", "--state", "s.json", "--update")
    whole = normalizer().fit(table)
    assert sn.load("s.json") == whole
    assert "rows weigh by ts: half as much as those 7d later" in run("show", "s.json")
    assert json.loads(run("show", "s.json", "--json"))["columns"][0]["parameters"]["halflife"] == "7d"
    run("report", "s.json", "--output", "r.html")
    assert "half as much as those 7d later" in Path("r.html").read_text()
    assert "the same, bit for bit" in run("verify", "s.json", "0.parquet", "1.parquet")
    run("forget", "s.json", "0.parquet")
    assert sn.load("s.json") == normalizer().fit(table[200:])
    Path("r.toml").write_text('time = "ts"\n[default]\nscaler = "standard"\nhalflife = "168h"\n')
    run("run", "0.parquet", "1.parquet", "--recipe", "r.toml", "--output", "out", "--state", "r.json")
    assert sn.load("r.json") == whole
    out = pa.concat_tables([pq.read_table("out/0.parquet"), pq.read_table("out/1.parquet")])
    assert out.equals(whole.transform(table))
    pq.write_table(table.drop_columns(["ts"]), "without.parquet")
    run("transform", "r.json", "without.parquet", "--output", "z.parquet")
    assert pq.read_table("z.parquet").equals(out.drop_columns(["ts"]))
    run("fit", "0.parquet", "--halflife", "7", "--time", "n", "--columns", "x", "--state", "n.json")
    assert sn.load("n.json") == sn.TableNormalizer(None, {"x": sn.StandardScaler(halflife=7, time="n")}).fit(
        table[:200]
    )
    assert "belong together" in run("fit", "0.parquet", "--time", "ts", "--state", "x.json", code=2)
    words = run("fit", "without.parquet", "--state", "r.json", "--update", code=1)
    assert "without.parquet: there is no column 'ts' to weigh rows by" in words
    words = run("fit", "0.parquet", "--halflife", "7d", "--time", "x", "--state", "x.json", code=1)
    assert "0.parquet: column 'x' holds double, not times" in words
    assert sn.export.to_sql(sn.load("r.json"), table="t").count("/") == 2


@pytest.mark.parametrize("vectors", ["element", "whole"])
def test_vectors_by_key(vectors):
    x = np.random.default_rng(0).normal(size=(80, 3))
    lists = pa.array(x.tolist(), pa.list_(pa.float64(), 3))
    table = pa.table({"ts": times_of(80, 60), "v": lists, "shop": ["a", "b"] * 40})
    keyed = normalizer(by="shop", vectors=vectors).fit(table)
    for shop in ("a", "b"):
        own = table.filter(pc.equal(table["shop"], shop))
        alone = normalizer(vectors=vectors).fit(own)
        assert keyed.transform(own)["v"].to_pylist() == alone.transform(own)["v"].to_pylist()
    assert keyed.without("a") == normalizer(by="shop", vectors=vectors).fit(own)


def test_clusters_and_streams(tmp_path):
    dataframe = pytest.importorskip("dask.dataframe")
    table = table_of(missing=0)
    whole = normalizer().fit(table)
    assert sn.dask.fit(dataframe.from_pandas(table.to_pandas(), npartitions=3), normalizer()) == whole
    with sn.following(tmp_path / "s.json", normalizer()) as state:
        for end in (100, 200, 200, 300, 400):  # the latest rows first, and some twice
            state.add(table[400 - end : 500 - end], {"topic/0": (end - 100, end)})
            state.save()
    assert sn.load(tmp_path / "s.json") == whole
