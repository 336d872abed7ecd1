"""Whole weights are repetitions of rows: bit for bit where rows are counted, in every statistic elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.utils import estimator_checks

import streamnorm as sn

COUNTING = [
    sn.RobustScaler(),
    sn.RobustScaler(max_bins=32, with_centering=False),
    sn.QuantileTransformer(),
    sn.QuantileTransformer(n_quantiles=7, output_distribution="normal"),
    sn.QuantileTransformer(n_quantiles=200, max_bins=32),
    sn.PowerTransformer(),
]
ADDING = [sn.StandardScaler(), sn.StandardScaler(ddof=1, with_mean=False), sn.MinMaxScaler(), sn.MaxAbsScaler()]
LEARNT = ("n_quantiles_", "quantiles_", "references_", "center_", "scale_", "lambdas_", "mean_", "var_", "max_abs_")
pytestmark = [pytest.mark.filterwarnings("ignore:n_quantiles"), pytest.mark.filterwarnings("ignore:.*implicit_zeros")]


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.lognormal(size=(90, 3)).round(2)
    X[rng.random((90, 3)) < 0.1] = np.nan
    weights = rng.integers(0, 6, 90)
    return X, weights


CONTAINERS = {
    "rows": lambda X: X,
    "columns": np.asfortranarray,
    "float32": lambda X: X.astype(np.float32),
    "integers": lambda X: np.nan_to_num(X * 100).astype(np.int16),
    "steps": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "pandas": lambda X: pd.DataFrame(X, columns=list("abc")),
    "polars": lambda X: pl.DataFrame(X, schema=list("abc")),
    "mixed": lambda X: pd.DataFrame(X, columns=list("abc")).assign(d=np.arange(len(X)) % 5),
    "arrow": lambda X: pa.table({name: pa.array(X[:, i], from_pandas=True) for i, name in enumerate("abc")}),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("scaler", [*COUNTING, *ADDING], ids=str)
def test_weights_are_repetitions(scaler, container):
    X, weights = rows()
    given = CONTAINERS[container](X)
    at = np.repeat(np.arange(len(X)), weights)
    repeated = given[at] if isinstance(given, (np.ndarray, pl.DataFrame)) else _taken(given, at)
    one = type(scaler)(**scaler.get_params()).fit(given, sample_weight=weights)
    other = type(scaler)(**scaler.get_params()).fit(repeated)
    if any(type(scaler) is type(counting) for counting in COUNTING):
        assert one == other
        assert one.digest() == other.digest()
    for name in LEARNT:
        if getattr(other, name, None) is not None:
            assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name
    halves = type(scaler)(**scaler.get_params()).partial_fit(_taken(given, range(40)), sample_weight=weights[:40])
    assert halves.partial_fit(_taken(given, range(40, 90)), sample_weight=weights[40:]) == one


def _taken(given, at):
    at = np.asarray(at)
    return (
        given.iloc[at]
        if isinstance(given, pd.DataFrame)
        else given.take(at)
        if isinstance(given, pa.Table)
        else given[at]
    )


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize(
    "scaler",
    [
        sn.RobustScaler(with_centering=False),
        sn.QuantileTransformer(),
        sn.QuantileTransformer(ignore_implicit_zeros=True),
        sn.StandardScaler(with_mean=False),
        sn.MaxAbsScaler(),
    ],
    ids=str,
)
def test_weights_of_sparse_rows_are_repetitions(scaler, kind):
    X, weights = rows()
    X = np.where(np.nan_to_num(X) < 0.7, 0, X)
    one = type(scaler)(**scaler.get_params()).fit(kind(X), sample_weight=weights)
    other = type(scaler)(**scaler.get_params()).fit(kind(np.repeat(X, weights, axis=0)))
    assert one == other or isinstance(scaler, (sn.MaxAbsScaler, sn.StandardScaler))
    for name in LEARNT:
        if getattr(other, name, None) is not None:
            assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name


CHECKS = ("check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data")


@pytest.mark.parametrize("name", [name for name in CHECKS if hasattr(estimator_checks, name)])
@pytest.mark.parametrize("scaler", [*COUNTING, *ADDING, sn.MinMaxScaler(clip=True)], ids=str)
def test_the_check_of_scikit_learn(scaler, name):
    if "sparse" in name and not scaler.__sklearn_tags__().input_tags.sparse:
        with pytest.raises((TypeError, ValueError), match=r"[Ss]parse"):
            type(scaler)().fit(sparse.csr_array(np.eye(3)))
        return
    getattr(estimator_checks, name)(type(scaler).__name__, scaler)
