"""What a column of CSV turned out to hold: decided by all its values, so that no order of them matters."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["First", "Seen"]


@dataclass(frozen=True, order=True)
class First:
    """Where a value stands, and what it is.

    Parameters
    ----------
    row : int
        From 1, without the header.
    text : str
    """

    row: int
    text: str


@dataclass(frozen=True)
class Seen:
    """What was seen of one column in some rows.

    Parameters
    ----------
    numbers : int
        Values that are numbers and do not begin with a zero as codes do.
    others : int
        Values that are no numbers.
    looks : int
        Those of `others` that are numbers in some country.
    codes : int
        Numbers that begin with a zero and another digit.
    fractions : int
        Numbers that are no integers of 64 bits.
    first_other, first_code : First or None
    """

    numbers: int = 0
    others: int = 0
    looks: int = 0
    codes: int = 0
    fractions: int = 0
    first_other: First | None = None
    first_code: First | None = None

    def __add__(self, other: Seen) -> Seen:
        return Seen(
            self.numbers + other.numbers, self.others + other.others, self.looks + other.looks,
            self.codes + other.codes, self.fractions + other.fractions,
            _earlier(self.first_other, other.first_other), _earlier(self.first_code, other.first_code),
        )  # fmt: skip

    def after(self, rows: int) -> Seen:
        """Give the same, behind so many rows."""
        moved = [first and First(rows + first.row, first.text) for first in (self.first_other, self.first_code)]
        return replace(self, first_other=moved[0], first_code=moved[1])

    @property
    def values(self) -> int:
        """Values that are not missing."""
        return self.numbers + self.codes + self.others

    @property
    def is_number(self) -> bool:
        """Whether nothing speaks against numbers; so it is where there is no value."""
        return not (self.others or self.codes)

    @property
    def is_whole(self) -> bool:
        """Whether there are values, and all are integers."""
        return self.is_number and self.numbers > self.fractions == 0

    @property
    def seems_numeric(self) -> bool:
        """Whether most values are numbers, in some country, and no codes."""
        return 2 * (self.numbers + self.looks) > self.values

    @property
    def is_mostly_numbers(self) -> bool:
        """Whether most values are numbers, none is a code, and some are neither."""
        return not self.codes and self.others > 0 and 2 * self.numbers > self.values


def _earlier(one: First | None, other: First | None) -> First | None:
    return min((first for first in (one, other) if first is not None), default=None)
