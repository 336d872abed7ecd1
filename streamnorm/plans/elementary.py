"""The logarithm of 1 + x from operations that IEEE 754 rounds the same way everywhere.

`numpy.log1p` calls whatever library fits the processor, and these differ in the last bit: statistics of its
results would depend on the machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["log1p"]

# 0.693147180559945309417232121458176568 in two parts.
_LN2_HIGH = float.fromhex("0x1.62e42fefa38p-1")  # 42 bits, so that its multiples by exponents are exact
_LN2_LOW = float.fromhex("0x1.ef35793c7673p-45")  # the rest
_BLOCK = 4096  # values that stay in the processor's cache
_TERMS = 11  # of the series: the next one is below 2^-56 of the sum


def log1p(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute log(1 + x), to less than one unit in the last place.

    With ``1 + x = 2^k (1 + f) + c``, where f lies between ``sqrt(1/2) - 1`` and ``sqrt(2) - 1`` and c is what
    rounding ``1 + x`` lost, it is ``k log(2) + log(1 + f) + c / (1 + x)``; and with ``s = f / (2 + f)``,
    ``log(1 + f) = 2 artanh(s) = f - s (f - 2 (s^2 / 3 + s^4 / 5 + ...))``.

    Parameters
    ----------
    x : ndarray of any shape, dtype float64
        Finite and above -1; the result is NaN elsewhere.

    Returns
    -------
    ndarray of the same shape

    Examples
    --------
    >>> log1p(np.array([0.0, 1e-300, 1.0])).tolist()
    [0.0, 1e-300, 0.6931471805599453]
    """
    result = np.empty_like(x)
    values, out = x.reshape(-1), result.reshape(-1)
    with np.errstate(all="ignore"):
        for start in range(0, len(values), _BLOCK):
            _log1p(values[start : start + _BLOCK], out[start : start + _BLOCK])
    return result


def _log1p(x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    u = 1.0 + x
    back = u - 1.0
    lost = (1.0 - (u - back)) + (x - back)
    half, exponent = np.frexp(u)
    low = half < np.sqrt(0.5)
    k = (exponent - low).astype(np.float64)
    f = half * (1.0 + low) - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = np.full_like(z, 2.0 / (2 * _TERMS + 1))
    for term in range(_TERMS - 1, 0, -1):
        series *= z
        series += 2.0 / (2 * term + 1)
    rest = s * (f - z * series) - (lost / u + k * _LN2_LOW)
    out[...] = np.where(x > -1.0, k * _LN2_HIGH + (f - rest), np.nan)
