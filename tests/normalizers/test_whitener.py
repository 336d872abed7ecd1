"""Whitening by exact covariances, against fractions, numpy and scikit-learn's PCA."""

from __future__ import annotations

import copy
import json
import pickle
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA

import streamnorm as sn
from streamnorm.errors import DataError, InfiniteValueError, MergeError, OverflowedError, StateError
from streamnorm.rules.directions import directions
from streamnorm.states.document import signed

METHODS = ("zca", "pca")


def rows(n=500, width=5, seed=0):
    rng = np.random.default_rng([seed, n, width])
    return rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + np.arange(width) * 100


def table_of(X, **kwargs):
    return pa.table({f"c{i}": pa.array(column, **kwargs) for i, column in enumerate(X.T)})


# ---- what is learnt ----


def test_statistics_are_those_of_fractions():
    X = rows(30, 3)
    exact = [[Fraction(v) for v in row] for row in X.tolist()]
    n, mean = len(X), [sum(column) / len(X) for column in zip(*exact, strict=True)]
    one = sn.Whitener().fit(X)
    assert one.mean_.tolist() == [float(m) for m in mean]
    assert one.covariance_.tolist() == [
        [float(sum((r[i] - mean[i]) * (r[j] - mean[j]) for r in exact) / (n - 1)) for j in range(3)] for i in range(3)
    ]
    assert one.n_samples_seen_ == 30


@pytest.mark.parametrize("width", [1, 2, 7, 60, 140])
def test_statistics_are_those_of_numpy(width):
    X = rows(2000, width)
    one = sn.Whitener("pca").fit(X)
    bound = 1e-12 * np.abs(one.covariance_).max()
    assert np.abs(one.covariance_ - np.atleast_2d(np.cov(X.T))).max() <= bound
    assert np.abs(one.correlation_ - np.atleast_2d(np.corrcoef(X.T))).max() <= 1e-12
    assert np.abs(one.explained_variance_[::-1] - np.linalg.eigvalsh(one.covariance_)).max() <= bound
    V = one.components_
    assert np.abs(V @ V.T - np.eye(width)).max() <= 1e-13 * max(8, width)
    assert np.abs(V.T @ np.diag(one.explained_variance_) @ V - one.covariance_).max() <= 10 * bound


@pytest.mark.parametrize("components", [None, 1, 3])
def test_pca_is_that_of_scikit_learn_up_to_signs(components):
    X = rows()
    one, peer = sn.Whitener("pca", n_components=components).fit(X), PCA(components, whiten=True).fit(X)
    ours, theirs = one.transform(X), peer.transform(X)
    signs = np.sign(np.sum(ours * theirs, axis=0))
    np.testing.assert_allclose(ours, theirs * signs, rtol=0, atol=1e-9)
    for name in ("explained_variance_", "explained_variance_ratio_", "mean_"):
        np.testing.assert_allclose(getattr(one, name), getattr(peer, name), rtol=1e-8)
    assert one.n_components_ == peer.n_components_
    assert one.whitening_.shape == one.components_.shape == peer.components_.shape
    np.testing.assert_allclose(one.inverse_transform(ours), peer.inverse_transform(theirs), rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_uncorrelated_and_lead_back(method):
    X = rows()
    one = sn.Whitener(method).fit(X)
    Y = one.transform(X)
    np.testing.assert_allclose(np.cov(Y.T), np.eye(5), atol=1e-10)
    np.testing.assert_allclose(Y.mean(axis=0), np.zeros(5), atol=1e-10)
    np.testing.assert_allclose(one.inverse_transform(Y), X, rtol=0, atol=1e-10)
    np.testing.assert_allclose(Y, (X - one.mean_) @ one.whitening_.T, rtol=0, atol=1e-9)


def test_zca_is_symmetric_and_nearest_to_the_data():
    X = rows()
    one = sn.Whitener().fit(X)
    assert (one.whitening_ == one.whitening_.T).all()
    np.testing.assert_allclose(one.whitening_ @ one.covariance_ @ one.whitening_, np.eye(5), atol=1e-10)
    few = sn.Whitener(n_components=2).fit(X)
    assert few.whitening_.shape == (5, 5)
    assert few.components_.shape == (2, 5)
    Y = few.transform(X)
    assert np.linalg.matrix_rank(Y, tol=1e-8) == 2
    np.testing.assert_allclose(Y @ few.components_[1], sn.Whitener("pca").fit(X).transform(X)[:, 1], atol=1e-9)


def test_regularization_is_added_to_the_variances():
    X = rows()
    one = sn.Whitener("pca", regularization=2.5).fit(X)
    factors = 1 / np.sqrt(one.explained_variance_ + 2.5)
    np.testing.assert_allclose(one.whitening_, factors[:, None] * one.components_, rtol=1e-12)
    np.testing.assert_allclose(one.inverse_transform(one.transform(X)), X, rtol=0, atol=1e-10)


def test_the_greatest_entry_of_a_component_is_positive_and_the_first_of_equals():
    assert directions(np.array([[1.0, -0.5], [-0.5, 1.0]]))[1][0].tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)])
    V = sn.Whitener().fit(rows()).components_
    assert (V[np.arange(5), np.abs(V).argmax(axis=1)] > 0).all()
    again = sn.Whitener().fit(-rows()).components_
    assert (again == V).all()


@pytest.mark.parametrize("width", [6, 140])
@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_vary_becomes_0(method, width):
    X = rows(400, width)
    X[:, 1] = X[:, 0]
    X[:, 2] = 0.1
    X[:, 3] = X[:, 4] - 7 * X[:, 5]
    one = sn.Whitener(method).fit(X)
    assert (one.explained_variance_ == 0).sum() == 3
    Y = one.transform(X)
    assert np.abs(Y).max() < 20
    np.testing.assert_allclose(one.inverse_transform(Y), X, rtol=0, atol=1e-7)
    if method == "pca":
        assert (Y[:, -3:] == 0).all()
    constant = sn.Whitener(method).fit(np.full((9, 2), 0.1))
    assert (constant.transform([[0.1, 0.1], [5.0, 7.0]]) == 0).all()
    assert (constant.explained_variance_ratio_ == 0).all()


def test_rounding_noise_is_a_constant():
    X = rows(50, 2)
    X[:, 1] = 1e9 + np.arange(50) % 2 * 2.0**-23
    one = sn.Whitener("pca").fit(X)
    assert one.covariance_[1, 1] > 0
    assert one.explained_variance_[1] == 0


@pytest.mark.parametrize("scale", [1e-300, 1e-150, 1e-8, 1e8, 1e150, 1e300])
@pytest.mark.parametrize("method", METHODS)
def test_columns_of_any_scale_are_whitened(method, scale):
    X = rows(300, 3) - [0, 100, 200]
    Y = sn.Whitener(method).fit_transform(X * scale)
    np.testing.assert_allclose(np.cov(Y.T), np.eye(3), atol=1e-9)
    Y = sn.Whitener(method).fit_transform(X * [1.0, 1e-8, 1e8])
    np.testing.assert_allclose(np.cov(Y.T), np.eye(3), atol=1e-9)


# ---- laws that are its own; tests/laws walks it through those of all ----


@pytest.mark.parametrize("method", METHODS)
def test_equal_states_give_equal_maps_whatever_the_order(method):
    X, kind = rows(3000, 6), lambda: sn.Whitener(method)
    whole, again = kind().fit(X), kind()
    for part in np.array_split(X[::-1], 7):
        again.partial_fit(part)
    merged = kind().fit(X[:10]) + kind().fit(X[10:])
    for one in (again, merged, whole + merged - whole, pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):
        assert one == whole
        assert one.whitening_.tobytes() == whole.whitening_.tobytes()
        assert one.transform(X).tobytes() == whole.transform(X).tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_a_row_is_mapped_the_same_whatever_it_comes_with(method):
    X = rows(1000, 9)
    one = sn.Whitener(method, n_components=7).fit(X)
    whole = one.transform(X)
    for cut in (1, 7, 192, 500):
        parts = [one.transform(X[i : i + cut]) for i in range(0, len(X), cut)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_rows_with_a_missing_value_are_left_out_and_stay_missing():
    X = rows(20, 3)
    holes = X.copy()
    holes[3, 1] = holes[7, 0] = holes[7, 2] = np.nan
    one, there = sn.Whitener().fit(holes), ~np.isnan(holes).any(axis=1)
    assert one.n_samples_left_out_ == 2
    assert one.covariance_.tolist() == sn.Whitener().fit(X[there]).covariance_.tolist()
    Y = one.transform(holes)
    assert (np.isnan(Y).any(axis=1) == ~there).all()
    assert (np.isnan(Y).all(axis=1) == ~there).all()
    table = table_of(holes, from_pandas=True)
    arrow = sn.Whitener().fit(table).transform(table)
    assert [column.null_count for column in arrow.columns] == [2, 2, 2]
    assert np.array_equal(arrow.to_pandas().to_numpy(), Y, equal_nan=True)


def test_weights_are_numbers_of_rows():
    X, w = rows(40, 3), np.arange(40) % 4.0
    weighted = sn.Whitener().fit(X, sample_weight=w)
    repeated = sn.Whitener().fit(np.repeat(X, w.astype(int), axis=0))
    for name in ("mean_", "covariance_", "whitening_"):
        assert (getattr(weighted, name) == getattr(repeated, name)).all()
    assert weighted.n_samples_seen_ == repeated.n_samples_seen_ == w.sum()
    fractions = sn.Whitener().fit(X, sample_weight=w / 3)
    cut = sn.Whitener().fit(X[:9], sample_weight=w[:9] / 3) + sn.Whitener().fit(X[9:], sample_weight=w[9:] / 3)
    assert cut == fractions


def test_few_rows_have_no_covariance_and_a_warning_says_so():
    one = sn.Whitener().fit([[1.0, 2.0]])
    assert np.isnan(one.covariance_).all()
    with pytest.warns(UserWarning, match="no more than ddof"):
        assert np.isnan(one.transform([[1.0, 2.0]])).all()


# ---- containers ----


@pytest.mark.parametrize("method", METHODS)
def test_arrow_in_arrow_out(method):
    X = rows(50, 3)
    table = table_of(X).replace_schema_metadata({"who": "me"})
    one = sn.Whitener(method).fit(table)
    out = one.transform(table)
    assert out.schema.names == (["c0", "c1", "c2"] if method == "zca" else ["whitener0", "whitener1", "whitener2"])
    assert out.schema.metadata == {b"who": b"me"}
    assert out.to_pandas().to_numpy().tobytes() == one.transform(table.to_pandas()).tobytes()
    back = one.inverse_transform(out)
    assert back.schema.names == ["c0", "c1", "c2"]
    np.testing.assert_allclose(back.to_pandas(), X, rtol=0, atol=1e-10)
    reader = one.transform(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=7)))
    assert reader.schema.names == out.schema.names
    assert reader.read_all().combine_chunks() == out.combine_chunks()
    frame = clone(one).set_output(transform="pandas").fit_transform(table.to_pandas())
    assert list(frame.columns) == out.schema.names
    assert sn.Whitener(method).fit(iter(table.to_batches(max_chunksize=7))) == one


def test_the_type_of_the_data_stays():
    X = rows(50, 3).astype(np.float32)
    one = sn.Whitener().fit(X)
    assert one.transform(X).dtype == np.float32
    assert {str(kind) for kind in sn.Whitener().fit_transform(table_of(X)).schema.types} == {"float"}
    assert one == sn.Whitener().fit(X.astype(np.float64))


def test_names_of_the_results():
    frame = pd.DataFrame(rows(9, 2), columns=["a", "b"])
    assert sn.Whitener().fit(frame).get_feature_names_out().tolist() == ["a", "b"]
    assert sn.Whitener("pca", n_components=1).fit(frame).get_feature_names_out().tolist() == ["whitener0"]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (sn.Whitener("cholesky"), "'method'"),
        (sn.Whitener(n_components=0), "'n_components'"),
        (sn.Whitener("pca", n_components=4), "n_components=4 must be at most 3"),
        (sn.Whitener(regularization=-1), "'regularization'"),
        (sn.Whitener(regularization=float("inf")), "'regularization'"),
    ],
)
def test_parameters_that_cannot_be_used(one, words):
    with pytest.raises(ValueError, match=words):
        one.fit(rows(9, 3))
    assert not hasattr(one, "n_features_in_")


def test_infinities_are_refused_with_their_place():
    table = table_of(rows(9, 3))
    bad = table.set_column(1, "c1", pa.array([1.0] * 8 + [np.inf]))
    one = sn.Whitener().fit(table)
    digest = one.digest()
    with pytest.raises(InfiniteValueError, match="column 'c1', row 17 of the input"):
        one.partial_fit(pa.concat_tables([table, bad]))
    with pytest.raises(InfiniteValueError, match="column 'c1', row 8"):
        one.transform(bad)
    assert one.digest() == digest


def test_results_beyond_float64_are_refused():
    one = sn.Whitener().fit(rows(9, 2) * 1e-300)
    with pytest.raises(OverflowedError, match="row 1"):
        one.transform([[1e-300, 1.0], [1e300, 1.0]])


def test_other_parameters_or_columns_are_not_added():
    X = rows(9, 3)
    one = sn.Whitener().fit(X)
    with pytest.raises(MergeError, match="other parameters"):
        one + sn.Whitener("pca").fit(X)
    with pytest.raises(MergeError, match="other columns"):
        one + sn.Whitener().fit(X[:, :2])
    with pytest.raises(MergeError, match="cannot forget"):
        one - (one + one)
    assert one == sn.Whitener(regularization=0).fit(X)


def test_scikit_learn_gets_the_same_numbers_where_it_has_the_map():
    X = rows()
    one = sn.Whitener("pca", n_components=3).fit(X)
    peer = one.to_sklearn()
    np.testing.assert_allclose(peer.transform(X), one.transform(X), rtol=0, atol=1e-10)
    np.testing.assert_allclose(peer.noise_variance_, PCA(3).fit(X).noise_variance_, rtol=1e-9)
    X[:, 1] = X[:, 0]
    for other in (sn.Whitener(), sn.Whitener("pca"), sn.Whitener("pca", n_components=2, regularization=1.0)):
        with pytest.raises(DataError, match="whitens by PCA alone"):
            other.fit(X).to_sklearn()


def test_jobs_over_files_refuse_it_by_name(tmp_path):
    one = sn.Whitener().fit(rows(9, 3))
    sn.save(one, tmp_path / "w.json")
    for state in (one, tmp_path / "w.json"):
        with pytest.raises(StateError, match="a Whitener, which maps whole rows"):
            sn.transform(state, "no.parquet", tmp_path / "out.parquet")
    with pytest.raises(DataError, match="needs its whole row"):
        sn.export.to_sql(one)


def test_a_damaged_state_is_refused(tmp_path):
    one = sn.Whitener().fit(rows(9, 3))
    document = json.loads(sn.dumps(one))
    del document["checksum"], document["format"], document["version"]
    assert sn.loads(signed(document)) == one
    wrong = [
        {"pairs": document["learnt"]["pairs"] | change}
        for change in ({"width": 1, "data": ""}, {"exponent": 3}, {"width": 2**40}, {"data": "!"})
    ]
    nothing = sn.Whitener().fit(rows(1, 3)) - sn.Whitener().fit(rows(1, 3))
    wrong += [{"counts": {}}, {"counts": json.loads(sn.dumps(nothing))["learnt"]["counts"]}, {"more": 1}]
    for change in wrong:
        with pytest.raises(StateError, match="cannot be read"):
            sn.loads(signed(document | {"learnt": document["learnt"] | change}))
    for key in ("learnt", "columns", "named"):
        with pytest.raises(StateError, match="cannot be read"):
            sn.loads(signed({name: value for name, value in document.items() if name != key}))


@pytest.mark.parametrize("method", METHODS)
def test_numbers_at_the_ends_of_float64(method):
    X = np.array([[1.7e308, 1e250], [-1.7e308, 2e250], [1.6e308, 5e250], [1.0, 4e250]])
    Y = sn.Whitener(method).fit(X).transform(X)  # differences from the mean are beyond float64
    np.testing.assert_allclose(np.cov(Y.T), np.eye(2), atol=1e-12)
    tiny = sn.Whitener(method).fit(rows(9, 2) * 1e-320)
    assert np.isfinite(tiny.whitening_).all()
    assert np.isfinite(tiny.transform(rows(9, 2) * 1e-320)).all()
