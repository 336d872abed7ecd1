"""What scikit-learn's users do: subclasses, threads, weights of nothing, tables with some of the columns."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

import streamnorm as sn
from streamnorm.errors import DataError

X = np.random.default_rng(0).normal(5, 2, (600, 3))
CLASSES = {
    "standard": (sn.StandardScaler, {}),
    "minmax": (sn.MinMaxScaler, {}),
    "maxabs": (sn.MaxAbsScaler, {}),
    "robust": (sn.RobustScaler, {}),
    "quantile": (sn.QuantileTransformer, {"n_quantiles": 9}),
    "adaptive": (sn.AdaptiveStandardScaler, {"halflife": 50}),
    "batch": (sn.BatchNormalizer, {}),
    "table": (sn.TableNormalizer, {}),
}


class MyStandard(sn.StandardScaler):
    """A subclass that adds a method."""

    def doubled(self, X):
        return 2 * self.transform(X)


class MyMinMax(sn.MinMaxScaler): ...


class MyMaxAbs(sn.MaxAbsScaler): ...


class MyRobust(sn.RobustScaler): ...


class MyQuantile(sn.QuantileTransformer): ...


class MyAdaptive(sn.AdaptiveStandardScaler): ...


class MyBatch(sn.BatchNormalizer): ...


class MyTable(sn.TableNormalizer): ...


MINE = {
    "standard": MyStandard, "minmax": MyMinMax, "maxabs": MyMaxAbs, "robust": MyRobust, "quantile": MyQuantile,
    "adaptive": MyAdaptive, "batch": MyBatch, "table": MyTable,
}  # fmt: skip


@pytest.mark.parametrize("name", MINE)
def test_subclasses_work(name):
    rows = pd.DataFrame(X, columns=["a", "b", "c"])
    mine, parent = MINE[name](**CLASSES[name][1]), CLASSES[name][0](**CLASSES[name][1])
    assert np.array_equal(np.asarray(mine.fit(rows).transform(rows)), np.asarray(parent.fit(rows).transform(rows)))
    assert type(clone(mine)) is type(mine)
    assert pickle.loads(pickle.dumps(mine)) == mine == MINE[name](**CLASSES[name][1]).fit(rows)
    if name not in ("adaptive", "batch"):
        both = MINE[name](**CLASSES[name][1]).fit(rows[:200]) + MINE[name](**CLASSES[name][1]).fit(rows[200:])
        assert type(both) is MINE[name]
        assert both == mine
    if name == "standard":
        assert np.array_equal(mine.doubled(rows), 2 * parent.transform(rows))
        assert np.array_equal(mine.to_sklearn().transform(rows), parent.transform(rows))


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("adaptive", "batch")])
def test_learning_from_several_threads_loses_nothing(name):
    kind, parameters = CLASSES[name]
    rows = pd.DataFrame(X, columns=["a", "b", "c"])
    learner = kind(**parameters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(learner.partial_fit, [rows[i : i + 3] for i in range(0, 600, 3)]))
    assert learner == kind(**parameters).fit(rows)


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "table"])
def test_weights_of_nothing_change_nothing(name):
    kind, parameters = CLASSES[name]
    nothing = np.zeros(600)
    late = kind(**parameters).partial_fit(X, sample_weight=nothing)
    assert not late.__sklearn_is_fitted__()
    assert vars(late) == vars(kind(**parameters))
    late.partial_fit(X).partial_fit(X * 9, sample_weight=nothing)
    assert late == kind(**parameters).fit(X)
    with pytest.raises(DataError, match="must contain at least one non-zero number"):
        kind(**parameters).fit(X, sample_weight=nothing)


def test_some_of_the_columns_where_that_is_asked_for():
    frame = pd.DataFrame({"x": [1.0, 3.0], "target": [10.0, 30.0], "shop": ["a", "b"]})
    strict = sn.TableNormalizer().fit(frame)
    lenient = sn.TableNormalizer(missing_columns="skip").fit(frame)
    assert lenient == strict
    z = lenient.transform(frame)
    for part in (["target"], ["x", "shop"], ["shop"]):
        assert lenient.inverse_transform(z[part]).equals(frame[part])
        assert lenient.transform(frame[part]).equals(z[part])
    with pytest.raises(DataError, match="column 'x' is missing here"):
        strict.inverse_transform(z[["target"]])
    with pytest.raises(DataError, match="missing_columns must be 'error' or 'skip', got 'some'"):
        sn.TableNormalizer(missing_columns="some").fit(frame)
