"""Exact sums, and the correctly rounded mean, variance and standard deviation they give."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import MergeError
from streamnorm.exact import Exact, divide, square_root
from streamnorm.summaries._base import Block, Counts, Summary

__all__ = ["CONSTANT", "Moments"]

#: Times a column's magnitude: a standard deviation or range up to this is rounding noise. 4 eps of float64.
CONSTANT = 2.0**-50


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
        for slot, (count, (w, s1, s2)) in enumerate(zip(rest.counts.values.tolist(), rest._sums, strict=True)):
            if w < 0 or w * s2 < s1 * s1 or (count == 0 and (w or s1 or s2)):
                raise MergeError(f"cannot forget rows of column {slot} that were never counted.")
        return rest

    @functools.cached_property
    def _unit(self) -> int:
        """A power of two, at most 0, that all sums are integer multiples of."""
        return min(0, self.weight.exponent, self.total.exponent, self.squares.exponent)

    @functools.cached_property
    def _sums(self) -> list[tuple[int, int, int]]:
        """W, S1 and S2 of each slot in units of ``2**_unit``."""
        fields = (self.weight, self.total, self.squares)
        columns = ([v << (f.exponent - self._unit) for v in f.integers()] for f in fields)
        return list(zip(*columns, strict=True))

    def samples(self) -> NDArray[Any]:
        """Values of each column, or the sum of their weights where they have some, shape (n_slots,)."""
        if self.weight == Exact.of_counts(self.counts.values):
            return self.counts.values
        return np.array([divide(w, 1, self.weight.exponent) for w in self.weight.integers()], np.float64)

    def mean(self) -> NDArray[np.float64]:
        """Mean of each column, shape (n_slots,); NaN where there is no value."""
        return np.array([divide(s1, w) if w else np.nan for w, s1, _ in self._sums], np.float64)

    def _of_variance(self, ddof: float, function: Callable[[int, int], float]) -> NDArray[np.float64]:
        """Apply a function of numerator and denominator to the exact variance of each column."""
        lost, times = float(ddof).as_integer_ratio()
        lost <<= -self._unit
        freedom = [w * times - lost for w, _, _ in self._sums]
        return np.array(
            [
                function((w * s2 - s1 * s1) * times, w * f) if w and f > 0 else np.nan
                for (w, s1, s2), f in zip(self._sums, freedom, strict=True)
            ],
            np.float64,
        )

    def var(self, ddof: float = 0) -> NDArray[np.float64]:
        """Variance of each column, shape (n_slots,); NaN where the weights do not exceed `ddof`."""
        return self._of_variance(ddof, divide)

    def std(self, ddof: float = 0) -> NDArray[np.float64]:
        """Standard deviation of each column, shape (n_slots,); NaN where the weights do not exceed `ddof`."""
        return self._of_variance(ddof, square_root)

    def scale(self, ddof: float = 0) -> NDArray[np.float64]:
        """Standard deviation of each column, 1 where the column is constant, shape (n_slots,)."""
        std = self.std(ddof)
        return np.where(std <= CONSTANT * np.abs(self.mean()), 1.0, std)
