"""Directions of the greatest variance, of a covariance matrix: the same bits on any machine, up to 128 columns.

Jacobi's rotations are made of operations that IEEE 754 rounds the same way everywhere, and keep the digits of small
variances beside great ones (Demmel and Veselić, *Jacobi's method is more accurate than QR*, 1992).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["directions", "weighted_products"]

_Floats = NDArray[np.float64]
#: Columns up to which rotations are quick enough: a fraction of a second. Beyond, LAPACK is asked.
_MOST = 128
#: Sweeps over all pairs of columns; eight are usual.
_SWEEPS = 60
_EPS = 2.0**-52
#: Least magnitude of what is rotated away, of a matrix whose greatest entry is near 1.
_NOTHING = 2.0**-1000


def directions(covariance: _Floats) -> tuple[_Floats, _Floats]:
    """Give variances, descending, and the directions that they are along.

    The entry of a direction that has the greatest magnitude is positive, the first of such entries. Directions of equal
    variance stay in the order in which they were found. A variance that rounding of the covariances may have made is 0.

    Parameters
    ----------
    covariance : ndarray of shape (n_columns, n_columns)
        Symmetric and finite; the greatest entry is near 1.

    Returns
    -------
    variances : ndarray of shape (n_columns,)
        Not negative.
    directions : ndarray of shape (n_columns, n_columns)
        One a row, of length 1.

    Examples
    --------
    >>> variances, rows = directions(np.array([[1.0, 0.0], [0.0, 2.0]]))
    >>> variances.tolist(), rows.tolist()
    ([2.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
    """
    width = len(covariance)
    if width <= _MOST:
        variances, rows = _rotated(covariance)
    else:
        variances, columns = np.linalg.eigh(covariance)
        rows = np.ascontiguousarray(columns.T)
    order = np.argsort(-variances, kind="stable")
    variances, rows = variances[order], rows[order]
    at = np.argmax(np.abs(rows), axis=1)
    rows[rows[np.arange(width), at] < 0] *= -1.0
    # An error of one unit in the last place of each entry may change a variance by so much.
    deviations = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    noise = 4 * width * _EPS * _sum_of_rows((np.abs(rows) * deviations).T) ** 2
    if width > _MOST:
        noise = np.maximum(noise, width * _EPS * max(variances[0], 0.0))
    variances[variances <= noise] = 0.0
    return variances, rows


def weighted_products(factors: _Floats, left: _Floats, right: _Floats) -> _Floats:
    """Give the sum of ``factors[k] * outer(left[k], right[k])``, in the order of k.

    Parameters
    ----------
    factors : ndarray of shape (n,)
    left, right : ndarray of shape (n, n_columns)
    """
    total = np.zeros((left.shape[1], right.shape[1]))
    for factor, one, other in zip(factors, left, right, strict=True):
        if factor:
            total += factor * (one[:, np.newaxis] * other)
    return total


def _sum_of_rows(table: _Floats) -> _Floats:
    """Add rows in their order, which `numpy.sum` leaves open."""
    total = np.zeros(table.shape[1])
    for row in table:
        total += row
    return total


def _rotated(covariance: _Floats) -> tuple[_Floats, _Floats]:
    """Rotate pairs of columns until they vary independently: variances, and the directions in rows."""
    width = len(covariance)
    matrix, rows = covariance.copy(), np.eye(width)
    for _ in range(_SWEEPS):
        rotated = False
        for first, second in _rounds(width):
            across, low, high = matrix[first, second], matrix[first, first], matrix[second, second]
            turns = np.abs(across) > np.maximum(_NOTHING, _EPS / 2 * np.sqrt(np.abs(low * high)))
            if not turns.any():
                continue
            rotated, p, q = True, first[turns], second[turns]
            with np.errstate(over="ignore"):
                slope = (high[turns] - low[turns]) / (2 * across[turns])
                tangent = np.copysign(1.0, slope) / (np.abs(slope) + np.sqrt(slope * slope + 1))
            cosine = 1 / np.sqrt(tangent * tangent + 1)
            sine = tangent * cosine
            for table in (matrix, rows):
                _turn(table, p, q, cosine, sine)
            _turn(matrix.T, p, q, cosine, sine)
            matrix[p, q] = matrix[q, p] = 0.0
            matrix[p, p] = low[turns] - tangent * across[turns]
            matrix[q, q] = high[turns] + tangent * across[turns]
        if not rotated:
            break
    return np.diag(matrix).copy(), rows


def _turn(table: _Floats, p: NDArray[np.intp], q: NDArray[np.intp], cosine: _Floats, sine: _Floats) -> None:
    """Rotate pairs of rows.

    Parameters
    ----------
    table : ndarray of shape (n_rows, n_columns)
        Written to.
    p, q : ndarray of int, shape (n_pairs,)
    cosine, sine : ndarray of shape (n_pairs,)
    """
    c, s = cosine[:, np.newaxis], sine[:, np.newaxis]
    first, second = table[p], table[q]
    table[p], table[q] = c * first - s * second, s * first + c * second


def _rounds(width: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Give all pairs of columns in rounds of pairs that have none in common, as a tournament does."""
    players = np.arange(width + width % 2)
    for _ in range(len(players) - 1):
        half = len(players) // 2
        first, second = players[:half], players[: half - 1 : -1]
        there = (first < width) & (second < width)
        yield np.minimum(first, second)[there], np.maximum(first, second)[there]
        players = np.concatenate([players[:1], players[-1:], players[1:-1]])
