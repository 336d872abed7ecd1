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
    """Add or subtract two arrays of wide integers."""
    low = min(a_exponent, b_exponent)

    def integers(data: Any, width: int, exponent: int) -> list[int]:
        raw = bytes(data)
        size = 8 * width
        rows_of = (raw[i * size : (i + 1) * size] for i in range(rows))
        return [int.from_bytes(row, "little", signed=True) << (exponent - low) for row in rows_of]

    sign = -1 if subtract else 1
    pairs = zip(integers(a, a_width, a_exponent), integers(b, b_width, b_exponent), strict=True)
    return limbs_of([x + sign * y for x, y in pairs], low)


def round_moments(values: Any, *sums_and_ddof: Any) -> tuple[bytes, bytes]:
    """Leave every column to the caller, who rounds fractions of Python's integers."""
    slots = len(np.frombuffer(values, np.int64))
    return np.full((slots, 3), np.nan).tobytes(), bytes(slots)
