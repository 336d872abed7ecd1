"""scikit-learn's own checks, on every normalizer, with no expected failure and no skip.

Checks of arrays of libraries that are not installed, or need another device, cannot run and are left out
of the list rather than skipped; with torch installed its checks on the processor run.
"""

from __future__ import annotations

import importlib.util
import inspect

import pandas as pd
import polars as pl
import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

import streamnorm as sn

NORMALIZERS = [
    sn.StandardScaler(),
    sn.StandardScaler(with_mean=False, ddof=1),
    sn.MinMaxScaler(),
    sn.MinMaxScaler(clip=True),
    sn.MinMaxScaler(quantile_range=(5, 95)),
    sn.MaxAbsScaler(),
    sn.RobustScaler(),
    sn.RobustScaler(with_centering=False, unit_variance=True),
    sn.QuantileTransformer(n_quantiles=5),
    sn.QuantileTransformer(n_quantiles=5, output_distribution="normal"),
    sn.PowerTransformer(),
    sn.PowerTransformer(standardize=False),
    sn.Whitener(),
    sn.Whitener("pca"),
    sn.Whitener("pca", n_components=1, regularization=0.5),
    sn.SquashingScaler(),
    sn.SquashingScaler(1.5, (10.0, 90.0)),
    sn.KBinsDiscretizer(encode="onehot-dense"),
    sn.KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
    sn.Winsorizer(),
    sn.Winsorizer("iqr", "both", 0.5),
    sn.Normalizer(),
    sn.Normalizer("max"),
    # So slow a decay that the order does not show: the checks of weights shuffle the rows.
    sn.AdaptiveStandardScaler(1e12),
    sn.AdaptiveStandardScaler(1e12, with_mean=False),
    sn.AdaptiveStandardScaler(1e12, with_std=False),
    sn.BatchNormalizer(),
    sn.BatchNormalizer.torch(),
    sn.BatchNormalizer(1, 0.5, gamma=2.0, beta=1.0),
    sn.BatchNormalizer(scale=False),
]


def can_run(estimator, check) -> bool:
    if "on_sparse_data" in str(check) and not estimator.__sklearn_tags__().input_tags.sparse:
        return False  # before scikit-learn 1.7 its list gives this to all, and expects its own scalers to fail
    words = getattr(check, "keywords", {})
    names = [words.get("array_namespace"), *words.get("other_ns_and_device", ()), *words.get("X_ns_and_device", ())]
    devices = [str(name) for name in (*names, words.get("device_name"))]
    if any(device in name for name in devices for device in ("cuda", "mps", "xpu")):
        return False
    libraries = {str(name) for name in names if name is not None and str(name).isidentifier()}
    known = {"torch", "cupy", "dpnp", "array_api_strict", "jax"} & libraries
    return all(importlib.util.find_spec(library) for library in known)


_marked = parametrize_with_checks(NORMALIZERS)
CASES = [case for case in _marked.args[1] if can_run(*(case.values if hasattr(case, "values") else case))]


@pytest.mark.filterwarnings("ignore:Bins whose width")  # as scikit-learn's own warns
@pytest.mark.parametrize(_marked.args[0], CASES, ids=_marked.kwargs["ids"])
def test_check(estimator, check):
    check(estimator)


#: What scikit-learn calls on its own estimators from test_common.py, beside the list above.
OUTSIDE = [
    "check_param_validation",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_set_output_transform_polars",
    "check_dataframe_column_names_consistency",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


@pytest.mark.parametrize("estimator", NORMALIZERS, ids=str)
@pytest.mark.parametrize("name", [name for name in OUTSIDE if hasattr(estimator_checks, name)])
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")  # they mix frames and arrays
def test_check_outside_the_list(estimator, name):
    check = getattr(estimator_checks, name)
    check(type(estimator).__name__, estimator)


def test_every_check_outside_the_list_exists():
    assert [name for name in OUTSIDE if not hasattr(estimator_checks, name)] == []


@pytest.mark.parametrize("estimator", NORMALIZERS, ids=str)
def test_every_parameter_is_in_the_constraints_and_the_docstring(estimator):
    kind = type(estimator)
    parameters = set(inspect.signature(kind).parameters)
    assert set(kind._parameter_constraints) == parameters
    for parameter in parameters:
        assert f" {parameter} : " in kind.__doc__ or f" {parameter}, " in kind.__doc__


@pytest.mark.filterwarnings("ignore:Bins whose width")
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("estimator", NORMALIZERS, ids=str)
def test_frames_in_and_out(estimator, library):
    frame = {"pandas": pd.DataFrame, "polars": pl.DataFrame}[library]({"a": [1.0, 2.0, 3.5] * 5, "b": [4, 5, 9] * 5})
    scaler = type(estimator)(**estimator.get_params()).set_output(transform=library)
    out = scaler.fit(frame).transform(frame)
    assert type(out) is type(frame)
    several = {"pca", "onehot-dense"} & set(map(str, estimator.get_params().values()))
    names = list(scaler.get_feature_names_out()) if several else ["a", "b"]
    assert list(out.columns) == names
