"""Rows that weigh by their time: the definition in rationals, pandas beside it, the laws, and every kind of time."""

from __future__ import annotations

import datetime
import pickle
from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from ageing import DAY, START, normalizer, scaler, summary_of, table_of, times_of

import streamnorm as sn
from streamnorm.errors import DataError
from streamnorm.rules import Decay
from streamnorm.summaries.exact import divide, square_root

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
