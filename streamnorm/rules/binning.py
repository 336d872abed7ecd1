"""The rule of bins: edges at quantiles, or at equal distances."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.plans import Binned
from streamnorm.summaries import CONSTANT, Histogram

__all__ = ["bin_edges", "binned_plan", "bins", "check"]

_Params = Mapping[str, Any]
_Floats = NDArray[np.float64]
STRATEGIES = ("quantile", "uniform")
METHODS = ("averaged_inverted_cdf", "inverted_cdf", "linear")


def check(p: _Params) -> None:
    """Raise DataError where a parameter cannot be."""
    if p["strategy"] == "kmeans":
        raise DataError(
            "strategy='kmeans' searches for clusters in all rows at once, which no state keeps: take 'quantile' or "
            "'uniform', or scikit-learn's class on a sample."
        )
    for name, known in (("strategy", STRATEGIES), ("quantile_method", METHODS)):
        if p[name] not in known:
            raise DataError(f"{name} must be one of {', '.join(known)} here, got {p[name]!r}.")
    if isinstance(p["n_bins"], Integral) and p["n_bins"] < 2:
        raise DataError(f"n_bins must be at least 2, got {p['n_bins']!r}.")


def bin_edges(s: Histogram, p: _Params) -> NDArray[Any]:
    """Give the edges of each column's bins, an array of arrays; infinite ones of a constant column."""
    found: list[_Floats] = s.cached(("edges", repr(sorted(p.items()))), lambda: _edges(s, p))
    edges = np.empty(len(s), object)
    edges[:] = found
    return edges


def bins(s: Histogram, p: _Params) -> NDArray[np.int64]:
    """Give the number of each column's bins."""
    return np.array([max(len(edges) - 1, 0) for edges in bin_edges(s, p)], np.int64)


def binned_plan(s: Histogram, p: _Params) -> Binned:
    """Number the bins of each column."""
    edges, middles = list(bin_edges(s, p)), s.quantile([0.5])[0]
    centres = [
        np.array([middles[i]]) if np.isinf(own).any() else own[1:] / 2 + own[:-1] / 2 for i, own in enumerate(edges)
    ]
    return Binned(edges, centres)


def _edges(s: Histogram, p: _Params) -> list[_Floats]:
    numbers = np.broadcast_to(np.asarray(p["n_bins"], np.int64), len(s))
    ends = s.quantile([0.0, 1.0]).T
    edges = []
    for slot, ((least, greatest), number) in enumerate(zip(ends, numbers.tolist(), strict=True)):
        magnitude = max(abs(least), abs(greatest))
        if np.isnan(least):
            edges.append(np.empty(0))
        elif greatest / 2 - least / 2 <= CONSTANT / 2 * magnitude:
            edges.append(np.array([-np.inf, np.inf]))
        elif p["strategy"] == "uniform":
            edges.append(_evenly(least, greatest, number))
        else:
            found = _at_quantiles(s, slot, p["quantile_method"], np.linspace(0, 100, number + 1) / 100)
            edges.append(found[np.ediff1d(found / 2, to_begin=np.inf) > CONSTANT / 2 * magnitude])
    return edges


def _evenly(least: float, greatest: float, number: int) -> _Floats:
    """Give edges at equal distances.

    Parameters
    ----------
    least, greatest : float
    number : int
        Bins between them.
    """
    with np.errstate(over="ignore"):
        wide = np.isinf(greatest - least)
    return np.linspace(least / 4, greatest / 4, number + 1) * 4 if wide else np.linspace(least, greatest, number + 1)


def _at_quantiles(s: Histogram, slot: int, method: str, fractions: _Floats) -> _Floats:
    """Give quantiles of one column by one of numpy's methods.

    Parameters
    ----------
    s : Histogram
    slot : int
        The column.
    method : str
        By numpy's name.
    fractions : ndarray of shape (n_quantiles,)
    """
    if method == "linear":
        return s.take([slot]).quantile(fractions)[:, 0]
    low, high, counts = s.intervals(slot)
    ends = np.cumsum(counts)
    place = ends[-1] * fractions - 1  # as numpy computes it
    below = np.floor(place)
    ranks = np.stack([below, below + (place > below) if method == "inverted_cdf" else below + 1])
    ranks = np.clip(ranks, 0, ends[-1] - 1).astype(np.int64)
    at = np.searchsorted(ends, ranks, side="right")
    part = (ranks - ends[at] + counts[at] + 0.5) / counts[at]  # of the way through the bin
    first, second = low[at] + (high[at] - low[at]) * part
    if method == "inverted_cdf":
        return np.asarray(second)
    return np.asarray(np.where(place > below, second, first / 2 + second / 2))
