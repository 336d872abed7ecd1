"""Exact sums of products of all pairs of columns, and the correctly rounded covariances and correlations they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import InfiniteValueError, MergeError
from streamnorm.once import once
from streamnorm.summaries._base import Counts, Index, Summary
from streamnorm.summaries.crossing import crossed, pairs_of
from streamnorm.summaries.exact import Exact, divide, square_root
from streamnorm.summaries.moments import Moments

__all__ = ["CrossProducts", "Pairs"]

_Floats = NDArray[np.float64]
#: What rows count as, in each column's counts.
_COMPLETE, _LEFT_OUT = kernel.COUNTS.index("values"), kernel.COUNTS.index("nans")


@dataclass(frozen=True)
class Pairs:
    """The exact sums of w x_i x_j, w x_i and w of columns: those of `pairs_of`, with a column of ones as the last.

    Parameters
    ----------
    width : int
        Columns, without that of ones.
    sums : Exact
    """

    width: int
    sums: Exact

    @classmethod
    def empty(cls, slots: int) -> Self:
        """Give the sums of no rows."""
        return cls(slots, Exact.empty((slots + 1) * (slots + 2) // 2))

    def __len__(self) -> int:
        return self.width

    def __add__(self, other: Self) -> Self:
        return type(self)(self.width, self.sums + other.sums)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.width, self.sums - other.sums)

    def at(self, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.intp]:
        """Give the places of pairs among the sums.

        Parameters
        ----------
        first, second : ndarray of int
            Columns, in either order; ``width`` is that of ones.
        """
        low, high = np.minimum(first, second), np.maximum(first, second)
        places: NDArray[np.intp] = low * (self.width + 1) - low * (low - 1) // 2 + high - low
        return places

    def take(self, slots: Index) -> Self:
        """Keep the pairs of the given columns, in that order."""
        kept = np.arange(self.width)[np.asarray(slots, np.int64)]
        columns = np.append(kept, self.width)
        first, second = pairs_of(len(columns))
        return type(self)(len(kept), self.sums.take(self.at(columns[first], columns[second])))

    def place(self, slots: int, at: Index) -> NoReturn:
        """Refuse columns of which no row was seen beside the others.

        Parameters
        ----------
        slots : int
        at : sequence of int
        """
        raise TypeError("products of columns that were not seen together are not known")

    def joined(self, *others: Self) -> NoReturn:
        """Refuse columns of which no row was seen beside the others."""
        raise TypeError("products of columns that were not seen together are not known")

    def to_json(self) -> list[dict[str, Any]]:
        """Give for each column its products with itself and those behind it, its total, and the sum of the weights."""
        texts, width = self.sums.to_json(), self.width
        starts = self.at(np.arange(width), np.arange(width)).tolist()
        rows = [texts[start : start + width - i] for i, start in enumerate(starts)]
        totals = [texts[start + width - i] for i, start in enumerate(starts)]
        return [{"products": row, "total": total, "weight": texts[-1]} for row, total in zip(rows, totals, strict=True)]

    @classmethod
    def from_json(cls, slots: Sequence[dict[str, Any]]) -> Self:
        """Read what `to_json` gave; ValueError, KeyError or TypeError where it is not that."""
        texts: list[str] = []
        for i, slot in enumerate(slots):
            if len(slot["products"]) != len(slots) - i or slot["weight"] != slots[0]["weight"]:
                raise ValueError("columns have other numbers of products, or other weights")
            texts += [*slot["products"], slot["total"]]
        return cls(len(slots), Exact.from_json([*texts, *(slots[0]["weight"] for _ in slots[:1])]))


@dataclass(frozen=True, eq=False)
class CrossProducts(Summary):
    """The exact sums of w, w x_i and w x_i x_j of all columns, over rows without a missing value.

    All statistics are rational functions of the sums, rounded to float64 once:

    - mean_i = S_i / W
    - cov_ij = (W S_ij - S_i S_j) / (W (W - ddof))
    - corr_ij = (W S_ij - S_i S_j) / sqrt((W S_ii - S_i^2) (W S_jj - S_j^2))

    In `counts` a row without a missing value is a value of every column, and one that was left out a NaN.

    Examples
    --------
    >>> a = CrossProducts.of_matrix(np.array([[1.0, 2.0], [3.0, 6.0]]))
    >>> b = CrossProducts.of_matrix(np.array([[2.0, np.nan], [5.0, 1.0]]))
    >>> (a + b).covariance(1)
    array([[ 4., -1.],
           [-1.,  7.]])
    >>> (a + b) - b == a, (a + b).left_out
    (True, 1)
    """

    pairs: Pairs

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        return {"counts": Counts, "pairs": Pairs}

    @classmethod
    def empty(cls, slots: int) -> Self:
        """Summarise no rows."""
        return cls(Counts.empty(slots), Pairs.empty(slots))

    @classmethod
    def of_matrix(cls, x: NDArray[Any], weights: _Floats | None = None) -> Self:
        """Summarise rows.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
            Numbers; a row that has a NaN is left out and counted.
        weights : ndarray of shape (n_rows,), optional
            Finite and not negative; a row of weight 0 is as if it were not there.

        Raises
        ------
        InfiniteValueError
            If a row of some weight has an infinity.
        """
        if weights is not None and not weights.all():
            x, there = x[weights > 0], np.flatnonzero(weights)
            weights = weights[there]
        else:
            there = None
        values, left_out = x.astype(np.float64, copy=False), 0
        with np.errstate(over="ignore", invalid="ignore"):
            plain = bool(np.isfinite(values.sum()))
        if not plain:
            infinite = np.argwhere(np.isinf(values))
            if len(infinite):
                row, slot = infinite[0].tolist()
                raise InfiniteValueError(slot, int(row if there is None else there[row]))
            missing = np.isnan(values).any(axis=1)
            left_out = int(np.count_nonzero(missing))
            values, weights = values[~missing], None if weights is None else weights[~missing]
        counts = np.zeros((x.shape[1], len(kernel.COUNTS)), np.int64)
        counts[:, _COMPLETE] = len(values)
        counts[:, _LEFT_OUT] = left_out
        return cls(Counts(counts), Pairs(x.shape[1], crossed(values, weights)))

    def __sub__(self, other: Self) -> Self:
        rest = super().__sub__(other)
        if not rest.is_possible():
            raise MergeError("cannot forget rows that were never counted.")
        return rest

    def is_possible(self) -> bool:
        """Tell whether there are rows that have these sums, as far as two columns at a time show it."""
        if not len(self):
            return True
        weight, scatter = self._scatter
        count = int(self.counts.values[0])
        if weight < 0 or (count > 0) != (weight > 0) or (count == 0 and any(self.pairs.sums.integers())):
            return False
        if (self.counts.table != self.counts.table[:1]).any():
            return False
        own = [scatter[i][i] for i in range(len(self))]
        return all(v >= 0 for v in own) and all(
            row[j] ** 2 <= own[i] * own[j] for i, row in enumerate(scatter) for j in range(i)
        )

    @property
    def left_out(self) -> int:
        """Rows that had a missing value."""
        return int(self.counts.table[:1, _LEFT_OUT].sum())

    @once
    def _scatter(self) -> tuple[int, list[list[int]]]:
        """W in units of ``2**exponent``, and ``W S_ij - S_i S_j`` in units of its square, for j up to i."""
        integers, width, exponent = self.pairs.sums.integers(), len(self), self.pairs.sums.exponent
        lost = max(0, exponent)
        integers = [value << lost for value in integers]
        at = self.pairs.at
        every = np.arange(width)
        weight, totals = integers[-1], [integers[p] for p in at(every, np.full(width, width)).tolist()]
        places = at(every[:, np.newaxis], every).tolist()
        return weight, [
            [weight * integers[places[i][j]] - totals[i] * totals[j] for j in range(i + 1)] for i in range(width)
        ]

    @property
    def _unit(self) -> int:
        """The power of two, at most 0, that the integers of `_scatter` are in units of."""
        return min(0, self.pairs.sums.exponent)

    def moments(self) -> Moments:
        """Give what is known of each column by itself, over rows without a missing value."""
        every, behind = np.arange(len(self)), np.full(len(self), len(self))
        places = ((behind, behind), (every, behind), (every, every))
        return Moments(self.counts, *(self.pairs.sums.take(self.pairs.at(*pair)) for pair in places))

    def samples(self) -> int | float:
        """Rows without a missing value, or the sum of their weights where they have some."""
        weight, count = self._scatter[0] if len(self) else 0, int(self.counts.values[:1].sum())
        if self._unit <= 0 and weight == count << -self._unit:
            return count
        return divide(weight, 1, self._unit)

    def mean(self) -> _Floats:
        """Mean of each column, shape (n_columns,); NaN where there is no row."""
        weight = self._scatter[0]
        every = np.arange(len(self))
        integers = self.pairs.sums.integers()
        lost = self.pairs.sums.exponent - self._unit
        places = self.pairs.at(every, np.full(len(self), len(self))).tolist()
        return np.array([divide(integers[p] << lost, weight) if weight else np.nan for p in places], np.float64)

    def covariance(self, ddof: int = 0, exponent: int = 0) -> _Floats:
        """Covariances times ``2**exponent``, shape (n_columns, n_columns); NaN where the weights do not exceed `ddof`.

        Parameters
        ----------
        ddof : int
            Taken from the sum of the weights in the divisor.
        exponent : int
        """
        weight, scatter = self._scatter
        under = weight * (weight - (ddof << -self._unit))
        if not (weight > 0 and under > 0):
            return np.full((len(self), len(self)), np.nan)
        return _symmetric([[divide(value, under, exponent) for value in row] for row in scatter])

    def correlation(self) -> _Floats:
        """Correlations, shape (n_columns, n_columns); NaN in the row and column of a constant."""
        scatter = self._scatter[1]
        own = [row[-1] for row in scatter]
        return _symmetric([[_ratio(v, own[i], own[j]) for j, v in enumerate(row)] for i, row in enumerate(scatter)])

    def greatest(self, ddof: int = 0) -> int:
        """Give the binary exponent of the greatest variance: 2 to this power is above it; 0 where none is above 0."""
        weight, scatter = self._scatter
        under = weight * (weight - (ddof << -self._unit))
        most = max((row[-1] for row in scatter), default=0)
        return most.bit_length() - under.bit_length() + 1 if most > 0 and under > 0 else 0


def _ratio(value: int, first: int, second: int) -> float:
    """Give ``value / sqrt(first * second)``, rounded once.

    Parameters
    ----------
    value, first, second : int
        The last two are not negative; NaN where one of them is 0.
    """
    if not (first and second):
        return np.nan
    root = square_root(value * value, first * second)
    return root if value >= 0 else -root


def _symmetric(rows: Sequence[Sequence[float]]) -> _Floats:
    """Give a matrix of its entries up to the diagonal."""
    matrix = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        matrix[i, : i + 1] = matrix[: i + 1, i] = row
    return matrix
