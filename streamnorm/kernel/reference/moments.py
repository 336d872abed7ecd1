"""Exact sums and extremes: the twin of exact.h, moments.h and extremes.h."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.kernel.reference.limbs import Limbs, limbs_of
from streamnorm.kernel.reference.runs import finite_values, new_tallies

__all__ = ["extremes", "moments"]

#: Partial sums of 2^16 products of 18-bit pieces stay below 2^53, so that float64 holds them exactly.
_ROWS = 1 << 16
_PIECE = 18
_UNIT = 6528  # twice the kernel's bias: room below every product of three


def moments(slots: int, runs: Sequence[Any]) -> tuple[bytes, bytes, Limbs, Limbs, Limbs]:
    """Sum x, x^2 and the weights of every column; without weights each is 1."""
    tallies = new_tallies(slots)
    sums, squares, weights = [0] * slots, [0] * slots, [0] * slots
    for slot, parts in enumerate(finite_values(slots, runs, tallies)):
        for values, weight in parts:
            if weight is None:
                weights[slot] += len(values) << _UNIT
            if weight is not None:
                for (w, e_w), (x, e) in zip(_exactly(weight), _exactly(values), strict=True):
                    weights[slot] += w << (e_w + _UNIT)
                    sums[slot] += w * x << (e + e_w + _UNIT)
                    squares[slot] += w * x * x << (2 * e + e_w + _UNIT)
            elif values.dtype.itemsize == 8 and values.dtype.kind in "iu":
                integers = values.tolist()
                sums[slot] += sum(integers) << _UNIT
                squares[slot] += sum(v * v for v in integers) << _UNIT
            elif len(values):
                total, total_of_squares = _sums(values)
                sums[slot] += total << (_UNIT - 1088)
                squares[slot] += total_of_squares << (_UNIT - 2176)
    limbs = [limbs_of(column, -_UNIT) for column in (sums, squares, weights)]
    return tallies[0].tobytes(), tallies[1].tobytes(), limbs[0], limbs[1], limbs[2]


def extremes(slots: int, runs: Sequence[Any]) -> tuple[bytes, bytes, bytes, bytes]:
    """Find the least and the greatest value of every column; +inf and -inf where there is none."""
    tallies = new_tallies(slots)
    least, greatest = np.full(slots, np.inf), np.full(slots, -np.inf)
    for slot, parts in enumerate(finite_values(slots, runs, tallies)):
        for values, _ in parts:
            if len(values):
                as_floats = values.astype(np.float64)
                least[slot] = min(least[slot], as_floats.min())
                greatest[slot] = max(greatest[slot], as_floats.max())
    return tallies[0].tobytes(), tallies[1].tobytes(), (least + 0.0).tobytes(), (greatest + 0.0).tobytes()


def _dyadic(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split float64 values into integers and powers of two."""
    fraction, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(fraction, 53).astype(np.int64), exponent.astype(np.int64) - 53


def _pieces(mantissas: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Cut mantissas into three pieces, value = sum(piece[i] * 2^(18 i))."""
    size, sign = np.abs(mantissas), np.sign(mantissas)
    mask = (1 << _PIECE) - 1
    return [(size >> (_PIECE * i) & mask).astype(np.float64) * sign for i in range(3)]


def _sums(values: NDArray[Any]) -> tuple[int, int]:
    """Give the sums of x and x^2 in units of 2^-1088 and 2^-2176."""
    total = squares = 0
    for start in range(0, len(values), _ROWS):
        mantissas, exponents = _dyadic(values[start : start + _ROWS])
        lowest = int(exponents.min())
        at = exponents - lowest
        pieces = _pieces(mantissas)
        for i, piece in enumerate(pieces):
            for e, partial in enumerate(np.bincount(at, piece).tolist()):
                total += int(partial) << (e + lowest + _PIECE * i + 1088 + 1088) if partial else 0
            for j, other in enumerate(pieces):
                for e, partial in enumerate(np.bincount(at, piece * other).tolist()):
                    if partial:
                        squares += int(partial) << (2 * (e + lowest) + _PIECE * (i + j) + 2 * 2176)
    return total >> 1088, squares >> 2176


def _exactly(values: NDArray[Any]) -> list[tuple[int, int]]:
    """Give every value as (integer, power of two)."""
    if values.dtype.kind in "iu":
        return [(int(v), 0) for v in values]
    mantissas, exponents = _dyadic(values)
    return list(zip(mantissas.tolist(), exponents.tolist(), strict=True))
