"""Arithmetic on arrays of any memory layout: the compiled loops where they can read it, their twin elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.kernel import chosen, reference

__all__ = ["arithmetic"]


def arithmetic(x: NDArray[Any], operations: str, operands: NDArray[Any], out: NDArray[Any]) -> int:
    """Do steps of arithmetic, each rounded in float64, as the kernel's function of this name does.

    Parameters
    ----------
    x, out : ndarray of shape (n_rows, n_columns) or (n_values,)
        What is read and written, which may be one array; of any floating type for `out`, any strides and byte order.
    operations : str
        A step each: one of ``+-*/``.
    operands : ndarray of shape (n_steps, n_columns), (n_steps, n_values) or (n_steps, 1), dtype float64

    Returns
    -------
    int
        The index in C order of the first value that is infinite or becomes so, or -1.
    """
    if _is_known(x) and _is_known(out):
        if x.flags.c_contiguous and out.flags.c_contiguous:
            return int(chosen.arithmetic(x, operations, operands, out))
        if x.ndim == 2 and x.flags.f_contiguous and out.flags.f_contiguous:
            own = np.ascontiguousarray(operands.T)[..., np.newaxis]
            found = [chosen.arithmetic(x[:, i], operations, own[i], out[:, i]) for i in range(x.shape[1])]
            return min((row * x.shape[1] + i for i, row in enumerate(found) if row >= 0), default=-1)
    return reference.arithmetic(x, operations, operands, out)


def _is_known(values: NDArray[Any]) -> bool:
    """Tell whether the kernel can read or write such values."""
    return values.dtype.isnative and values.dtype.char in "bBhHiIlLqQfd"
