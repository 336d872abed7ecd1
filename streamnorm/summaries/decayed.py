"""Exact sums of rows whose weights halve with time, and are powers of two of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.once import once
from streamnorm.summaries._base import Block, Summary
from streamnorm.summaries.exact import Exact
from streamnorm.summaries.moments import Moments

__all__ = ["FURTHEST_POWER", "LONGEST_SPAN", "DecayedMoments", "WideExact"]

#: Half-lives between the oldest and the newest row: each takes a bit of each sum, 384 KiB a column in all.
LONGEST_SPAN = 1 << 20
#: Largest power of two of a weight: far from what overflows when it is counted in bits.
FURTHEST_POWER = 1 << 40
#: Powers of two of one window, as the logarithm: weights of one are within float64, and are summed by one call.
_WINDOW = 10
_MIDDLE = 1 << (_WINDOW - 1)
#: Bits of the sums of one window, beside the window itself: three times float64's, and a count.
_BESIDE = 2 * 3264


class WideExact:
    """How sums that reach as far as times do are read; they are `Exact` like others."""

    @staticmethod
    def from_json(slots: Sequence[str]) -> Exact:
        """Read what `Exact.to_json` gave; raises ValueError where it is not that."""
        return Exact.from_json(slots, reach=FURTHEST_POWER + _BESIDE, span=LONGEST_SPAN + _BESIDE)

    @staticmethod
    def check(width: int, exponent: int) -> None:
        """Raise ValueError where an array of so many bits cannot be."""
        if width > LONGEST_SPAN + _BESIDE or abs(exponent) > FURTHEST_POWER + _BESIDE:
            raise ValueError("an exact number is out of range")


@dataclass(frozen=True, eq=False)
class DecayedMoments(Moments):
    """The exact sums of w, w x and w x^2, where ``w = factor * 2^power`` and powers may differ by a million.

    Nothing is ever rounded or left out, so that such sums add, forget and know no order as those of `Moments` do. A sum
    has a bit for each half-life between its oldest and its newest row, and those of one number beside.

    Only the ratios of weights matter: a sum of weights says nothing, and `samples` counts values.
    """

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        return {**super().field_types(), "weight": WideExact, "total": WideExact, "squares": WideExact}

    @classmethod
    def of(cls, block: Block, *, skip_infinite: bool = False) -> Self:
        """Summarise a block of rows, which have `wide_weights`: window by window, as one is within float64."""
        total = cls.empty(block.slots)
        if not block.rows:
            return total
        if block.wide_weights is None:
            raise TypeError("rows without times have no weights that decay")
        factors, powers = block.wide_weights
        windows = powers >> _WINDOW
        own = np.unique(windows[factors > 0])
        if len(own) and int(own[-1] - own[0]) << _WINDOW > LONGEST_SPAN:
            raise _too_long()
        for window in own.tolist():
            shift = (window << _WINDOW) + _MIDDLE
            there = windows == window
            weights = np.where(there, np.ldexp(factors, np.where(there, powers - shift, 0).astype(np.int32)), 0.0)
            part = Moments.of(block.weighing(weights), skip_infinite=skip_infinite)
            sums = (_shifted(sum, shift) for sum in (part.weight, part.total, part.squares))
            total = total + cls(part.counts, *sums)
        return total

    def _check(self, other: Summary) -> None:
        super()._check(other)
        if isinstance(other, Moments):
            _check_span([self.weight, other.weight])

    def joined(self, *others: Self) -> Self:
        """Put the slots of others behind these."""
        _check_span([part.weight for part in (self, *others)])
        return super().joined(*others)

    @once
    def _unit(self) -> int:
        """A power of two that all sums are integer multiples of."""
        return min((s.exponent for s in (self.weight, self.total, self.squares) if s.width), default=0)

    def samples(self) -> NDArray[Any]:
        """Values of each column, shape (n_slots,)."""
        return self.counts.values


def _shifted(numbers: Exact, bits: int) -> Exact:
    return Exact(numbers.slots, numbers.limbs, numbers.width, numbers.exponent + bits) if numbers.width else numbers


def _check_span(sums: Sequence[Exact]) -> None:
    there = [sum for sum in sums if sum.width]
    if there and max(s.exponent + 64 * s.width for s in there) - min(s.exponent for s in there) > (
        LONGEST_SPAN + _BESIDE
    ):
        raise _too_long()


def _too_long() -> DataError:
    return DataError(
        f"the oldest and the newest row are more than {LONGEST_SPAN:,} half-lives apart, of each of which the sums "
        "keep a bit: take a longer halflife, or leave the oldest rows out."
    )
