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
#: Blocks whose sums are added up in 64 bits: so many times 2^53 stay below 2^62, and four pairs of slices below 2^63.
_BLOCKS = 511
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
    shift = _exponents(x[:_ROWS])
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
    """Sums of blocks of rows, in integers of 64 bits: one for each slice and pair of slices of each pair of columns.

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
        self._width, self._memory = len(shift), np.empty(0)
        #: Rows that were put aside.
        self.aside: list[_Floats] = []

    def gathered(self, x: _Floats) -> Iterator[Exact]:
        """Give the sums of rows, as often as the integers of 64 bits may be full or the grids change.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
        """
        start, count = 0, _FEW
        self._begin(_grids(x[:_ROWS]), count)
        while start < len(x):
            matrices = count * (count + 1) // 2
            rows = x[start : start + _ROWS * max(1, _AT_ONCE // (8 * _ROWS * self._width * matrices))]
            blocks = -(-len(rows) // _ROWS)
            if self._blocks + blocks > _BLOCKS:
                yield self._exact()
                self._begin(_grids(rows), count)
            pieces = self._room(blocks, matrices)
            totals, marks = np.zeros((count, self._width), np.int64), np.empty(len(rows), np.uint8)
            beyond, left, used = kernel.slices(rows, self._exponents, count, pieces, totals, marks)
            few = self._few * len(rows)
            more = min(count + (left > few), _MOST)
            if more > count or beyond > few:
                grids = _grids(rows)
                if more > count or (grids != self._exponents).any():
                    if self._blocks:
                        yield self._exact()
                    count = more
                    self._begin(grids, count)
                    continue
            if beyond or left:
                self.aside.append(rows[marks != 0])
            self._add(pieces, totals, used, len(rows) - beyond - left)
            self._blocks += blocks
            start += len(rows)
        if self._blocks:
            yield self._exact()

    def _room(self, blocks: int, matrices: int) -> _Floats:
        """Give the memory of the slices of some blocks; it is used again, since new memory comes page by page."""
        size = blocks * matrices * self._width * _ROWS
        if len(self._memory) < size:
            self._memory = np.empty(size)
        return self._memory[:size].reshape(blocks, matrices, self._width, _ROWS)

    def _begin(self, grids: NDArray[np.int64], count: int) -> None:
        """Begin anew, with other grids or numbers of slices."""
        self._exponents = grids
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


def _exponents(rows: _Floats) -> NDArray[np.int64]:
    """Give the least power of two above the magnitudes of each column."""
    exponents: NDArray[np.int64] = np.frexp(np.abs(rows).max(axis=0, initial=0.0))[1].astype(np.int64)
    return exponents


def _grids(rows: _Floats) -> NDArray[np.int64]:
    """Give the exponents of grids that hold rows."""
    return np.clip(_exponents(rows), -_REACH, _REACH)


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


def _by_integers(x: _Floats, exponent: int) -> Iterator[Exact]:
    """Sum products of any finite numbers one by one, some rows at a time."""
    first, second = (pair.tolist() for pair in pairs_of(x.shape[1] + 1))
    for start in range(0, len(x), _ROWS):
        rows, columns, units = x[start : start + _ROWS], [], []
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
