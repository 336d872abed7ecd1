"""Sums without rounding: a column of wide integers times a power of two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel

__all__ = ["Exact", "divide", "square_root"]

_REACH = 3264  # bits to either side of the binary point: three times float64's, and a count
_TEXT = re.compile(r"(-?[0-9a-f]+)(?:p(-?[0-9]{1,16}))?")


@dataclass(frozen=True)
class Exact:
    """One exact dyadic number a slot.

    The numbers are two's complement integers of `width` limbs of 64 bits, lowest first, times
    ``2**exponent``. They are as narrow as they can be, so that equal numbers are equal bytes.

    Parameters
    ----------
    slots : int
    limbs : bytes
        Those of all slots, one slot after the other.
    width : int
    exponent : int
        A multiple of 64.

    Examples
    --------
    >>> a = Exact.of_integers([1, 2, 3])
    >>> (a + a).fractions()
    [(1, 1), (1, 2), (3, 1)]
    >>> a + a - a == a
    True
    """

    slots: int
    limbs: bytes = field(repr=False)
    width: int = 0
    exponent: int = 0

    @classmethod
    def empty(cls, slots: int) -> Exact:
        """Zero in every slot."""
        return cls(slots, b"")

    @classmethod
    def of_counts(cls, counts: NDArray[np.int64]) -> Exact:
        """Take non-negative 64-bit integers, without a detour through Python's."""
        if not counts.any():
            return cls.empty(len(counts))
        return cls(len(counts), counts.astype("<i8").tobytes(), 1)

    @classmethod
    def of_integers(cls, values: Sequence[int], exponent: int = 0) -> Exact:
        """Take Python integers times ``2**exponent``."""
        return cls.of_fractions([(value, exponent) for value in values])

    @classmethod
    def of_fractions(cls, values: Iterable[tuple[int, int]]) -> Exact:
        """Take pairs (integer, power of two)."""
        pairs = list(values)
        lowest = min((e for v, e in pairs if v), default=0) // 64 * 64
        integers = [v << (e - lowest) if v else 0 for v, e in pairs]
        width = max((v if v >= 0 else ~v).bit_length() // 64 + 1 for v in integers) if integers else 0
        data = b"".join(v.to_bytes(8 * width, "little", signed=True) for v in integers)
        # Adding nothing brings the array to its narrowest.
        return cls(len(pairs), *kernel.add(len(pairs), data, width, lowest, b"", 0, 0, False))

    def __len__(self) -> int:
        return self.slots

    def _combine(self, other: Exact, subtract: bool) -> Exact:
        limbs = kernel.add(
            self.slots, self.limbs, self.width, self.exponent, other.limbs, other.width, other.exponent, subtract
        )
        return Exact(self.slots, *limbs)

    def __add__(self, other: Exact) -> Exact:
        return self._combine(other, False)

    def __sub__(self, other: Exact) -> Exact:
        return self._combine(other, True)

    def take(self, slots: Sequence[int] | NDArray[np.int64]) -> Exact:
        """Keep the given slots, in that order."""
        kept = self.table[np.asarray(slots, np.int64)]
        # Adding nothing makes the array as narrow as those that are left allow.
        return Exact.of_table(kept, self.exponent) + Exact.empty(len(kept))

    def place(self, slots: int, at: Sequence[int] | NDArray[np.int64]) -> Exact:
        """Put each slot at its place among more of them; the others are zero."""
        places = np.asarray(at, np.int64)
        if (places == np.arange(len(places))).all():
            more = bytes(8 * self.width * (slots - self.slots))
            return Exact(slots, self.limbs + more, self.width, self.exponent)
        table = np.zeros((slots, self.width), np.uint64)
        table[places] = self.table
        return Exact.of_table(table, self.exponent)

    def joined(self, *others: Exact) -> Exact:
        """Put the slots of others behind these."""
        parts = (self, *others)
        lowest = min((part.exponent for part in parts if part.width), default=0)
        highest = max((part.exponent + 64 * part.width for part in parts if part.width), default=0)
        width = (highest - lowest) // 64
        return Exact(sum(map(len, parts)), b"".join(part._widened(lowest, width) for part in parts), width, lowest)

    def _widened(self, exponent: int, width: int) -> bytes:
        """Give the limbs as so many, from an exponent on."""
        if (self.exponent, self.width) == (exponent, width):
            return self.limbs
        table = np.zeros((self.slots, width), np.uint64)
        if self.width:
            at = (self.exponent - exponent) // 64
            table[:, at : at + self.width] = self.table
            table[:, at + self.width :] = (self.table[:, -1:] >> np.uint64(63)) * np.uint64(2**64 - 1)
        return table.tobytes()

    @property
    def table(self) -> NDArray[np.uint64]:
        """The limbs, shape (n_slots, width)."""
        return np.frombuffer(self.limbs, np.uint64).reshape(self.slots, self.width)

    @classmethod
    def of_table(cls, table: NDArray[np.uint64], exponent: int) -> Exact:
        """Take limbs of shape (n_slots, width), as narrow as they can be."""
        return cls(len(table), table.tobytes(), table.shape[1], exponent)

    def fractions(self) -> list[tuple[int, int]]:
        """Give every number as (odd integer, power of two), zero as (0, 0)."""
        return [_odd(value, self.exponent) for value in self.integers()]

    def integers(self) -> list[int]:
        """Give every number in units of ``2**exponent``."""
        size = 8 * self.width
        parts = (self.limbs[at * size : (at + 1) * size] for at in range(self.slots))
        return [int.from_bytes(part, "little", signed=True) for part in parts]

    def to_json(self) -> list[str]:
        """Write every number as text, an odd hexadecimal integer and a power of two.

        Examples
        --------
        >>> Exact.of_fractions([(5, -1), (-256, 0), (0, 0)]).to_json()
        ['5p-1', '-1p8', '0']
        """
        return [f"{value:x}p{exponent}" if value else "0" for value, exponent in self.fractions()]

    @classmethod
    def from_json(cls, slots: Sequence[str], *, reach: int = _REACH, span: int = 2 * _REACH) -> Exact:
        """Read what `to_json` gave; raises ValueError where it is not that.

        Parameters
        ----------
        slots : sequence of str
        reach : int
            Bits to either side of the binary point that an exponent may be away.
        span : int
            Most bits of a number, and from the lowest of all to the highest.
        """
        pairs = []
        for text in slots:
            match = _TEXT.fullmatch(text)
            if match is None or 4 * (len(match[1]) - match[1].startswith("-")) > span + 3:
                raise ValueError(f"{text[:40]!r} is not an exact number")
            value, exponent = int(match[1], 16), int(match[2] or 0)
            if abs(exponent) > reach:
                raise ValueError(f"the exponent {exponent} is out of range")
            pairs.append((value, exponent))
        there = [(exponent, exponent + value.bit_length()) for value, exponent in pairs if value]
        if there and max(high for _, high in there) - min(low for low, _ in there) > span:
            raise ValueError("numbers are too far apart")
        return cls.of_fractions(pairs)


def _odd(value: int, exponent: int) -> tuple[int, int]:
    if value == 0:
        return 0, 0
    zeros = (value & -value).bit_length() - 1
    return value >> zeros, exponent + zeros


def divide(numerator: int, denominator: int, exponent: int = 0) -> float:
    """Round ``numerator / denominator * 2**exponent`` to float64, once.

    Parameters
    ----------
    numerator : int
    denominator : int
    exponent : int

    Examples
    --------
    >>> divide(1, 3), divide(1, 3, 1100), divide(0, 3)
    (0.3333333333333333, inf, 0.0)
    """
    if exponent >= 0:
        numerator <<= exponent
    else:
        denominator <<= -exponent
    try:
        return numerator / denominator
    except OverflowError:
        return float("inf") if numerator > 0 else float("-inf")


def square_root(numerator: int, denominator: int) -> float:
    """Round ``sqrt(numerator / denominator)`` to float64, once.

    The root of an integer of at least 130 bits has at least 65; whether it is a little too small is
    kept in one more bit, so that the one rounding that follows goes the right way.

    Examples
    --------
    >>> square_root(2, 1) == 2**0.5, square_root(1 << 2100, 1), square_root(9, 4)
    (True, inf, 1.5)
    """
    if numerator == 0:
        return 0.0
    shift = max(0, 130 - (numerator.bit_length() - denominator.bit_length()))
    shift += shift % 2
    quotient, rest = divmod(numerator << shift, denominator)
    root = isqrt(quotient)
    inexact = rest != 0 or root * root != quotient
    return divide(2 * root + inexact, 2, -shift // 2)
