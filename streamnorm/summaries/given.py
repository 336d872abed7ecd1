"""Statistics that somebody gave, in place of a summary: they are applied, and learn nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError, MergeError
from streamnorm.summaries._base import Block, Counts, Index, Summary

__all__ = ["GIVEN", "Given", "GivenOf"]

#: Why such statistics do not change.
GIVEN = (
    "these statistics were given (from_statistics) and not learnt, so that no rows can be added or taken away: learn "
    "with a new scaler, and put frozen() of this one into a pipeline that is fitted."
)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Numbers of columns, by what they are.

    Parameters
    ----------
    names : tuple of str
        What they are, ascending.
    array : ndarray of shape (n_slots, n_names)
    """

    names: tuple[str, ...]
    array: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Numbers) and self.names == other.names and np.array_equal(self.array, other.array)

    __hash__ = None  # type: ignore[assignment]

    def take(self, slots: Index) -> Self:
        """Keep the given slots, in that order."""
        return type(self)(self.names, self.array[np.asarray(slots, np.int64)])

    def joined(self, *others: Self) -> Self:
        """Put the slots of others behind these."""
        return type(self)(self.names, np.concatenate([part.array for part in (self, *others)]))

    def to_json(self) -> list[dict[str, str]]:
        """Give one object of exact texts a slot."""
        return [{name: v.hex() for name, v in zip(self.names, row, strict=True)} for row in self.array.tolist()]

    @classmethod
    def from_json(cls, slots: Sequence[dict[str, str]]) -> Self:
        """Read what `to_json` gave."""
        names = tuple(sorted(slots[0] if slots else ()))
        if any(tuple(sorted(slot)) != names for slot in slots):
            raise ValueError("columns of one rule were given other statistics")
        rows = [[float.fromhex(slot[name]) for name in names] for slot in slots]
        return cls(names, np.array(rows, np.float64).reshape(len(rows), len(names)))


@dataclass(frozen=True, eq=False)
class Given(Summary):
    """Statistics that were given; of no rows, since none were counted.

    It answers as the summary does that they stand for.

    Examples
    --------
    >>> Given.of_numbers({"mean": [1.0, 2.0], "scale": [3.0, 4.0]}).mean()
    array([1., 2.])
    """

    given: _Numbers

    can_forget: ClassVar[bool] = False

    @classmethod
    def of_numbers(cls, numbers: Mapping[str, Any]) -> Self:
        """Make a record of numbers of the same columns, by what they are."""
        names = tuple(sorted(numbers))
        array = np.array([numbers[name] for name in names], np.float64).T
        return cls(Counts.empty(len(array)), _Numbers(names, array))

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        return {"counts": Counts, "given": _Numbers}

    def number(self, name: str) -> NDArray[np.float64] | None:
        """Give one of the numbers of each column, shape (n_slots,); None where it was not given."""
        names = self.given.names
        return self.given.array[:, names.index(name)] if name in names else None

    def __add__(self, other: Any) -> NoReturn:
        raise MergeError(GIVEN)

    def __sub__(self, other: Any) -> NoReturn:
        raise MergeError(GIVEN)

    # ---- as moments, extremes ----

    def mean(self) -> NDArray[np.float64] | None:
        """Mean of each column."""
        return self.number("mean")

    def scale(self, ddof: float) -> NDArray[np.float64] | None:
        """What each column is divided by, whatever `ddof`."""
        return self.number("scale")

    def var(self, ddof: float) -> NDArray[np.float64] | None:
        """Give the square of `scale`."""
        scale = self.number("scale")
        with np.errstate(over="ignore", under="ignore"):
            return None if scale is None else scale * scale

    @property
    def minimum(self) -> NDArray[np.float64] | None:
        """Least value of each column."""
        return self.number("data_min")

    @property
    def maximum(self) -> NDArray[np.float64] | None:
        """Greatest value of each column."""
        return self.number("data_max")

    @property
    def magnitude(self) -> NDArray[np.float64] | None:
        """Greatest magnitude of each column."""
        return self.number("max_abs")


@dataclass(frozen=True)
class GivenOf:
    """What stands for the maker of summaries where statistics were given: it makes none but those that were saved.

    Parameters
    ----------
    names : frozenset of str
        The statistics that a scaler may be given.
    """

    names: frozenset[str]

    def empty(self, slots: int) -> NoReturn:
        """Refuse to begin anew."""
        raise DataError(GIVEN)

    def of(self, block: Block, *, skip_infinite: bool = False) -> NoReturn:
        """Refuse to learn."""
        raise DataError(GIVEN)

    def from_json(self, slots: Sequence[dict[str, Any]]) -> Given:
        """Read what `Given.to_json` gave; raises ValueError, KeyError or TypeError where it is not that."""
        found = Given.from_json(slots)
        if not (
            found.given.names and self.names.issuperset(found.given.names) and np.isfinite(found.given.array).all()
        ):
            raise ValueError(f"no statistics are like that: {found.given.names}")
        return found
