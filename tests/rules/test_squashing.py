"""`SquashingScaler` gives what skrub's gives, and what lies beyond float64 on the way too."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import streamnorm as sn
from streamnorm.errors import DataError, InfiniteValueError

RNG = np.random.default_rng(11)
X = np.stack(
    [RNG.normal(5, 2, 500), RNG.standard_t(1, 500) * 1e6, RNG.integers(0, 4, 500) // 3, np.full(500, 7.0)], axis=1
)
X[3:9, 0], X[20, 1], X[21, 1], X[:5, 3] = np.nan, np.inf, -np.inf, [np.nan, np.inf, 7, 7, -np.inf]
FORMS = [(3.0, (25.0, 75.0)), (1, (10, 90)), (0.5, (0, 100)), (7.5, (49.9, 50.1))]


def theirs(x, bound, percents):
    """skrub 0.11's formula, as its documentation has it."""
    finite = np.where(np.isinf(x), np.nan, x)
    low, high = np.nanpercentile(finite, percents, axis=0)
    least, greatest = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = np.where(low != high, 1 / (high - low), np.where(least != greatest, 2 / (greatest - least), 0))
    z = a * (finite - np.nanmedian(finite, axis=0))
    y = z / np.sqrt(1 + (z / bound) ** 2)
    return np.where(np.isinf(x), np.copysign(bound, x), y)


@pytest.mark.parametrize(("bound", "percents"), FORMS)
def test_it_is_skrubs_formula(bound, percents):
    one = sn.SquashingScaler(bound, percents).fit(X)
    out, wanted = one.transform(X), theirs(X, bound, percents)
    assert np.array_equal(np.isnan(out), np.isnan(wanted))
    assert np.nanmax(np.abs(out - wanted)) <= 8 * np.finfo(float).eps * bound
    assert (one.robust_cols_ | one.minmax_cols_ | one.zero_cols_).all()
    assert one.zero_cols_.tolist() == [False, False, False, True]


@pytest.mark.parametrize(("bound", "percents"), FORMS)
def test_beside_skrub(bound, percents):
    skrub = pytest.importorskip("skrub")
    one, peer = sn.SquashingScaler(bound, percents).fit(X), skrub.SquashingScaler(bound, percents).fit(X)
    for values in (X, X[::-1] * 3):
        out, wanted = one.transform(values), peer.transform(values)
        assert np.array_equal(np.isnan(out), np.isnan(wanted))
        assert np.nanmax(np.abs(out - wanted)) <= 8 * np.finfo(float).eps * bound
    for name in ("robust_cols_", "minmax_cols_", "zero_cols_"):
        assert getattr(one, name).tolist() == getattr(peer, name).tolist()


def test_there_and_back():
    one = sn.SquashingScaler().fit(X)
    back = one.inverse_transform(one.transform(X))
    assert np.array_equal(np.isinf(back), np.isinf(X))
    near = np.isfinite(X) & (np.abs(one.transform(X)) < 2.9)
    assert np.abs(back[near] - X[near]).max() <= 1e-9 * np.abs(X[near]).max()
    assert (back[9:, 3] == 7).all()
    assert np.isnan(one.inverse_transform([[3.5, -4.0, 3.01, 9.0]])).all()


@pytest.mark.parametrize(
    "column",
    [
        [-1.7e308, -1e308, 0.0, 1e308, 1.7e308],
        [5e-324, 1e-323, 1.5e-323, 2e-323],
        [1.0, 2.0, 3.0, 1.7e308],
        [1e9, 1e9 + 1e-6, 1e9 + 2e-6],
        [0.0, 0.0, 0.0, 1.7e308],
        [3.0],
        [-0.0, 0.0],
    ],
)
def test_nothing_passes_the_bound_and_order_is_kept(column):
    x = np.sort(column)[:, np.newaxis]
    one = sn.SquashingScaler(2.0).fit(x)
    out = one.transform(x)[:, 0]
    assert np.abs(out).max() <= 2
    assert (np.diff(out) >= 0).all()
    far = one.transform([[-1.7e308], [-np.inf], [1.7e308], [np.inf]])[:, 0]
    assert np.abs(far).max() <= 2


def test_arrow_and_float32():
    table = pa.table({"a": pa.array([1.0, None, 3.0, np.inf], pa.float32()), "b": [1, 2, 3, 4]})
    one = sn.SquashingScaler().fit(table)
    out = one.transform(table)
    assert out.schema.types == [pa.float32(), pa.float64()]
    assert out["a"].to_pylist()[1::2] == [None, 3.0]
    assert one.inverse_transform(out)["a"].to_pylist()[1::2] == [None, np.inf]
    arrays = sn.SquashingScaler().fit(np.array([[1, 1], [3, 2], [np.inf, 3]], np.float32))
    assert arrays.transform(np.array([[np.inf, -np.inf]], np.float32)).tolist() == [[3.0, -3.0]]
    assert one.get_feature_names_out().tolist() == ["a", "b"]


def test_tables_say_what_becomes_of_infinities():
    table = pa.table({"a": [1.0, 2.0, 4.0, np.inf]})
    with pytest.raises(InfiniteValueError, match="'a'"):
        sn.TableNormalizer("squashing").fit(table)
    one = sn.TableNormalizer("squashing", infinite="skip").fit(table)
    assert one.transform(table)["a"].to_pylist()[3] == 3.0
    assert one.inverse_transform(one.transform(table))["a"].to_pylist() == pytest.approx([1, 2, 4, np.inf])


def test_a_state_tells_infinities_apart_from_values():
    a, b = sn.SquashingScaler().fit(X[:100]), sn.SquashingScaler().fit(X[100:])
    assert a + b == sn.SquashingScaler().fit(X)
    assert (a + b) - b == a
    assert sn.loads(sn.dumps(a)) == a
    weights = np.arange(len(X)) % 3
    assert sn.SquashingScaler().fit(X, sample_weight=weights) == sn.SquashingScaler().fit(np.repeat(X, weights, axis=0))


@pytest.mark.parametrize("bound", [0, -1.0, float("inf"), float("nan")])
def test_bounds_that_are_none(bound):
    with pytest.raises(ValueError, match="max_absolute_value"):
        sn.SquashingScaler(bound).fit(X)
    with pytest.raises(DataError, match="max_absolute_value"):
        sn.TableNormalizer.from_recipe({"default": {"scaler": "squashing", "max_absolute_value": bound}})


@pytest.mark.parametrize("target", ["to_keras", "to_torch", "to_sklearn"])
def test_what_cannot_express_it_refuses_it_by_name(target):
    with pytest.raises(DataError, match=r"a soft bound|no SquashingScaler"):
        getattr(sn.export, target)(sn.SquashingScaler().fit(X))
