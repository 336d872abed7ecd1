"""Steps of arithmetic with an operand for each column, and limits of what they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.plans.plans import Column, first_infinite

__all__ = ["LARGE", "Affine", "Step"]

_Floats: TypeAlias = NDArray[np.float64]
_Operation = Callable[..., Any]
_INVERSE: dict[_Operation, _Operation] = {
    np.subtract: np.add,
    np.add: np.subtract,
    np.divide: np.multiply,
    np.multiply: np.divide,
}


#: Least magnitude that a difference with the greatest float64 may overflow by: half its unit in the last place.
LARGE = 2.0**969

#: Operations by the kernel's names.
_SIGNS: dict[_Operation, str] = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/"}


@dataclass(frozen=True)
class Step:
    """One arithmetic operation with one operand a column."""

    operation: _Operation
    operand: NDArray[np.float64]

    def inverse(self) -> Step:
        """Give the operation that undoes this one, up to rounding."""
        return Step(_INVERSE[self.operation], self.operand)


@dataclass(frozen=True)
class Affine:
    """Arithmetic steps in order, then a clip to a range if there is one.

    Each step is rounded to float64 on its own and in the order in which scikit-learn has them, so that equal
    statistics give equal bits in float64. Results of float32 and float16 are rounded to these once, at the end;
    scikit-learn rounds every step to the type of the data, and in StandardScaler and MaxAbsScaler the operands too.

    Parameters
    ----------
    steps : sequence of Step
        ``x = operation(x, operand)`` for each; operands have shape (n_columns,).
    clip : (float, float) or (ndarray, ndarray) of shape (n_columns,), optional
        Least and greatest value that `apply` gives, of all columns or of each.

    Examples
    --------
    >>> plan = Affine((Step(np.subtract, np.array([1.0])), Step(np.divide, np.array([2.0]))))
    >>> x = np.array([[1.0], [5.0]])
    >>> plan.apply(x, x), x.tolist()
    (-1, [[0.0], [2.0]])
    >>> plan.invert(x, x), x.tolist()
    (-1, [[1.0], [5.0]])
    """

    steps: Sequence[Step]
    clip: tuple[float, float] | tuple[_Floats, _Floats] | None = None

    @classmethod
    def centred(cls, centre: _Floats | None, scale: _Floats | None, quarter: _Floats | None = None) -> Affine:
        """Make ``(x - centre) / scale`` of the two that there are, without overflow on the way.

        Where a difference could overflow, values and operands are quartered first, which rounds none of them.

        Parameters
        ----------
        centre, scale : ndarray of shape (n_columns,), optional
        quarter : ndarray of shape (n_columns,), optional
            A quarter of `scale`, which may be infinite itself.
        """
        given = [operand for operand in (centre, scale) if operand is not None]
        large = np.any([np.abs(operand) >= LARGE for operand in given], axis=0) if given else np.zeros(1, bool)
        steps = [Step(np.multiply, np.where(large, 0.25, 1.0))] if large.any() else []
        if centre is not None:
            steps.append(Step(np.subtract, np.where(large, centre / 4, centre)))
        if scale is not None:
            steps.append(Step(np.divide, np.where(large, scale / 4 if quarter is None else quarter, scale)))
        return cls(tuple(steps))

    def take(self, columns: NDArray[np.intp]) -> Affine:
        """Give the plan of some of the columns, in that order."""
        steps = tuple(Step(step.operation, step.operand[columns]) for step in self.steps)
        return Affine(steps, self.bounds(columns))

    def bounds(self, column: Column) -> tuple[Any, Any] | None:
        """Give the least and the greatest result: of a column, or one for each value where its column is given."""
        if self.clip is None or column is None or not isinstance(self.clip[0], np.ndarray):
            return self.clip
        low, high = self.clip
        return low[column], high[column]

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
        first = _run(self.steps, x, out, column)
        bounds = self.bounds(column)
        if bounds is None:
            return first
        with np.errstate(over="ignore"):  # a bound beyond the type of `out`
            np.clip(out, *(np.asarray(bound, out.dtype) for bound in bounds), out=out)
        return first if first < 0 else first_infinite(x, out)

    def invert(self, x: NDArray[Any], out: NDArray[Any], column: Column = None) -> int:
        """Map values back; what was clipped stays so.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns) or (n_rows,)
            Read.
        out : ndarray of the shape of x
            Written; it may be x.
        column : int or ndarray of shape (n_rows,), optional
            The plan's column of a single column's values, or that of each row; by default x has all columns.
        """
        return _run(self._inverse(), x, out, column)

    def _inverse(self) -> Sequence[Step]:
        return [step.inverse() for step in reversed(self.steps)]

    def arithmetic(self, column: int, inverse: bool) -> tuple[str, NDArray[np.float64]] | None:
        """Give what is done to a column as operations and an operand for each; None if there is more to it.

        Parameters
        ----------
        column : int
        inverse : bool
            Whether to map back.
        """
        steps = self._inverse() if inverse else self.steps
        if not steps or (self.clip is not None and not inverse):
            return None
        return "".join([_SIGNS[step.operation] for step in steps]), np.array([step.operand[column] for step in steps])


def _run(steps: Sequence[Step], x: NDArray[Any], out: NDArray[Any], column: Column) -> int:
    """Do steps of arithmetic.

    Parameters
    ----------
    steps : sequence of Step
    x : ndarray of shape (n_rows, n_columns) or (n_rows,)
        Read.
    out : ndarray of the shape of x
        Written; it may be x.
    column : int or ndarray of shape (n_rows,), optional
        The plan's column of a single column's values, or that of each row; by default x has all columns.
    """
    if not steps:
        with np.errstate(all="ignore"):  # as float32 it may be infinite
            out[...] = x
        return first_infinite(x, out)
    chosen = [step.operand if column is None else step.operand[column] for step in steps]
    operands = np.array(chosen, np.float64).reshape(len(steps), -1)
    signs = "".join([_SIGNS[step.operation] for step in steps])
    return kernel.arithmetic(x, signs, operands, out)
