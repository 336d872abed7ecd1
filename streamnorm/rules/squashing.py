"""The rule of squashing: a median, a distance of quantiles or of the ends, and a bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.plans import Squashed
from streamnorm.rules.ranges import check_quantiles
from streamnorm.summaries import CONSTANT, Histogram

__all__ = ["ATTRIBUTES", "check_bound", "squashed_plan"]

_Params = Mapping[str, Any]
#: Least magnitude of values whose differences are taken of quarters, so that they do not overflow.
_HUGE = 2.0**1020


def check_bound(p: _Params) -> None:
    """Raise DataError where a parameter cannot be."""
    bound = p["max_absolute_value"]
    if not (bound > 0 and math.isfinite(bound)):
        raise DataError(f"Got max_absolute_value={bound!r}, but expected a positive finite number: the default is 3.")
    check_quantiles(p)


def squashed_plan(s: Histogram, p: _Params) -> Squashed:
    """Make the plan of skrub's formula, from quantiles.

    The scale is the distance of both quantiles, or half of that of the least and the greatest value where the quantiles
    do not differ; where these do not either, the column is constant.
    """
    fractions = (*(percent / 100.0 for percent in p["quantile_range"]), 0.5, 0.0, 1.0)
    low, high, middle, least, greatest = s.cached(("squashed", fractions), lambda: s.quantile(fractions))
    unit = np.where(np.maximum(np.abs(least), np.abs(greatest)) > _HUGE, 0.25, 1.0)
    between, whole = (b * unit - a * unit for a, b in ((low, high), (least, greatest)))
    robust = between > CONSTANT * unit * np.maximum(np.abs(low), np.abs(high))
    constant = whole <= CONSTANT * unit * np.maximum(np.abs(least), np.abs(greatest))
    scale = np.where(robust, between, np.where(constant, unit, whole / 2))
    return Squashed(unit, middle * unit, scale, constant & ~robust, float(p["max_absolute_value"]))


def _robust(s: Histogram, p: _Params) -> NDArray[np.bool_]:
    fractions = [percent / 100.0 for percent in p["quantile_range"]]
    low, high = s.cached(("ends", *fractions), lambda: s.quantile(fractions))
    return np.asarray(high / 4 - low / 4 > CONSTANT / 4 * np.maximum(np.abs(low), np.abs(high)))


def _scale(s: Histogram, p: _Params) -> NDArray[np.float64]:
    plan = squashed_plan(s, p)
    with np.errstate(over="ignore"):
        return np.asarray(plan.scale / plan.unit)


def _constant(s: Histogram, p: _Params) -> NDArray[np.bool_]:
    return squashed_plan(s, p).constant


#: Fitted attributes: what is subtracted, what is divided by, and which columns have which scale, as skrub names them.
ATTRIBUTES = {
    "center_": lambda s, p: s.quantile([0.5])[0],
    "scale_": _scale,
    "robust_cols_": _robust,
    "minmax_cols_": lambda s, p: ~_robust(s, p) & ~_constant(s, p),
    "zero_cols_": _constant,
    "quantile_error_": lambda s, p: s.error_bound([q / 100.0 for q in sorted((50.0, *p["quantile_range"]))]),
}
