"""A summary with a profile: beside what a scaler needs, what its columns' pictures need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, TypeVar

from streamnorm.errors import MergeError
from streamnorm.summaries._base import Block, Summary, SummaryType
from streamnorm.summaries.histogram import Histogram, HistogramOf
from streamnorm.summaries.moments import Moments

__all__ = ["Profiled", "ProfiledOf", "needed", "part"]

S = TypeVar("S", bound=Summary)

#: What a profile consists of; a part that the scaler needs anyway is not kept twice.
_PARTS: Mapping[str, tuple[type[Summary], SummaryType]] = MappingProxyType(
    {"moments": (Moments, Moments), "histogram": (Histogram, HistogramOf())}
)


@dataclass(frozen=True, eq=False)
class Profiled(Summary):
    """A scaler's summary, and other summaries of the same rows beside it.

    All are added, taken away and compared alike, so that the laws hold for the whole as for its parts.

    Parameters
    ----------
    counts : Counts
        Those of `needed`.
    needed : Summary
        What the scaler needs.
    beside : mapping of str to Summary
        The rest of the profile: ``"moments"`` and ``"histogram"``, whichever `needed` is not; or one of them.
    """

    needed: Summary
    beside: Mapping[str, Summary]

    @classmethod
    def of_parts(cls, needed: Summary, beside: Mapping[str, Summary]) -> Self:
        """Put summaries of the same rows together."""
        return cls(needed.counts, needed, dict(beside))

    @property
    def can_forget(self) -> bool:  # type: ignore[override]
        """Whether ``-`` undoes ``+``: where it does for what the scaler needs."""
        return self.needed.can_forget

    def _check(self, other: Summary) -> None:
        super()._check(other)
        if isinstance(other, Profiled) and self.beside.keys() != other.beside.keys():
            raise MergeError("cannot combine profiles of other scalers: fit both alike.")

    def _by_field(self, apply: Callable[..., Any], *others: Any) -> Self:
        beside = {name: apply(own, *(o.beside[name] for o in others)) for name, own in self.beside.items()}
        return self.of_parts(apply(self.needed, *(o.needed for o in others)), beside)

    def to_json(self) -> list[dict[str, Any]]:
        """Give one object a slot: what the scaler needs, and a ``profile`` without the counts, which are the same."""
        parts = {name: summary.to_json() for name, summary in self.beside.items()}
        return [
            {**slot, "profile": {name: _without_counts(slots[i]) for name, slots in parts.items()}}
            for i, slot in enumerate(self.needed.to_json())
        ]


def _without_counts(slot: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in slot.items() if name != "counts"}


@dataclass(frozen=True)
class ProfiledOf:
    """What makes summaries with a profile, or some of its parts, of those without.

    Examples
    --------
    >>> sorted(ProfiledOf(Moments).empty(1).beside)
    ['histogram']
    """

    needed: SummaryType
    parts: tuple[str, ...] = tuple(_PARTS)

    def _beside(self) -> dict[str, SummaryType]:
        own = type(self.needed.empty(0))
        return {name: maker for name, (kind, maker) in _PARTS.items() if name in self.parts and kind is not own}

    def empty(self, slots: int) -> Profiled:
        """Summarise no rows."""
        beside = {name: maker.empty(slots) for name, maker in self._beside().items()}
        return Profiled.of_parts(self.needed.empty(slots), beside)

    def of(self, block: Block, *, skip_infinite: bool = False) -> Profiled:
        """Summarise a block of rows."""
        main = self.needed.of(block, skip_infinite=skip_infinite)
        plain = block if block.wide_weights is None else block.weighing(None)  # a picture is of the rows as they are
        beside = {name: maker.of(plain, skip_infinite=skip_infinite) for name, maker in self._beside().items()}
        return Profiled.of_parts(main, beside)

    def from_json(self, slots: Sequence[dict[str, Any]]) -> Profiled:
        """Read what `to_json` gave; raises ValueError, KeyError or TypeError where it is not that."""
        makers = self._beside()
        if any(slot["profile"].keys() != makers.keys() for slot in slots):
            raise ValueError(f"a profile does not consist of {', '.join(makers)}")
        beside = {
            name: maker.from_json([{**slot["profile"][name], "counts": slot["counts"]} for slot in slots])
            for name, maker in makers.items()
        }
        for summary in beside.values():
            if isinstance(summary, Moments):
                summary.std()  # cannot be taken of sums that no rows have
        return Profiled.of_parts(self.needed.from_json(slots), beside)


def needed(summary: Summary) -> Summary:
    """Give what the scaler needs of a summary with a profile or without."""
    return summary.needed if isinstance(summary, Profiled) else summary


def part(summary: Summary, kind: type[S]) -> S | None:
    """Find the summary of a kind in a summary with a profile or without; None where there is none.

    Examples
    --------
    >>> part(ProfiledOf(Moments).empty(2), Histogram).bits.tolist()
    [64, 64]
    >>> part(Moments.empty(2), Histogram) is None
    True
    """
    parts = (summary.needed, *summary.beside.values()) if isinstance(summary, Profiled) else (summary,)
    return next((p for p in parts if isinstance(p, kind)), None)
