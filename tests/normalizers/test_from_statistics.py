"""Scalers of statistics that were given: they do what fitted ones do, but learn."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from sklearn import preprocessing
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import streamnorm as sn
from streamnorm.errors import DataError, MergeError

X = np.array([[1.5, 20.0], [2.25, -4.0], [np.nan, 0.125]])
CASES = {
    "standard": (sn.StandardScaler, {"mean": [1.0, 2.0], "scale": [3.0, 0.1]}, {}),
    "mean alone": (sn.StandardScaler, {"mean": [1.0, 2.0]}, {}),
    "scale alone": (sn.StandardScaler, {"scale": [1.0, 2.0]}, {"copy": False}),
    "robust": (sn.RobustScaler, {"center": [1.0, 2.0], "scale": [3.0, 0.1]}, {}),
    "centre alone": (sn.RobustScaler, {"center": [1.0, 2.0]}, {}),
    "minmax": (sn.MinMaxScaler, {"data_min": [0.0, -4.5], "data_max": [3.0, 21.0]}, {"feature_range": (-1, 2)}),
    "clip": (sn.MinMaxScaler, {"data_min": [0.0, 0.0], "data_max": [1.0, 1.0]}, {"clip": True}),
    "maxabs": (sn.MaxAbsScaler, {"max_abs": [7.0, 0.0]}, {}),
}
NAMES = ["b", "a"]
REFUSAL = r"were given \(from_statistics\) and not learnt, .*: learn with a new scaler"


def made(name, **more):
    kind, numbers, parameters = CASES[name]
    return kind.from_statistics(**numbers, **parameters, **more)


def of_sklearn(name):
    """Give scikit-learn's scaler with the same numbers, set by hand."""
    kind, numbers, parameters = CASES[name]
    own = getattr(preprocessing, kind.__name__)(**parameters)
    values = {statistic: np.array(given) for statistic, given in numbers.items()}
    if kind is sn.MinMaxScaler:
        return own.fit(np.array([values["data_min"], values["data_max"]]))
    if kind is sn.MaxAbsScaler:
        return own.fit(values["max_abs"][None])
    middle = "mean" if kind is sn.StandardScaler else "center"
    with_middle, with_scale = {"mean": ("with_mean", "with_std"), "center": ("with_centering", "with_scaling")}[middle]
    own.set_params(**{with_middle: middle in values, with_scale: "scale" in values})
    setattr(own, f"{middle}_", values.get(middle))
    own.scale_, own.n_features_in_ = values.get("scale"), 2
    return own


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_scikit_learn(name):
    scaler, other = made(name), of_sklearn(name)
    assert np.array_equal(scaler.transform(X.copy()), other.transform(X.copy()), equal_nan=True)
    assert np.array_equal(scaler.inverse_transform(X.copy()), other.inverse_transform(X.copy()), equal_nan=True)
    assert np.array_equal(scaler.to_sklearn().transform(X.copy()), other.transform(X.copy()), equal_nan=True)
    assert scaler.n_features_in_ == 2
    assert not hasattr(scaler, "n_samples_seen_")
    assert not hasattr(scaler, "quantile_error_")


@pytest.mark.parametrize("name", CASES)
def test_copies_and_states_are_equal(name, tmp_path):
    for names in (None, NAMES):
        scaler = made(name, names=names)
        sn.save(scaler, tmp_path / "state.json")
        for other in (sn.load(tmp_path / "state.json"), pickle.loads(pickle.dumps(scaler)), copy.deepcopy(scaler)):
            assert other == scaler
            assert other.digest() == scaler.digest()
            given = X.copy() if names is None else pa.table(dict(zip(NAMES, X.T, strict=True)))
            found, wanted = (np.array(s.transform(copy.copy(given))) for s in (other, scaler))
            assert np.array_equal(found, wanted, equal_nan=True)
        assert not hasattr(clone(scaler), "n_features_in_")
        changed = CASES[name][0].from_statistics(**{n: [9.0, 9.0] for n in CASES[name][1]})
        assert changed != made(name)
        assert changed.digest() != made(name).digest()


@pytest.mark.parametrize("name", CASES)
def test_it_neither_learns_nor_merges(name, tmp_path):
    scaler, fitted = made(name), clone(made(name)).fit(X)
    before = scaler.digest()
    for act in (scaler.fit, scaler.partial_fit, make_pipeline(scaler).fit):
        with pytest.raises(DataError, match=REFUSAL):
            act(X)
    for one, other in ((scaler, scaler), (scaler, fitted), (fitted, scaler)):
        with pytest.raises(MergeError, match=REFUSAL):
            one + other
        with pytest.raises(MergeError, match=REFUSAL):
            one - other
    with pytest.raises(DataError, match=REFUSAL):
        sn.TableNormalizer(scaler).fit(pa.table({"a": [1.0]}))
    assert scaler.digest() == before
    framed = make_pipeline(scaler.frozen(), preprocessing.FunctionTransformer()).fit_transform(X.copy())
    assert np.array_equal(framed, scaler.transform(X.copy()), equal_nan=True)
    assert (fitted + fitted).n_features_in_ == 2


def test_jobs_over_files(tmp_path):
    scaler = made("standard", names=NAMES)
    pq.write_table(pa.table(dict(zip(NAMES, X[:2].T, strict=True))), tmp_path / "in.parquet")
    state = tmp_path / "state.json"
    sn.save(scaler, state)
    for given in (scaler, state):
        (out,) = sn.transform(given, tmp_path / "in.parquet", tmp_path / "out.parquet", overwrite=True)
        assert np.array_equal(np.array(pq.read_table(out)), scaler.transform(pd.DataFrame(X[:2], columns=NAMES)))
    before = state.read_text()
    with pytest.raises(DataError, match=REFUSAL):
        sn.fit(tmp_path / "in.parquet", state=state, update=True)
    assert state.read_text() == before


@pytest.mark.parametrize("name", CASES)
def test_exports(name):
    runtime = pytest.importorskip("onnxruntime")
    scaler = made(name)
    session = runtime.InferenceSession(sn.export.to_onnx(scaler).SerializeToString())
    assert np.array_equal(session.run(None, {"X": X})[0], scaler.transform(X.copy()), equal_nan=True)
    assert "x0" in sn.export.to_sql(scaler)
    shown = sn.report.show(scaler)
    assert "given, not learnt" in repr(shown)
    assert '"given, not learnt"' in shown.to_json()


def test_names_come_from_series_and_mappings():
    mean = pd.Series({"b": 1.0, "a": 2.0})
    scaler = sn.StandardScaler.from_statistics(mean=mean, scale={"a": 3.0, "b": 4.0})
    assert list(scaler.feature_names_in_) == ["b", "a"]
    assert scaler.scale_.tolist() == [4.0, 3.0]
    one = sn.StandardScaler.from_statistics(mean=mean, scale=2.0, names=["a", "b"])
    assert (list(one.feature_names_in_), one.mean_.tolist(), one.scale_.tolist()) == (["a", "b"], [2, 1], [2, 2])
    assert sn.MaxAbsScaler.from_statistics(max_abs=255, names=list("rgb")).scale_.tolist() == [255.0] * 3


def test_sparse_and_float32():
    scaler = sn.MaxAbsScaler.from_statistics(max_abs=[4.0, 3.0])
    mapped = scaler.transform(sparse.csc_array(np.array([[2.0, 0.0]], np.float32)))
    assert (mapped.format, mapped.dtype, mapped.toarray().tolist()) == ("csc", np.float32, [[0.5, 0.0]])


class Mine(sn.StandardScaler): ...


def test_a_subclass():
    assert type(Mine.from_statistics(mean=1.0, scale=2.0)) is Mine


WRONG = [
    (sn.StandardScaler, {}, "StandardScaler.from_statistics needs mean"),
    (sn.StandardScaler, {"mean": 1, "with_std": True}, "needs scale, a number or one for each column"),
    (sn.StandardScaler, {"mean": [1, 2], "scale": [1, 0]}, r"scale of column 1 is 0\.0: give a number above 0"),
    (sn.StandardScaler, {"mean": [1, 2], "scale": [1, np.inf]}, "scale of column 1 is inf"),
    (sn.StandardScaler, {"mean": [1, np.nan], "names": ["p", "q"]}, "mean of column 'q' is nan: give a finite number"),
    (sn.StandardScaler, {"mean": [1, 2], "scale": [1, 2, 3]}, "mean has 2 numbers where another statistic has 3"),
    (sn.StandardScaler, {"mean": [1, 2], "names": ["a"]}, "there are 1 names for 2 columns"),
    (sn.StandardScaler, {"mean": "a"}, "mean must be numbers, one for each column, found 'a'"),
    (sn.StandardScaler, {"mean": [[1, 2]]}, r"one number for each column, found shape \(1, 2\)"),
    (sn.StandardScaler, {"mean": 1, "std": 2}, "does not know 'std': it takes mean, scale, names, copy, ddof"),
    (sn.StandardScaler, {"mean": {"a": 1}, "scale": {"b": 1}}, "given for other columns than the rest, .*'a', 'b'"),
    (sn.MinMaxScaler, {"data_min": 1}, "MinMaxScaler.from_statistics needs data_max"),
    (sn.MinMaxScaler, {"data_min": 3, "data_max": 2}, "data_min of column 0 is greater than data_max"),
    (sn.MaxAbsScaler, {"max_abs": -1}, r"max_abs of column 0 is -1\.0: give a number of at least 0"),
    (sn.QuantileTransformer, {"quantiles": [1]}, "QuantileTransformer is more than a few numbers of each column"),
    (sn.PowerTransformer, {}, "PowerTransformer is more than a few numbers of each column"),
]


@pytest.mark.parametrize(("kind", "given", "words"), WRONG, ids=lambda v: str(v)[:40])
def test_what_cannot_be_given_is_a_sentence(kind, given, words):
    with pytest.raises(DataError, match=words):
        kind.from_statistics(**given)
