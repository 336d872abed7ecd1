"""The shape of a column: its fine bins, gathered into bars of equal width that an eye can take in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.summaries import CONSTANT, Histogram

__all__ = ["Bars", "Shape", "bars_of"]

_Floats = NDArray[np.float64]
#: Distances from which a picture leaves the ends of a column out: of an end from the quartiles, in distances of the
#: quartiles, and of the whole column, in widths of what is shown.
_REACH, _FAR = 6.0, 3.0
#: Largest magnitude that a picture can show; what lies beyond is drawn there.
_EDGE = float(np.finfo(np.float64).max) / 4


@dataclass(frozen=True)
class Shape:
    """How often a column has which values.

    Parameters
    ----------
    low, high : ndarray of shape (n_bins,)
        Least and greatest number of each bin, ascending.
    counts : ndarray of shape (n_bins,)
        Values in each, at least 1.
    """

    low: _Floats
    high: _Floats
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, histogram: Histogram, slot: int) -> Shape | None:
        """Take a column of a histogram; None where it has no value."""
        low, high, counts = histogram.intervals(slot)
        return cls(low, high, counts) if len(counts) else None

    def mapped(self, function: Callable[[_Floats], _Floats]) -> Shape:
        """Map the values by a function that does not decrease."""
        with np.errstate(all="ignore"):
            low, high = (np.clip(function(v), -_EDGE, _EDGE) for v in (self.low, self.high))
        return Shape(low, np.maximum(low, high), self.counts)

    @property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @property
    def whole(self) -> bool:
        """Whether every value is known, and is a whole number."""
        return bool((self.low == self.high).all() and (self.low == np.round(self.low)).all())

    def window(self) -> tuple[float, float]:
        """Choose what to show: everything, or the middle where the ends are far away."""
        least, greatest = float(self.low[0]), float(self.high[-1])
        first, third = self._around(0.25), self._around(0.75)
        if first == third:  # most are one value
            first, third = self._around(0.005), self._around(0.995)
        reach = _REACH * (third / 4 - first / 4)  # a quarter, for a column as wide as all numbers
        low = max(least, 4 * max(first / 4 - reach, least / 4))
        high = min(greatest, 4 * min(third / 4 + reach, greatest / 4))
        far = greatest / 4 - least / 4 > _FAR * (high / 4 - low / 4)
        return (low, high) if far and low < high else (least, greatest)

    def _around(self, fraction: float) -> float:
        """Give the middle of the bin of a quantile."""
        at = int(np.searchsorted(np.cumsum(self.counts), fraction * self.total))
        return float(self.low[at] / 2 + self.high[at] / 2)

    def up_to(self, edges: _Floats) -> _Floats:
        """Estimate the share of values below each edge, as if they were spread evenly in their bins."""
        width = self.high - self.low
        inside = edges[:, None] - self.low
        with np.errstate(all="ignore"):
            part = np.where(width > 0, np.clip(inside / width, 0, 1), inside > 0)
        return np.asarray(part @ self.counts / self.total)


@dataclass(frozen=True)
class Bars:
    """Bars of equal width, as shares of all values.

    Parameters
    ----------
    edges : ndarray of shape (n_bars + 1,)
    shares : sequence of ndarray of shape (n_bars,)
        One for each shape.
    below, above : sequence of float
        Shares that lie beyond the edges, one for each shape.
    """

    edges: _Floats
    shares: tuple[_Floats, ...]
    below: tuple[float, ...]
    above: tuple[float, ...]

    def mapped(self, function: Callable[[_Floats], _Floats]) -> Bars:
        """Map the edges by an increasing function that keeps them equally far from each other."""
        return replace(self, edges=function(self.edges))

    def to_json(self) -> dict[str, Any]:
        """Give edges and shares of the first shape."""
        return {
            "edges": self.edges.tolist(), "shares": self.shares[0].tolist(),
            "below": self.below[0], "above": self.above[0],
        }  # fmt: skip


def bars_of(shapes: list[Shape], number: int) -> Bars:
    """Gather shapes into the same bars, at most `number` of them.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> bars = bars_of([Shape(x, x, np.array([1, 2, 1]))], 8)
    >>> bars.edges.tolist(), bars.shares[0].tolist()
    ([0.5, 1.5, 2.5, 3.5, 4.5], [0.25, 0.5, 0.0, 0.25])
    """
    windows = [shape.window() for shape in shapes]
    low, high = min(w[0] for w in windows), max(w[1] for w in windows)
    # In a unit in which no difference overflows, and no width is subnormal.
    exponent = int(np.frexp(max(abs(low), abs(high)))[1])
    scaled = [shape.mapped(lambda v: np.ldexp(v, -exponent)) for shape in shapes]
    edges = _edges(low, high, exponent, number, all(shape.whole for shape in shapes))
    shares, below, above = [], [], []
    for shape in scaled:
        parts = shape.up_to(np.append(edges[:-1], np.nextafter(edges[-1], np.inf)))
        shares.append(np.diff(parts))
        below.append(float(parts[0]))
        above.append(float(1 - parts[-1]))
    return Bars(np.ldexp(edges, exponent), tuple(shares), tuple(below), tuple(above))


def _edges(low: float, high: float, exponent: int, number: int, whole: bool) -> _Floats:
    """Cut from `low` to `high` in units of 2**exponent; bars of whole numbers have whole widths.

    Parameters
    ----------
    low : int
    high : int
    exponent : int
    number : int
        Bars, at most.
    whole : bool
        Whether the values are whole numbers.
    """
    apart = 2 * float(np.spacing(max(abs(low), abs(high))))  # edges this far from each other are not one number
    if whole and low < high:
        width = max(-(-(high - low + 1) // number), apart)
        steps = int(-(-(high - low + 1) // width))
        return np.asarray(np.ldexp(low - 0.5 + width * np.arange(steps + 1), -exponent))
    apart = float(np.ldexp(apart, -exponent))
    low, high = float(np.ldexp(low, -exponent)), float(np.ldexp(high, -exponent))
    if high - low <= CONSTANT:
        return low + max(0.1, apart) * np.arange(-2.5, 3)  # one value, in the middle of five bars
    return np.linspace(low, high, max(1, min(number, int((high - low) / apart))) + 1)
