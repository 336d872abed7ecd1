"""BatchNormalizer: its formula, its containers and its bad input."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from streamnorm import BatchNormalizer
from streamnorm.errors import DataError, InfiniteValueError, MergeError

X = np.array([[1.0, 2.0], [5.0, 4.0]])


# ---- the formula ----


def test_inference_before_training_and_training_mode():
    layer = BatchNormalizer().build(2)
    np.testing.assert_allclose(layer.transform(X), X / np.sqrt(1.001), rtol=1e-15)
    np.testing.assert_allclose(layer.transform(X, training=True)[1], [(4 / 4.001) ** 0.5, (1 / 1.001) ** 0.5])
    assert layer == BatchNormalizer().build(2)  # transform does not learn
    assert layer.n_steps_ == 0


def test_what_was_not_built_is_not_fitted():
    for training in (False, True):
        with pytest.raises(NotFittedError):
            BatchNormalizer().transform(X, training=training)
    with pytest.raises(NotFittedError):
        BatchNormalizer().to_keras_weights()


@pytest.mark.parametrize(("moving", "ddof"), [("biased", 0), ("unbiased", 1)])
def test_steps(moving, ddof):
    rng = np.random.default_rng(7)
    ours, mean, variance = BatchNormalizer(momentum=0.7, moving_variance=moving), 0.0, 1.0
    for _ in range(20):
        x = rng.normal(5, 3, size=(9, 2))
        ours.partial_fit(x)
        mean = mean * 0.7 + x.mean(axis=0) * 0.3
        variance = variance * 0.7 + x.var(axis=0, ddof=ddof) * 0.3
    np.testing.assert_allclose(ours.moving_mean_, mean, rtol=1e-14)
    np.testing.assert_allclose(ours.moving_variance_, variance, rtol=1e-14)
    assert (ours.n_steps_, ours.n_features_in_) == (20, 2)
    batch = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)  # biased in training mode, always
    np.testing.assert_allclose(ours.transform(x, training=True), batch, rtol=1e-13, atol=1e-13)


def test_fit_forgets():
    once = BatchNormalizer().fit(X)
    assert BatchNormalizer().partial_fit(X + 1).fit(X) == once
    assert BatchNormalizer().build(2).partial_fit(X) == once
    assert BatchNormalizer().partial_fit(X).partial_fit(X) != once


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2, -3, -4])
def test_the_axis_is_the_one_kept(axis):
    x = np.random.default_rng(8).normal(size=(3, 4, 5, 6))
    ours = BatchNormalizer(axis, momentum=0.0, epsilon=1e-5).fit(x)
    others = tuple(i for i in range(4) if i != axis % 4)
    mean, variance = x.mean(axis=others, keepdims=True), x.var(axis=others, keepdims=True)
    np.testing.assert_allclose(ours.moving_mean_, mean.ravel(), atol=1e-14)
    expected = (x - mean) / np.sqrt(variance + 1e-5)
    for training in (False, True):
        y = ours.transform(x, training=training)
        assert y.flags.c_contiguous
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ours.inverse_transform(y), x, rtol=1e-12, atol=1e-13)


def test_gamma_and_beta():
    ours = BatchNormalizer(momentum=0, gamma=[2, -3], beta=[1, 0.5]).fit(X)
    plain = BatchNormalizer(momentum=0).fit(X)
    np.testing.assert_allclose(ours.transform(X), plain.transform(X) * [2, -3] + [1, 0.5], rtol=1e-14)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X, rtol=1e-14)
    np.testing.assert_allclose(ours.to_sklearn().transform(X), ours.transform(X), rtol=1e-14)
    bare = BatchNormalizer(momentum=0, center=False, scale=False).fit(X)
    assert np.array_equal(bare.transform(X), plain.transform(X))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_stay(dtype):
    ours = BatchNormalizer().fit(X.astype(dtype))
    assert ours.transform(X.astype(dtype)).dtype == dtype
    assert ours.moving_mean_.dtype == (np.float64 if dtype == np.float64 else np.float32)
    assert ours.partial_fit(X).moving_mean_.dtype == np.float64
    assert ours.fit(X.astype(int)).transform(X.astype(int)).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_small_floats_are_computed_in_float64_and_rounded_once(dtype):
    x = np.random.default_rng(11).normal(30, 1, size=(40, 3)).astype(dtype)
    ours = BatchNormalizer(momentum=0, gamma=[2, 3, 4], beta=1.0).fit(x)
    assert np.array_equal(ours.transform(x), ours.transform(x.astype(np.float64)).astype(dtype))


def test_missing_values_are_skipped_and_stay():
    x = np.array([[1.0, np.nan, np.nan], [np.nan, np.nan, 4.0], [5.0, np.nan, 6.0]])
    ours = BatchNormalizer(momentum=0.5).fit(x)
    assert ours.moving_mean_.tolist() == [1.5, 0.0, 2.5]
    assert ours.moving_variance_.tolist() == [2.5, 1.0, 1.0]
    for training in (False, True):
        assert np.array_equal(np.isnan(ours.transform(x, training=training)), np.isnan(x))
    before = ours.digest()
    assert ours.partial_fit(np.full((4, 3), np.nan)).digest() == before


def test_the_state_does_not_depend_on_the_order_within_a_batch():
    rng = np.random.default_rng(9)
    x = rng.lognormal(sigma=5, size=(1000, 3))
    assert BatchNormalizer().fit(x) == BatchNormalizer().fit(rng.permutation(x))


# ---- containers ----


def test_arrow_in_arrow_out():
    table = pa.table({"a": [1.0, 5.0, None], "b": pa.array([2, 4, 6], pa.float32())}).replace_schema_metadata(
        {"k": "v"}
    )
    ours = BatchNormalizer(momentum=0).fit(table)
    assert list(ours.feature_names_in_) == ["a", "b"]
    out = ours.transform(table)
    assert out.schema.metadata == {b"k": b"v"}
    assert out.schema.types == [pa.float64(), pa.float32()]
    np.testing.assert_allclose(out["a"].to_pylist()[:2], [-2 / 4.001**0.5, 2 / 4.001**0.5], rtol=1e-6)
    assert out["a"].null_count == 1
    assert ours.transform(table, training=True)["a"].null_count == 1
    back = ours.inverse_transform(out)
    np.testing.assert_allclose(back["a"].to_pylist()[:2], [1, 5], rtol=1e-6)
    lazy = ours.transform(table.to_reader())
    assert isinstance(lazy, pa.RecordBatchReader)
    assert lazy.read_all().equals(out)
    assert isinstance(ours.transform(table.to_batches()[0]), pa.RecordBatch)


def test_each_batch_of_a_stream_is_a_step():
    rng = np.random.default_rng(10)
    parts = [rng.normal(size=(n, 2)) for n in (5, 3, 9)]
    ours = BatchNormalizer()
    for part in parts:
        ours.partial_fit(part)
    assert BatchNormalizer().fit(iter(parts)) == ours
    batches = [pa.record_batch({"a": part[:, 0], "b": part[:, 1]}) for part in parts]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    streamed = BatchNormalizer().fit(reader)
    assert streamed.n_steps_ == 3
    assert np.array_equal(streamed.moving_variance_, ours.moving_variance_)
    with pytest.raises(DataError, match="no batch"):
        BatchNormalizer().fit(iter([]))


@pytest.mark.parametrize("library", [pd, pl])
def test_frames_and_set_output(library):
    frame = library.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    ours = BatchNormalizer(momentum=0).fit(frame)
    ours.set_output(transform=library.__name__)
    assert list(ours.transform(frame).columns) == ["a", "b"]
    assert np.array_equal(ours.transform(frame).to_numpy(), BatchNormalizer(momentum=0).fit_transform(X))
    table = pa.table({"a": X[:, 0], "b": X[:, 1]})
    assert isinstance(ours.transform(table), library.DataFrame)
    assert isinstance(ours.transform(table.to_reader()), library.DataFrame)


def test_a_table_keeps_its_columns():
    table = pa.table({"a": [1.0, 2.0]})
    for call in (BatchNormalizer(axis=0).fit, BatchNormalizer(axis=0).build(2).transform):
        with pytest.raises(DataError, match="axis=0"):
            call(table)
    with pytest.raises(DataError, match="axis=0"):
        BatchNormalizer(axis=0).fit(X).get_feature_names_out()


# ---- comparing, and refusing ----


def test_merging_is_refused_and_says_why():
    a, b = BatchNormalizer().fit(X), BatchNormalizer().fit(X)
    for merge in (lambda: a + b, lambda: a - b, lambda: sum([a, b])):
        with pytest.raises(MergeError, match=r"depends on the order of the batches.*StandardScaler"):
            merge()


def test_equality_and_digest():
    base = BatchNormalizer(gamma=[1, 2]).fit(X)
    same = [BatchNormalizer(gamma=np.array([1.0, 2.0])).fit(X), pickle.loads(pickle.dumps(base))]
    others = [
        clone(base),
        BatchNormalizer(gamma=[1, 2], momentum=0.9).fit(X),
        BatchNormalizer(gamma=[1, 3]).fit(X),
        BatchNormalizer(gamma=[1, 2]).fit(X + 1e-12),
        BatchNormalizer(gamma=[1, 2]).fit(X.astype(np.float32)),
        BatchNormalizer(gamma=[1, 2]).fit(pd.DataFrame(X, columns=["a", "b"])),
        BatchNormalizer(gamma=[1, 2]).fit(X).partial_fit(X),
    ]
    for other in same:
        assert base == other
        assert base.digest() == other.digest()
        assert hash(base) == hash(other)
    for other in others:
        assert base != other
        assert base.digest() != other.digest()
    assert base != "BatchNormalizer"


def test_fitted_arrays_cannot_be_changed_by_accident():
    ours = BatchNormalizer().fit(X)
    with pytest.raises(ValueError, match="read-only"):
        ours.moving_mean_[0] = 7.0


def test_a_frozen_one_does_not_learn():
    ours = BatchNormalizer().fit(X)
    frozen = ours.frozen()
    assert np.array_equal(frozen.fit(X + 9, None).transform(X), ours.transform(X))


WRONG = [
    (np.array([[1.0, 2.0], [np.inf, 4.0]]), InfiniteValueError, "column 0, row 1"),
    (np.ones((3, 3)), DataError, "X has 3 features, but BatchNormalizer is expecting 2"),
    (np.ones(3), ValueError, "Expected 2D array"),
    (np.array([["a", "b"]]), ValueError, "could not convert|dtype"),
    (pa.table({"a": [1.0], "b": ["text"]}), DataError, "column 'b' holds string"),
    (np.array([[1e200, 1.0], [-1e200, 1.0]]), DataError, "variance of column 0 is beyond float64"),
    (iter([X, X, np.array([[1.0, -np.inf]])]), InfiniteValueError, "column 1, row 4 of the input"),
]


@pytest.mark.parametrize(("x", "kind", "words"), WRONG)
def test_bad_input_changes_nothing(x, kind, words):
    ours = BatchNormalizer().fit(X)
    before = dict(ours.__dict__)
    with pytest.raises(kind, match=words):
        ours.partial_fit(x)
    assert ours.__dict__ == before


@pytest.mark.parametrize("wrong", [WRONG[0], WRONG[1], WRONG[2]])
def test_bad_input_of_transform(wrong):
    x, kind, words = wrong
    ours = BatchNormalizer().fit(X)
    for call in (ours.transform, ours.inverse_transform):
        with pytest.raises(kind, match=words):
            call(x)


def test_an_infinity_in_more_dimensions_is_named():
    x = np.zeros((2, 3, 4))
    x[1, 2, 0] = np.inf
    with pytest.raises(InfiniteValueError, match=r"column 2, index \(1, 2, 0\)") as caught:
        BatchNormalizer(axis=1).fit(x)
    assert (caught.value.slot, caught.value.row) == (2, 1)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"momentum": 1.5}, "momentum"),
        ({"epsilon": -1}, "epsilon"),
        ({"axis": 0.5}, "axis"),
        ({"moving_variance": "other"}, "moving_variance"),
        ({"axis": 2}, "axis=2 is out of bounds for X with 2 dimensions"),
        ({"gamma": [1, 2, 3]}, "gamma must be a finite number or 2 of them"),
        ({"beta": np.nan}, "beta must be a finite number"),
        ({"gamma": 2.0, "scale": False}, "gamma is given although scale=False"),
        ({"beta": 2.0, "center": False}, "beta is given although center=False"),
    ],
)
def test_bad_parameters(params, words):
    ours = BatchNormalizer(**params)
    with pytest.raises(ValueError, match=words):
        ours.fit(X)
    assert "moving_mean_" not in ours.__dict__


def test_other_refusals():
    with pytest.raises(DataError, match="n_features must be at least 1"):
        BatchNormalizer().build(0)
    with pytest.raises(DataError, match="momentum=None"):
        BatchNormalizer.torch(momentum=None)
    with pytest.raises(DataError, match="gamma of column 1 is 0"):
        BatchNormalizer(gamma=[1, 0]).fit(X).inverse_transform(X)
    with pytest.raises(DataError, match="column 1 plus epsilon is 0"):
        BatchNormalizer(momentum=0, epsilon=0).fit([[1.0, 2.0], [2.0, 2.0]]).transform(X)


# ---- weights, without the libraries ----


@pytest.mark.parametrize(("center", "scale"), [(True, True), (True, False), (False, True), (False, False)])
def test_keras_weights_there_and_back(center, scale):
    ours = BatchNormalizer(center=center, scale=scale, gamma=[2, 3] if scale else None, beta=[4, 5] if center else None)
    ours.fit(X)
    weights = ours.to_keras_weights()
    expected = [[2, 3]] * scale + [[4, 5]] * center + [[0.03, 0.03], [1.03, 1.0]]
    np.testing.assert_allclose(weights, expected, rtol=1e-15)
    again = BatchNormalizer.from_keras_weights(weights, center=center, scale=scale)
    assert np.array_equal(again.transform(X), ours.transform(X))


def test_state_dict_there_and_back():
    ours = BatchNormalizer.torch(weight=[2.0, 3.0], bias=[4.0, 5.0]).partial_fit(X).partial_fit(X)
    state = ours.to_state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert state["num_batches_tracked"].dtype == np.int64
    assert BatchNormalizer.from_state_dict(state) == ours
    state["running_mean"][:] = 0  # a copy
    assert ours.moving_mean_[0] != 0


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([np.ones(2)] * 3, "has 4 weights"),
        (
            [np.ones(2), np.ones(3), np.ones(2), np.ones(2)],
            r"beta must be .* shape \(2,\); got float64 of shape \(3,\)",
        ),
        (
            [np.ones(2), np.ones(2), np.array([1, np.nan]), np.ones(2)],
            "moving_mean has a value that is not finite, at 1",
        ),
        ([np.ones(2), np.ones(2), np.ones(2), -np.ones(2)], "negative value"),
        ([np.array(["a"])] * 4, "gamma must be numbers"),
    ],
)
def test_wrong_keras_weights(weights, words):
    with pytest.raises(DataError, match=words):
        BatchNormalizer.from_keras_weights(weights)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"weight": [1.0]}, "no 'running_mean' but 'weight'"),
        ({"running_mean": [1.0], "running_var": [1.0], "bn.bias": [1.0]}, "has 'bn.bias', which is none of"),
    ],
)
def test_wrong_state_dicts(state, words):
    with pytest.raises(DataError, match=words):
        BatchNormalizer.from_state_dict(state)
