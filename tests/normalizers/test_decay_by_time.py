"""Rows that weigh by their time: the definition in rationals, pandas beside it, the laws, and every kind of time."""

from __future__ import annotations

import datetime
import json
import pickle
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow import csv, feather
from scipy import sparse
from shell import streamnorm
from sklearn.base import clone

import streamnorm as sn
from streamnorm.errors import DataError, MergeError, StateError
from streamnorm.rules import Decay
from streamnorm.summaries import DecayedMoments
from streamnorm.summaries.exact import divide, square_root

DAY = 86_400 * 10**9
START = np.datetime64("2024-03-01T00:00:00", "us")


def times_of(rows: int, days: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return START + (rng.random(rows) * days * 86_400e6).astype("timedelta64[us]")


def table_of(rows: int = 400, days: float = 90, seed: int = 0, missing: float = 0.1) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(rows) < missing, np.nan, rng.normal(5, 3, rows))
    return pa.table(
        {"x": pa.array(x, from_pandas=True), "ts": times_of(rows, days, seed),
         "n": rng.integers(-9, 9, rows), "shop": rng.choice(["a", "b", None], rows).tolist()}
    )  # fmt: skip


def scaler(halflife="7d", **given) -> sn.StandardScaler:
    return sn.StandardScaler(halflife=halflife, time="ts", **given)


def normalizer(halflife="7d", **given) -> sn.TableNormalizer:
    return sn.TableNormalizer(sn.StandardScaler(halflife=halflife), time="ts", **given)


def summary_of(fitted):
    return fitted.learnt.groups[0].summary


# ---- weights ----


NANOSECONDS = {"7d": 7 * DAY, "1h": DAY // 24, "37min": 37 * DAY // 1440, "100001us": 100_001_000, "9999d": 9999 * DAY}
NANOSECONDS["500000d"] = 500_000 * DAY  # beyond int64


@pytest.mark.parametrize("halflife", NANOSECONDS)
def test_weights_are_powers_of_two(halflife):
    ticks = times_of(50, 400).astype("datetime64[ns]")
    factors, powers = Decay(halflife, "ts").weights(pa.array(ticks))
    nanoseconds = NANOSECONDS[halflife]
    with mpmath.workprec(250):
        for tick, factor, power in zip(ticks.astype(np.int64).tolist(), factors.tolist(), powers.tolist(), strict=True):
            exact = mpmath.mpf(tick) / nanoseconds - power
            assert abs(mpmath.mpf(factor) / mpmath.power(2, exact) - 1) < mpmath.mpf(2) ** -51
    assert ((factors >= 1) & (factors <= 2)).all()


def test_what_is_left_may_be_zeros():
    times = START + np.array([0, 86_400_000_000], "timedelta64[us]")
    table = pa.table({"x": [0.0, 3.0], "ts": times})
    whole, later = normalizer("1d").fit(table), normalizer("1d").fit(table.slice(1))
    assert whole - later == normalizer("1d").fit(table.slice(0, 1))


def test_whole_half_lives_change_nothing_but_the_power():
    ticks = pa.array([0, 3, 7, 10, 7 * 2**30 + 3, 3 - 7 * 2**30], pa.int64())
    factors, powers = Decay(7, "ts").weights(ticks)
    assert powers.tolist() == [0, 0, 1, 1, 2**30, -(2**30)]
    assert factors[[0, 2]].tolist() == [1.0, 1.0]
    assert set(factors[[1, 3, 4, 5]].tolist()) == {factors[1]}


SAME = {
    "us": lambda t: pa.array(t),
    "ns": lambda t: pa.array(t.astype("datetime64[ns]")),
    "zone": lambda t: pa.array(t).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Asia/Tokyo")),
    "text": lambda t: pa.array([str(v) for v in t]),
    "text with a zone": lambda t: pa.array([f"{v}Z" for v in t]),
    "text with another zone": lambda t: pa.array([f"{v + np.timedelta64(90, 'm')}+01:30" for v in t]),
    "words of a dictionary": lambda t: pa.array([str(v) for v in t]).dictionary_encode(),
    "duration": lambda t: pa.array(t).cast(pa.int64()).cast(pa.duration("us")),
}


@pytest.mark.parametrize("kind", SAME)
def test_the_same_instants_are_the_same_state(kind):
    table = table_of()
    other = table.set_column(1, "ts", SAME[kind](table["ts"].to_numpy()))
    assert normalizer("100h").fit(other) == normalizer("100h").fit(table)


def test_dates_are_midnights():
    days = [datetime.date(1600 + 50 * i, 5, i + 1) for i in range(12)]
    kinds = [pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("ms", "UTC")]
    states = [scaler("1000d").fit(pa.table({"ts": pa.array(days).cast(k), "x": range(12)})) for k in kinds]
    assert all(state == states[0] for state in states)
    texts = pa.table({"ts": [str(day) for day in days], "x": range(12)})
    assert scaler("24000h").fit(texts) == states[0]


@pytest.mark.parametrize("halflife", [7, 7.0, np.float32(7), 3.3, 1e300, 1e-5])
def test_times_that_are_numbers(halflife):
    numbers = np.random.default_rng(0).integers(-(2**20), 2**20, 50)
    kinds = ["int32", "int64", "float64", "float32"]
    tables = [pa.table({"ts": numbers.astype(kind), "x": range(50)}) for kind in kinds]
    tables.append(pa.table({"ts": [str(number) for number in numbers], "x": range(50)}))
    if halflife == 1e-5:
        for table in tables:
            with pytest.raises(DataError, match="half-lives apart"):
                scaler(halflife).fit(table)
        return
    states = [scaler(halflife).fit(table) for table in tables]
    assert all(state == states[0] for state in states)


def test_fractions_of_numbers():
    times = np.random.default_rng(1).normal(0, 1e4, 200)
    factors, powers = Decay(7, "ts").weights(pa.array(times))
    with mpmath.workprec(200):
        exact = [float(2 ** (mpmath.mpf(t) / 7 - p)) for t, p in zip(times.tolist(), powers.tolist(), strict=True)]
    np.testing.assert_allclose(factors, exact, rtol=2.0**-51)


ALIKE = ["7d", "7 days", "1w", "168h", "604800s", "7D", datetime.timedelta(7), np.timedelta64(7, "D")]
ALIKE.append(pd.Timedelta("7D"))


@pytest.mark.parametrize("halflife", ALIKE, ids=str)
def test_one_halflife_has_many_names(halflife):
    table = table_of().drop_columns(["shop"])
    one, other = scaler().fit(table), scaler(halflife).fit(table)
    assert one == other
    assert one.digest() == other.digest()
    assert (one + other).digest() == (other + other).digest()
    assert sn.dumps(one) == sn.dumps(other)
    assert normalizer(halflife).fit(table) == normalizer().fit(table)


# ---- statistics ----


@pytest.mark.parametrize("halflife", ["30d", "7d", "1h", "1min"])
def test_the_definition_in_rationals(halflife):
    table = table_of(200)
    fitted = scaler(halflife).fit(table.drop_columns(["shop"]))
    factors, powers = Decay(halflife, "ts").weights(table["ts"])
    least = int(powers.min())
    weights = [Fraction(f) * 2 ** (p - least) for f, p in zip(factors.tolist(), powers.tolist(), strict=True)]
    for i, name in enumerate(["x", "n"]):
        known = [(w, Fraction(v)) for w, v in zip(weights, table[name].to_pylist(), strict=True) if v is not None]
        total = sum(w for w, _ in known)
        mean = sum(w * v for w, v in known) / total
        variance = sum(w * v * v for w, v in known) / total - mean * mean
        assert fitted.mean_[i] == divide(mean.numerator, mean.denominator)
        assert fitted.var_[i] == divide(variance.numerator, variance.denominator)
        scale = square_root(variance.numerator, variance.denominator)
        assert fitted.scale_[i] == (1 if scale <= 2.0**-50 * abs(mean) else scale)
    assert fitted.n_samples_seen_.tolist() == [200 - table["x"].null_count, 200]


@pytest.mark.parametrize("halflife", ["90D", "7D", "1h", "10s"])
def test_pandas_ewm(halflife):
    frame = table_of(500).drop_columns(["shop"]).to_pandas().sort_values("ts").dropna()
    theirs = frame[["x", "n"]].ewm(halflife=halflife, times=frame["ts"]).mean().iloc[-1]
    np.testing.assert_allclose(scaler(halflife).fit(frame.sample(frac=1, random_state=0)).mean_, theirs, rtol=1e-13)


def test_equal_times_are_no_weights():
    X = np.random.default_rng(0).normal(size=(60, 2))
    plain = sn.StandardScaler().fit(X)
    timed = sn.StandardScaler(halflife=3, time=0).fit(np.column_stack([np.full(60, 1e9 + 0.1), X]))
    for name in ("mean_", "var_", "scale_", "n_samples_seen_"):
        assert np.array_equal(getattr(plain, name), getattr(timed, name))


def test_weights_of_rows_multiply():
    table = table_of().drop_columns(["shop"])
    given = np.random.default_rng(0).integers(0, 4, len(table))
    repeated = table.take(np.repeat(np.arange(len(table)), given))
    one, other = scaler().fit(table, sample_weight=given), scaler().fit(repeated)
    assert np.array_equal(one.mean_, other.mean_)
    assert np.array_equal(one.scale_, other.scale_)
    extreme = scaler().fit(table, sample_weight=np.where(given == 0, 5e-324, 1.7e308))
    assert np.isfinite(extreme.mean_).all()
    assert (extreme - scaler().fit(table[5:], sample_weight=np.where(given == 0, 5e-324, 1.7e308)[5:])).mean_ == (
        pytest.approx(scaler().fit(table[:5], sample_weight=np.where(given == 0, 5e-324, 1.7e308)[:5]).mean_, rel=0)
    )


# ---- laws, however far apart ----


@pytest.mark.parametrize("halflife", ["7d", "1h", "10s"])
@pytest.mark.parametrize("by", [None, "shop"])
def test_order_batches_merge_and_forget(halflife, by):
    table = table_of(300)
    whole = normalizer(halflife, by=by).fit(table)
    parts = [table[:1], table[1:120], table[120:120], table[120:]]
    states = [normalizer(halflife, by=by).fit(part) for part in parts]
    assert sum(states) == sum(reversed(states)) == whole
    assert sum(states).digest() == whole.digest()
    assert whole - states[1] == states[0] + states[3]
    assert (whole - states[3]) - states[1] == states[0]
    one = normalizer(halflife, by=by)
    for i in np.random.default_rng(0).permutation(60).tolist():
        one.partial_fit(table[5 * i : 5 * i + 5])
    assert one == whole
    assert sn.loads(sn.dumps(whole)) == whole == pickle.loads(pickle.dumps(whole))
    assert sn.loads(sn.dumps(whole)).partial_fit(table) == whole + whole


def test_old_rows_are_there_when_new_ones_are_forgotten():
    old = pa.table({"ts": [START, START + 1], "x": [1.0, 1e-300]})
    new = pa.table({"ts": [START + np.timedelta64(12, "D")], "x": [1e300]})
    both = scaler("1s").fit(old).partial_fit(new)
    assert both.mean_ == [1e300]
    assert both - scaler("1s").fit(new) == scaler("1s").fit(old)


def test_rows_too_far_apart_are_refused_and_change_nothing():
    early, late = table_of(days=1), table_of(days=1).to_pandas().assign(ts=lambda f: f.ts + pd.Timedelta(days=400))
    late = pa.Table.from_pandas(late, preserve_index=False)
    one = scaler("10s").fit(early.drop_columns(["shop"]))
    digest = one.digest()
    with pytest.raises(DataError, match="more than 1,048,576 half-lives apart"):
        one.partial_fit(late.drop_columns(["shop"]))
    assert one.digest() == digest
    with pytest.raises(DataError, match="take a longer halflife"):
        one + scaler("10s").fit(late.drop_columns(["shop"]))
    with pytest.raises(DataError, match="half-lives apart"):
        normalizer("10s").fit(pa.concat_tables([early, late.cast(early.schema)]))
    with pytest.raises(DataError, match=r"row 0 of the batch: the time is more than 2\^40 half-lives"):
        scaler("1us").fit(early)


def test_a_constant_stays_one():
    table = pa.table({"ts": times_of(50, 300), "x": np.full(50, 0.1)})
    fitted = scaler().fit(table)
    assert (fitted.mean_[0], fitted.var_[0], fitted.scale_[0]) == (0.1, 0.0, 1.0)


def test_profiles_and_fillings():
    table = table_of()
    profiled = sn.TableNormalizer(scaler(), profile=True)
    whole = profiled.fit(table)
    plain = sn.TableNormalizer(profile=True, exclude="ts").fit(table)
    assert summary_of(whole).beside["histogram"] == summary_of(plain).beside["histogram"]
    assert sn.loads(sn.dumps(whole)) == whole
    recipe = {"default": {"scaler": "standard", "halflife": "7d", "fill": "mean"}, "time": "ts"}
    filled = sn.TableNormalizer.from_recipe(recipe).fit(table).transform(table)
    assert filled["x"].filter(table["x"].is_null()).unique().to_pylist() == [0.0]


@pytest.mark.parametrize("vectors", ["element", "whole"])
def test_vectors(vectors):
    values = np.random.default_rng(0).normal(size=(30, 3))
    times = times_of(30, 30)
    table = pa.table({"ts": times, "v": pa.array(values.tolist(), pa.list_(pa.float64(), 3))})
    got = normalizer(vectors=vectors).fit(table).learnt.groups[0].attribute("mean_")
    wide = values if vectors == "element" else values.reshape(-1, 1)
    repeats = 1 if vectors == "element" else 3
    flat = pa.table({"ts": np.repeat(times, repeats), **{str(i): wide[:, i] for i in range(wide.shape[1])}})
    assert got.tolist() == scaler().fit(flat).mean_.tolist()


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
