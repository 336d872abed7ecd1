"""The rule of capping: how far out values may lie, by moments or by quantiles, in the column's own unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.plans import Affine, Step
from streamnorm.summaries import Histogram, HistogramOf, Moments, SummaryType

__all__ = ["ATTRIBUTES", "FOLDS", "TAILS", "capped_plan", "check_capping", "summary_of_capping"]

_Params = Mapping[str, Any]
_Floats = NDArray[np.float64]
#: What is known of a column by each method, and by what its spread is multiplied, or the share that is cut off.
FOLDS: Mapping[str, float] = MappingProxyType({"gaussian": 3.0, "iqr": 1.5, "quantiles": 0.05})
TAILS = ("right", "left", "both")


def check_capping(p: _Params) -> None:
    """Raise DataError where a parameter cannot be."""
    for name, known in (("capping_method", tuple(FOLDS)), ("tail", TAILS)):
        if p[name] not in known:
            raise DataError(f"{name} must be one of {', '.join(known)}, got {p[name]!r}.")
    fold = p["fold"]
    if fold == "auto":
        return
    most = 0.5 if p["capping_method"] == "quantiles" else np.inf
    if isinstance(fold, bool) or not (isinstance(fold, Real) and 0 < float(fold) < most):
        below = f" below {most}, the share that is cut off" if most < 1 else ""
        raise DataError(f"fold must be 'auto' or a positive number{below}, got {fold!r}.")


def summary_of_capping(p: _Params) -> SummaryType:
    """Give what is kept: moments, or the histogram that quantiles are taken from."""
    return Moments if p["capping_method"] == "gaussian" else HistogramOf(p["max_bins"])


def _fold(p: _Params) -> float:
    return FOLDS[p["capping_method"]] if p["fold"] == "auto" else float(p["fold"])


def _fractions(p: _Params) -> list[float]:
    share = _fold(p) if p["capping_method"] == "quantiles" else 0.25
    return [share, 1 - share]


def _caps(s: Moments | Histogram, p: _Params) -> tuple[_Floats, _Floats]:
    """Give both caps of each column; NaN where there was no value, and infinite where nothing varies between them."""
    fold = _fold(p)
    with np.errstate(over="ignore"):  # a cap beyond all numbers caps nothing
        if isinstance(s, Moments):
            low = high = s.mean()
            spread = s.std()
        else:
            low, high = s.quantile(_fractions(p))
            spread = high - low
        if p["capping_method"] != "quantiles":
            low, high = low - fold * spread, high + fold * spread
    return np.where(spread == 0, -np.inf, low), np.where(spread == 0, np.inf, high)


def _cap(side: int) -> Callable[[Any, _Params], _Floats | None]:
    """Give the fitted attribute of a tail: its caps, None where it is not capped."""
    return lambda s, p: _caps(s, p)[side] if p["tail"] in ("both", TAILS[1 - side]) else None


def capped_plan(s: Moments | Histogram, p: _Params) -> Affine:
    """Limit each column to its caps, and make nothing of one without a value."""
    low, high = _caps(s, p)
    lacking = np.isnan(low)
    steps = (Step(np.multiply, np.where(lacking, np.nan, 1.0)),) if lacking.any() else ()
    least = np.full(len(low), -np.inf) if p["tail"] == "right" else low
    return Affine(steps, (least, np.full(len(high), np.inf) if p["tail"] == "left" else high))


#: Fitted attributes, each a function of summary and parameters.
ATTRIBUTES: Mapping[str, Callable[[Any, _Params], Any]] = {
    "left_tail_caps_": _cap(0),
    "right_tail_caps_": _cap(1),
    "fold_": lambda s, p: _fold(p),
    "quantile_error_": lambda s, p: s.error_bound(_fractions(p)) if isinstance(s, Histogram) else None,
}
