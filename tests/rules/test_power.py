"""Powers are those of the greatest likelihood, the same bits in any order, and nothing overflows on the way."""

from __future__ import annotations

import mpmath
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.preprocessing import PowerTransformer as Sklearn

import streamnorm as sn
from streamnorm.errors import DataError, OverflowedError

RNG = np.random.default_rng(1)
N = 20_000
SAMPLES = {
    "lognormal": RNG.lognormal(size=N),
    "normal": RNG.normal(size=N),
    "negative": -RNG.exponential(size=N) - 0.1,
    "skewed, of both signs": RNG.gamma(2, size=N) - 1,
    "shifted": RNG.normal(size=N) + 100,
    "counts": RNG.poisson(3, size=N).astype(float),
    "uniform": RNG.uniform(size=N),
}
LIKELIHOODS = {"yeo-johnson": stats.yeojohnson_llf, "box-cox": stats.boxcox_llf}
CASES = [
    (name, method) for name, x in SAMPLES.items() for method in LIKELIHOODS if method == "yeo-johnson" or x.min() > 0
]


@pytest.mark.parametrize(("name", "method"), CASES)
def test_near_scikit_learn_and_within_the_bound(name, method):
    x = SAMPLES[name][:, np.newaxis]
    one, theirs = sn.PowerTransformer(method).fit(x), Sklearn(method=method).fit(x)
    apart = abs(one.lambdas_ - theirs.lambdas_)[0]
    assert apart <= max(5e-4, 1e-6 * abs(theirs.lambdas_[0]))
    assert apart <= one.lambda_errors_[0] + 1e-6 * max(1, abs(theirs.lambdas_[0]))
    assert np.abs(one.transform(x) - theirs.transform(x)).max() < 2e-3
    assert np.abs(one.inverse_transform(one.transform(x)) - x).max() <= 1e-12 * np.abs(x).max()


@pytest.mark.parametrize(("name", "method"), CASES)
def test_no_power_is_likelier(name, method):
    x = SAMPLES[name][:3000]  # as many bins: the likelihood is that of the values
    one = sn.PowerTransformer(method).fit(x[:, np.newaxis])
    assert one.lambda_errors_[0] == 0
    found = LIKELIHOODS[method](one.lambdas_[0], x)
    scale = max(1.0, abs(one.lambdas_[0]))
    for step in (-1e-2, -1e-3, 1e-3, 1e-2):
        assert LIKELIHOODS[method](one.lambdas_[0] + step * scale, x) < found


@pytest.mark.parametrize("method", LIKELIHOODS)
@pytest.mark.parametrize("standardize", [True, False])
def test_results_are_those_of_exact_arithmetic(method, standardize):
    x = SAMPLES["lognormal"][:60]
    one = sn.PowerTransformer(method, standardize=standardize).fit(x[:, np.newaxis])
    with mpmath.workdps(60):
        power = mpmath.mpf(float(one.lambdas_[0]))
        add = 1 if method == "yeo-johnson" else 0
        y = [((mpmath.mpf(v) + add) ** power - 1) / power for v in x.tolist()]
        mean = mpmath.fsum(y) / len(y)
        deviation = mpmath.sqrt(mpmath.fsum((v - mean) ** 2 for v in y) / len(y))
        wanted = [float((v - mean) / deviation) if standardize else float(v) for v in y]
    assert np.abs(one.transform(x[:, np.newaxis])[:, 0] - wanted).max() <= 64 * np.finfo(float).eps


EXTREMES = {
    "far from 0": (np.arange(1.0, 200.0) ** 2 / 1e4 + 1e9, 1e-6),
    "huge": (RNG.lognormal(size=500) * 1e150, 1e-9),
    "the greatest": (np.array([1.0, 2.0, 1.7e308]), 1e-9),
    "of both signs": (np.array([-1e300, -1.0, 0.0, 1.0, 1e300]), 1e-9),
    "of both signs, one of them tiny": (np.array([-5e-324, 0.0, 1.0, 1e300]), 1e-9),
    "zeros and less": (np.array([-3.0, -1.0, 0.0, 0.0]), 1e-9),
    "the least": (np.array([5e-324, 1e-323, 1e-310]), None),
    "two values": (np.array([1.0, 1.0, 2.0]), 1e-9),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.filterwarnings("error")
def test_extremes_stay_finite_and_come_back(name):
    x, tolerance = EXTREMES[name]
    one = sn.PowerTransformer().fit(x[:, np.newaxis])
    z = one.transform(x[:, np.newaxis])
    assert np.isfinite(one.lambdas_).all()
    assert np.isfinite(z).all()
    assert (np.diff(z[np.argsort(x, kind="stable"), 0]) >= 0).all()
    if tolerance is not None:
        assert abs(z.mean()) <= 1e-6
        back = one.inverse_transform(z)[:, 0]
        assert np.abs(back / 2 - x / 2).max() <= tolerance * np.abs(x / 2).max()


def test_the_same_bits_on_every_machine():
    x = np.array([0.5, 1.0, 2.5, 7.0, 30.0, -3.0])
    one = sn.PowerTransformer().fit(x[:, np.newaxis])
    assert one.lambdas_[0].hex() == "0x1.da04867385789p-2"
    assert one.transform([[2.0]])[0, 0].hex() == "-0x1.faf836a345027p-5"


def test_a_constant_and_a_column_without_values():
    table = pa.table({"a": [3.0, 3.0], "b": pa.nulls(2, pa.float64())})
    one = sn.PowerTransformer().fit(table)
    with pytest.warns(UserWarning, match="no value of column b"):
        assert one.transform(table).to_pydict()["a"] == [0.0, 0.0]
    assert one.lambdas_[0] == 1
    assert np.isnan(one.lambdas_[1])


def test_box_cox_refuses_what_it_cannot_take():
    good = pa.table({"a": [1.0, 2.0, None], "b": [3.0, 5.0, 9.0]})
    one = sn.PowerTransformer("box-cox").fit(good)
    digest = one.digest()
    with pytest.raises(DataError, match=r"positive data: column 'b' holds 0.0"):
        one.partial_fit(pa.table({"a": [1.0], "b": [0.0]}))
    assert one.digest() == digest
    assert one.transform(good)["a"].to_pylist()[2] is None
    with pytest.raises(OverflowedError, match=r"column 'b', row 1 .*-1.0"):
        one.transform(pa.table({"a": [1.0, 1.0], "b": [1.0, -1.0]}))
    with pytest.raises(DataError, match="strictly positive"):
        sn.PowerTransformer("box-cox").fit([[1.0], [2.0]]).transform([[0.0]])


def test_exports_give_the_same_numbers_or_refuse_by_name():
    x = np.stack([SAMPLES["lognormal"], SAMPLES["skewed, of both signs"]], axis=1)
    for options in ({}, {"method": "box-cox"}, {"standardize": False}):
        rows = x[:, :1] if options.get("method") else x
        one = sn.PowerTransformer(**options).fit(rows)
        theirs = sn.export.to_sklearn(one)
        assert type(theirs) is Sklearn
        assert np.abs(theirs.transform(rows) - one.transform(rows)).max() <= 1e-12
    table = sn.TableNormalizer("power").fit(pa.table({"price": x[:, 0]}))
    of_table = sn.export.to_sklearn(table).transform(pd.DataFrame({"price": x[:, 0]}))
    assert np.abs(of_table - sn.PowerTransformer().fit_transform(x[:, :1])).max() <= 1e-12
    for target in (sn.export.to_sql, sn.export.to_onnx):
        with pytest.raises(DataError, match="'price' goes through a power transform"):
            target(table)
    with pytest.raises(DataError, match="so far from 0 that scikit-learn"):
        sn.export.to_sklearn(sn.PowerTransformer().fit(EXTREMES["far from 0"][0][:, np.newaxis]))
