"""Power transforms by maximum likelihood, from the bins of a histogram.

Every number is made of operations that IEEE 754 rounds the same way everywhere, and of sums that are rounded once
(`math.fsum`), so that equal histograms give equal bits on any machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.plans import Power, exp, expm1, log, log1p, ratio
from streamnorm.rules.rule import Params
from streamnorm.summaries import CONSTANT, Histogram

__all__ = ["check_method", "lambda_errors", "lambdas", "power_plan"]

_Floats = NDArray[np.float64]
_METHODS = ("yeo-johnson", "box-cox")
#: Greatest exponent of a result, below that of the greatest float64.
_MOST = 705.0
_LARGEST = float(np.finfo(np.float64).max)
#: Steps of the search for the greatest likelihood; a dozen are usual.
_STEPS = 200
_APART = 2.0**-10  # distance of two powers, in units, that the likelihood's curvature is told from
_SERIES = 8  # terms of the derivative near 0: the next one is below 2^-56 of the sum


def check_method(p: Params) -> None:
    """Raise DataError for a transform that there is not."""
    if p["method"] not in _METHODS:
        raise DataError(f"method must be one of {', '.join(_METHODS)}, got {p['method']!r}.")


def lambdas(s: Histogram, p: Params) -> _Floats:
    """Give each column's power."""
    return np.asarray(_fits(s, p)[0])


def lambda_errors(s: Histogram, p: Params) -> _Floats:
    """Give how far, to first order, each power may be from that of the values themselves."""
    return np.asarray(_fits(s, p)[3])


def power_plan(s: Histogram, p: Params) -> Power:
    """Make the plan of the powers, with the mean and the deviation of what they give."""
    powers, home, centre, _, mean, scale = _fits(s, p)
    return Power(powers, home, centre, mean, scale, p["method"] == "box-cox")


def _fits(s: Histogram, p: Params) -> _Floats:
    """Give power, home, centre, error, mean and scale of all columns, shape (6, n_columns), once a summary."""
    key = ("power", p["method"], bool(p["standardize"]))

    def fit() -> _Floats:
        slots = [_fit_slot(*s.intervals(slot), p) for slot in range(len(s))]
        return np.array(slots, np.float64).reshape(-1, 6).T

    fits: _Floats = s.cached(key, fit)
    return fits


def _fit_slot(low: _Floats, high: _Floats, counts: NDArray[np.int64], p: Params) -> tuple[float, ...]:
    """Fit a column.

    Parameters
    ----------
    low, high : ndarray of shape (n_bins,)
        Least and greatest number of each bin, ascending.
    counts : ndarray of shape (n_bins,)
    p : mapping
        Parameters of the scaler.
    """
    positive, standardize = p["method"] == "box-cox", p["standardize"]
    if not len(counts):
        return np.nan, 1.0, 0.0, np.nan, np.nan, np.nan
    if positive and low[0] <= 0:
        raise DataError(
            "The Box-Cox transformation can only be applied to strictly positive data: a column holds "
            f"{float(low[0])!r}; limit it (clip), or take method='yeo-johnson'."
        )
    bins = _Bins.of(low, high, counts, positive)
    flat = bool(high[-1] - low[0] <= CONSTANT * max(abs(low[0]), abs(high[-1])))
    power = 1.0 if flat else bins.best(standardize)
    error = 0.0 if flat else bins.error(power)
    if not standardize:
        return power, bins.home, 0.0, error, 0.0, 1.0
    centre = 0.0 if bins.mixed else bins.centre
    u = np.empty(len(counts))
    powers, home, centres = (np.array([value]) for value in (power, bins.home, centre))
    Power(powers, home, centres, np.zeros(1), np.ones(1), positive).apply(low / 2 + high / 2, u, 0)
    exponent = int(np.frexp(np.max(np.abs(np.clip(u, -_LARGEST, _LARGEST))))[1])
    mean, variance = _moments(np.ldexp(np.clip(u, -_LARGEST, _LARGEST), -exponent), bins.weights)
    deviation = math.ldexp(math.sqrt(variance), exponent)
    return power, bins.home, centre, error, math.ldexp(mean, exponent), 1.0 if flat or deviation == 0 else deviation


@dataclass(frozen=True)
class _Bins:
    """The logarithms of a column's values, in a unit in which the greatest is 1.

    Parameters
    ----------
    t : ndarray of shape (n_bins,)
        ``(l - centre) / unit``, of the middle of each bin; `centre` is 0 where there are values of either sign.
    width : ndarray of shape (n_bins,)
        Half the width of each bin, likewise.
    signs : ndarray of shape (n_bins,)
        -1 for values below 0 beside others, else 1.
    weights : ndarray of shape (n_bins,)
        Values in each bin, as shares of all.
    home, centre, unit : float
        As in `Power`, and the unit.
    mixed : bool
        Whether there are values of either sign.
    farthest : float
        Greatest magnitude of the logarithms, in the unit.
    """

    t: _Floats
    width: _Floats
    signs: _Floats
    weights: _Floats
    home: float
    centre: float
    unit: float
    mixed: bool
    farthest: float

    @classmethod
    def of(cls, low: _Floats, high: _Floats, counts: NDArray[np.int64], positive: bool) -> Self:
        """Take a histogram's bins.

        Parameters
        ----------
        low, high : ndarray of shape (n_bins,)
        counts : ndarray of shape (n_bins,)
        positive : bool
            Whether the logarithm is that of x itself.
        """
        middle = low / 2 + high / 2
        least, most, logs = (log(x) if positive else log1p(np.abs(x)) for x in (low, high, middle))
        mixed = not positive and bool(low[0] < 0 <= high[-1])
        home = 1.0 if positive or high[-1] >= 0 else -1.0
        centre = 0.0 if mixed else float(np.min(logs) / 2 + np.max(logs) / 2)
        t = logs - centre
        unit = float(np.max(np.abs(t))) or 1.0
        signs = np.where(middle < 0, -1.0, 1.0) if mixed else np.ones(len(logs))
        weights = counts / math.fsum(counts.tolist())
        farthest = float(np.max(np.abs(logs))) / unit
        return cls(t / unit, np.abs(most - least) / 2 / unit, signs, weights, home, centre, unit, mixed, farthest)

    def best(self, standardize: bool) -> float:
        """Find the power of the greatest likelihood, where its slope is 0: the likelihood is concave.

        Without `standardize`, no result before the mean and the deviation overflows either.
        """
        low, high = self._range(standardize)
        if low > high:
            return 1.0
        power = self._root(min(max(self.unit, low), high), low, high) / self.unit
        power = power if self.home > 0 else 2.0 - power
        return power if math.isfinite(power) else 1.0

    def _range(self, standardize: bool) -> tuple[float, float]:
        """Give the least and the greatest power, in units, that no result overflows by."""
        if not self.mixed:
            bound = _MOST / (1.0 if standardize else max(1.0, self.farthest))
            return -bound, bound
        above, below = (float(np.max(self.t[self.signs == sign], initial=0.0)) for sign in (1.0, -1.0))
        return 2.0 * self.unit - _MOST / below if below else -math.inf, _MOST / above if above else math.inf

    def _root(self, at: float, low: float, high: float) -> float:
        """Find where the slope, which falls, is 0: bracketed by steps that double, then by false position.

        Parameters
        ----------
        at : float
            Where to begin.
        low, high : float
            Bounds of the search.
        """
        slope = self.slope(at)
        step, a, fa = math.copysign(0.5, slope), at, slope
        while True:
            b = min(max(a + step, low), high)
            fb = self.slope(b)
            if fa == 0 or b == a or not fb * fa > 0:
                break
            a, fa, step = b, fb, 2.0 * step
        for _ in range(_STEPS):
            if fb == 0 or a == b or not fa * fb < 0 or abs(b - a) <= 2.0**-44 * max(abs(a), abs(b)):
                break
            c = (a * fb - b * fa) / (fb - fa)
            c = c if min(a, b) < c < max(a, b) else a / 2 + b / 2
            fc = self.slope(c)
            a, fa, b, fb = (b, fb, c, fc) if fb * fc < 0 else (a, fa / 2, c, fc)  # Illinois
        return a if fa == 0 else b

    def _curves(self, power: float) -> tuple[_Floats, _Floats, _Floats, float, float]:
        """Give a bin's result less the mean, its derivatives by power and logarithm, and the first two's moments.

        All are divided by a power of two, so that no square overflows.
        """
        powers = np.where(self.signs > 0, power, 2.0 * self.unit - power)
        u, v = self.signs * ratio(powers, self.t), powers * self.t
        exponent = -int(np.frexp(np.max(np.abs(u)))[1])
        u = np.ldexp(u, exponent)
        mean, variance = _moments(u, self.weights)
        b = np.ldexp(self.t * self.t * _slope_of_ratio(v), exponent)
        product = math.fsum((self.weights * ((u - mean) * b)).tolist())
        return u - mean, b, np.ldexp(exp(v), exponent), variance, product

    def slope(self, power: float) -> float:
        """Give the likelihood's derivative by the power, in units and a value; 0 where it cannot be told."""
        _, _, _, variance, product = self._curves(power)
        if not variance > 0:
            return 0.0
        return math.fsum((self.weights * self.signs * self.t).tolist()) - product / variance

    def error(self, power: float) -> float:
        """Bound, to first order, how far values elsewhere in their bins can move the power; infinite at its limits.

        Parameters
        ----------
        power : float
            The best.
        """
        at = (power if self.home > 0 else 2.0 - power) * self.unit
        low, high = self._range(True)
        if not (self.width > 0).any():
            return 0.0
        if not low + _APART < at < high - _APART:
            return math.inf
        a, b, growth, variance, product = self._curves(at)
        fall = (self.slope(at - _APART) - self.slope(at + _APART)) / (2.0 * _APART)
        if not (variance > 0 and fall > 0):
            return math.inf
        rise = self.signs * growth
        moved = rise * (b - math.fsum((self.weights * b).tolist())) + a * (self.t * growth)
        moved = moved / variance - 2.0 * (product / variance) * (a * rise / variance)
        return math.fsum((self.weights * np.abs(self.signs - moved) * self.width).tolist()) / fall / self.unit


def _moments(u: _Floats, weights: _Floats) -> tuple[float, float]:
    """Give mean and variance, measured from the first value, so that a constant's are itself and 0."""
    first = float(u[0])
    mean = first + math.fsum((weights * (u - first)).tolist())
    return mean, math.fsum((weights * (u - mean) ** 2).tolist())


def _slope_of_ratio(v: _Floats) -> _Floats:
    """Compute ``(v exp(v) - exp(v) + 1) / v^2``: for ``v = m t`` the derivative of ``ratio(m, t)`` by m, over t^2."""
    series = np.zeros_like(v)
    for k in range(_SERIES, -1, -1):
        series = series * v + 1.0 / (math.factorial(k) * (k + 2))
    near = np.abs(v) < 2.0**-5
    far = np.where(near, 1.0, v)
    growth = expm1(far)
    return np.asarray(np.where(near, series, (far * (growth + 1.0) - growth) / (far * far)))
