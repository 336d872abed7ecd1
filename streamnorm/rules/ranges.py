"""Ranges of values: of the least and the greatest, or of two quantiles, and the map of them to another range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.plans import Affine, Plan, Step
from streamnorm.summaries import CONSTANT, Extremes, Given, Histogram, HistogramOf, SummaryType

__all__ = ["check", "check_quantiles", "ends", "errors", "least_result", "minmax_plan", "scale", "summary_of", "width"]

_Params = Mapping[str, Any]
_Floats = NDArray[np.float64]
_Seen = Extremes | Histogram | Given


def check_quantiles(p: _Params) -> None:
    """Raise DataError where `quantile_range` is no two percentages in order."""
    low, high = p["quantile_range"]
    if not 0 <= low <= high <= 100:
        raise DataError(
            f"Invalid quantile range: {p['quantile_range']}. Give two percentages from 0 to 100, the smaller one first."
        )


def check(p: _Params) -> None:
    """Raise DataError where a range is none."""
    low, high = p["feature_range"]
    if not low < high:
        raise DataError(
            "Minimum of desired feature range must be smaller than maximum. "
            f"Got {p['feature_range']}: write the smaller number first."
        )
    if p["quantile_range"] is not None:
        check_quantiles(p)


def summary_of(p: _Params) -> SummaryType:
    """Give what is kept: ends alone, or the histogram that quantiles are taken from."""
    return Extremes if p["quantile_range"] is None else HistogramOf(p["max_bins"])


def ends(s: _Seen, p: _Params) -> tuple[_Floats, _Floats]:
    """Give both ends of each column's range, of shape (n_columns,); NaN where there was no value."""
    if isinstance(s, Histogram):
        fractions = _fractions(p)
        low, high = s.cached(("ends", *fractions), lambda: s.quantile(fractions))
        return low, np.maximum(low, high)
    return np.asarray(s.minimum), np.asarray(s.maximum)


def errors(s: _Seen, p: _Params) -> _Floats | None:
    """Bound how far the two ends may be from the quantiles, shape (2, n_columns); None where they are no quantiles."""
    return s.error_bound(_fractions(p)) if isinstance(s, Histogram) else None


def _fractions(p: _Params) -> list[float]:
    return [percent / 100.0 for percent in p["quantile_range"]]


def width(s: _Seen, p: _Params) -> _Floats:
    """Give the distance of both ends; infinite where it is beyond the greatest float64."""
    low, high = ends(s, p)
    with np.errstate(over="ignore"):
        return np.asarray(high - low)


def _flat(s: _Seen, p: _Params) -> NDArray[np.bool_]:
    low, high = ends(s, p)
    return np.asarray(width(s, p) <= CONSTANT * np.maximum(np.abs(low), np.abs(high)))


def scale(s: _Seen, p: _Params) -> _Floats:
    """Give what values are multiplied by."""
    low, high = p["feature_range"]
    least, greatest = ends(s, p)
    data_range = width(s, p)
    # Halves, for a range beyond the greatest float64: they are exact but for subnormals.
    wanted, span = (high - low) / 2, np.where(np.isinf(data_range), greatest / 2 - least / 2, data_range / 2)
    with np.errstate(over="ignore", divide="ignore"):  # of a subnormal range
        return np.asarray(wanted / np.where(_flat(s, p), 0.5, span))


def least_result(s: _Seen, p: _Params) -> _Floats:
    """Give what is added to values after they were multiplied."""
    with np.errstate(invalid="ignore"):
        return np.asarray(p["feature_range"][0] - ends(s, p)[0] * scale(s, p))


def minmax_plan(s: _Seen, p: _Params) -> Plan:
    """Map each column's range to `feature_range`."""
    clip = tuple(p["feature_range"]) if p["clip"] else None
    least, greatest = ends(s, p)
    data_range = width(s, p)
    # Where the scale is no normal number, values are brought nearer to 1 first, by a power of two.
    tiny, huge = (data_range < 2.0**-960) & ~_flat(s, p), data_range > 2.0**960
    unit = np.where(tiny, 2.0**600, np.where(huge, 2.0**-600, 1.0))
    if not (unit != 1).any():
        return Affine((Step(np.multiply, scale(s, p)), Step(np.add, least_result(s, p))), clip)
    low, high = p["feature_range"]
    span = greatest * unit - least * unit
    factor = np.where(unit == 1, scale(s, p), (high - low) / np.where(unit == 1, 1.0, span))
    smallest = np.where(unit == 1, least_result(s, p), low - least * unit * factor)
    return Affine((Step(np.multiply, unit), Step(np.multiply, factor), Step(np.add, smallest)), clip)
