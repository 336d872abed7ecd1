"""Values as slices of 22 bits on one grid for each column, and the sums of two slices: the twin of slices.h.

A slice is at most 2^21 units of its grid in magnitude, and a sum of two at most 2^22: products of two sums are at most
2^44, and those of 512 rows add up to at most 2^53. Float64 holds every partial sum of a matrix product of such a block
exactly, in whatever order they are added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["slices"]

_BITS, _BLOCK = 22, 512
_LEFT, _BEYOND = 1, 2
#: What an addition of rounds to integers.
_GRID = 1.5 * 2.0**52


def slices(
    x: NDArray[np.float64],
    exponents: NDArray[np.int64],
    count: int,
    out: NDArray[np.float64],
    totals: NDArray[np.int64],
    aside: NDArray[np.uint8],
) -> tuple[int, int, int]:
    """Cut a matrix into slices, on grids of ``2**(exponent - 21)`` for each column and ``2**22`` finer each.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_columns)
        Finite.
    exponents : ndarray of shape (n_columns,)
    count : int
        Slices, 1 to 8.
    out : ndarray of shape (n_blocks, count * (count + 1) / 2, n_columns, 512)
        Gets the slices as integers, then the sums of every two; zeros behind the last row.
    totals : ndarray of shape (count, n_columns)
        The sums of slices are added to it.
    aside : ndarray of shape (n_rows,)
        Marks of the rows with a value that the slices do not hold (1), or one beyond the grid (2): they are left out.

    Returns
    -------
    (int, int, int)
        Rows with a value beyond the grid, other rows that were left out, and slices that are not all zeros.
    """
    aside[:] = 0
    used = 0
    for block, rows in enumerate(out):
        part = slice(block * _BLOCK, (block + 1) * _BLOCK)
        values, marks = x[part].T, aside[part]
        scaled = values * np.ldexp(1.0, _BITS - 1 - exponents)[:, np.newaxis]
        beyond = np.abs(scaled) > 2.0 ** (_BITS - 1)
        rest = np.where(beyond, 0.0, scaled)
        left = (scaled == 0) & (values != 0)
        rows[:] = 0.0
        for p in range(count):
            cut = (rest + _GRID) - _GRID
            rest = (rest - cut) * 2.0**_BITS
            rows[p, :, : len(marks)] = cut
            if cut.any():
                used = max(used, p + 1)
        marks[(left | (rest != 0)).any(axis=0)] = _LEFT
        marks[beyond.any(axis=0)] = _BEYOND
        rows[:, :, : len(marks)][:, :, marks != 0] = 0.0
        totals += rows[:count].sum(axis=2).astype(np.int64)
        first, second = np.triu_indices(count, 1)
        np.add(rows[first], rows[second], out=rows[count:])
    far = int(np.count_nonzero(aside == _BEYOND))
    return far, int(np.count_nonzero(aside)) - far, used
