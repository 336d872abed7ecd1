"""Exact sums, and the correctly rounded mean, variance and standard deviation they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import MergeError
from streamnorm.once import once
from streamnorm.summaries._base import Block, Counts, Summary
from streamnorm.summaries.exact import Exact, divide, square_root

__all__ = ["CONSTANT", "Moments"]

#: Largest standard deviation or range, relative to the column's magnitude, that is rounding noise: 4 eps of float64.
CONSTANT = 2.0**-50

#: Largest count of values that the kernel divides by.
_MOST = 2**62


@dataclass(frozen=True, eq=False)
class Moments(Summary):
    """The exact sums of w, w x and w x^2 of each column, and its counts.

    Without weights every w is 1. All statistics are rational functions of the three sums, rounded to
    float64 once:

    - mean = S1 / W
    - var = (W S2 - S1^2) / (W (W - ddof))
    - std = sqrt(var), of the unrounded variance

    (Neal, *Fast exact summation using small and large superaccumulators*, 2015, for the sums.)
    """

    weight: Exact
    total: Exact
    squares: Exact

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        return {"counts": Counts, "weight": Exact, "total": Exact, "squares": Exact}

    @classmethod
    def empty(cls, slots: int) -> Self:
        """Summarise no rows."""
        return cls(Counts.empty(slots), *(Exact.empty(slots) for _ in range(3)))

    @classmethod
    def of(cls, block: Block, *, skip_infinite: bool = False) -> Self:
        """Summarise a block of rows."""
        counts, infinities, total, squares, weight = kernel.moments(block.slots, block.runs)
        tally = Counts.of_kernel(block, counts, infinities, skip_infinite)
        weights = Exact(block.slots, *weight)
        if block.zeros is not None:
            implicit = Exact.of_counts(block.zeros) if block.zero_weight is None else block.zero_weight
            weights = weights + implicit
        return cls(tally, weights, Exact(block.slots, *total), Exact(block.slots, *squares))

    def __sub__(self, other: Self) -> Self:
        rest = super().__sub__(other)
        slot = rest._impossible()
        if slot >= 0:
            raise MergeError(f"cannot forget rows of column {slot} that were never counted.")
        return rest

    def is_possible(self) -> bool:
        """Tell whether there are rows that have these sums, as far as that can be seen."""
        return self._impossible() < 0

    def _impossible(self) -> int:
        """Find a column whose sums are those of no rows; -1 where there is none."""
        doubtful = np.flatnonzero(~self._rounded(0)[1])
        rest = self.take(doubtful)
        for slot, count, (w, s1, s2) in zip(doubtful, rest.counts.values.tolist(), rest._sums, strict=True):
            if w < 0 or w * s2 < s1 * s1 or (count == 0 and (w or s1 or s2)):
                return int(slot)
        return -1

    def _rounded(self, ddof: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """What `_statistics` gives, as far as the kernel finds it, and for which columns it does."""
        values = np.ascontiguousarray(self.counts.values)
        if not (float(ddof).is_integer() and ddof < _MOST and self.weight == Exact.of_counts(values)):
            return np.full((len(self), 3), np.nan), np.zeros(len(self), bool)
        sums = [part for sum in (self.total, self.squares) for part in (sum.limbs, sum.width, sum.exponent)]
        statistics, found = kernel.round_moments(values, *sums, int(ddof))
        return np.frombuffer(statistics).reshape(-1, 3), np.frombuffer(found, np.bool_)

    def _statistics(self, ddof: float) -> NDArray[np.float64]:
        """Mean, variance and standard deviation of each column, shape (n_slots, 3)."""

        def compute() -> NDArray[np.float64]:
            statistics, found = self._rounded(ddof)
            if found.all():
                return statistics
            statistics, rest = statistics.copy(), np.flatnonzero(~found)
            statistics[rest] = self.take(rest)._by_fractions(ddof)
            return statistics

        return self.cached(("statistics", ddof), compute)

    def _by_fractions(self, ddof: float) -> NDArray[np.float64]:
        """What `_statistics` gives, by integers of any size."""
        lost, times = float(ddof).as_integer_ratio()
        lost = lost and lost << -self._unit
        rows = []
        for w, s1, s2 in self._sums:
            over, under = (w * s2 - s1 * s1) * times, w * (w * times - lost)
            varies = w > 0 and under > 0
            rows.append(
                (
                    divide(s1, w) if w else np.nan,
                    divide(over, under) if varies else np.nan,
                    square_root(over, under) if varies else np.nan,
                )
            )
        return np.array(rows, np.float64).reshape(-1, 3)

    @once
    def _unit(self) -> int:
        """A power of two, at most 0, that all sums are integer multiples of."""
        return min(0, self.weight.exponent, self.total.exponent, self.squares.exponent)

    @once
    def _sums(self) -> list[tuple[int, int, int]]:
        """W, S1 and S2 of each slot in units of ``2**_unit``."""
        fields = (self.weight, self.total, self.squares)
        # A sum of zeros has no power of its own: its exponent is 0, and may lie below the unit of the others.
        columns = ([v << max(f.exponent - self._unit, 0) for v in f.integers()] for f in fields)
        return list(zip(*columns, strict=True))

    def samples(self) -> NDArray[Any]:
        """Values of each column, or the sum of their weights where they have some, shape (n_slots,)."""
        if self.weight == Exact.of_counts(self.counts.values):
            return self.counts.values
        return np.array([divide(w, 1, self.weight.exponent) for w in self.weight.integers()], np.float64)

    def mean(self) -> NDArray[np.float64]:
        """Mean of each column, shape (n_slots,); NaN where there is no value."""
        return self._statistics(0)[:, 0].copy()

    def var(self, ddof: float = 0) -> NDArray[np.float64]:
        """Variance of each column, shape (n_slots,); NaN where the weights do not exceed `ddof`."""
        return self._statistics(ddof)[:, 1].copy()

    def std(self, ddof: float = 0) -> NDArray[np.float64]:
        """Standard deviation of each column, shape (n_slots,); NaN where the weights do not exceed `ddof`."""
        return self._statistics(ddof)[:, 2].copy()

    def scale(self, ddof: float = 0) -> NDArray[np.float64]:
        """Standard deviation of each column, 1 where the column is constant, shape (n_slots,)."""
        std = self.std(ddof)
        return np.where(std <= CONSTANT * np.abs(self.mean()), 1.0, std)

    def quarter(self, ddof: float = 0) -> NDArray[np.float64]:
        """A quarter of `scale`, where that is infinite: of a standard deviation beyond the greatest float64."""
        scale = self.scale(ddof)
        beyond = np.flatnonzero(np.isinf(scale))
        lost, times = float(ddof).as_integer_ratio()
        part = self.take(beyond)
        lost = lost and lost << -part._unit
        scale /= 4
        for slot, (w, s1, s2) in zip(beyond, part._sums, strict=True):
            scale[slot] = square_root((w * s2 - s1 * s1) * times, 16 * w * (w * times - lost))
        return scale
