"""AdaptiveStandardScaler: pandas beside it, every cut of the stream, and what goes wrong with decay."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from streamnorm import AdaptiveStandardScaler
from streamnorm.errors import DataError, InfiniteValueError, MergeError

X = np.array([[0.0, 1.0], [3.0, 1.0]])


def stream(rows: int, columns: int = 3, missing: float = 0.2, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(rng.normal(size=columns), 1, size=(rows, columns)) + np.linspace(0, 5, rows)[:, np.newaxis]
    x[rng.random(x.shape) < missing] = np.nan
    return x


# ---- what it computes ----


@pytest.mark.parametrize("halflife", [0.3, 1, 50, 1e4, 1e9])
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("rows", [1, 2, 511, 512, 513, 3000])
def test_pandas_ewm(halflife, missing, rows):
    x = stream(rows, missing=missing)
    x[0] = 1.0
    scaler = AdaptiveStandardScaler(halflife).fit(x)
    theirs = pd.DataFrame(x).ewm(halflife=halflife, adjust=True, ignore_na=True)
    np.testing.assert_allclose(scaler.mean_, theirs.mean().iloc[-1], rtol=1e-12)
    np.testing.assert_allclose(scaler.var_, theirs.var(bias=True).iloc[-1], rtol=1e-11, atol=1e-28)
    seen = np.broadcast_to(scaler.n_samples_seen_, 3)
    assert seen.tolist() == (~np.isnan(x)).sum(axis=0).tolist()


def test_the_definition_in_rationals():
    """Far from zero, where sums of squares have no correct digit; halflife 1 makes the weights exact."""
    x = np.random.default_rng(1).normal(1e9, 1, size=700)
    scaler = AdaptiveStandardScaler(1).fit(x[:, np.newaxis])
    weights = [Fraction(1, 2 ** (len(x) - 1 - i)) for i in range(len(x))]
    values = [Fraction(value) for value in x]
    mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert scaler.mean_[0] == float(mean)
    assert scaler.var_[0] == pytest.approx(float(variance), rel=1e-14)
    assert scaler.scale_[0] == pytest.approx(float(variance) ** 0.5, rel=1e-14)


def test_transform_and_back():
    x = stream(900)
    scaler = AdaptiveStandardScaler(100).fit(x)
    assert np.array_equal(scaler.transform(x), (x - scaler.mean_) / scaler.scale_, equal_nan=True)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(x)), x, rtol=1e-13, atol=1e-13)
    single = scaler.transform(x.astype(np.float32))
    expected = ((x.astype(np.float32).astype(np.float64) - scaler.mean_) / scaler.scale_).astype(np.float32)
    assert single.dtype == np.float32
    assert np.array_equal(single, expected, equal_nan=True)


@pytest.mark.parametrize(("with_mean", "with_std"), [(True, False), (False, True), (False, False)])
def test_with_mean_and_with_std(with_mean, with_std):
    full = AdaptiveStandardScaler(5).fit(X)
    part = AdaptiveStandardScaler(5, with_mean=with_mean, with_std=with_std).fit(X)
    assert (part.mean_ is None) == (not with_mean and not with_std)
    assert (part.var_ is None, part.scale_ is None) == (not with_std, not with_std)
    expected = (X - full.mean_ * with_mean) / np.where(with_std, full.scale_, 1)
    assert np.array_equal(part.transform(X), expected)
    assert np.array_equal(part.to_sklearn().transform(X), expected)


def test_it_follows_the_stream():
    scaler = AdaptiveStandardScaler(10).fit(np.random.default_rng(2).normal(100, 10, size=(500, 1)))
    scaler.partial_fit(np.random.default_rng(3).normal(-7, 1, size=(500, 1)))
    assert abs(scaler.mean_[0] + 7) < 1
    assert 0.5 < scaler.scale_[0] < 2


# ---- weights ----


@pytest.mark.parametrize("halflife", [0.7, 40, 1e6])
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("rows", [1, 511, 1500])
def test_the_definition_with_weights(halflife, missing, rows):
    x, rng = stream(rows, missing=missing), np.random.default_rng(rows)
    x[-1] = 1.0
    weights = rng.integers(0, 3, rows) * rng.lognormal(0, 3, rows)
    weights[-1] = 0.01
    scaler = AdaptiveStandardScaler(halflife).fit(x, sample_weight=weights)
    for i in range(3):
        there = ~np.isnan(x[:, i]) & (weights > 0)
        values, ages = x[there, i], np.arange(there.sum())[::-1]
        w = weights[there] * 0.5 ** (ages / halflife)
        mean = np.average(values, weights=w)
        np.testing.assert_allclose(scaler.mean_[i], mean, rtol=1e-12)
        np.testing.assert_allclose(scaler.var_[i], np.average((values - mean) ** 2, weights=w), rtol=1e-11, atol=1e-28)
        assert np.broadcast_to(scaler.n_samples_seen_, 3)[i] == there.sum()


def test_only_ratios_of_weights_matter():
    x, weights = stream(1300), np.random.default_rng(1).lognormal(0, 2, 1300)
    one = AdaptiveStandardScaler(30).fit(x, sample_weight=weights)
    for factor in (0.25, 2.0**400, 2.0**-400):
        other = AdaptiveStandardScaler(30).fit(x, sample_weight=weights * factor)
        assert (other.mean_.tolist(), other.var_.tolist()) == (one.mean_.tolist(), one.var_.tolist())


def test_weights_beside_rows_in_any_cut_give_the_same_bits():
    x, weights = stream(1600), np.random.default_rng(2).integers(0, 4, 1600) / 3
    whole, parts = AdaptiveStandardScaler(30).fit(x, sample_weight=weights), AdaptiveStandardScaler(30)
    assert weights[0] > 0
    for part, own in zip(np.split(x, [1, 2, 512, 513, 1200]), np.split(weights, [1, 2, 512, 513, 1200]), strict=True):
        parts.partial_fit(part, sample_weight=own)
    assert parts == whole != AdaptiveStandardScaler(30).fit(x)


@pytest.mark.parametrize("weight", [1e200, 1e-200, -1.0, np.inf])
def test_weights_that_cannot_be(weight):
    scaler = AdaptiveStandardScaler(30).fit(X)
    with pytest.raises(ValueError, match="weight"):
        scaler.partial_fit(X, sample_weight=[1.0, weight])
    assert scaler == AdaptiveStandardScaler(30).fit(X)


def test_a_halflife_changed_between_batches_holds_from_there_on():
    x = stream(600, missing=0)
    scaler = AdaptiveStandardScaler(30).fit(x[:300])
    mean = scaler.set_params(halflife=5).mean_
    assert mean.tolist() == AdaptiveStandardScaler(30).fit(x[:300]).mean_.tolist()
    scaler.partial_fit(x[300:])
    assert scaler.mean_.tolist() == AdaptiveStandardScaler(5).fit(x).mean_.tolist()
    with pytest.raises(ValueError, match="halflife"):
        scaler.set_params(halflife=-1).partial_fit(x)


# ---- no cut matters ----


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_cut_gives_the_same_bits(data):
    rows = data.draw(st.integers(1, 1600), label="rows")
    x = stream(rows, data.draw(st.integers(1, 4)), data.draw(st.sampled_from([0.0, 0.3, 0.95])), rows)
    x *= data.draw(st.sampled_from([1.0, 1e-300, 1e300]))
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=8)))
    halflife = data.draw(st.sampled_from([0.5, 20.0, 1e6]))
    whole = AdaptiveStandardScaler(halflife).fit(x)
    parts = AdaptiveStandardScaler(halflife)
    for part in np.split(x, cuts):
        if len(part):
            parts.partial_fit(part)
    assert parts == whole
    assert parts.digest() == whole.digest()
    for name in ("mean_", "var_", "scale_"):
        assert getattr(parts, name).tobytes() == getattr(whole, name).tobytes()


def test_row_by_row_gives_the_same_bits():
    x = stream(1100)
    scaler = AdaptiveStandardScaler(30)
    for row in x:
        scaler.partial_fit(row[np.newaxis])
    assert scaler == AdaptiveStandardScaler(30).fit(x)


def test_the_order_matters():
    x = stream(50)
    assert AdaptiveStandardScaler(30).fit(x) != AdaptiveStandardScaler(30).fit(x[::-1])


def test_memory_layout_and_neighbours_do_not_matter():
    x = stream(1400, missing=0)
    whole = AdaptiveStandardScaler(30).fit(x)
    assert AdaptiveStandardScaler(30).fit(np.asfortranarray(x)) == whole
    assert AdaptiveStandardScaler(30).fit(x.astype(object).astype(float)) == whole
    for i in range(3):
        alone = AdaptiveStandardScaler(30).fit(x[:, [i]])
        assert (alone.mean_[0], alone.var_[0]) == (whole.mean_[i], whole.var_[i])
    holes = np.column_stack([x, np.where(np.arange(1400) % 3, 1.0, np.nan)])
    beside = AdaptiveStandardScaler(30).fit(holes)
    assert beside.var_[:3].tolist() == whole.var_.tolist()


def test_streams_and_arrow():
    x = stream(1300, 2)
    expected = AdaptiveStandardScaler(30).fit(x)
    assert AdaptiveStandardScaler(30).fit(part for part in np.split(x, [5, 700])) == expected
    table = pa.table({"a": x[:, 0], "b": pa.array(x[:, 1], from_pandas=True)}).replace_schema_metadata({"k": "v"})
    named = AdaptiveStandardScaler(30).fit(table)
    assert named.partial_fit(table.slice(0, 0)) == AdaptiveStandardScaler(30).fit(table.to_reader(max_chunksize=99))
    assert named.mean_.tolist() == expected.mean_.tolist()
    out = named.transform(table)
    assert out.schema.metadata == {b"k": b"v"}
    assert out["b"].null_count == table["b"].null_count > 0
    assert np.array_equal(out["a"].to_numpy(), expected.transform(x)[:, 0], equal_nan=True)
    lazy = named.transform(table.to_reader())
    assert isinstance(lazy, pa.RecordBatchReader)
    assert lazy.read_all()["b"].equals(out["b"])  # "a" has NaN, which Arrow finds unequal
    assert named.inverse_transform(out).schema == table.schema
    nothing = pa.RecordBatchReader.from_batches(table.schema, [])
    assert named.set_output(transform="pandas").transform(nothing).shape == (0, 2)


@pytest.mark.parametrize("library", [pd, pl])
def test_frames(library):
    frame = library.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    scaler = AdaptiveStandardScaler(1).set_output(transform=library.__name__).fit(frame)
    out = scaler.transform(frame)
    assert list(out.columns) == list(scaler.feature_names_in_) == ["a", "b"]
    assert np.array_equal(out.to_numpy(), AdaptiveStandardScaler(1).fit_transform(X))
    with pytest.raises(ValueError, match="feature names should match"):
        scaler.transform(frame[["b", "a"]])


# ---- missing, constant, enormous ----


def test_missing_values():
    scaler = AdaptiveStandardScaler(20).fit([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    assert scaler.n_samples_seen_.tolist() == [2, 0]
    assert scaler.mean_[0] == AdaptiveStandardScaler(20).fit([[1.0], [3.0]]).mean_[0]
    assert np.isnan([scaler.mean_[1], scaler.var_[1], scaler.scale_[1]]).all()
    with pytest.warns(UserWarning, match="seen no value of column 1"):
        assert np.isnan(scaler.transform([[1.0, 2.0]])).tolist() == [[False, True]]
    scaler.transform([[1.0, 2.0]])  # warns once: a second warning would be an error here


def test_all_missing_and_empty_batches_change_nothing():
    scaler = AdaptiveStandardScaler(20).fit(stream(700))
    before = scaler.digest()
    scaler.partial_fit(np.full((600, 3), np.nan))
    scaler.partial_fit(iter([]))
    assert scaler.digest() == before


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 1e-300, 1e9 + 0.1])
def test_constant_columns(value):
    scaler = AdaptiveStandardScaler(1000).fit(np.full((3000, 1), value))
    assert (scaler.mean_[0], scaler.scale_[0]) == (value, 1.0)


def test_a_column_that_settles_is_constant_in_the_end():
    """With a mean of one float64 it would stop some hundred units in the last place away."""
    x = np.concatenate([np.random.default_rng(4).normal(0, 1000, 2000), np.full(150_000, 0.1)])
    scaler = AdaptiveStandardScaler(1000).fit(x[:, np.newaxis])
    assert (scaler.mean_[0], scaler.scale_[0]) == (0.1, 1.0)


def test_near_constant_columns():
    eps = np.finfo(float).eps
    for steps, constant in [(2, True), (64, False)]:
        x = np.array([[1.0], [1.0 + steps * eps]] * 10)
        assert (AdaptiveStandardScaler(1e6).fit(x).scale_[0] == 1.0) == constant


@pytest.mark.parametrize("size", [1e-290, 1e200, 1.7e308])
def test_no_overflow(size):
    x = stream(1200, 1, 0.0)
    x /= np.abs(x).max()
    scaler, reference = AdaptiveStandardScaler(50).fit(x * size), AdaptiveStandardScaler(50).fit(x)
    np.testing.assert_allclose(scaler.mean_, reference.mean_ * size, rtol=1e-13)
    np.testing.assert_allclose(scaler.scale_, reference.scale_ * size, rtol=1e-13)
    signs = np.where(np.arange(1200) % 2, size, -size)[:, np.newaxis]
    np.testing.assert_allclose(AdaptiveStandardScaler(1e9).fit(signs).scale_, size, rtol=1e-13)


# ---- comparing, and refusing ----


def test_merging_is_refused_and_says_why():
    a, b = AdaptiveStandardScaler(5).fit(X), AdaptiveStandardScaler(5).fit(X)
    for merge in (lambda: a + b, lambda: a - b, lambda: sum([a, b])):
        with pytest.raises(MergeError, match=r"how many rows came after it.*StandardScaler"):
            merge()


def test_equality_and_digest():
    base = AdaptiveStandardScaler(5).fit(X)
    for other in (pickle.loads(pickle.dumps(base)), AdaptiveStandardScaler(5.0).fit(X.astype(np.float32))):
        assert base == other
        assert base.digest() == other.digest()
    others = [
        clone(base),
        AdaptiveStandardScaler(6).fit(X),
        AdaptiveStandardScaler(5, with_mean=False).fit(X),
        AdaptiveStandardScaler(5).fit(X + 1e-12),
        AdaptiveStandardScaler(5).fit(pd.DataFrame(X, columns=["a", "b"])),
        AdaptiveStandardScaler(5).fit(X).partial_fit(X),
    ]
    for other in others:
        assert base != other
        assert base.digest() != other.digest()
    base.partial_fit(X + 1)
    assert base.fit(X) == AdaptiveStandardScaler(5).fit(X)  # fit forgets


def test_a_pickled_one_goes_on():
    x = stream(1500)
    scaler = pickle.loads(pickle.dumps(AdaptiveStandardScaler(5).fit(x[:700]))).partial_fit(x[700:])
    assert scaler == AdaptiveStandardScaler(5).fit(x)


def test_to_sklearn_and_frozen():
    frame = pd.DataFrame(stream(600, missing=0), columns=["a", "b", "c"])
    scaler = AdaptiveStandardScaler(50).fit(frame)
    plain = scaler.to_sklearn()
    assert list(plain.get_feature_names_out()) == ["a", "b", "c"]
    assert np.array_equal(plain.transform(frame), scaler.transform(frame))
    assert np.array_equal(scaler.frozen().fit(frame + 9, None).transform(frame), scaler.transform(frame))


@pytest.mark.parametrize(
    ("x", "kind", "words"),
    [
        ([[1.0, 2.0], [3.0, -np.inf]], InfiniteValueError, r"column 1, row [13] of"),
        (np.ones((2, 3)), DataError, "X has 3 features, but AdaptiveStandardScaler is expecting 2"),
        (np.ones(3), ValueError, "Expected 2D array"),
        (np.ones((2, 2, 2)), ValueError, "dim 3"),
        ([["a", "b"]], ValueError, "could not convert|dtype"),
        (pa.table({"a": [1.0], "b": ["text"]}), DataError, "column 'b' holds string"),
    ],
)
def test_bad_input_changes_nothing(x, kind, words):
    scaler = AdaptiveStandardScaler(5).fit(X)
    before = dict(scaler.__dict__)
    with pytest.raises(kind, match=words):
        scaler.partial_fit(x)
    with pytest.raises(kind, match=words):
        scaler.partial_fit(iter([X, x]))
    assert scaler.__dict__ == before
    unfitted = AdaptiveStandardScaler(5)
    if "features" not in words:
        with pytest.raises(kind, match=words):
            unfitted.fit(x)
        assert unfitted.__dict__ == AdaptiveStandardScaler(5).__dict__


@pytest.mark.parametrize("halflife", [0, -1, np.nan, np.inf, "5", None])
def test_a_halflife_that_cannot_be(halflife):
    with pytest.raises(ValueError, match="halflife"):
        AdaptiveStandardScaler(halflife).fit(X)
