"""scikit-learn's own tests of its scalers, from the installed wheel, with our classes in place of theirs."""

from __future__ import annotations

import functools
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import sklearn.preprocessing

import streamnorm as sn

#: They warn on purpose in many places, and were not written for warnings that are errors.
pytestmark = pytest.mark.filterwarnings("default")

OURS = (
    "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "QuantileTransformer", "Normalizer",
    "PowerTransformer", "KBinsDiscretizer",
)  # fmt: skip
FOLDER = Path(sklearn.preprocessing.__file__).parent / "tests"

#: scikit-learn's functions, called with all of an estimator's parameters; some only ours have.
FUNCTIONS = ("scale", "minmax_scale", "maxabs_scale", "robust_scale", "quantile_transform")

KMEANS = ({"strategy": "kmeans"}, "searches for clusters in all rows at once, and is refused by name here")
BY_HAND = "writes `lambdas_` by hand; here fitted attributes are computed of what was learnt, and cannot be written to"
#: Tests that assert what was decided otherwise here: their parameters for which that is so, and the reason.
DIFFERENT: dict[str, tuple[dict[str, object], str]] = {
    "test_standard_scaler_near_constant_features": (
        {"dtype": np.float64},
        "asserts scikit-learn's near-constant threshold, which grows with the number of rows; here a column is "
        "constant when its exact standard deviation is at most 4 eps |mean|",
    ),
    "test_quantile_transform_subsampling": (
        {},
        "asserts that random subsamples give different quantiles; here every row counts and nothing is drawn",
    ),
    "test_fit_transform": KMEANS,
    "test_fit_transform_n_bins_array": KMEANS,
    "test_kbinsdiscretizer_no_mutating_sample_weight": KMEANS,
    "test_same_min_max": KMEANS,
    "test_nonuniform_strategies": KMEANS,
    "test_inverse_transform": KMEANS,
    "test_transform_outside_fit_range": KMEANS,
    "test_redundant_bins": KMEANS,
    "test_kbinsdiscretizer_subsample": KMEANS,
    "test_optimization_power_transformer": ({}, BY_HAND),
    "test_invserse_box_cox": ({}, BY_HAND),
    "test_power_transformer_lambda_zero": ({}, BY_HAND),
    "test_power_transformer_lambda_one": ({}, BY_HAND),
    "test_yeo_johnson_inverse_transform_warning": (
        {},
        "asserts a warning where nothing has such a result; here that is NaN, as the docstring of the plan says",
    ),
    "test_power_transformer_2d": (
        {},
        "asserts seven digits of what a power gives that scikit-learn finds to 1e-8; here it is found more exactly",
    ),
    "test_power_transformer_box_cox_raise_all_nans_col": (
        {},
        "asserts that a column without a value is refused; here it is warned of and becomes NaN, as in all scalers",
    ),
}


def tolerant(function):
    """Give the function, with parameters that it does not know left out."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **{k: v for k, v in kwargs.items() if k in known})

    return call


def power_transform(X, **params):
    return sn.PowerTransformer(**params).fit_transform(X)


def load(name: str) -> ModuleType:
    """Import one of scikit-learn's test modules while its scalers are ours."""
    spec = importlib.util.spec_from_file_location(f"sklearn_{name}_with_ours", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for scaler in OURS:
            patch.setattr(sklearn.preprocessing, scaler, getattr(sn, scaler))
        for function in FUNCTIONS:
            patch.setattr(sklearn.preprocessing, function, tolerant(getattr(sklearn.preprocessing, function)))
        # Eight digits of two searches for the greatest likelihood are compared, of which scikit-learn's ends before.
        patch.setattr(sklearn.preprocessing, "power_transform", power_transform)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request):
    return request.param


@pytest.fixture
def global_random_seed():
    return 42


def with_lists(test):
    """Give a test whose parameters are lists: pytest deprecates the generators some are."""
    marks = getattr(test, "pytestmark", [])
    test.pytestmark = [
        pytest.mark.parametrize(mark.args[0], list(mark.args[1]), *mark.args[2:], **mark.kwargs).mark
        if mark.name == "parametrize"
        else mark
        for mark in marks
    ]
    return test


def unless_different(name, test):
    """Give a test that is skipped for the parameters for which something else was decided."""
    if name not in DIFFERENT:
        return test
    parameters, reason = DIFFERENT[name]

    @functools.wraps(test)
    def call(**given):
        if all(given[name] == value for name, value in parameters.items()):
            pytest.skip(reason)
        test(**given)

    return call


for _module in (load("test_data"), load("test_common"), load("test_discretization")):
    for _name, _test in inspect.getmembers(_module, inspect.isfunction):
        if _name.startswith("test_") and any(ours in inspect.getsource(_test) for ours in OURS):
            globals()[_name] = unless_different(_name, with_lists(_test))
