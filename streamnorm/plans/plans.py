"""What a plan is: a frozen per-column map made from a summary, applied to values and inverted."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel

__all__ = ["Column", "Plan", "first_infinite"]

#: A column's position, one for each value, or None for a matrix of all columns.
Column: TypeAlias = int | NDArray[np.intp] | None


class Plan(Protocol):
    """A map of every column, and the way back.

    Both read `x` and write `out`, of the same shape: (n_rows, n_columns), or (n_values,) where `column` says
    which one it is, or which one each value is of. `out` is floating and may be `x` itself. The work is done in
    float64, whatever their types, and rounded to that of `out` once.

    Both tell where the first value is that is infinite, or that becomes infinite because its result is beyond the
    type of `out`: as an index in C order, or -1. Looking for it while mapping saves reading `x` twice.
    """

    def apply(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values, infinities too.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values back.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """

    def take(self, columns: NDArray[np.intp]) -> Plan:
        """Give the plan of some of the columns, in that order."""


def first_infinite(x: NDArray[Any], out: NDArray[Any]) -> int:
    """Give the index in C order of the first value of `x` that is infinite or became so in `out`, or -1."""
    found = {kernel.first_infinity(x), kernel.first_infinity(out)}
    return min(found - {-1}, default=-1)
