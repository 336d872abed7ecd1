"""`KBinsDiscretizer` gives scikit-learn's bins, exactly where the histogram holds the values."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from shell import streamnorm
from sklearn.preprocessing import KBinsDiscretizer as Sklearn

import streamnorm as sn
from streamnorm.errors import DataError

RNG = np.random.default_rng(5)
X = np.stack([RNG.normal(size=900), RNG.lognormal(size=900) * 1e6, RNG.integers(0, 40, 900).astype(float)], axis=1)
METHODS = ("averaged_inverted_cdf", "inverted_cdf", "linear")
FORMS = [("uniform", "linear"), *(("quantile", method) for method in METHODS)]


@pytest.mark.parametrize("n_bins", [2, 5, 7, [3, 4, 5]])
@pytest.mark.parametrize(("strategy", "method"), FORMS)
def test_edges_and_results_are_scikit_learns(strategy, method, n_bins):
    given = {"n_bins": n_bins, "strategy": strategy, "quantile_method": method}
    one = sn.KBinsDiscretizer(**given, encode="ordinal").fit(X)
    peer = Sklearn(**given, encode="ordinal", subsample=None).fit(X)
    for own, theirs in zip(one.bin_edges_, peer.bin_edges_, strict=True):
        assert np.array_equal(own, theirs)
    assert one.n_bins_.tolist() == peer.n_bins_.tolist()
    beyond = np.concatenate([X, [[-1e9] * 3, [1e9] * 3]])
    assert np.array_equal(one.transform(beyond), peer.transform(beyond))
    assert np.allclose(one.inverse_transform(one.transform(X)), peer.inverse_transform(peer.transform(X)), rtol=1e-15)
    for encode in ("onehot", "onehot-dense"):
        hot, theirs = (kind(**given, encode=encode).fit(X) for kind in (sn.KBinsDiscretizer, Sklearn))
        out, wanted = hot.transform(X), theirs.transform(X)
        assert type(out) is type(wanted)
        assert abs(out - wanted).max() == 0
        assert hot.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
        assert np.allclose(hot.inverse_transform(out), theirs.inverse_transform(wanted), rtol=1e-15)
        assert abs(hot.to_sklearn().transform(X) - out).max() == 0


def test_whole_weights_are_repetitions():
    weights = np.arange(len(X)) % 4
    one = sn.KBinsDiscretizer(6, encode="ordinal")
    repeated = sn.KBinsDiscretizer(6, encode="ordinal").fit(np.repeat(X, weights, axis=0))
    assert one.fit(X, sample_weight=weights) == repeated


def test_missing_values_stay_missing():
    x = X.copy()
    x[::10, 0] = np.nan
    one = sn.KBinsDiscretizer(4, encode="ordinal").fit(x)
    assert np.array_equal(np.isnan(one.transform(x)), np.isnan(x))
    hot = sn.KBinsDiscretizer(4).fit(x)
    assert hot.transform(x)[:, :4].sum(axis=1).ravel().tolist()[0] == (~np.isnan(x[:, 0])).astype(float).tolist()
    assert np.array_equal(np.isnan(hot.inverse_transform(hot.transform(x))), np.isnan(x))


@pytest.mark.filterwarnings("ignore:Feature|Bins whose|.*no value")
@pytest.mark.parametrize(
    "column",
    [[7.0] * 5, [3.0], [np.nan] * 2, [0.0] * 99 + [1.0], [-1.7e308, 0.0, 1.7e308], [5e-324, 1e-323, 2e-323]],
)
@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_odd_columns(column, strategy):
    x = np.array(column)[:, np.newaxis]
    one = sn.KBinsDiscretizer(3, encode="ordinal", strategy=strategy).fit(x)
    out = one.transform(x)
    assert np.array_equal(np.isnan(out), np.isnan(x))
    assert not (out >= max(1, one.n_bins_[0])).any()
    back = one.inverse_transform(out)
    assert np.array_equal(np.isnan(back), np.isnan(x))
    if len(set(column)) == 1:
        assert np.array_equal(back, x, equal_nan=True)


def test_batches_order_states_and_forgetting():
    make = lambda: sn.KBinsDiscretizer(5, encode="onehot-dense", dtype=np.float32)  # noqa: E731
    whole, a, b = make().fit(X), make().fit(X[:300]), make().fit(X[300:])
    assert a + b == b + a == make().partial_fit(X[500:]).partial_fit(X[:500]) == whole
    assert (a + b) - b == a
    assert pickle.loads(pickle.dumps(whole)) == whole
    again = sn.loads(sn.dumps(whole))
    assert again == whole
    named = sn.KBinsDiscretizer(5, encode="onehot-dense", dtype="float32").fit(X)
    assert again.digest() == whole.digest() == named.digest()
    assert again.transform(X).dtype == np.float32
    assert np.array_equal(again.transform(X), whole.transform(X))


def test_containers():
    frame = pd.DataFrame(X, columns=list("abc"))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    dense = sn.KBinsDiscretizer(3, encode="onehot-dense").fit(frame).set_output(transform="pandas")
    out = dense.transform(frame)
    assert list(out.columns) == list(dense.get_feature_names_out())
    arrow = sn.KBinsDiscretizer(3).fit(table).transform(table)
    assert arrow.column_names == list(out.columns)
    assert np.array_equal(np.stack(arrow.columns, axis=1), out.to_numpy())
    ordinal = sn.KBinsDiscretizer(3, encode="ordinal").fit(table).transform(table)
    assert ordinal.column_names == ["a", "b", "c"]
    with pytest.raises(DataError, match="takes no stream"):
        sn.KBinsDiscretizer(3).fit(table).transform(table.to_reader())


def test_in_tables_by_key_and_recipes():
    table = pa.table({"x": X[:, 0], "k": np.arange(len(X)) % 2})
    recipe = {"columns": {"x": {"scaler": "kbins", "n_bins": 4, "strategy": "uniform"}}, "by": "k"}
    one = sn.TableNormalizer.from_recipe(recipe).fit(table)
    out = one.transform(table)["x"].to_numpy()
    for key in (0, 1):
        alone = sn.KBinsDiscretizer(4, encode="ordinal", strategy="uniform")
        assert np.array_equal(out[key::2, np.newaxis], alone.fit_transform(X[key::2, :1]))
    assert sn.loads(sn.dumps(one)) == one


def test_a_column_of_a_table_stays_one():
    table = pa.table({"x": X[:, 0], "y": X[:, 1]})
    with pytest.raises(DataError, match="encode='onehot': fit with encode='ordinal'"):
        sn.TableNormalizer(columns={"x": sn.KBinsDiscretizer(3)}).fit(table)
    one = sn.TableNormalizer(None, {"x": sn.KBinsDiscretizer(3, encode="ordinal")}).fit(table)
    wanted = one.transform(table)["x"].to_numpy()
    assert np.array_equal(sn.export.to_sklearn(one).transform(table.select(["x"]).to_pandas())[:, 0], wanted)


@pytest.mark.parametrize("encode", ["onehot", "onehot-dense"])
@pytest.mark.parametrize("inverse", [False, True])
def test_files_are_not_written_by_one_hot_states(encode, inverse, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(X, columns=list("abc"))
    frame.to_csv("in.csv", index=False)
    hot = sn.KBinsDiscretizer(3, encode=encode).fit(frame)
    sn.save(hot, "hot.json")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    words = f"KBinsDiscretizer has encode='{encode}': fit with encode='ordinal'"
    for one in (hot, "hot.json"):
        with pytest.raises(DataError, match=words):
            sn.transform(one, "in.csv", "out.csv", inverse=inverse)
    for output in ("out.csv", "-"):
        given = ["--inverse"] if inverse else []
        done = streamnorm(capsys, "transform", "hot.json", "in.csv", "--output", output, *given)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert words in done.err
    with pytest.raises(DataError, match=words):
        sn.follow(tmp_path, state="hot.json", output="out", once=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_engines_refuse_one_hot_states(tmp_path):
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(X, columns=list("abc"))
    frame.to_csv(tmp_path / "in.csv", index=False)
    hot = sn.KBinsDiscretizer(3).fit(frame)
    for data, output in ((dd.from_pandas(frame, npartitions=2), None), (tmp_path / "in.csv", tmp_path / "out.csv")):
        with pytest.raises(DataError, match="fit with encode='ordinal'"):
            sn.dask.transform(hot, data, output)
    with pytest.raises(DataError, match="fit with encode='ordinal'"):
        sn.spark.transform(hot, None)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_files_are_written_by_ordinal_states(tmp_path):
    frame = pd.DataFrame(X, columns=list("abc"))
    frame.to_csv(tmp_path / "in.csv", index=False)
    one = sn.KBinsDiscretizer(3, encode="ordinal").fit(frame)
    sn.save(one, tmp_path / "state.json")
    (written,) = sn.transform(tmp_path / "state.json", tmp_path / "in.csv", tmp_path / "out.csv")
    assert np.array_equal(pd.read_csv(written).to_numpy(), one.transform(frame))


def test_what_is_refused():
    with pytest.raises(DataError, match="kmeans"):
        sn.KBinsDiscretizer(strategy="kmeans").fit(X)
    with pytest.raises(DataError, match="differ by column"):
        sn.dumps(sn.KBinsDiscretizer([2, 3, 4]).fit(X))
    with pytest.raises(ValueError, match="invalid number of bins at indices 0"):
        sn.KBinsDiscretizer([1, 3, 4]).fit(X)
    for target in ("to_onnx", "to_sql", "to_keras", "to_torch"):
        with pytest.raises(DataError, match="put into bins"):
            getattr(sn.export, target)(sn.KBinsDiscretizer(encode="ordinal").fit(X))
    ordinal = sn.KBinsDiscretizer(encode="ordinal").fit(X)
    assert np.isnan(ordinal.inverse_transform([[5.0, -1.0, 99.0]])).all()
    with pytest.raises(ValueError, match="infinite"):
        ordinal.transform([[np.inf, 0.0, 0.0]])
