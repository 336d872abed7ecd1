"""Maps through quantiles: piecewise linear, to a uniform or a normal variable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.plans.plans import Column

__all__ = ["Monotone", "unit_of"]

_Floats: TypeAlias = NDArray[np.float64]
_Operation = Callable[..., Any]
#: Least distance from 0 and 1 of a uniform variable that is made a normal one.
_EDGE = 1e-7


@dataclass(frozen=True)
class Monotone:
    """Piecewise linear maps through points, flat beyond the outermost; then to a normal variable if asked for.

    Where several quantiles are equal, their value maps to the middle of their references, as the mean of
    the interpolations from either side (as in scikit-learn's `QuantileTransformer`).

    Parameters
    ----------
    quantiles : ndarray of shape (n_points, n_columns)
        Non-decreasing in each column.
    references : ndarray of shape (n_points,) or (n_points, n_columns)
        Increasing, from 0 to 1. A column with fewer points than others repeats its last.
    normal : bool
        Whether the result is a standard normal variable rather than a uniform one.

    Examples
    --------
    >>> plan = Monotone(np.array([[1.0], [2.0], [4.0]]), np.array([0.0, 0.5, 1.0]), normal=False)
    >>> x = np.array([0.0, 1.5, 3.0, 9.0])
    >>> plan.apply(x, x, 0), x.tolist()
    (-1, [0.0, 0.25, 0.75, 1.0])
    >>> plan.invert(x, x, 0), x.tolist()
    (-1, [1.0, 1.5, 3.0, 4.0])
    """

    quantiles: NDArray[np.float64]
    references: NDArray[np.float64]
    normal: bool

    def take(self, columns: NDArray[np.intp]) -> Monotone:
        """Give the plan of some of the columns, in that order."""
        references = self.references if self.references.ndim == 1 else self.references[:, columns]
        return Monotone(self.quantiles[:, columns], references, self.normal)

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
        """Map values back; what lay beyond the outermost quantiles becomes those.

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

    def _each(self, function: _Operation, x: NDArray[Any], out: NDArray[Any], column: Column) -> int:
        """Map each column's values.

        Parameters
        ----------
        function : callable
            Maps one column's values, given quantiles and references.
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        before = kernel.first_infinity(x)
        with np.errstate(all="ignore"):  # what lies under a null may be anything
            self._map_columns(function, x, out, column)
        after = kernel.first_infinity(out)
        return min({before, after} - {-1}, default=-1)

    def _map_columns(self, function: _Operation, x: NDArray[Any], out: NDArray[Any], column: Column) -> None:
        """Map the columns of a matrix one by one.

        Parameters
        ----------
        function : callable
            Maps one column's values, given quantiles and references.
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        if column is None:
            for i in range(x.shape[1]):
                out[:, i] = function(x[:, i], *self._points(i))
        elif isinstance(column, np.ndarray):
            order = np.argsort(column, kind="stable")
            for own in np.split(order, np.flatnonzero(np.diff(column[order])) + 1) if len(order) else ():
                out[own] = function(x[own], *self._points(int(column[own[0]])))
        else:
            out[...] = function(x, *self._points(column))

    def _points(self, column: int) -> tuple[_Floats, _Floats]:
        """Give a column's quantiles and their references."""
        return self.quantiles[:, column], self.references if self.references.ndim == 1 else self.references[:, column]

    def _forward(self, x: NDArray[Any], quantiles: _Floats, references: _Floats) -> _Floats:
        """Map values to references.

        Parameters
        ----------
        x : ndarray of shape (n_values,)
        quantiles : ndarray of shape (n_points,)
        references : ndarray of shape (n_points,)
        """
        x, unit = np.asarray(x, np.float64), unit_of(quantiles)
        above = _interpolate(x * unit, quantiles * unit, references)
        below = -_interpolate(-x * unit, -quantiles[::-1] * unit, -references[::-1])
        y = 0.5 * (above + below)
        least, greatest = self._ends(x, quantiles[0], quantiles[-1])
        y[greatest] = 1.0
        y[least] = 0.0  # a constant is both
        return _normal_quantile(y) if self.normal else y

    def _backward(self, y: NDArray[Any], quantiles: _Floats, references: _Floats) -> _Floats:
        """Map references back to values.

        Parameters
        ----------
        y : ndarray of shape (n_values,)
        quantiles : ndarray of shape (n_points,)
        references : ndarray of shape (n_points,)
        """
        y = _normal_probability(y) if self.normal else np.asarray(y, np.float64)
        x = _interpolate(y, references, quantiles)
        least, greatest = self._ends(y, 0.0, 1.0)
        x[greatest] = quantiles[-1]
        x[least] = quantiles[0]
        return x

    def _ends(self, x: NDArray[Any], least: float, greatest: float) -> tuple[NDArray[np.bool], NDArray[np.bool]]:
        """Tell which values lie at either end, or so close to it that a normal variable would be infinite.

        Parameters
        ----------
        x : ndarray of shape (n_values,)
        least : float
            The first quantile.
        greatest : float
            The last quantile.
        """
        if self.normal:
            return x - _EDGE < least, x + _EDGE > greatest
        return x == least, x == greatest


def unit_of(quantiles: _Floats) -> float:
    """Give the power of two that a column's values are multiplied by, so that most slopes are numbers."""
    greatest = max(abs(quantiles[0]), abs(quantiles[-1]))
    return 2.0**600 if 0 < greatest < 2.0**-600 else 2.0**-4 if greatest > 2.0**1020 else 1.0


def _interpolate(x: _Floats, points: _Floats, values: _Floats) -> _Floats:
    """Interpolate as `numpy.interp` does, which takes a missing value for a number where there is a single point.

    Where its slope overflows, or a difference of points or values, the same is computed in another order.

    Parameters
    ----------
    x : ndarray of shape (n_values,)
    points : ndarray of shape (n_points,)
    values : ndarray of shape (n_points,)
    """
    y: _Floats = np.interp(x, points, values)
    if len(points) == 1:
        y[np.isnan(x) | np.isnan(points)] = np.nan
        return y
    if np.isinf(points[-1] - points[0]) or np.isinf(values[-1] - values[0]):
        wrong = np.isfinite(x)
    elif np.isfinite(np.dot(y, np.zeros_like(y))):
        return y
    else:
        wrong = np.isfinite(x) & ~np.isfinite(y)
    i = np.clip(np.searchsorted(points, x[wrong], side="right") - 1, 0, len(points) - 2)
    low, width = points[i], points[i + 1] / 4 - points[i] / 4
    tiny = points[i + 1] - low < 1.0  # quarters of which may not be exact
    share = np.where(tiny, (x[wrong] - low) / (points[i + 1] - low), (x[wrong] / 4 - low / 4) / width)
    share = np.clip(np.where(points[i + 1] == low, 0.0, share), 0.0, 1.0)
    y[wrong] = 4 * (values[i] / 4 + (values[i + 1] / 4 - values[i] / 4) * share)
    return y


def _normal_quantile(y: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import ndtri

    edge = _EDGE - np.spacing(1)
    return np.asarray(np.clip(ndtri(y), ndtri(edge), ndtri(1 - edge)))


def _normal_probability(x: NDArray[Any]) -> NDArray[np.float64]:
    from scipy.special import ndtr

    return np.asarray(ndtr(np.asarray(x, np.float64)))
