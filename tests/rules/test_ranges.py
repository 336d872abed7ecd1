"""Ranges between quantiles: of `MinMaxScaler`, and of results that are limited to what quantiles become."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from sklearn.preprocessing import MinMaxScaler as Sklearn

import streamnorm as sn
from streamnorm.errors import DataError, MergeError

X = np.random.default_rng(3).standard_t(1.5, (2000, 3)) * [1, 1e-9, 1e12]


def quantile(values, percent):
    """Give a quantile in exact arithmetic, between the two values that it lies between."""
    ordered = sorted(map(Fraction, values))
    place = (len(ordered) - 1) * Fraction(percent) / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


@pytest.mark.parametrize("percents", [(1, 99), (0.5, 75), (0, 100), (25.0, 25.0 + 1e-9)])
def test_ends_are_quantiles(percents):
    one = sn.MinMaxScaler(quantile_range=percents).fit(X)
    low, high = np.percentile(X, percents, axis=0)
    assert np.array_equal(one.data_min_, low)
    assert np.array_equal(one.data_max_, high)
    assert (one.quantile_error_ == 0).all()
    for i in range(3):
        for end, percent in zip((one.data_min_, one.data_max_), percents, strict=True):
            assert float(end[i]) == pytest.approx(float(quantile(X[:, i], percent)), rel=1e-14, abs=0)


def test_results_are_those_of_scikit_learn_on_what_lies_between():
    one = sn.MinMaxScaler((-1, 3), quantile_range=(1, 99), clip=True).fit(X)
    limited = np.clip(X, *np.percentile(X, [1, 99], axis=0))
    theirs = Sklearn((-1, 3), clip=True).fit(limited)
    assert np.array_equal(one.transform(X), theirs.transform(X))
    assert np.array_equal(one.to_sklearn().transform(X), one.transform(X))
    assert one.transform(X).min() == -1
    assert np.abs(one.inverse_transform(one.transform(X)) - limited).max() <= 1e-12 * np.abs(limited).max()
    free = sn.MinMaxScaler(quantile_range=(1, 99)).fit(X).transform(X)
    assert free.min() < 0 < 1 < free.max()


def test_without_quantiles_it_is_what_it_was():
    one = sn.MinMaxScaler().fit(X)
    assert one.quantile_error_ is None
    assert one.digest() == "8085a2eb895877ea"
    assert "quantile_range" not in sn.dumps(one)
    assert sn.MinMaxScaler(quantile_range=None) == sn.MinMaxScaler()
    whole = sn.MinMaxScaler(quantile_range=(0, 100)).fit(X)
    assert np.array_equal(whole.transform(X), one.transform(X))
    with pytest.raises(MergeError, match="other parameters"):
        one + whole


def test_they_forget_and_count_weights():
    make = lambda: sn.MinMaxScaler(quantile_range=(10, 90))  # noqa: E731
    a, b = make().fit(X[:700]), make().fit(X[700:])
    assert (a + b) - b == a
    times = np.arange(len(X)) % 3
    assert make().fit(X, sample_weight=times) == make().fit(np.repeat(X, times, axis=0))
    assert sn.loads(sn.dumps(a)) == a == pickle.loads(pickle.dumps(a))


def test_beyond_max_bins_the_error_is_bounded():
    one = sn.MinMaxScaler(quantile_range=(1, 99), max_bins=64).fit(X)
    for end, error, percent in zip((one.data_min_, one.data_max_), one.quantile_error_, (1, 99), strict=True):
        assert (np.abs(end - np.percentile(X, percent, axis=0)) <= error).all()
        assert (error > 0).all()


@pytest.mark.parametrize(
    "column", [[7.0] * 9, [0.0] * 99 + [5.0], [5e-324, 1e-323, 3e-323], [-1.7e308, 0.0, 1.7e308], [3.0]]
)
def test_odd_columns(column):
    x = np.array(column)[:, np.newaxis]
    out = sn.MinMaxScaler(quantile_range=(5, 95), clip=True).fit(x).transform(x)
    assert np.isfinite(out).all()
    assert (out.min(), out.max()) in ((0.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize("percents", [(99, 1), (-1, 50), (0, 101), (float("nan"), 99)])
def test_ranges_that_are_none(percents):
    with pytest.raises(DataError, match="two percentages from 0 to 100"):
        sn.MinMaxScaler(quantile_range=percents).fit(X)


def test_in_a_recipe_and_by_key():
    recipe = {"columns": {"x": {"scaler": "minmax", "quantile_range": [10, 90], "clip": True}}, "by": "k"}
    table = pa.table({"x": X[:, 0], "k": np.arange(len(X)) % 2})
    normalizer = sn.TableNormalizer.from_recipe(recipe).fit(table)
    out = normalizer.transform(table)["x"].to_numpy()
    for key in (0, 1):
        own = X[key::2, :1]
        assert np.array_equal(
            out[key::2, np.newaxis], sn.MinMaxScaler(quantile_range=(10, 90), clip=True).fit(own).transform(own)
        )
    assert sn.loads(sn.dumps(normalizer)) == normalizer


# ---- results that are limited to what quantiles become ----

SCALERS = ["standard", "minmax", "maxabs", "robust", "quantile", "power"]


def limited(spec, values=None, **more):
    table = pa.table({"x": X[:, 0] if values is None else values, "k": np.arange(len(X)) % 2})
    recipe = {"default": "none", "columns": {"x": spec}, **more}
    return table, sn.TableNormalizer.from_recipe(recipe).fit(table)


@pytest.mark.filterwarnings("ignore:n_quantiles")
@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("written", ["1%, 99%", ["1%", "99%"], ("1.0 %", "99%")])
def test_results_are_limited_to_what_quantiles_become(scaler, written):
    table, free = limited({"scaler": scaler})
    _, one = limited({"scaler": scaler, "clip_result": written})
    ends = pa.table({"x": np.percentile(X[:, 0], [1, 99])})
    low, high = free.transform(ends)["x"].to_pylist()
    assert np.array_equal(one.transform(table)["x"], np.clip(free.transform(table)["x"], low, high))
    assert one.digest() == limited({"scaler": scaler, "clip_result": "1%,99%"})[1].digest() != free.digest()
    assert sn.loads(sn.dumps(one)) == one
    halves = [sn.TableNormalizer(columns=one.columns, default=None).fit(table.slice(i, 1000)) for i in (0, 1000)]
    assert halves[1] + halves[0] == one


def test_of_logarithms_and_filled():
    x = np.where(np.arange(len(X)) % 7 == 0, np.nan, np.abs(X[:, 0]))
    table, one = limited({"log1p": True, "fill": "mean", "clip_result": "2%, 98%", "type": "float32"}, x)
    logs = np.log1p(x)
    low, high = np.nanpercentile(logs, [2, 98])
    wanted = (np.clip(np.where(np.isnan(logs), np.nanmean(logs), logs), low, high) - np.nanmean(logs)) / np.nanstd(logs)
    out = one.transform(table)["x"]
    assert out.type == pa.float32()
    assert np.abs(out.to_numpy() - wanted).max() < 1e-6


def test_by_key_and_of_vectors():
    table, one = limited({"clip_result": "5%, 95%"}, by="k")
    out = one.transform(table)["x"].to_numpy()
    for key in (0, 1):
        own, alone = limited({"clip_result": "5%, 95%"}, np.repeat(X[key::2, 0], 2))
        assert np.array_equal(out[key::2], alone.transform(own)["x"].to_numpy()[::2])
    vectors = pa.FixedSizeListArray.from_arrays(X.ravel(), 3)
    spec = {"default": "none", "columns": {"v": {"clip_result": "5%, 95%"}}}
    many = sn.TableNormalizer.from_recipe(spec).fit(pa.table({"v": vectors}))
    results = many.transform(pa.table({"v": vectors}))["v"].combine_chunks().values.to_numpy().reshape(-1, 3)
    low, high = np.percentile(X, [5, 95], axis=0)
    assert np.abs(results - (np.clip(X, low, high) - X.mean(axis=0)) / X.std(axis=0)).max() < 1e-12


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"clip": "1%, 99%"}, "clip takes numbers: .* clip_result"),
        ({"clip_result": "99%, 1%"}, "two percentages from 0% to 100%, the smaller one first"),
        ({"clip_result": "1%"}, "two percentages"),
        ({"clip_result": "1%, 101%"}, "two percentages"),
        ({"clip_result": "x%, 99%"}, "two percentages"),
        ({"clip_result": "nan%, 99%"}, "two percentages"),
        ({"clip_result": ["1%", 5]}, "two numbers, or two percentages"),
        ({"clip_result": "1, 99"}, "two numbers, or two percentages"),
    ],
)
def test_limits_that_are_none(spec, words):
    with pytest.raises(DataError, match=words):
        limited(spec)
