"""Wide integers as limbs: the twin of limbs.h and rounding.h."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Limbs", "add", "limbs_of", "round_moments"]

Limbs = tuple[bytes, int, int]


def limbs_of(values: Sequence[int], exponent: int) -> Limbs:
    """Write integers times 2^exponent as two's complement limbs, as few as hold them all."""
    present = [v for v in values if v]
    if not present:
        return b"", 0, 0
    low = min(((v & -v).bit_length() - 1) // 64 for v in present)
    width = max(((v if v > 0 else ~v) >> 64 * low).bit_length() // 64 + 1 for v in present)
    data = b"".join((v >> 64 * low).to_bytes(8 * width, "little", signed=True) for v in values)
    return data, width, exponent + 64 * low


def add(
    rows: int, a: Any, a_width: int, a_exponent: int, b: Any, b_width: int, b_exponent: int, subtract: bool
) -> Limbs:
    """Add or subtract two arrays of wide integers.

    Parameters
    ----------
    rows : int
    a : buffer of rows * a_width limbs of 64 bits
        Two's complement, the lowest limb first.
    a_width : int
        Limbs of a number.
    a_exponent : int
        The unit is 2 to this power.
    b : buffer of rows * b_width limbs of 64 bits
    b_width : int
        Limbs of a number.
    b_exponent : int
        The unit is 2 to this power.
    subtract : bool
    """
    low = min(a_exponent, b_exponent)

    def integers(data: Any, width: int) -> list[int]:
        raw, size = bytes(data), 8 * width
        return [int.from_bytes(raw[i * size : (i + 1) * size], "little", signed=True) for i in range(rows)]

    sign = -1 if subtract else 1
    pairs = zip(integers(a, a_width), integers(b, b_width), strict=True)
    return limbs_of([(x << (a_exponent - low)) + sign * (y << (b_exponent - low)) for x, y in pairs], low)


def round_moments(values: Any, *sums_and_ddof: Any) -> tuple[bytes, bytes]:
    """Leave every column to the caller, who rounds fractions of Python's integers."""
    slots = len(np.frombuffer(values, np.int64))
    return np.full((slots, 3), np.nan).tobytes(), bytes(slots)
