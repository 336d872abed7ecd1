"""Steps of arithmetic over arrays: the twin of arithmetic.h."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["arithmetic", "first_infinity"]

_STEPS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
#: Values worked on at once: small enough that the second step finds them in the cache.
_CHUNK = 32768


def arithmetic(x: NDArray[Any], operations: str, operands: NDArray[Any], out: NDArray[Any]) -> int:
    """Do steps of arithmetic, each rounded in float64, and round the results to the type of `out` once.

    Parameters
    ----------
    x, out : ndarray of shape (n_rows, n_columns) or (n_values,)
        What is read and written, which may be one.
    operations : str
        A step each: one of ``+-*/``.
    operands : ndarray of shape (n_steps, n_columns), (n_steps, n_values) or (n_steps, 1), dtype float64

    Returns
    -------
    int
        The index in C order of the first value that is infinite or becomes so, or -1.
    """
    before = first_infinity(x)
    rows = max(1, _CHUNK // x.shape[1]) if x.ndim == 2 and x.shape[1] else _CHUNK
    one_each = x.ndim == 1 and operands.shape[1] > 1
    with np.errstate(all="ignore"):
        for start in range(0, len(x), rows):
            chunk = slice(start, start + rows)
            part, target = x[chunk], out[chunk]
            if out.dtype != np.float64:
                target = np.empty(part.shape, np.float64)
            for operation, operand in zip(operations, operands, strict=True):
                _STEPS[operation](part, operand[chunk] if one_each else operand, out=target)
                part = target
            if out.dtype != np.float64:
                out[chunk] = target
    return min((at for at in (before, first_infinity(out)) if at >= 0), default=-1)


def first_infinity(x: NDArray[Any]) -> int:
    """Give the index of the first infinity of an array in C order, or -1."""
    if x.dtype.kind != "f":
        return -1
    with np.errstate(all="ignore"):
        if np.isfinite(x.sum()):
            return -1
    infinite = np.isinf(x)
    return int(np.argmax(infinite)) if infinite.any() else -1
