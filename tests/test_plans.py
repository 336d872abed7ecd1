"""Plans on matrices, however these lie in memory and whatever they hold."""

from __future__ import annotations

import numpy as np
import pytest

from streamnorm.plans import Affine, Step

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
    assert out.tolist() == ((x - subtrahends.astype(out_type)) / divisors.astype(out_type)).tolist()
    if x.dtype.kind == "f":
        laid[3, 4] = laid[4, 0] = np.inf
        assert plan.apply(laid, out) == 3 * 5 + 4
