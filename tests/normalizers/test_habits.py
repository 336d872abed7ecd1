"""What scikit-learn's users do: subclasses, threads, weights of nothing, tables with some of the columns."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

import streamnorm as sn
from streamnorm.errors import DataError, StateError

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
    "whitener": (sn.Whitener, {}),
    "squashing": (sn.SquashingScaler, {}),
    "kbins": (sn.KBinsDiscretizer, {"encode": "ordinal"}),
    "winsor": (sn.Winsorizer, {"capping_method": "iqr"}),
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


class MyWhitener(sn.Whitener): ...


class MySquashing(sn.SquashingScaler): ...


class MyBins(sn.KBinsDiscretizer): ...


class MyWinsorizer(sn.Winsorizer): ...


MINE = {
    "standard": MyStandard, "minmax": MyMinMax, "maxabs": MyMaxAbs, "robust": MyRobust, "quantile": MyQuantile,
    "adaptive": MyAdaptive, "batch": MyBatch, "table": MyTable, "whitener": MyWhitener,
    "squashing": MySquashing, "kbins": MyBins, "winsor": MyWinsorizer,
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


@pytest.mark.parametrize("name", MINE)
def test_a_state_cannot_name_a_subclass(name, tmp_path):
    mine = MINE[name](**CLASSES[name][1]).fit(pd.DataFrame(X, columns=["a", "b", "c"]))
    words = f"{MINE[name].__name__} is one of your own: keep it by pickle, or fit a {CLASSES[name][0].__name__}"
    with pytest.raises(StateError, match=words):
        sn.save(mine, tmp_path / "state.json")
    assert list(tmp_path.iterdir()) == []
    if name not in ("adaptive", "batch", "whitener"):
        pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2]}), tmp_path / "in.parquet")
        (out,) = sn.transform(mine, tmp_path / "in.parquet", tmp_path / "out.parquet")
        assert (
            pq.read_table(out)["a"].to_pylist()
            == mine.transform(pq.read_table(tmp_path / "in.parquet"))["a"].to_pylist()
        )


# ---- several threads ----

ROWS = pd.DataFrame(X, columns=["a", "b", "c"])


class Exporting:
    """Something that exports Arrow data, and runs code to make it."""

    def __init__(self, batches) -> None:
        self.batches = batches

    def __arrow_c_stream__(self, requested_schema=None):
        batches = (pa.RecordBatch.from_pandas(batch) for batch in self.batches)
        schema = pa.RecordBatch.from_pandas(ROWS).schema
        return pa.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__(requested_schema)


WAYS = {"iterator": iter, "exported": Exporting}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", CLASSES)
def test_streams_that_learn_from_each_other_do_not_wait_for_each_other(name, method, way):
    """Two streams, each of which teaches the object that the other one is read for, while both are being read."""
    kind, parameters = CLASSES[name]
    one, two = kind(**parameters), kind(**parameters)
    both = threading.Barrier(2, timeout=30)

    def stream(other):
        yield ROWS[:10]
        both.wait()
        other.partial_fit(ROWS[10:20])
        both.wait()
        yield ROWS[20:30]

    def learn(own, other):
        getattr(own, method)(WAYS[way](stream(other)))

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(learn, own, other) for own, other in ((one, two), (two, one))]
        if name in ("adaptive", "batch") and method == "partial_fit":
            for job in jobs:
                with pytest.raises(DataError, match="has learnt from other rows while it learnt from a stream"):
                    job.result(timeout=60)
            assert one == two == kind(**parameters).fit(ROWS[10:20])
            return
        for job in jobs:
            job.result(timeout=60)
    wanted = kind(**parameters)
    parts = [ROWS[:10], ROWS[20:30]] if method == "fit" else [ROWS[:10], ROWS[10:20], ROWS[20:30]]
    for part in [pd.concat(parts)] if (name, way) == ("batch", "exported") else parts:  # which is one batch
        wanted.partial_fit(part)
    assert one == two == wanted


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in ("adaptive", "batch")])
def test_a_stream_may_wait_for_threads_that_learn(name):
    kind, parameters = CLASSES[name]
    learner, others = kind(**parameters), [kind(**parameters) for _ in range(300)]  # more than there are locks

    def stream(pool):
        for start in range(0, 600, 200):
            yield ROWS[start : start + 200]
            list(pool.map(kind.partial_fit, others, [ROWS[start : start + 2]] * len(others)))
            pool.submit(learner.partial_fit, ROWS[start : start + 1]).result(timeout=30)

    with ThreadPoolExecutor(4) as pool:
        learner.partial_fit(stream(pool))
    again = pd.concat([ROWS, ROWS[0:1], ROWS[200:201], ROWS[400:401]])
    assert learner == kind(**parameters).fit(again)


@pytest.mark.parametrize("name", CLASSES)
def test_a_stream_that_fails_changes_nothing(name):
    kind, parameters = CLASSES[name]

    def stream():
        yield ROWS[:10]
        raise RuntimeError("the line was cut")

    for learner in (kind(**parameters), kind(**parameters).fit(ROWS)):
        before = dict(vars(learner))
        for way in (learner.fit, learner.partial_fit):
            with pytest.raises(RuntimeError, match="the line was cut"):
                way(stream())
            assert vars(learner) == before


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
