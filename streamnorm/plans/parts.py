"""Maps that NumPy computes in several steps, a part of the values at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamnorm.plans.plans import Column, Plan

__all__ = ["in_parts"]

P = TypeVar("P", bound=Plan)
#: Values mapped at once, of which a dozen arrays stay in the second cache.
_AT_ONCE = 1 << 14


def in_parts(
    plan: P, function: Callable[[P, NDArray[np.float64]], NDArray[Any]], x: NDArray[Any], out: NDArray[Any],
    column: Column,
) -> None:  # fmt: skip
    """Map values by a function of float64, a part of them at once.

    Parameters
    ----------
    plan : Plan
    function : callable
        Maps float64, given a plan of which each parameter fits their shape.
    x : ndarray of shape (n_rows, n_columns) or (n_rows,)
        Read.
    out : ndarray of the shape of x
        Written; it may be x.
    column : int or ndarray of shape (n_rows,), optional
        The plan's column of a single column's values, or that of each row; by default x has all columns.
    """
    step = max(1, _AT_ONCE // (x.shape[1] if x.ndim > 1 else 1) if x.size else 1)
    own: Any = plan if column is None or isinstance(column, np.ndarray) else plan.take(column)  # type: ignore[arg-type]
    with np.errstate(all="ignore"):  # what lies under a null may be anything
        for start in range(0, len(x), step):
            part = slice(start, start + step)
            fitting: Any = plan.take(column[part]) if isinstance(column, np.ndarray) else own
            out[part] = function(fitting, np.asarray(x[part], np.float64))
