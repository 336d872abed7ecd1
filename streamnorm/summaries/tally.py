"""Counts of rows and nothing else: what is known of columns whose map learns nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from streamnorm import kernel
from streamnorm.summaries._base import Block, Counts, Summary

__all__ = ["Tally"]


@dataclass(frozen=True, eq=False)
class Tally(Summary):
    """How many values, nulls and NaN each column has had.

    Examples
    --------
    >>> Tally.field_types()
    {'counts': <class 'streamnorm.summaries._base.Counts'>}
    """

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        return {"counts": Counts}

    @classmethod
    def empty(cls, slots: int) -> Self:
        """Summarise no rows."""
        return cls(Counts.empty(slots))

    @classmethod
    def of(cls, block: Block, *, skip_infinite: bool = False) -> Self:
        """Count a block of rows."""
        counts, infinities, *_ = kernel.extremes(block.slots, block.runs)
        return cls(Counts.of_kernel(block, counts, infinities, skip_infinite))
