"""Numbers of the bins that values lie in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.plans.plans import Column

__all__ = ["Binned"]

_Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Binned:
    """For each value the number of its bin, from 0; values beyond the outermost edges are in the first or last bin.

    A bin holds its lower edge. A column without edges was never seen: its values become NaN.

    Parameters
    ----------
    edges : sequence of ndarray
        Of each column, ascending: one more than there are bins, or none.
    centres : sequence of ndarray
        Of each column, what the number of a bin becomes on the way back.

    Examples
    --------
    >>> plan = Binned([np.array([0.0, 1.0, 4.0])], [np.array([0.5, 2.5])])
    >>> x = np.array([-9.0, 0.5, 1.0, 9.0])
    >>> plan.apply(x, x, 0), x.tolist()
    (-1, [0.0, 0.0, 1.0, 1.0])
    >>> plan.invert(x, x, 0), x.tolist()
    (-1, [0.5, 0.5, 2.5, 2.5])
    """

    edges: Sequence[_Floats]
    centres: Sequence[_Floats]

    def take(self, columns: NDArray[np.intp]) -> Binned:
        """Give the plan of some of the columns, in that order."""
        return Binned([self.edges[i] for i in columns], [self.centres[i] for i in columns])

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
        return self._each(self._forward, x, out, column)

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map numbers of bins to the middles of these; NaN for a number that no bin has.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        return self._each(self._backward, x, out, column)

    def _each(
        self, function: Callable[[_Floats, int], _Floats], x: NDArray[Any], out: NDArray[Any], column: Column
    ) -> int:
        """Map each column's values.

        Parameters
        ----------
        function : callable
            Maps values, given the number of their column.
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        before = kernel.first_infinity(x)
        with np.errstate(all="ignore"):  # what lies under a null may be anything
            if column is None:
                for i in range(x.shape[1]):
                    out[:, i] = function(np.asarray(x[:, i], np.float64), i)
            elif isinstance(column, np.ndarray):
                order = np.argsort(column, kind="stable")
                for own in np.split(order, np.flatnonzero(np.diff(column[order])) + 1) if len(order) else ():
                    out[own] = function(np.asarray(x[own], np.float64), int(column[own[0]]))
            else:
                out[...] = function(np.asarray(x, np.float64), column)
        after = kernel.first_infinity(out)
        return min({before, after} - {-1}, default=-1)

    def _forward(self, x: _Floats, column: int) -> _Floats:
        edges = self.edges[column]
        if not len(edges):
            return np.full(len(x), np.nan)
        numbers = np.searchsorted(edges[1:-1], x, side="right")
        return np.where(np.isnan(x), x, numbers)

    def _backward(self, x: _Floats, column: int) -> _Floats:
        centres = self.centres[column]
        known = (x >= 0) & (x < len(centres))
        out = np.full(len(x), np.nan)
        out[known] = centres[x[known].astype(np.int64)]
        return out
