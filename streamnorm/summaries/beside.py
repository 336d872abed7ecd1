"""Two summaries of the same values, side by side: what a scaler keeps, and what something else needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from streamnorm.summaries._base import Block, Counts, Summary, SummaryType

__all__ = ["Beside", "BesideOf"]


@dataclass(frozen=True, eq=False)
class Beside(Summary):
    """Two summaries of the same columns; it obeys the laws as they both do."""

    first: Summary
    second: Summary

    @property
    def can_forget(self) -> bool:  # type: ignore[override]
        """Whether ``-`` undoes ``+``, for both."""
        return self.first.can_forget and self.second.can_forget

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name; those of the two are known to `BesideOf` alone."""
        return {"counts": Counts, "first": Summary, "second": Summary}

    @classmethod
    def of_both(cls, first: Summary, second: Summary) -> Self:
        """Put two summaries of the same values side by side."""
        return cls(first.counts, first, second)


@dataclass(frozen=True)
class BesideOf:
    """What makes two summaries side by side, where a type of summary is asked for.

    Examples
    --------
    >>> from streamnorm.summaries import Extremes, Moments
    >>> len(BesideOf(Extremes, Moments).empty(3).second)
    3
    """

    first: SummaryType
    second: SummaryType

    def empty(self, slots: int) -> Beside:
        """Summarise no rows."""
        return Beside.of_both(self.first.empty(slots), self.second.empty(slots))

    def of(self, block: Block, *, skip_infinite: bool = False) -> Beside:
        """Summarise a block of rows."""
        kinds = (self.first, self.second)
        return Beside.of_both(*(kind.of(block, skip_infinite=skip_infinite) for kind in kinds))

    def from_json(self, slots: Sequence[dict[str, Any]]) -> Beside:
        """Read what `to_json` gave; raises ValueError, KeyError or TypeError where it is not that."""
        first = self.first.from_json([slot["first"] for slot in slots])
        second = self.second.from_json([slot["second"] for slot in slots])
        counts = Counts.from_json([slot["counts"] for slot in slots])
        if not counts == first.counts == second.counts:
            raise ValueError("two summaries of other values stand side by side")
        return Beside(counts, first, second)
