"""Sums of the products of every two columns, without rounding: the twin of products.h.

Values are cut into slices of 22 bits, all those of a column on one grid, so that products of slices add up without
rounding, in whatever order (Ozaki, Ogita, Oishi and Rump, *Error-free transformations of matrix multiplication by using
fast routines of matrix multiplication*, 2012): a slice is at most 2^21 units of its grid in magnitude and a sum of two
at most 2^22, so that products of two sums are at most 2^44, and those of 512 rows add up to at most 2^53. Float64 holds
every partial sum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["products"]

#: Bits of a slice, rows that are put aside or not together, and rows whose products float64 holds.
_BITS, _ROWS, _BLOCK = 22, 128, 512
_LEFT, _BEYOND = 1, 2
#: What an addition of rounds to integers.
_GRID = 1.5 * 2.0**52


def products(
    x: NDArray[np.float64],
    exponents: NDArray[np.int64],
    count: int,
    most: int,
    digits: NDArray[np.int64],
    totals: NDArray[np.int64],
    aside: NDArray[np.uint8],
) -> tuple[int, int]:
    """Add the products of slices, on grids of ``2**(exponent - 21)`` for each column and ``2**22`` finer each.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Finite.
    exponents : ndarray of shape (n_columns,)
    count : int
        Slices, 1 to 8.
    most : int
        Rows that may be put aside for one reason: before the 128 rows that would be too many, the work ends.
    digits : ndarray of shape (2 * count - 1, n_columns, n_columns)
        The products of slices p and q of every two columns are added to the upper triangle of that of ``p + q``.
    totals : ndarray of shape (count, n_columns)
        The sums of slices are added to it.
    aside : ndarray of shape (n_rows,)
        Marks of the rows with a value that the slices do not hold (1), or one beyond the grid (2): they are left out.

    Returns
    -------
    (int, int)
        Rows that were gone through; rows that the slices do not hold, of these and of those that the work ended before.
    """
    scaled = x * np.ldexp(1.0, _BITS - 1 - exponents)
    far = np.abs(scaled) > 2.0 ** (_BITS - 1)
    rest, slices = np.where(far, 0.0, scaled), []
    for _ in range(count):
        slices.append((rest + _GRID) - _GRID)
        rest = (rest - slices[-1]) * 2.0**_BITS
    aside[:] = 0
    aside[((rest != 0) | ((scaled == 0) & (x != 0))).any(axis=1)] = _LEFT
    aside[far.any(axis=1)] = _BEYOND

    done = beyond = left = 0
    while done < len(x):
        marks = aside[done : done + _ROWS]
        beyond += int(np.count_nonzero(marks == _BEYOND))
        left += int(np.count_nonzero(marks == _LEFT))
        if max(beyond, left) > most:
            break
        done += len(marks)
    kept = np.flatnonzero(aside[:done] == 0)
    for start in range(0, len(kept), _BLOCK):
        _add([each[kept[start : start + _BLOCK]] for each in slices], digits, totals)
    return done, left


def _add(slices: list[NDArray[np.float64]], digits: NDArray[np.int64], totals: NDArray[np.int64]) -> None:
    """Add the products of a block's slices, and their sums.

    Parameters
    ----------
    slices : list of ndarray of shape (n_rows, n_columns)
    digits : ndarray of shape (2 * len(slices) - 1, n_columns, n_columns)
    totals : ndarray of shape (len(slices), n_columns)
    """
    for p, one in enumerate(slices):
        totals[p] += one.sum(axis=0).astype(np.int64)
        for q, other in enumerate(slices):
            digits[p + q] += np.triu(one.T @ other).astype(np.int64)
