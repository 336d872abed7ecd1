"""Rows times a matrix: what becomes of a row depends on the row alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.plans.affine import LARGE
from streamnorm.plans.plans import Column, first_infinite

__all__ = ["Linear"]

_Floats = NDArray[np.float64]
#: Rows of one matrix product. It is always the same product, the last one filled up with zeros, so that a row's result
#: does not depend on how many others it came with; a multiple of what the tiles of a BLAS have.
_TILE = 192
#: Products at once: 12,288 rows.
_TILES = 64


@dataclass(frozen=True)
class Linear:
    """Subtract a centre from each row and multiply by a matrix: ``matrix @ (x - centre)``.

    The work is done in float64 and rounded to the type of the result once. Results have as many columns as the matrix
    has rows.

    Parameters
    ----------
    centre : ndarray of shape (n_columns,)
    matrix : ndarray of shape (n_results, n_columns)
    back : ndarray of shape (n_columns, n_results)
        What `invert` multiplies by, before it adds the centre.

    Examples
    --------
    >>> plan = Linear(np.array([1.0, 0.0]), np.array([[2.0, 1.0]]), np.array([[0.5], [0.0]]))
    >>> out = np.empty((2, 1))
    >>> plan.apply(np.array([[1.0, 0.0], [2.0, 5.0]]), out), out.tolist()
    (-1, [[0.0], [7.0]])
    """

    centre: _Floats
    matrix: _Floats
    back: _Floats

    def apply(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map rows, all columns at once.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
            Read.
        out : ndarray of shape (n_rows, n_results)
            Written.
        column : None
            A column alone has no rows.
        """
        if (np.abs(self.centre) < LARGE).all():
            return self._map(x, out, self.centre, self.matrix, 0.0)
        return self._map(x, out, self.centre / 4, self.matrix * 4, 0.0, part=0.25)  # no difference overflows

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map rows back.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_results)
            Read.
        out : ndarray of shape (n_rows, n_columns)
            Written.
        column : None
            A column alone has no rows.
        """
        return self._map(x, out, 0.0, self.back, self.centre)

    def take(self, columns: NDArray[np.intp]) -> Linear:
        """Raise TypeError: every result needs its whole row."""
        raise TypeError("a matrix maps whole rows, not some of their columns")

    def _map(
        self, x: NDArray[Any], out: NDArray[Any], before: Any, matrix: _Floats, after: Any, part: float = 1.0
    ) -> int:
        """Give ``matrix @ (x * part - before) + after``, and where a value is or becomes infinite.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
        out : ndarray of shape (n_rows, n_results)
        before, after : float or ndarray
        matrix : ndarray of shape (n_results, n_columns)
        part : float
        """
        transposed = np.ascontiguousarray(matrix.T)
        with np.errstate(all="ignore"):  # what lies under a null may be anything
            for start in range(0, len(x), _TILE * _TILES):
                values = np.asarray(x[start : start + _TILE * _TILES], np.float64)
                values = (values if part == 1 else values * part) - before
                rows = len(values)
                if rows % _TILE:
                    values = np.concatenate([values, np.zeros((-rows % _TILE, values.shape[1]))])
                products = np.matmul(values.reshape(-1, _TILE, values.shape[1]), transposed)
                out[start : start + rows] = products.reshape(-1, products.shape[2])[:rows] + after
        if np.isfinite(out).all() or np.isnan(matrix).any():
            return first_infinite(x, x)
        wrong = np.isinf(x).any(axis=1) | (~np.isfinite(out).all(axis=1) & ~np.isnan(x).any(axis=1))
        if not wrong.any():
            return -1
        row = int(np.argmax(wrong))
        return int(row * x.shape[1] + np.argmax(np.abs(x[row])))
