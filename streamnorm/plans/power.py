"""Power transforms, Yeo-Johnson's and Box-Cox's, and what makes their results have mean 0 and deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.plans.elementary import exp, expm1, log, log1p
from streamnorm.plans.parts import in_parts
from streamnorm.plans.plans import Column

__all__ = ["Power", "ratio"]

_Floats = NDArray[np.float64]
_ZERO = 2.0**-60  # magnitude of a power up to which it counts as 0: the logarithm


def ratio(power: _Floats, t: _Floats) -> _Floats:
    """Compute ``(exp(power t) - 1) / power``, which is t for a power of 0.

    Parameters
    ----------
    power : ndarray
    t : ndarray of a shape that fits
    """
    nothing = np.abs(power) < _ZERO
    return np.asarray(np.where(nothing, t, expm1(power * t) / np.where(nothing, 1.0, power)))


@dataclass(frozen=True)
class Power:
    """Power transforms of all columns: ``z = (u - mean) / scale``.

    With ``l = log(1 + |x|)`` and the power ``m``, which is `lambdas` for x from 0 and ``2 - lambdas`` below,
    Yeo-Johnson's transform is ``y = ±(exp(m l) - 1) / m``; Box-Cox's has ``l = log(x)`` and one side. Where all values
    of a column have one sign, ``exp(m l)`` may overflow, or nothing be left of it beside 1. Then u is not y but
    ``±(exp(m (l - centre)) - 1) / m``, which is y moved and stretched, and gives the same z.

    Parameters
    ----------
    lambdas : ndarray of shape (n_columns,)
    home : ndarray of shape (n_columns,)
        1 or -1: the sign of the values that `centre` is of.
    centre : ndarray of shape (n_columns,)
        Of the logarithms; 0 where there are values of either sign, or u is to be y.
    mean, scale : ndarray of shape (n_columns,)
        Of u.
    positive : bool
        Whether it is Box-Cox's, for values above 0.

    Examples
    --------
    >>> plan = Power(*np.array([[0.0], [1.0], [0.0], [0.0], [1.0]]), positive=False)
    >>> x = np.array([0.0, 1.0, -1.0])
    >>> plan.apply(x, x, 0), x.round(6).tolist()
    (-1, [0.0, 0.693147, -1.5])
    >>> plan.invert(x, x, 0), x.round(6).tolist()
    (-1, [0.0, 1.0, -1.0])
    """

    lambdas: _Floats
    home: _Floats
    centre: _Floats
    mean: _Floats
    scale: _Floats
    positive: bool

    def take(self, slots: Any) -> Power:
        """Keep the given columns."""
        every = (self.lambdas, self.home, self.centre, self.mean, self.scale)
        lambdas, home, centre, mean, scale = (values[slots] for values in every)
        return Power(lambdas, home, centre, mean, scale, self.positive)

    def of_results(self) -> tuple[_Floats, _Floats]:
        """Give mean and scale of y, each of shape (n_columns,); infinite or NaN where they are beyond float64."""
        middle, factor = self._moves()
        with np.errstate(all="ignore"):
            return middle + self.mean / factor, self.scale / factor

    def apply(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values; what Box-Cox's transform cannot take counts as a result that is infinite.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        return self._each(Power._forward, x, out, column)

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values back; NaN for what no value becomes.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        return self._each(Power._backward, x, out, column)

    def _each(self, function: Any, x: NDArray[Any], out: NDArray[Any], column: Column) -> int:
        """Map values, a part of them at once.

        Parameters
        ----------
        function : callable
            Maps float64, given a plan of which each parameter fits their shape.
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        before = kernel.first_infinity(x)
        in_parts(self, function, x, out, column)
        after = kernel.first_infinity(out)
        return min({before, after} - {-1}, default=-1)

    def _sides(self, above: NDArray[np.bool_]) -> tuple[_Floats, _Floats, NDArray[np.bool_]]:
        """Give power and sign of each value, and whether it lies on the side that the centre is of."""
        power = np.where(above, self.lambdas, self.lambdas if self.positive else 2.0 - self.lambdas)
        return power, np.where(above, 1.0, -1.0), above == (self.home > 0)

    def _moves(self) -> tuple[_Floats, _Floats]:
        """Give the y of the centre, and the factor from y to u."""
        power = self._sides(self.home > 0)[0]
        return self.home * ratio(power, self.centre), exp(-power * self.centre)

    def _forward(self, x: _Floats) -> _Floats:
        above = (x >= 0) | self.positive
        power, sign, own = self._sides(above)
        t = log(x) if self.positive else log1p(np.abs(x))
        u = sign * ratio(power, t - np.where(own, self.centre, 0.0))
        if not own.all():
            middle, factor = self._moves()
            u = np.where(own, u, (u - middle) * factor)
        z = (u - self.mean) / self.scale
        return np.where(x <= 0, -np.inf, z) if self.positive else z

    def _backward(self, z: _Floats) -> _Floats:
        u = z * self.scale + self.mean
        own_power = self._sides(self.home > 0)[0]
        above = (u >= self.home * ratio(own_power, -self.centre)) | self.positive
        power, sign, own = self._sides(above)
        middle, factor = self._moves()
        y = sign * np.where(own, u, u / factor + middle)
        nothing = np.abs(power) < _ZERO
        t = np.where(nothing, y, log1p(power * y) / np.where(nothing, 1.0, power)) + np.where(own, self.centre, 0.0)
        return exp(t) if self.positive else sign * expm1(t)
