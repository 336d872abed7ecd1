"""`Winsorizer` gives what feature-engine's gives, on exact statistics."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import streamnorm as sn
from streamnorm.errors import DataError, SparseError

RNG = np.random.default_rng(12)
X = np.stack([RNG.normal(5, 2, 500), RNG.standard_t(1, 500) * 1e6, RNG.integers(0, 9, 500)], axis=1)
FORMS = [("gaussian", 3.0), ("gaussian", 1), ("iqr", 1.5), ("iqr", 0.25), ("quantiles", 0.05), ("quantiles", 0.2)]
TAILS = ["right", "left", "both"]


def theirs(method, fold):
    """The caps by feature-engine 1.9's formulas, by pandas."""
    frame = pd.DataFrame(X)
    if method == "gaussian":
        return frame.mean() - fold * frame.std(ddof=0), frame.mean() + fold * frame.std(ddof=0)
    share = fold if method == "quantiles" else 0.25
    low, high = frame.quantile(share), frame.quantile(1 - share)
    return (low, high) if method == "quantiles" else (low - fold * (high - low), high + fold * (high - low))


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(("method", "fold"), FORMS)
def test_it_is_feature_engines_formula(method, fold, tail):
    one, (low, high) = sn.Winsorizer(method, tail, fold).fit(X), theirs(method, fold)
    caps = [(one.left_tail_caps_, low, tail != "right"), (one.right_tail_caps_, high, tail != "left")]
    wanted = X
    for (found, cap, there), limit in zip(caps, (np.maximum, np.minimum), strict=True):
        assert (found is not None) == there
        if there:  # sums are exact here, and rounded by pandas
            assert np.abs(found - cap).max() <= (1e-9 * np.abs(cap).max() if method == "gaussian" else 0)
            wanted = limit(wanted, found)
    assert (one.transform(X) == wanted).all()
    assert (wanted != X).any()


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(("method", "fold"), FORMS)
def test_beside_feature_engine(method, fold, tail):
    peer = pytest.importorskip("feature_engine.outliers").Winsorizer(method, tail, fold)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    out, wanted = sn.Winsorizer(method, tail, fold).fit(frame).transform(frame), peer.fit_transform(frame)
    assert np.abs(out - wanted.to_numpy()).max() <= (1e-9 * np.abs(X).max() if method == "gaussian" else 0)


@pytest.mark.parametrize(("method", "fold"), [("gaussian", 3.0), ("iqr", 1.5), ("quantiles", 0.05)])
def test_defaults_are_feature_engines(method, fold):
    one = sn.Winsorizer(method).fit(X)
    assert (one.fold_, one.tail) == (fold, "right")
    assert (one.right_tail_caps_ == sn.Winsorizer(method, fold=fold).fit(X).right_tail_caps_).all()


def test_caps_of_moments_are_those_of_exact_sums():
    x = X[:, :1] + 1e9
    one, rows = sn.Winsorizer(tail="both").fit(x), [Fraction(v) for v in x[:, 0].tolist()]
    mean = sum(rows) / len(rows)
    deviation = np.sqrt(float(sum((row - mean) ** 2 for row in rows) / len(rows)))
    assert one.left_tail_caps_[0] == float(mean) - 3 * sn.StandardScaler().fit(x).scale_[0]
    assert abs(one.right_tail_caps_[0] - (float(mean) + 3 * deviation)) <= 2 * np.spacing(1e9)


def test_what_varies_in_nothing_between_the_caps_stays_as_it_is():
    x = np.array([[7.0, 0.0], [7.0, 0.0], [7.0, 0.0], [7.0, 0.0], [7.0, 9.0]])
    for method in ("gaussian", "iqr"):
        one = sn.Winsorizer(method, "both").fit(x)
        assert one.left_tail_caps_[0] == -np.inf
        assert one.transform([[8.0, 0.0]])[0, 0] == 8.0
    assert one.transform(x)[4, 1] == 9.0  # of the middle half nothing varies


def test_missing_values_stay_and_a_column_without_a_value_becomes_missing():
    one = sn.Winsorizer("quantiles", "right", 0.25).fit([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    with pytest.warns(UserWarning, match="no value"):
        out = one.transform([[np.nan, 1.0], [9.0, 2.0], [-9.0, np.nan]])
    assert out[1:, 0].tolist() == [2.5, -9.0]
    assert np.isnan([out[0, 0], *out[:, 1]]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64])
def test_types_are_those_of_every_scaler(dtype):
    x = np.array([[1], [2], [3], [4], [2**11]], dtype)
    out = sn.Winsorizer("iqr").fit(x).transform(x)
    assert out.dtype == (np.float64 if dtype == np.int64 else dtype)
    assert out.ravel().tolist() == [1, 2, 3, 4, 7]
    array = pa.record_batch({"a": pa.array(x[:, 0])})
    assert sn.Winsorizer("iqr").fit(array).transform(array)["a"].to_pylist() == [1, 2, 3, 4, 7]


def test_caps_beyond_all_numbers_cap_nothing():
    x = np.array([[-1.7e308], [1.7e308], [1.0], [2.0]])
    one = sn.Winsorizer("iqr", "both", 3.0).fit(x)
    assert (one.transform(x) == x).all()


def test_in_tables_by_key():
    table = pa.table({"k": ["a", "b"] * 50, "x": np.r_[np.arange(99.0), 1e6]})
    one = sn.TableNormalizer(sn.Winsorizer("quantiles", "both", 0.1), by="k").fit(table)
    for key in "ab":
        own = table["x"].filter(pa.array([k == key for k in table["k"].to_pylist()])).to_numpy()
        out = one.transform(table).to_pandas().query("k == @key")["x"]
        assert (out.to_numpy() == np.clip(own, *np.quantile(own, [0.1, 0.9]))).all()


def test_in_recipes_and_states(tmp_path):
    table = pa.table({"x": X[:, 0], "y": X[:, 1]})
    recipe = {"columns": {"x": {"scaler": "winsor", "tail": "both", "fold": 2}, "y": {"scaler": "winsor"}}}
    one = sn.TableNormalizer.from_recipe(recipe).fit(table)
    for name, kind in (("x", sn.Winsorizer(tail="both", fold=2.0)), ("y", sn.Winsorizer())):
        wanted = kind.fit(table.select([name])).transform(table.select([name]))
        assert one.transform(table)[name].equals(wanted[name])
    sn.save(one, tmp_path / "s.json")
    assert sn.load(tmp_path / "s.json") == one
    for wrong, words in (({"fold": -2}, "fold"), ({"fold": "far"}, "fold"), ({"tail": 3}, "tail")):
        with pytest.raises(DataError, match=words):
            sn.TableNormalizer.from_recipe({"columns": {"x": {"scaler": "winsor"} | wrong}})


def test_it_cannot_forget_where_it_could_not_have_counted_and_is_no_estimator_of_scikit_learn():
    parts = [sn.Winsorizer("iqr").fit(part) for part in np.split(X, [100])]
    assert (parts[0] + parts[1]) - parts[1] == parts[0]
    with pytest.raises(DataError, match="onnx or sql"):
        parts[0].to_sklearn()
    with pytest.raises(SparseError, match="Winsorizer"):
        sn.Winsorizer().fit(pytest.importorskip("scipy.sparse").csr_array(X))
