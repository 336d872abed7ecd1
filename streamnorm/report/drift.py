"""How far the columns of one state are from those of another.

The drift of a column is its population stability index,

    PSI = sum over groups i of (q_i - p_i) ln(q_i / p_i)

with the share p_i of the first state's rows and q_i of the second's in group i (Siddiqi, *Credit Risk
Scorecards*, 2006; Yurdakul, *Statistical properties of the Population Stability Index*, 2018). It is the
symmetrised Kullback-Leibler divergence: 0 where nothing moved; by custom a shift is moderate above 0.1
and major above 0.25.

With histograms on both sides the groups are the tenths of the first state's values, what lies below and
above all of them, and the missing values. Counts are exact integers in bins both histograms share, so
that the index depends on the rows alone. Half a count is added to every group that occurs, so that an
empty one does not make it infinite.

Without, the values' part of it is that of two normal distributions with the columns' means and standard
deviations; where only extremes are known, of those with the middles and the uniform distribution's
standard deviations of their ranges. `basis` says which.

By chance alone the index of equal populations of n and m rows is about (1/n + 1/m) times a chi-squared
variable with one degree of freedom less than groups (Yurdakul); `noise` is its 95 % point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.report.figures import Figures, figures_of
from streamnorm.states import State
from streamnorm.summaries import Histogram, Moments, part

__all__ = ["MAJOR", "MODERATE", "Drift", "drifts_of"]

MODERATE, MAJOR = 0.1, 0.25
_TENTHS = 10
#: Distance of a normal distribution's quartiles, in standard deviations.
_QUARTILES = 2 * 0.6744897501960817
_Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Drift:
    """How one column moved from the first state to the second.

    Parameters
    ----------
    name : str
    before, after : Figures, optional
        None where the state has no such column.
    psi : float, optional
        The population stability index; None where the states have nothing in common to tell it from.
    noise : float, optional
        What it exceeds by chance in one of twenty comparisons of equal populations.
    basis : str
        What the values' part of the index and shift and ratio come from: "histograms", "moments",
        "extremes" or "nothing".
    shift : float, optional
        Difference of the locations, in the first state's standard deviations.
    ratio : float, optional
        The second state's standard deviation as a multiple of the first's.
    """

    name: str
    before: Figures | None
    after: Figures | None
    psi: float | None = None
    noise: float | None = None
    basis: str = "nothing"
    shift: float | None = None
    ratio: float | None = None

    @property
    def verdict(self) -> str:
        """Say in words what the index tells."""
        if self.before is None:
            return "new column"
        if self.after is None:
            return "column is gone"
        if self.psi is None:
            return "not comparable"
        if self.noise is not None and self.psi <= self.noise:
            return "stable"
        return "major" if self.psi > MAJOR else "moderate" if self.psi > MODERATE else "stable"

    @property
    def rank(self) -> float:
        """How bad it is, for sorting: a column that only one state has, or that cannot be compared, is worst."""
        return math.inf if self.psi is None else self.psi

    def exceeds(self, limit: float) -> bool:
        """Tell whether the index is above a limit; a column that only one state has exceeds any."""
        return self.rank > limit

    def to_json(self) -> dict[str, Any]:
        """Give everything; what does not exist, or is infinite, is null."""
        numbers = {"psi": self.psi, "noise": self.noise, "shift": self.shift, "ratio": self.ratio}
        return {
            "name": self.name,
            "verdict": self.verdict,
            "basis": self.basis,
            **{name: value if value is None or math.isfinite(value) else None for name, value in numbers.items()},
            "before": self.before and _side(self.before),
            "after": self.after and _side(self.after),
        }


def _side(figures: Figures) -> dict[str, Any]:
    names = ("rows", "missing", "mean", "std", "least", "greatest", "quantiles")
    document = figures.to_json()
    return {name: document[name] for name in names}


def drifts_of(before: State, after: State) -> list[Drift]:
    """Compare two states column by column, worst first."""
    old, new = ({f.name: f for f in figures_of(state)} for state in (before, after))
    drifts = [_drift(name, old.get(name), new.get(name)) for name in old | new]
    return sorted(drifts, key=lambda drift: -drift.rank)


def _drift(name: str, before: Figures | None, after: Figures | None) -> Drift:
    """Compare a column before and after.

    Parameters
    ----------
    name : str
        The column, for messages.
    before : Figures or None
    after : Figures or None
    """
    if before is None or after is None:
        return Drift(name, before, after)
    shift, ratio = _movement(before, after)
    histograms = [part(f.group.summary, Histogram) for f in (before, after)]
    if not (before.rows and after.rows):
        return Drift(name, before, after)
    if histograms[0] is not None and histograms[1] is not None:
        p, q = _grouped(histograms[0].take([before.slot]), histograms[1].take([after.slot]))
        p, q = (np.append(counts, _missing(f)) for counts, f in ((p, before), (q, after)))
        psi, groups = _stability(p, q)
        return Drift(name, before, after, psi, _noise(p.sum(), q.sum(), groups), "histograms", shift, ratio)
    basis, locations = _locations(before, after)
    if basis == "nothing" and before.counts["values"] and after.counts["values"]:
        return Drift(name, before, after)
    missing, groups = _stability(*(np.array([f.counts["values"], _missing(f)]) for f in (before, after)))
    shares = [f.counts["values"] / (f.counts["values"] + _missing(f)) for f in (before, after)]
    psi = missing + _normal_divergence(locations, shares)
    # A location and a scale are two degrees of freedom.
    return Drift(name, before, after, psi, _noise(before.rows, after.rows, groups + 2), basis, shift, ratio)


def _missing(figures: Figures) -> int:
    return figures.rows - figures.counts["values"]


def _movement(before: Figures, after: Figures) -> tuple[float | None, float | None]:
    _, locations = _locations(before, after)
    if not locations:
        return None, None
    (m0, s0), (m1, s1) = locations
    if s0 == 0:
        return (0.0 if m0 == m1 else None), (1.0 if s1 == 0 else None)
    return m1 / s0 - m0 / s0, s1 / s0


def _locations(before: Figures, after: Figures) -> tuple[str, list[tuple[float, float]]]:
    """Give location and standard deviation of both, of the best that both know, and what that is."""
    for basis, of in (("moments", _of_moments), ("histograms", _of_quartiles), ("extremes", _of_extremes)):
        found = [place for f in (before, after) if (place := of(f)) is not None]
        if len(found) == 2:
            return basis, found
    return "nothing", []


def _of_moments(f: Figures) -> tuple[float, float] | None:
    moments = part(f.group.summary, Moments)
    if moments is None or f.mean is None:
        return None
    std = f.group.summary.cached(("std", 0), moments.std)
    return f.mean, 0.0 if f.constant else float(std[f.slot])


def _of_quartiles(f: Figures) -> tuple[float, float] | None:
    if not f.quantiles:
        return None
    return f.quantiles[0.5], f.quantiles[0.75] / _QUARTILES - f.quantiles[0.25] / _QUARTILES


def _of_extremes(f: Figures) -> tuple[float, float] | None:
    if f.least is None or f.greatest is None:
        return None
    return f.least / 2 + f.greatest / 2, 0.0 if f.constant else (f.greatest / 2 - f.least / 2) / math.sqrt(3)


def _grouped(before: Histogram, after: Histogram) -> tuple[_Counts, _Counts]:
    """Count both in the tenths of the first, cut between bins, and in what lies beyond."""
    bits = np.minimum(before.bits, after.bits)
    (_, keys, counts), (_, others, their_counts) = (next(h.bins.coarsen(bits).of_slots()) for h in (before, after))
    if not len(keys):
        return np.zeros(1, np.int64), np.array([their_counts.sum()])
    ends, total = np.cumsum(counts), int(counts.sum())
    last = [int(np.searchsorted(ends, -(-total * j // _TENTHS))) for j in range(1, _TENTHS + 1)]
    edges = keys[sorted(set(last))]
    groups = len(edges) + 2

    def tally(own: NDArray[np.uint64], times: _Counts) -> _Counts:
        at = np.searchsorted(edges, own) + 1
        at[own < keys[0]] = 0
        result = np.zeros(groups, np.int64)
        np.add.at(result, at, times)
        return result

    return tally(keys, counts), tally(others, their_counts)


def _stability(p: _Counts, q: _Counts) -> tuple[float, int]:
    """Give the index and the number of groups that occur."""
    there = (p > 0) | (q > 0)
    p, q = p[there], q[there]
    k, n, m = len(p), int(p.sum()), int(q.sum())
    terms = []
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        mine, theirs = (a + 0.5) / (n + k / 2), (b + 0.5) / (m + k / 2)
        terms.append((theirs - mine) * math.log(theirs / mine))
    return math.fsum(terms), k


def _noise(n: Any, m: Any, groups: int) -> float | None:
    """Give the stability index that chance alone would give.

    Parameters
    ----------
    n : int or ndarray
        Rows before.
    m : int or ndarray
        Rows after.
    groups : int
    """
    if groups < 2:
        return 0.0
    from scipy.special import chdtri

    return float((1 / int(n) + 1 / int(m)) * chdtri(groups - 1, 0.05))


def _normal_divergence(locations: list[tuple[float, float]], shares: list[float]) -> float:
    """Weigh both Kullback-Leibler divergences of two normal distributions with the shares that are values."""
    if not locations:
        return 0.0
    (m0, s0), (m1, s1) = locations
    if s0 == 0 or s1 == 0:
        return 0.0 if (m0, s0) == (m1, s1) else math.inf
    ratio = s1 / s0
    forth = math.log(ratio) + (1 + (m0 / s0 - m1 / s0) ** 2) / (2 * ratio * ratio) - 0.5
    back = -math.log(ratio) + (ratio * ratio + (m0 / s0 - m1 / s0) ** 2) / 2 - 0.5
    return shares[0] * forth + shares[1] * back
