"""Sums of products of all pairs of columns, without rounding, at the speed of matrix products.

Values are cut into slices of 22 bits, all those of a column on one grid, and the products of slices are summed as
integers (`kernel.products`): those of slices p and q are so many units of ``2^(-22 (p + q))``, a digit of the result.

Rows that three slices do not hold, because a value is far greater or far smaller than others of its column, are put
aside and cut into more of them; what these do not hold either is multiplied as Python's integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import mul

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.summaries.exact import Exact

__all__ = ["crossed", "pairs_of"]

_Floats = NDArray[np.float64]
#: Bits of a slice, as the kernel has them.
_BITS = 22
#: Slices that rows are cut into before those few that need more are put aside, and those are cut into.
_FEW, _MOST = 3, 8
#: Share of rows that may be put aside: more slices for all of them cost as much.
_FEW_ROWS = 1 / 4
#: Rows that tell what grids are needed, and rows that are multiplied at once: of them too many may be put aside.
_FIRST, _AT_ONCE = 512, 1 << 13
#: Rows whose digits 64 bits hold: each is at most four sums of two products of 2^42.
_ROWS = 1 << 17
#: Binary exponents between which products of slices neither overflow nor underflow.
_REACH = 300


def pairs_of(width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give the first and the second column of every pair, in the order of `crossed`."""
    return np.triu_indices(width)


def crossed(x: _Floats, weights: _Floats | None = None) -> Exact:
    """Sum the products of every two columns of a matrix that has a column of ones behind its own.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Finite numbers.
    weights : ndarray of shape (n_rows,), optional
        Finite and not negative. A weight is a sum of powers of two, and so is the sum: each costs as much as its rows.

    Returns
    -------
    Exact
        ``(n_columns + 1) (n_columns + 2) / 2`` sums, those of `pairs_of`: the last one of each column is its total, and
        the last one of all the sum of the weights.

    Examples
    --------
    >>> crossed(np.array([[1.0, 2.0], [3.0, 5.0]])).fractions()     # aa, ab, a, bb, b, 1
    [(5, 1), (17, 0), (1, 2), (29, 0), (7, 0), (1, 1)]
    """
    width = x.shape[1] + 1
    total = Exact.empty(width * (width + 1) // 2)
    for rows, exponent in [(x, 0)] if weights is None else _planes(x, weights):
        for part in _sums(rows, exponent):
            total = total + part
    return total


def _planes(x: _Floats, weights: _Floats) -> Iterator[tuple[_Floats, int]]:
    """Give the rows whose weight has a bit, and the bit's exponent, for each there is."""
    mantissas, exponents = np.frexp(weights)
    integers, lowest = np.ldexp(mantissas, 53).astype(np.int64), exponents.astype(np.int64) - 53
    for exponent in range(int(lowest.min(initial=0)), int(exponents.max(initial=0)) + 1):
        places = exponent - lowest
        within = (places >= 0) & (places < 53)
        bit = within & ((integers >> np.where(within, places, 0)) & 1 == 1)
        if bit.any():
            yield x[bit], exponent


def _sums(x: _Floats, exponent: int) -> Iterator[Exact]:
    """Give sums that make up those of `crossed` when they are added, times a power of two."""
    if not len(x):
        return
    shift = _exponents(x[:_FIRST])
    shift[np.abs(shift) <= _REACH] = 0
    if shift.any():  # far from 1, columns are brought there, but for rows that underflow or overflow
        with np.errstate(over="ignore"):
            near = np.ldexp(x, -shift)
            lost = (np.ldexp(near, shift) != x).any(axis=1)
        if lost.any():
            yield from _by_integers(x[lost], exponent)
            near = near[~lost]
        x = near
    most = _Gatherer(shift, exponent, _FEW_ROWS)
    yield from most.gathered(x)
    if most.aside:
        others = _Gatherer(shift, exponent, 0.0)
        yield from others.gathered(np.concatenate(most.aside))
        for rows in others.aside:
            yield from _by_integers(np.ldexp(rows, shift), exponent)


class _Gatherer:
    """Sums of rows, in integers of 64 bits: one for each digit of each pair of columns.

    Parameters
    ----------
    shift : ndarray of shape (n_columns,)
        Powers of two that the columns were divided by.
    exponent : int
        Power of two that all sums are multiplied by.
    few : float
        Share of rows that may be put aside before all of them are cut into more slices.
    """

    def __init__(self, shift: NDArray[np.int64], exponent: int, few: float) -> None:
        self._shift, self._exponent, self._few = shift, exponent, few
        #: Rows that were put aside.
        self.aside: list[_Floats] = []

    def gathered(self, x: _Floats) -> Iterator[Exact]:
        """Give the sums of rows, as often as the integers of 64 bits may be full or the grids change.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
        """
        start, count, any_number = 0, _FEW, False
        self._begin(_grids(x[:_FIRST]), count)
        while start < len(x):
            rows = x[start : start + _AT_ONCE]
            if self._rows + len(rows) > _ROWS:
                yield self._exact()
                self._begin(self._exponents, count)
            few = len(rows) if any_number else int(self._few * len(rows))
            marks = np.empty(len(rows), np.uint8)
            done, left = kernel.products(rows, self._exponents, count, few, self._digits, self._totals, marks)
            aside = marks[:done] != 0
            if aside.any():
                self.aside.append(rows[:done][aside])
            self._rows += done
            self._kept += done - int(np.count_nonzero(aside))
            start += done
            if any_number := done < len(rows):
                grids, more = _grids(x[start : start + _FIRST]), min(count + (left > few), _MOST)
                if more > count or (grids != self._exponents).any():
                    if self._kept:
                        yield self._exact()
                    count, any_number = more, False
                    self._begin(grids, count)
        if self._kept:
            yield self._exact()

    def _begin(self, grids: NDArray[np.int64], count: int) -> None:
        """Begin anew, with other grids or numbers of slices."""
        self._exponents, self._rows, self._kept = grids, 0, 0
        self._digits = np.zeros((2 * count - 1, len(grids), len(grids)), np.int64)
        self._totals = np.zeros((count, len(grids)), np.int64)

    def _exact(self) -> Exact:
        """Give what was summed as exact numbers."""
        first, second = pairs_of(len(self._exponents) + 1)
        units = np.append(self._exponents - (_BITS - 1) + self._shift, 0)
        base, total = units[first] + units[second] + self._exponent, Exact.empty(len(first))
        for place, digit in enumerate(self._digits):
            values = np.pad(digit, (0, 1))
            if place < len(self._totals):
                values[:-1, -1] = self._totals[place]
            if place == 0:
                values[-1, -1] = self._kept
            values = values[first, second]
            if values.any():
                total = total + _shifted(values, base - _BITS * place)
        return total


def _exponents(rows: _Floats) -> NDArray[np.int64]:
    """Give the least power of two above the magnitudes of each column."""
    exponents: NDArray[np.int64] = np.frexp(np.abs(rows).max(axis=0, initial=0.0))[1].astype(np.int64)
    return exponents


def _grids(rows: _Floats) -> NDArray[np.int64]:
    """Give the exponents of grids that hold rows."""
    return np.clip(_exponents(rows), -_REACH, _REACH)


def _shifted(values: NDArray[np.int64], exponents: NDArray[np.int64]) -> Exact:
    """Give integers of 64 bits times powers of two of their own, as exact numbers."""
    there = values != 0
    lowest = int(exponents[there].min()) // 64 * 64
    limb, shift = np.divmod(np.where(there, exponents - lowest, 0), 64)
    table = np.zeros((len(values), int(limb.max()) + 2), np.uint64)
    slots = np.arange(len(values))
    table[slots, limb] = values.view(np.uint64) << shift.astype(np.uint64)
    table[slots, limb + 1] = (values >> 1 >> (63 - shift)).view(np.uint64)
    beyond = np.arange(table.shape[1]) > limb[:, np.newaxis] + 1
    table[beyond & (values < 0)[:, np.newaxis]] = 2**64 - 1
    return Exact.of_table(table, lowest) + Exact.empty(len(values))


def _by_integers(x: _Floats, exponent: int) -> Iterator[Exact]:
    """Sum products of any finite numbers one by one, some rows at a time."""
    first, second = (pair.tolist() for pair in pairs_of(x.shape[1] + 1))
    for start in range(0, len(x), _FIRST):
        rows, columns, units = x[start : start + _FIRST], [], []
        for values in rows.T:
            mantissas, exponents = np.frexp(values)
            integers = np.ldexp(mantissas, 53).astype(np.int64).tolist()
            lowest = int(exponents[mantissas != 0].min(initial=1100))
            columns.append([m << (e - lowest) if m else 0 for m, e in zip(integers, exponents.tolist(), strict=True)])
            units.append(lowest - 53)
        columns.append([1] * len(rows))
        units.append(0)
        pairs = list(zip(first, second, strict=True))
        yield Exact.of_fractions(
            (sum(map(mul, columns[i], columns[j])), units[i] + units[j] + exponent) for i, j in pairs
        )
