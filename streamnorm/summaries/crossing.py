"""Sums of products of all pairs of columns, without rounding, at the speed of matrix products.

A block of 512 rows is cut into slices of 22 bits, all values of a column on one grid (`kernel.slices`), so that a
matrix product of slices has no rounding, in whatever order a BLAS adds (Ozaki, Ogita, Oishi and Rump, *Error-free
transformations of matrix multiplication by using fast routines of matrix multiplication*, 2012). Of two slices a and b
of every column the sum of ``a_i b_j + b_i a_j`` is that of ``(a + b)_i (a + b)_j``, less those of ``a_i a_j`` and
``b_i b_j``: three slices take six products of a matrix with itself, each as symmetric as the result. They are gathered
as integers.

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
#: Bits of a slice and rows of a block, as the kernel has them.
_BITS, _ROWS = 22, 512
#: Slices that rows are cut into before those few that need more are put aside, and those are cut into.
_FEW, _MOST = 3, 8
#: Blocks whose sums are added up in 64 bits: 256 of 2^53 are 2^61, and what they hold of four pairs of slices is 2^62.
_BLOCKS = 256
#: Bytes of the slices that are made at once, which are to stay in the cache.
_AT_ONCE = 1 << 20
#: Share of rows that may be put aside: beyond, more slices for all of them cost less.
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
    few = _Gatherer(shift, exponent, _FEW)
    yield from few.gathered(x)
    if few.aside:
        many = _Gatherer(shift, exponent, _MOST)
        yield from many.gathered(np.concatenate(few.aside))
        if many.aside:
            yield _by_integers(np.ldexp(np.concatenate(many.aside), shift), exponent)


class _Gatherer:
    """Sums of blocks of rows, in integers of 64 bits: one for each slice and pair of slices of each pair of columns.

    Parameters
    ----------
    shift : ndarray of shape (n_columns,)
        Powers of two that the columns were divided by.
    exponent : int
        Power of two that all sums are multiplied by.
    few : int
        Slices after which few rows are put aside.
    """

    def __init__(self, shift: NDArray[np.int64], exponent: int, few: int) -> None:
        self._shift, self._exponent, self._few = shift, exponent, few
        self._width = len(shift)
        #: Rows that were put aside.
        self.aside: list[_Floats] = []

    def gathered(self, x: _Floats) -> Iterator[Exact]:
        """Give the sums of rows, as often as the integers of 64 bits may be full or the grids change.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
        """
        start, count = 0, _FEW
        self._begin(x[:_ROWS], count)
        while start < len(x):
            rows = x[start : start + _ROWS * max(1, _AT_ONCE // (8 * _ROWS * self._width * count * (count + 1) // 2))]
            blocks = -(-len(rows) // _ROWS)
            if self._blocks + blocks > _BLOCKS:
                yield self._exact()
                self._begin(rows, count)
            pieces = np.empty((blocks, count * (count + 1) // 2, self._width, _ROWS))
            totals, marks = np.zeros((count, self._width), np.int64), np.empty(len(rows), np.uint8)
            beyond, left, used = kernel.slices(rows, self._exponents, count, pieces, totals, marks)
            few = _FEW_ROWS * len(rows) if self._few == _FEW else 0
            if beyond > few or (left > few and count < _MOST):
                if self._blocks:
                    yield self._exact()
                count = min(count + (left > few), _MOST)
                self._begin(rows, count)
                continue
            if beyond or left:
                self.aside.append(rows[marks != 0])
            self._add(pieces, totals, used, len(rows) - beyond - left)
            self._blocks += blocks
            start += len(rows)
        if self._blocks:
            yield self._exact()

    def _begin(self, rows: _Floats, count: int) -> None:
        """Begin anew, with grids that hold rows."""
        greatest = np.abs(rows).max(axis=0, initial=0.0)
        self._exponents = np.maximum(np.frexp(greatest)[1].astype(np.int64), -_REACH)
        self._count, self._blocks, self._rows = count, 0, 0
        self._sums = np.zeros((count * (count + 1) // 2, self._width, self._width), np.int64)
        self._totals = np.zeros((count, self._width), np.int64)

    def _add(self, pieces: _Floats, totals: NDArray[np.int64], used: int, rows: int) -> None:
        """Add the products of slices, and of sums of two of them.

        Parameters
        ----------
        pieces : ndarray of shape (n_blocks, n_matrices, n_columns, 512)
        totals : ndarray of shape (count, n_columns)
        used : int
            Slices that are not all zeros.
        rows : int
        """
        self._rows += rows
        self._totals += totals
        if used == self._count:
            self._sums += _products(pieces)
        elif used:
            first, second = np.triu_indices(self._count, 1)
            there = np.concatenate([np.arange(used), self._count + np.flatnonzero(second < used)])
            sums = _products(pieces[:, there])
            self._sums[there] += sums
            alone = np.flatnonzero((first < used) & (second >= used))
            self._sums[self._count + alone] += sums[first[alone]]

    def _exact(self) -> Exact:
        """Give what was summed as exact numbers."""
        count, width = self._count, self._width
        own, both = self._sums[:count], self._sums[count:]
        first, second = pairs_of(width + 1)
        units = np.append(self._exponents - (_BITS - 1) + self._shift, 0)
        base, total = units[first] + units[second] + self._exponent, Exact.empty(len(first))
        pairs = list(zip(*np.triu_indices(count, 1), strict=True))
        for weight in range(2 * count - 1):  # of slices p and q, whose products are so many slices below the first
            digit = np.zeros((width + 1, width + 1), np.int64)
            if weight % 2 == 0:
                digit[:-1, :-1] = own[weight // 2]
            for (p, q), sums in zip(pairs, both, strict=True):
                if p + q == weight:
                    digit[:-1, :-1] += sums - own[p] - own[q]
            if weight < count:
                digit[:-1, -1] = self._totals[weight]
            digit[-1, -1] = self._rows if weight == 0 else 0
            values = digit[first, second]
            if values.any():
                total = total + _shifted(values, base - _BITS * weight)
        return total


def _products(pieces: _Floats) -> NDArray[np.int64]:
    """Give the products of matrices with themselves, summed over blocks, which have room in 64 bits."""
    sums: NDArray[np.int64] = np.matmul(pieces, pieces.swapaxes(2, 3)).astype(np.int64).sum(axis=0)
    return sums


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
