"""Pipelines of our steps and of scikit-learn's in ONNX, against what they give themselves."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

import streamnorm as sn
from streamnorm.errors import DataError, OutputError

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
pytest.importorskip("skl2onnx", reason="needs the extra 'export'")

RNG = np.random.default_rng(0)
X = RNG.normal([1000, 5, -3], [2, 30, 0.1], (200, 3))
Y = (X[:, 0] + X[:, 1] / 15 > 1000).astype(int)


def outputs(model, given) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": given}), strict=True))


class Mine(sn.StandardScaler): ...


PIPELINES = {
    "regressor": make_pipeline(sn.StandardScaler(), Ridge()),
    "classifier": make_pipeline(sn.RobustScaler(), LogisticRegression()),
    "forest": make_pipeline(MinMaxScaler(), sn.QuantileTransformer(n_quantiles=50), RandomForestClassifier(5)),
    "neighbours": make_pipeline(sn.MinMaxScaler(clip=True), KNeighborsClassifier(3)),
    "transformers": make_pipeline(sn.RobustScaler(), PCA(2), sn.MinMaxScaler()),
    "ours alone": make_pipeline(sn.StandardScaler(), "passthrough", sn.MaxAbsScaler()),
    "side by side": make_pipeline(
        ColumnTransformer([("a", sn.StandardScaler(), [0, 2]), ("b", MinMaxScaler(), [1])]), Ridge()
    ),
    "frozen": make_pipeline(sn.StandardScaler().fit(X).frozen(), Ridge()),
    "within": make_pipeline(make_pipeline(sn.StandardScaler(), sn.MinMaxScaler()), PCA(2)),
    "streaming": sn.StreamingPipeline([("scale", sn.StandardScaler()), ("learn", Ridge())]),
    "adaptive": make_pipeline(sn.AdaptiveStandardScaler(50), Ridge()),
    "layer": make_pipeline(sn.BatchNormalizer(momentum=0.0), Ridge()),
    "subclass": make_pipeline(Mine(), Ridge()),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_gives_what_it_gives_in_python(name, dtype):
    pipeline, given = PIPELINES[name].fit(X, Y), X.astype(dtype)
    found = outputs(sn.export.to_onnx(pipeline, dtype=dtype), given)
    close = {"rtol": 1e-12, "atol": 1e-12} if dtype == "float64" else {"rtol": 1e-5, "atol": 1e-5}
    if hasattr(pipeline, "predict_proba"):
        assert list(found) == ["label", "probabilities"]
        assert np.array_equal(found["label"], pipeline.predict(given))
        loose = close if name == "classifier" else {"atol": 1e-6}
        assert np.allclose(found["probabilities"], pipeline.predict_proba(given), **loose)
        return
    wanted = pipeline.predict(given) if hasattr(pipeline, "predict") else pipeline.transform(given)
    assert list(found) == ["Y"]
    assert np.allclose(found["Y"].reshape(wanted.shape), wanted, **close)
    if name == "ours alone":
        assert np.array_equal(found["Y"], wanted)


def test_a_step_that_is_ours_has_the_same_bits_as_alone():
    pipeline = make_pipeline(sn.StandardScaler()).fit(X)
    alone = outputs(sn.export.to_onnx(pipeline[0]), X)["Y"]
    assert np.array_equal(outputs(sn.export.to_onnx(pipeline), X)["Y"], alone)
    assert np.array_equal(alone, pipeline.transform(X))


def test_frames_and_tables():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    pipeline = make_pipeline(sn.TableNormalizer(columns={"b": "robust"}), Ridge()).fit(frame, Y)
    model = sn.export.to_onnx(pipeline)
    assert np.allclose(outputs(model, X)["Y"][:, 0], pipeline.predict(frame), rtol=1e-12)
    model = sn.export.to_onnx(make_pipeline(sn.StandardScaler(), Ridge()).fit(frame, Y))
    assert json.loads(model.metadata_props[0].value) == ["a", "b", "c"]
    wider = make_pipeline(sn.TableNormalizer(), Ridge()).fit(frame.assign(flag=True), Y)
    with pytest.raises(DataError, match="step 'tablenormalizer' normalises 3 columns and hands 4 on"):
        sn.export.to_onnx(wider)


def test_clusters():
    pipeline = make_pipeline(sn.StandardScaler(), KMeans(3, random_state=0)).fit(X)
    assert np.array_equal(outputs(sn.export.to_onnx(pipeline), X)["label"], pipeline.predict(X))


class Odd(FunctionTransformer): ...


def test_a_step_that_cannot_be_exported_is_named():
    exp = make_pipeline(sn.StandardScaler(), FunctionTransformer(np.exp), Ridge()).fit(X, Y)
    words = r"step 'functiontransformer', a FunctionTransformer, cannot be exported by skl2onnx \(.*\): give the steps "
    with pytest.raises(DataError, match=words + r"before it \(pipeline\[:1\]\)"):
        sn.export.to_onnx(exp)
    assert list(outputs(sn.export.to_onnx(exp[:1]), X)) == ["Y"]
    first = Pipeline([("odd", Odd()), ("scale", sn.StandardScaler())]).fit(X)
    with pytest.raises(DataError, match=r"step 'odd', a Odd, cannot be exported by skl2onnx .*: leave it out"):
        sn.export.to_onnx(first)
    for scaler, words in (
        (sn.PowerTransformer(), "step 'powertransformer': column 'x0' goes through a power transform"),
        (sn.Normalizer(), "step 'normalizer': a Normalizer learns nothing"),
    ):
        with pytest.raises(DataError, match=words):
            sn.export.to_onnx(make_pipeline(scaler, Ridge()).fit(X, Y))
    normal = make_pipeline(sn.QuantileTransformer(n_quantiles=9, output_distribution="normal"), Ridge()).fit(X, Y)
    with pytest.raises(DataError, match="column 'x0' becomes a normal variable"):
        sn.export.to_onnx(normal)
    with pytest.raises(DataError, match="no step that does anything"):
        sn.export.to_onnx(make_pipeline("passthrough"))


def test_float32_warns_of_our_steps():
    far = make_pipeline(sn.StandardScaler(), Ridge()).fit(X + np.array([0, 0, 1e7]), Y)
    with pytest.warns(UserWarning, match="float32 loses up to .* of column 'x2'"):
        sn.export.to_onnx(far, dtype="float32")


def test_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skl2onnx", None)
    with pytest.raises(OutputError, match="this export needs skl2onnx"):
        sn.export.to_onnx(make_pipeline(sn.StandardScaler(), Ridge()).fit(X, Y))
    assert sn.export.to_onnx(sn.StandardScaler().fit(X))


def test_write(tmp_path):
    pipeline = make_pipeline(sn.StandardScaler(), Ridge()).fit(X, Y)
    sn.export.write(pipeline, "onnx", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert np.allclose(session.run(None, {"X": X})[0][:, 0], pipeline.predict(X), rtol=1e-12)
