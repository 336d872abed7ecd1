"""Plans on matrices, however these lie in memory and whatever they hold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.preprocessing import QuantileTransformer as SklearnQuantiles

import streamnorm as sn
from streamnorm.plans import Affine, Monotone, Step

LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "neither": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["f8", "f4", "f2", ">f8", "i8", "?"])
def test_a_plan_does_not_see_how_a_matrix_lies(layout, kind):
    x = (np.random.default_rng(0).normal(size=(700, 5)) * 10).astype(kind)
    out_type = x.dtype if x.dtype.kind == "f" else np.dtype("f8")
    subtrahends, divisors = np.arange(5.0), np.arange(2.0, 7.0)
    plan = Affine((Step(np.subtract, subtrahends), Step(np.divide, divisors)))
    laid = LAYOUTS[layout](x)
    out = np.empty_like(laid, out_type)
    assert plan.apply(laid, out) == -1
    wanted = (x.astype(np.float64) - subtrahends) / divisors
    assert out.tolist() == wanted.astype(out_type).tolist()  # rounded once
    if x.dtype.kind == "f":
        laid[3, 4] = laid[4, 0] = np.inf
        assert plan.apply(laid, out) == 3 * 5 + 4


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("quantiles", [[5.0], [5.0, 5.0], [1.0, 5.0, 5.0]])
def test_a_missing_value_stays_so_however_few_quantiles_there_are(quantiles, normal):
    plan = Monotone(np.array(quantiles).reshape(-1, 1), np.linspace(0, 1, len(quantiles)), normal=normal)
    for apply in (plan.apply, plan.invert):
        x = np.array([np.nan, 0.5, np.nan])
        apply(x, x, 0)
        assert np.isnan(x).tolist() == [True, False, True]


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("kind", ["b", "B", "h", "H", "i", "I", "q", "Q"])
def test_integers_are_mapped_through_quantiles_like_floats(kind, normal):
    info = np.iinfo(kind)
    x = np.array([0, 1, 2, 3, 50, 100, info.min, info.max], kind)
    plan = Monotone(
        np.array([[info.min], [1.0], [2.0], [2.0], [99.0], [info.max]]), np.linspace(0, 1, 6), normal=normal
    )
    found, wanted = np.empty((2, len(x)))
    plan.apply(x, found, 0)
    plan.apply(x.astype(np.float64), wanted, 0)
    assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("n_quantiles", [1, 2, 1000])
@pytest.mark.parametrize("rows", [[5.0], [1.0, 2.0], [1e10] * 5, [1e10] * 3 + [2e10], [-3e9, 1e9, 1e9, 2e9, 2e9]])
def test_the_ends_of_quantiles_are_those_of_scikit_learn(rows, n_quantiles, distribution):
    options = {"n_quantiles": n_quantiles, "output_distribution": distribution}
    x = np.array(rows).reshape(-1, 1)
    ours, theirs = sn.QuantileTransformer(**options), SklearnQuantiles(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer rows than quantiles
        ours.fit(x), theirs.fit(x)
    around = np.concatenate([x, x + 1, x - 1, x * 2, x * 0.9])
    assert ours.transform(around).tolist() == theirs.transform(around).tolist()
    y = np.array([[0.0], [0.3], [0.5], [1.0], [-9.0], [9.0]])
    assert ours.inverse_transform(y).tolist() == theirs.inverse_transform(y).tolist()
