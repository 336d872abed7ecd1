"""Logarithms and exponentials from operations that IEEE 754 rounds the same way everywhere.

Those of `numpy` call whatever library fits the processor, and these differ in the last bit: statistics of their
results would depend on the machine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["exp", "expm1", "log", "log1p"]

_Floats = NDArray[np.float64]
# 0.693147180559945309417232121458176568 in two parts.
_LN2_HIGH = float.fromhex("0x1.62e42fefa38p-1")  # 42 bits, so that its multiples by exponents are exact
_LN2_LOW = float.fromhex("0x1.ef35793c7673p-45")  # the rest
_BLOCK = 4096  # values that stay in the processor's cache
_TERMS = 11  # of the logarithm's series: the next one is below 2^-56 of the sum
_POWERS = 14  # of the exponential's series: the next one is below 2^-56 of the sum
_LEAST, _GREATEST = -746.0, 710.0  # beyond, exponentials are 0 and infinite


def log1p(x: _Floats) -> _Floats:
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
    return _in_blocks(_log1p, x)


def log(x: _Floats) -> _Floats:
    """Compute the natural logarithm, to less than one unit in the last place; NaN where x is not above 0.

    Examples
    --------
    >>> log(np.array([1.0, 5e-324, 0.0])).tolist()
    [0.0, -744.4400719213812, nan]
    """
    return _in_blocks(_log, x)


def expm1(x: _Floats) -> _Floats:
    """Compute exp(x) - 1, to less than two units in the last place.

    With ``x = k log(2) + r``, where r lies within half of log(2), it is ``2^k (exp(r) - 1) + (2^k - 1)``.

    Examples
    --------
    >>> expm1(np.array([0.0, 1e-300, 1.0, -800.0, 800.0])).tolist()
    [0.0, 1e-300, 1.7182818284590453, -1.0, inf]
    """
    return _in_blocks(_expm1, x)


def exp(x: _Floats) -> _Floats:
    """Compute exp(x), to less than two units in the last place.

    Examples
    --------
    >>> exp(np.array([0.0, 1.0, -800.0, 800.0])).tolist()
    [1.0, 2.7182818284590455, 0.0, inf]
    """
    return _in_blocks(_exp, x)


def _in_blocks(function: Callable[[_Floats, _Floats], None], x: _Floats) -> _Floats:
    x = np.asarray(x, np.float64)
    result = np.empty(x.shape)
    values, out = x.reshape(-1), result.reshape(-1)
    with np.errstate(all="ignore"):
        for start in range(0, len(values), _BLOCK):
            function(values[start : start + _BLOCK], out[start : start + _BLOCK])
    return result


def _log1p(x: _Floats, out: _Floats) -> None:
    u = 1.0 + x
    back = u - 1.0
    _log_of(u, (1.0 - (u - back)) + (x - back), out)
    out[~(x > -1.0)] = np.nan


def _log(x: _Floats, out: _Floats) -> None:
    _log_of(x, np.zeros(()), out)
    out[~(x > 0.0)] = np.nan


def _log_of(u: _Floats, lost: _Floats, out: _Floats) -> None:
    """Compute the logarithm of u + lost.

    Parameters
    ----------
    u : ndarray of shape (n_values,)
    lost : ndarray of shape () or (n_values,)
        Below a unit in the last place of u.
    out : ndarray of shape (n_values,)
        Written.
    """
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
    out[...] = k * _LN2_HIGH + (f - rest)


def _expm1(x: _Floats, out: _Floats) -> None:
    k, part = _reduced(x)
    # Halves, for a power beyond the greatest float64.
    out[...] = 2.0 * (np.ldexp(part, k - 1) + (np.ldexp(1.0, k - 1) - 0.5))


def _exp(x: _Floats, out: _Floats) -> None:
    k, part = _reduced(x)
    out[...] = 2.0 * np.ldexp(1.0 + part, k - 1)


def _reduced(x: _Floats) -> tuple[NDArray[np.int32], _Floats]:
    """Give k and exp(r) - 1 of ``x = k log(2) + r``, each of shape (n_values,)."""
    x = np.clip(x, _LEAST, _GREATEST)
    k = np.rint(x / _LN2_HIGH)
    high, low = x - k * _LN2_HIGH, k * _LN2_LOW
    r = high - low
    series = np.full_like(r, 1.0 / _POWERS)
    for power in range(_POWERS - 1, 2, -1):
        series *= r
        series += 1.0
        series /= power
    series *= r
    series += 1.0
    return np.where(np.isnan(k), 0, k).astype(np.int32), r + (r * r * (series / 2.0) + ((high - r) - low))
