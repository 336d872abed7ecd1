"""Sums of products of all pairs of columns, without rounding, at the speed of matrix products.

A block of rows is cut into slices, all values of a column on one grid: each is at most 2^21 units of its grid, so that
products of two are at most 2^42, and sums of 2,048 of them at most 2^53. Float64 holds every partial sum exactly, in
whatever order a BLAS adds them (Ozaki, Ogita, Oishi and Rump, *Error-free transformations of
matrix multiplication by using fast routines of matrix multiplication*, 2012). They are gathered as integers.

Rows that three slices do not hold, because a value is far greater or far smaller than others of its column, are put
aside and cut into more of them; what these do not hold either is multiplied as Python's integers.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import mul

import numpy as np
from numpy.typing import NDArray

from streamnorm.summaries.exact import Exact

__all__ = ["crossed", "pairs_of"]

_Floats = NDArray[np.float64]
#: Bits of a slice, and rows of a block: sums of so many products of two slices are exact in float64.
_BITS, _ROWS = 22, 2048
#: Slices that rows are cut into before those few that need more are put aside, and those are cut into.
_FEW, _MOST = 3, 8
#: Blocks whose sums are added up in 64 bits: 64 of 2^53, and 8 pairs of slices of one weight, stay below 2^63.
_BLOCKS = 64
#: Share of a block's rows that may be put aside: beyond, more slices for all of them cost less.
_FEW_ROWS = 1 / 16
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
    greatest = np.maximum(x.max(axis=0), -x.min(axis=0))
    shift = np.frexp(greatest)[1].astype(np.int64)
    shift[np.abs(shift) <= _REACH] = 0
    if shift.any():  # far from 1, columns are brought there, but for rows that underflow
        near = np.ldexp(x, -shift)
        lost = (np.ldexp(near, shift) != x).any(axis=1)
        if lost.any():
            yield _by_integers(x[lost], exponent)
            near = near[~lost]
        x = near
    shift = np.append(shift, 0)
    few = _Gatherer(shift, exponent, _FEW)
    yield from few.gathered(x)
    if few.aside:
        many = _Gatherer(shift, exponent, _MOST)
        yield from many.gathered(np.concatenate(few.aside, axis=1).T)
        if many.aside:
            rest = np.concatenate(many.aside, axis=1).T
            yield _by_integers(np.ldexp(rest, shift[:-1]), exponent)


class _Gatherer:
    """Sums of blocks of rows, in integers of 64 bits: one for each pair of slices of each pair of columns.

    Parameters
    ----------
    shift : ndarray of shape (n_columns + 1,)
        Powers of two that the columns were divided by.
    exponent : int
        Power of two that all sums are multiplied by.
    few : int
        Slices after which few rows are put aside.
    """

    def __init__(self, shift: NDArray[np.int64], exponent: int, few: int) -> None:
        self._shift, self._exponent, self._few = shift, exponent, few
        self._width = len(shift)
        #: Columns of rows that were put aside, without that of ones.
        self.aside: list[_Floats] = []

    def gathered(self, x: _Floats) -> Iterator[Exact]:
        """Give the sums of rows, as often as the integers of 64 bits may be full or the grids change.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
        """
        blocks, limits = 0, np.full(self._width, -np.inf)
        for start in range(0, len(x), _ROWS):
            block = np.ones((self._width, min(_ROWS, len(x) - start)))
            block[:-1] = x[start : start + _ROWS].T
            greatest = np.maximum(block.max(axis=1), -block.min(axis=1))
            if blocks == _BLOCKS or (greatest > limits).any():
                above: NDArray[np.bool_] = np.any(np.abs(block) > limits[:, np.newaxis], axis=0)
                if blocks == _BLOCKS or np.count_nonzero(above) > _FEW_ROWS * len(above):
                    if blocks:
                        yield self._exact()
                    blocks, limits = 0, self._anchored(greatest)
                else:
                    block = self._put_aside(block, above)
            self._add(block)
            blocks += 1
        if blocks:
            yield self._exact()

    def _anchored(self, greatest: _Floats) -> _Floats:
        """Choose the grids by the greatest magnitudes, and give those that they hold."""
        exponents = np.maximum(np.frexp(greatest)[1].astype(np.int64), -_REACH)
        exponents[:-1] += self._few == _FEW  # later blocks may have greater ones
        self._units = exponents - (_BITS - 1)
        self._sums = np.zeros((_MOST, self._width, _MOST, self._width), np.int64)
        return np.ldexp(1.0, exponents)

    def _put_aside(self, block: _Floats, which: NDArray[np.bool_]) -> _Floats:
        """Take rows out of a block."""
        self.aside.append(block[:-1, which])
        return block[:, ~which]

    def _add(self, block: _Floats) -> None:
        """Add the products of a block of shape (n_columns + 1, n_rows)."""
        width, rows = block.shape
        whole = block
        slices, places = np.empty((_FEW * width, rows)), []
        columns, rest, used = np.arange(width), block, 0
        for level in range(_MOST):
            if used + len(rest) > len(slices):
                slices = np.concatenate([slices, np.empty((width, rows))])
            part = slices[used : used + len(rest)]
            grid = np.ldexp(1.5, self._units[columns] - _BITS * level + 52)[:, np.newaxis]
            np.add(rest, grid, out=part)
            part -= grid
            rest = rest - part
            places.append(level * width + columns)
            used += len(part)
            left = rest.any(axis=1)
            if not left.any():
                break
            columns, rest = columns[left], rest[left]
            if level + 1 >= self._few:
                hard = rest.any(axis=0)
                if level + 1 == _MOST or np.count_nonzero(hard) <= _FEW_ROWS * rows:
                    self.aside.append(whole[:-1, hard])
                    slices[:used, hard] = 0.0
                    break
        part, at = slices[:used], np.concatenate(places)
        scale = np.ldexp(1.0, _BITS * (at // width) - self._units[at % width])
        products = part @ part.T
        products *= scale
        products *= scale[:, np.newaxis]
        table = self._sums.reshape(_MOST * width, _MOST * width)
        table[np.ix_(at, at)] += products.astype(np.int64)

    def _exact(self) -> Exact:
        """Give what was summed as exact numbers."""
        first, second = pairs_of(self._width)
        units = self._units + self._shift
        base = units[first] + units[second] + self._exponent
        total = Exact.empty(len(first))
        for weight in range(2 * _MOST - 1):
            low = max(0, weight - _MOST + 1)
            slices = np.arange(low, min(weight, _MOST - 1) + 1)
            values = self._sums[slices, :, weight - slices, :].sum(axis=0)[first, second]
            if values.any():
                total = total + _shifted(values, base - _BITS * weight)
        return total


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


def _by_integers(x: _Floats, exponent: int) -> Exact:
    """Sum products of any finite numbers, one by one."""
    columns, units = [], []
    for values in x.T:
        mantissas, exponents = np.frexp(values)
        integers = np.ldexp(mantissas, 53).astype(np.int64).tolist()
        lowest = int(exponents[mantissas != 0].min(initial=1100))
        columns.append([m << (e - lowest) if m else 0 for m, e in zip(integers, exponents.tolist(), strict=True)])
        units.append(lowest - 53)
    columns.append([1] * len(x))
    units.append(0)
    sums = (sum(map(mul, columns[i], columns[j])) for i, j in zip(*pairs_of(len(columns)), strict=True))
    first, second = pairs_of(len(columns))
    return Exact.of_fractions(
        (value, units[i] + units[j] + exponent) for value, i, j in zip(sums, first, second, strict=True)
    )
