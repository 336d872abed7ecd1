"""Two pieces of work, one after the other, again and again; what counts is the ratio of each pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

#: What was measured of ours and of theirs, in the same unit.
Measured: TypeAlias = list[tuple[float, float]]
Work: TypeAlias = Callable[[], Any]


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Pair:
    """The same work done twice.

    Parameters
    ----------
    ours, theirs : callable
        What each gives is compared by `check`, once.
    check : callable
        Raises where the two results are not of the same work.
    prepare : callable
        Called before each, outside the clock.
    times : int
        How often each is repeated for one measurement.
    """

    ours: Work
    theirs: Work
    check: Callable[[Any, Any], None] = lambda ours, theirs: None
    prepare: Work = _nothing
    times: int = 1


@dataclass(frozen=True)
class Goal:
    """A bound on ours / theirs, or on theirs / ours where we are to be faster."""

    words: str
    bound: float
    faster: bool = False

    def ratios(self, measured: Measured) -> list[float]:
        """Give each pair's ratio, in the goal's direction."""
        return [theirs / ours if self.faster else ours / theirs for ours, theirs in measured]

    def is_met(self, measured: Measured) -> bool:
        """Tell whether the median ratio keeps the bound."""
        median = statistics.median(self.ratios(measured))
        return median >= self.bound if self.faster else median <= self.bound


def at_most(bound: float) -> Goal:
    """At most so many times their time."""
    return Goal(f"at most {bound:g}x its time", bound)


def faster(bound: float) -> Goal:
    """So many times faster."""
    return Goal(f"{bound:g}x faster", bound, True)


NOT_SLOWER = Goal("not slower", 1.0)


def clock(work: Work, times: int = 1) -> float:
    """Give the seconds that work takes."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - start


def paired(pair: Pair, seconds: float, least: int) -> Measured:
    """Measure ours, theirs, ours, theirs, ... for about so many seconds, and at least so many times."""
    pair.prepare()
    ours = pair.ours()
    pair.prepare()
    pair.check(ours, pair.theirs())  # the first round also warms caches and is not counted
    measured: Measured = []
    end = time.perf_counter() + seconds
    while len(measured) < least or (time.perf_counter() < end and len(measured) < 100):
        both = []
        for work in (pair.ours, pair.theirs):
            pair.prepare()
            both.append(clock(work, pair.times))
        measured.append((both[0], both[1]))
    return measured


def fastest(candidates: Sequence[Work]) -> Work:
    """Give the one that takes the least time, tried twice: a peer is measured in its best setting."""
    return min(candidates, key=lambda work: min(clock(work), clock(work)))
