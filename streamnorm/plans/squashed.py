"""Shift, scale, and bend what lies far out towards a bound that nothing passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.plans.parts import in_parts
from streamnorm.plans.plans import Column

__all__ = ["FAR", "Squashed"]

_Floats: TypeAlias = NDArray[np.float64]
#: Least ``|z / bound|`` beside the square of which 1 is nothing, so that the result is the bound.
FAR = 2.0**27


@dataclass(frozen=True)
class Squashed:
    """``z / sqrt(1 + (z / bound)^2)`` of ``z = (x unit - centre) / scale``, between -bound and bound.

    An infinity becomes the bound of its sign; a value of a column that is constant becomes 0.

    Parameters
    ----------
    unit, centre, scale : ndarray of shape (n_columns,)
        `unit` is a power of two that keeps differences of huge values finite, and is in the other two.
    constant : ndarray of bool of shape (n_columns,)
    bound : float

    Examples
    --------
    >>> plan = Squashed(*np.array([[1.0], [2.0], [0.5]]), np.array([False]), 3.0)
    >>> x = np.array([2.0, 4.0, -np.inf])
    >>> plan.apply(x, x, 0), x.round(4).tolist()
    (2, [0.0, 2.4, -3.0])
    >>> plan.invert(x, x, 0), x.round(4).tolist()
    (-1, [2.0, 4.0, -inf])
    """

    unit: _Floats
    centre: _Floats
    scale: _Floats
    constant: NDArray[np.bool_]
    bound: float

    def take(self, columns: Any) -> Squashed:
        """Keep the given columns."""
        return Squashed(
            self.unit[columns], self.centre[columns], self.scale[columns], self.constant[columns], self.bound
        )

    def apply(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values, infinities too; no result is infinite.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        first = kernel.first_infinity(x)
        in_parts(self, Squashed._forward, x, out, column)
        return first

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values back: a bound to the infinity that becomes it, and NaN for what lies beyond.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        first = kernel.first_infinity(x)
        in_parts(self, Squashed._backward, x, out, column)
        return first

    def _forward(self, x: _Floats) -> _Floats:
        z = (x * self.unit - self.centre) / self.scale
        part = z / self.bound
        y = np.where(np.abs(part) < FAR, z / np.sqrt(1 + part * part), np.copysign(self.bound, z))
        y = np.where(self.constant & np.isfinite(x), 0.0, y)
        return np.where(np.isnan(z), z, y)

    def _backward(self, y: _Floats) -> _Floats:
        part = y / self.bound
        z = y / np.sqrt((1 - part) * (1 + part))
        x = (z * self.scale + self.centre) / self.unit
        return np.where(self.constant & (y == 0), self.centre / self.unit, x)
