"""Rows of length 1: the map of a row depends on the row alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.plans.plans import Column, first_infinite

__all__ = ["NORMS", "UnitRows"]

_Floats = NDArray[np.float64]
#: Values computed at once, 512 KiB of float64: they stay in the second cache.
_AT_ONCE = 1 << 16
#: Sums of squares between these lost nothing to underflow that counts, and did not overflow.
_SAFE = (2.0**-900, 2.0**1000)

#: The norms of rows, shape (n_rows, n_columns) to (n_rows,).
NORMS = {
    "l1": lambda x: np.add.reduce(np.abs(x), axis=1),
    "l2": lambda x: np.sqrt(np.add.reduce(x * x, axis=1)),
    "max": lambda x: np.max(np.abs(x), axis=1, initial=0.0),
}


@dataclass(frozen=True)
class UnitRows:
    """Divide each row by its norm; rows of zeros stay what they are.

    The work is done in float64, in the order of the columns whatever the layout of the matrix, and rounded to the type
    of the result once. Rows so large or small that their norm would overflow or underflow are brought near to 1 first,
    by a power of two.

    Parameters
    ----------
    norm : {"l1", "l2", "max"}
        Sum of the magnitudes, root of the sum of the squares, or greatest magnitude.

    Examples
    --------
    >>> x = np.array([[3.0, 4.0], [0.0, 0.0], [3e200, 4e200]])
    >>> UnitRows("l2").apply(x, x), x.tolist()
    (-1, [[0.6, 0.8], [0.0, 0.0], [0.6000000000000001, 0.8]])
    """

    norm: str

    def take(self, columns: NDArray[np.intp]) -> UnitRows:
        """Give the plan of some of the columns: rows of these alone."""
        return self

    def apply(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values, all columns of a row at once.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : None
            A column alone has no rows.
        """
        before = first_infinite(x, x)
        step = max(1, _AT_ONCE // max(1, x.shape[1]))
        with np.errstate(all="ignore"):  # what lies under a null may be anything
            for start in range(0, len(x), step):
                part = slice(start, start + step)
                out[part] = self._unit(np.array(x[part], np.float64, order="C"))
        return before

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Raise TypeError: what a row was divided by is not known afterwards.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
        out : ndarray of the shape of x
        column : None
        """
        raise TypeError("rows of unit norm do not tell what they were")

    def _unit(self, x: _Floats) -> _Floats:
        """Map rows of float64, which may be written over."""
        norms = NORMS[self.norm](x)
        least, greatest = _SAFE
        odd = np.flatnonzero(~((norms * norms > least) & (norms * norms < greatest)))
        if len(odd):
            exponents = np.frexp(NORMS["max"](x[odd]))[1]
            x[odd] = np.ldexp(x[odd], -exponents[:, np.newaxis])
            norms[odd] = NORMS[self.norm](x[odd])
        norms[norms == 0] = 1.0
        return np.asarray(np.divide(x, norms[:, np.newaxis], out=x))
