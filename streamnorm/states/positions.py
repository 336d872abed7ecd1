"""How far streams were counted: of each, the ranges of positions that are in the statistics.

A position is an integer: the offset of a message, the number of a batch or of a row. A range ``(start, end)`` holds
all positions from `start` on and below `end`, whether or not there is a message at each: logs that were compacted
have gaps. Ranges that touch are one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from streamnorm.errors import DataError, MergeError, amount

__all__ = ["NOWHERE", "Position", "Positions"]

#: Positions are integers of 63 bits.
_MOST = 1 << 63
Range = tuple[int, int]


@dataclass(frozen=True)
class Position:
    """How far one stream was counted.

    Parameters
    ----------
    ranges : tuple of (int, int)
        Ascending, with gaps between them.
    apart : mapping of str to int
        How many of its messages were passed over, by what they are ("tombstone").
    mark : object
        What the source needs to go on at the end of the first range, as JSON holds it; None without.
    """

    ranges: tuple[Range, ...] = ()
    apart: Mapping[str, int] = field(default_factory=dict)
    mark: Any = None

    @property
    def next(self) -> int | None:
        """The first position that was not counted after one that was; None where none was."""
        return self.ranges[0][1] if self.ranges else None

    def __add__(self, other: Position) -> Position:
        """Put together what was counted apart; MergeError where that is not all apart."""
        ranges = _joined(sorted((*self.ranges, *other.ranges)))
        kinds = sorted({*self.apart, *other.apart})
        apart = {kind: self.apart.get(kind, 0) + other.apart.get(kind, 0) for kind in kinds}
        end = ranges[0][1] if ranges else None
        return Position(ranges, apart, next((p.mark for p in (self, other) if p.next == end), None))

    def with_range(self, name: str, start: int, end: int, gaps: bool = False) -> Position | None:
        """Add a range that begins where a counted one ends; None where all of it was counted.

        Parameters
        ----------
        name : str
            Of the stream, for messages.
        start, end : int
            The first position of the range, and the first behind it.
        gaps : bool
            Whether it may begin behind a gap.

        Raises
        ------
        DataError
            If it begins elsewhere, or was counted in part.
        """
        if any(low <= start and end <= high for low, high in self.ranges):
            return None
        over = next(((low, high) for low, high in self.ranges if low < end and start < high), None)
        if over:
            raise DataError(
                f"{name}: {_words(start, end)} overlaps with {_words(*over)}, which was counted: deliver "
                f"{f'what is from {over[1]} on' if over[1] < end else f'what is before {over[0]}'} alone."
            )
        if self.ranges and not gaps and start not in (high for _, high in self.ranges):
            ends = " or ".join(str(high) for _, high in self.ranges)
            raise DataError(
                f"{name}: {_words(start, end)} does not begin where what was counted ends, at {ends}: deliver what "
                "lies between first, or begin the range there if nothing does."
            )
        return Position(_joined(sorted((*self.ranges, (start, end)))), self.apart, self.mark)

    def pieces(self, start: int, end: int) -> Iterator[Range]:
        """Cut what was counted out of a range."""
        for low, high in self.ranges:
            if start < min(low, end):
                yield start, min(low, end)
            start = max(start, high)
        if start < end:
            yield start, end

    def to_json(self) -> dict[str, Any]:
        """Give what JSON holds, without what few have."""
        apart = {"apart": dict(self.apart)} if self.apart else {}
        mark = {"mark": self.mark} if self.mark is not None else {}
        return {"ranges": [list(pair) for pair in self.ranges], **apart, **mark}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Position:
        """Read what `to_json` gave; raises ValueError, KeyError or TypeError where it is not that."""
        ranges = tuple((start, end) for start, end in data["ranges"])
        apart = data.get("apart", {})
        if not all(_is_whole(n) for pair in ranges for n in pair) or any(start >= end for start, end in ranges):
            raise ValueError("a range is no pair of ascending integers")
        if any(before[1] >= after[0] for before, after in pairwise(ranges)):
            raise ValueError("the ranges do not ascend")
        if not all(isinstance(kind, str) and _is_whole(count) for kind, count in apart.items()):
            raise ValueError("what was passed over is no number")
        if set(data) - {"ranges", "apart", "mark"}:
            raise ValueError(f"a position has no {min(set(data) - {'ranges', 'apart', 'mark'})!r}")
        return cls(ranges, dict(apart), data.get("mark"))


#: Of a stream of which nothing was counted.
NOWHERE = Position()


@dataclass(frozen=True)
class Positions:
    """How far each stream of a state was counted.

    Parameters
    ----------
    streams : mapping of str to Position

    Examples
    --------
    >>> some = Positions().counting({"topic/0": (0, 10)})
    >>> some.counting({"topic/0": (2, 5)}) is None
    True
    >>> some.counting({"topic/0": (10, 12), "topic/1": (7, 8)}).words()
    ['topic/0: 0 to 11 counted', 'topic/1: 7 to 7 counted']
    """

    streams: Mapping[str, Position] = field(default_factory=lambda: MappingProxyType({}))

    def __bool__(self) -> bool:
        return bool(self.streams)

    def __reduce__(self) -> Any:  # a read-only mapping cannot be pickled
        return _positions, (dict(self.streams),)

    def of(self, name: str) -> Position:
        """Give how far a stream was counted."""
        return self.streams.get(name, NOWHERE)

    def counting(
        self,
        ranges: Mapping[str, Range],
        apart: Mapping[str, Mapping[str, int]] | None = None,
        marks: Mapping[str, Any] | None = None,
        *,
        gaps: bool = False,
    ) -> Positions | None:
        """Add ranges to what was counted; None where all of them were counted before.

        Parameters
        ----------
        ranges : mapping of str to (int, int)
            By the stream's name.
        apart : mapping of str to mapping of str to int, optional
            What was passed over of each stream, by what it is ("tombstone").
        marks : mapping of str to object, optional
            What each source needs to go on behind its range.
        gaps : bool
            Whether ranges may begin behind gaps, which other states count.

        Raises
        ------
        DataError
            If a range is none, begins elsewhere than where a counted one ends, or was counted in part, or if some of
            the ranges were counted and others not.
        """
        _check(ranges, apart or {}, marks or {})
        after = {name: self.of(name).with_range(name, *pair, gaps) for name, pair in ranges.items()}
        before = sorted(name for name, position in after.items() if position is None)
        if len(before) == len(after):
            return None
        if before:
            new = next(name for name, position in after.items() if position is not None)
            raise DataError(
                f"{before[0]}: {_words(*ranges[before[0]])} was counted before, and {_words(*ranges[new])} of {new} "
                "was not: deliver the new ones alone."
            )
        streams = dict(self.streams)
        for name, position in after.items():
            if position is not None:
                mark = (marks or {}).get(name) if position.next == ranges[name][1] else position.mark
                beside = Position((), (apart or {}).get(name, {}))
                streams[name] = Position(position.ranges, (position + beside).apart, mark)
        return Positions(MappingProxyType(dict(sorted(streams.items()))))

    def __add__(self, other: Positions) -> Positions:
        """Put the streams of two states together; MergeError where both have counted the same."""
        streams = dict(self.streams)
        for name, theirs in other.streams.items():
            mine = streams.get(name, NOWHERE)
            for start, end in theirs.ranges:
                both = [(max(low, start), min(high, end)) for low, high in mine.ranges if low < end and start < high]
                if both:
                    raise MergeError(
                        f"both states have counted {_words(*both[0])} of {name}: merging would count it twice; fit one "
                        "of them without."
                    )
            streams[name] = mine + theirs
        return Positions(MappingProxyType(dict(sorted(streams.items()))))

    def words(self) -> list[str]:
        """Say of each stream what was counted, and what was passed over."""
        lines = []
        for name, position in self.streams.items():
            ranges = ", ".join(f"{start:,} to {end - 1:,}" for start, end in position.ranges)
            apart = ", ".join(amount(count, kind) for kind, count in position.apart.items())
            lines.append(f"{name}: {ranges} counted{f'; passed over: {apart}' if apart else ''}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Give what JSON holds."""
        return {name: position.to_json() for name, position in self.streams.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Positions:
        """Read what `to_json` gave; raises ValueError, KeyError or TypeError where it is not that."""
        if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
            raise ValueError("the positions have no names, or none that are texts")
        return cls(MappingProxyType({name: Position.from_json(data[name]) for name in sorted(data)}))


def _positions(streams: dict[str, Position]) -> Positions:
    return Positions(MappingProxyType(streams))


def _check(ranges: Mapping[str, Range], apart: Mapping[str, Mapping[str, int]], marks: Mapping[str, Any]) -> None:
    """Raise DataError where something is no range, or is said of a stream that has none.

    Parameters
    ----------
    ranges : mapping of str to (int, int)
    apart : mapping of str to mapping of str to int
    marks : mapping of str to object
    """
    if not ranges:
        raise DataError("a batch has a range of positions ({'topic/0': (start, end)}), got none.")
    for name, pair in ranges.items():
        whole = (
            isinstance(name, str) and isinstance(pair, (tuple, list)) and len(pair) == 2 and all(map(_is_whole, pair))
        )
        if not (whole and pair[0] < pair[1]):
            raise DataError(
                f"a range is a name and two integers of which the second is greater ({{'topic/0': (0, 10)}}), got "
                f"{name!r}: {pair!r}."
            )
    for kind, count in ((kind, count) for kinds in apart.values() for kind, count in kinds.items()):
        if not (isinstance(kind, str) and _is_whole(count)):
            raise DataError(f"what was passed over is a reason and a number, got {kind!r}: {count!r}.")
    try:
        json.dumps(dict(marks), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"a mark is what JSON holds (texts, numbers, lists, dicts), got another: {error}.") from None
    for name in (*apart, *marks):
        if name not in ranges:
            raise DataError(f"something is said of {name!r}, of which there is no range: name it among the ranges.")


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _joined(ranges: list[Range]) -> tuple[Range, ...]:
    joined: list[Range] = []
    for start, end in ranges:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple(joined)


def _words(start: int, end: int) -> str:
    return f"the range {start} to {end - 1}"
