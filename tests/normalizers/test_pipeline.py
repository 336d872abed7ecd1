"""StreamingPipeline, and every normalizer inside scikit-learn's own machinery."""

from __future__ import annotations

import importlib.util
import pickle

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import streamnorm as sn

NORMALIZERS = [
    sn.StandardScaler(),
    sn.MinMaxScaler(),
    sn.MaxAbsScaler(),
    sn.RobustScaler(),
    sn.QuantileTransformer(n_quantiles=20),
    sn.AdaptiveStandardScaler(50),
    sn.BatchNormalizer(momentum=0.0),
    sn.Whitener(),
]


def data(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(1000, 50, size=(n, 3))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def test_a_stream_of_pairs_is_its_batches():
    X, y = data()
    parts = list(zip(np.split(X, 8), np.split(y, 8), strict=True))
    steps = [("scale", sn.StandardScaler()), ("learn", SGDClassifier(random_state=0))]
    one = sn.StreamingPipeline([(n, clone(s)) for n, s in steps])
    for batch, target in parts:
        one.partial_fit(batch, target, classes=[0, 1])
    other = sn.StreamingPipeline([(n, clone(s)) for n, s in steps]).partial_fit(iter(parts), classes=[0, 1])
    assert np.array_equal(one["learn"].coef_, other["learn"].coef_)
    assert one["scale"] == other["scale"] == sn.StandardScaler().fit(X)
    assert one.score(X, y) > 0.9


def test_arrow_batches_without_targets():
    X, _ = data()
    table = pa.table({f"x{i}": X[:, i] for i in range(3)})
    steps = [("scale", sn.MinMaxScaler()), ("nothing", "passthrough"), ("cluster", MiniBatchKMeans(3, random_state=0))]
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=100))
    model = sn.StreamingPipeline(steps).partial_fit(reader)
    assert model["scale"] == sn.MinMaxScaler().fit(table)
    assert model.predict(table).shape == (400,)
    with pytest.raises(ValueError, match="pairs"):
        model.partial_fit(iter([X]), y=np.zeros(3))


def test_a_frozen_step_does_not_learn():
    X, y = data()
    scaler = sn.StandardScaler().fit(X)
    digest = scaler.digest()
    model = sn.StreamingPipeline([("scale", scaler.frozen()), ("learn", SGDClassifier(random_state=0))])
    model.partial_fit(X + 100, y, classes=[0, 1])
    model.fit(X + 100, y)
    assert scaler.digest() == digest


def test_a_step_that_cannot_stream_is_named_before_any_learns():
    scaler = sn.StandardScaler()
    model = sn.StreamingPipeline([("scale", scaler), ("one", FunctionTransformer()), ("learn", SGDClassifier())])
    with pytest.raises(ValueError, match=r"'one'.*FunctionTransformer.*partial_fit"):
        model.partial_fit(*data(), classes=[0, 1])
    assert not scaler.__sklearn_is_fitted__()


def test_everything_else_is_sklearns_pipeline():
    X, y = data()
    ours, theirs = (
        kind([("scale", sn.StandardScaler()), ("learn", LogisticRegression())]).fit(X, y)
        for kind in (sn.StreamingPipeline, Pipeline)
    )
    assert np.array_equal(ours.predict_proba(X), theirs.predict_proba(X))
    assert isinstance(clone(ours), sn.StreamingPipeline)


class Seen:
    """A callback that writes down what it is told of."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append(("setup",))

    def teardown(self, estimator, context):
        self.calls.append(("teardown",))

    def on_fit_task_begin(self, estimator, context, *, X=None, metadata=None):
        self.calls.append(("begin", X, metadata))

    def on_fit_task_end(self, estimator, context, *, X=None, metadata=None, fitted_estimator=None):
        self.calls.append(("end", X, metadata, fitted_estimator))


needs_callbacks = pytest.mark.skipif(
    importlib.util.find_spec("sklearn.callback") is None, reason="scikit-learn has callbacks from 1.9 on"
)


@pytest.mark.parametrize("scaler", NORMALIZERS, ids=str)
class TestInsideSklearn:
    def test_grid_search_over_its_parameters(self, scaler):
        X, y = data(200)
        name = sorted(scaler.get_params())[0]
        grid = {f"{type(scaler).__name__.lower()}__{name}": [scaler.get_params()[name]]}
        search = GridSearchCV(make_pipeline(clone(scaler), LogisticRegression()), grid, cv=2, n_jobs=2).fit(X, y)
        assert search.best_score_ > 0.6  # MaxAbsScaler does not centre, which slows the solver

    def test_column_transformer(self, scaler):
        X, _ = data(100)
        frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=["x", "y"] * 50)
        both = ColumnTransformer([("n", clone(scaler), ["a", "c"]), ("k", OneHotEncoder(), ["kind"])])
        out = both.fit_transform(frame)
        assert out.shape == (100, 4)
        assert np.array_equal(out[:, :2], clone(scaler).fit_transform(frame[["a", "c"]]))
        assert list(both.get_feature_names_out()) == ["n__a", "n__c", "k__kind_x", "k__kind_y"]

    def test_pickle_and_joblib(self, scaler, tmp_path):
        X, _ = data(100)
        fitted = clone(scaler).fit(X)
        joblib.dump(fitted, tmp_path / "scaler.joblib")
        for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "scaler.joblib")):
            assert again == fitted
            assert again.digest() == fitted.digest()
            assert np.array_equal(again.transform(X), fitted.transform(X))
            assert again.partial_fit(X) != fitted

    @needs_callbacks
    def test_callbacks_see_every_fit(self, scaler):
        X, _ = data(60)
        weights, seen = np.arange(60) % 3, Seen()
        one = clone(scaler).set_callbacks(seen)
        one.fit(X, sample_weight=weights).partial_fit(X)
        assert one == clone(scaler).fit(X, sample_weight=weights).partial_fit(X)
        first, second = ("begin", "end", "teardown"), ("begin", "end", "teardown")
        assert [what for what, *_ in seen.calls if what != "setup"] == [*first, *second]
        ends = [call[1:] for call in seen.calls if call[0] == "end"]
        assert ends[0][0] is X
        assert ends[0][1]["sample_weight"] is weights
        assert ends[0][2] == clone(scaler).fit(X, sample_weight=weights)
        assert ends[1][2] == one

    @needs_callbacks
    def test_a_failing_fit_with_callbacks_changes_nothing(self, scaler):
        X, _ = data(60)
        one = clone(scaler).set_callbacks(Seen()).fit(X)
        with pytest.raises(ValueError, match="infinity"):
            one.partial_fit(np.full((5, 3), np.inf))
        assert one == clone(scaler).fit(X)

    def test_weights_are_routed_through_a_pipeline(self, scaler):
        X, y = data(60)
        weights = np.arange(60.0)
        with config_context(enable_metadata_routing=True):
            asks = clone(scaler).set_fit_request(sample_weight=True)
            learns = LogisticRegression().set_fit_request(sample_weight=False)
            pipe = Pipeline([("scale", asks), ("learn", learns)]).fit(X, y, sample_weight=weights)
            assert pipe["scale"] == clone(scaler).fit(X, sample_weight=weights)
            asks.set_fit_request(sample_weight=False)
            learns.set_fit_request(sample_weight=True)
            pipe = Pipeline([("scale", asks), ("learn", learns)]).fit(X, y, sample_weight=weights)
            assert pipe["scale"] == clone(scaler).fit(X)
        plain = Pipeline([("scale", clone(scaler)), ("learn", LogisticRegression())])
        assert plain.fit(X, y, scale__sample_weight=weights)["scale"] == clone(scaler).fit(X, sample_weight=weights)

    def test_clone_forgets(self, scaler):
        fitted = clone(scaler).fit(data()[0])
        assert clone(fitted) != fitted
        assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.parametrize("scaler", NORMALIZERS[:5], ids=str)
def test_to_sklearn_gives_the_same_numbers(scaler):
    X, _ = data()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    fitted = clone(scaler).fit(frame)
    plain = fitted.to_sklearn()
    assert type(plain).__module__.startswith("sklearn.")
    assert type(plain).__name__ == type(fitted).__name__
    assert np.array_equal(plain.transform(frame), fitted.transform(frame))
    assert list(plain.feature_names_in_) == ["a", "b", "c"]
