"""The least and the greatest value: a semilattice, which cannot forget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import MergeError
from streamnorm.summaries._base import Block, Counts, Index, Summary

__all__ = ["Bound", "Extremes"]


@dataclass(frozen=True, eq=False)
class Bound:
    """One bound a slot; `neutral` while there is no value, and the `better` of two when added."""

    array: NDArray[np.float64]

    neutral: ClassVar[float]
    better: ClassVar[Callable[..., Any]]

    @classmethod
    def empty(cls, slots: int) -> Self:
        """No value in any slot."""
        return cls(np.full(slots, cls.neutral))

    def __len__(self) -> int:
        return len(self.array)

    def __add__(self, other: Self) -> Self:
        return type(self)(type(self).better(self.array, other.array))

    def __sub__(self, other: Self) -> Self:
        raise MergeError(
            "cannot forget: a minimum or maximum does not tell what it was before; "
            "fit again on the rows that remain, or use a scaler of moments or quantiles."
        )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and np.array_equal(self.array, other.array)

    __hash__ = None  # type: ignore[assignment]

    def take(self, slots: Index) -> Self:
        """Keep the given slots, in that order."""
        return type(self)(self.array[np.asarray(slots, np.int64)])

    def place(self, slots: int, at: Index) -> Self:
        """Put each slot at its place among more of them; the others are empty."""
        array = np.full(slots, self.neutral)
        array[at] = self.array
        return type(self)(array)

    def joined(self, *others: Self) -> Self:
        """Put the slots of others behind these."""
        return type(self)(np.concatenate([part.array for part in (self, *others)]))

    def to_json(self) -> list[str | None]:
        """Give each bound as exact text."""
        return [v.hex() if np.isfinite(v) else None for v in self.array.tolist()]

    @classmethod
    def from_json(cls, slots: Sequence[str | None]) -> Self:
        """Read what `to_json` gave."""
        array = np.array([cls.neutral if v is None else float.fromhex(v) for v in slots], np.float64)
        if np.isnan(array).any():
            raise ValueError("a bound is NaN")
        return cls(array)


class _Least(Bound):
    neutral = np.inf
    better = np.minimum


class _Greatest(Bound):
    neutral = -np.inf
    better = np.maximum


@dataclass(frozen=True, eq=False)
class Extremes(Summary):
    """Least and greatest value of each column, and its counts.

    Integers beyond 2^53 are compared by the float64 nearest to them; -0.0 counts as 0.0.
    """

    least: _Least
    greatest: _Greatest

    can_forget: ClassVar[bool] = False

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        return {"counts": Counts, "least": _Least, "greatest": _Greatest}

    @classmethod
    def empty(cls, slots: int) -> Self:
        """Summarise no rows."""
        return cls(Counts.empty(slots), _Least.empty(slots), _Greatest.empty(slots))

    @classmethod
    def of(cls, block: Block, *, skip_infinite: bool = False) -> Self:
        """Summarise a block of rows."""
        counts, infinities, low, high = kernel.extremes(block.slots, block.runs)
        tally = Counts.of_kernel(block, counts, infinities, skip_infinite)
        least, greatest = np.frombuffer(low), np.frombuffer(high)
        if block.zeros is not None:
            stored = block.zeros == 0
            least = np.where(stored, least, np.minimum(least, 0.0))
            greatest = np.where(stored, greatest, np.maximum(greatest, 0.0))
        return cls(tally, _Least(least), _Greatest(greatest))

    @classmethod
    def known(cls, counts: NDArray[np.int64], bounds: NDArray[np.float64]) -> Self:
        """Make a record of what is known already.

        Parameters
        ----------
        counts : ndarray of shape (n_slots, 5)
            In the order of `kernel.COUNTS`.
        bounds : ndarray of shape (n_slots, 2)
            Least and greatest value; inf and -inf where there is none.
        """
        least, greatest = (bounds + 0.0).T  # -0.0 counts as 0.0
        return cls(Counts(counts), _Least(least), _Greatest(greatest))

    @property
    def minimum(self) -> NDArray[np.float64]:
        """Least value, shape (n_slots,); NaN where there is none."""
        return np.where(self.counts.values > 0, self.least.array, np.nan)

    @property
    def maximum(self) -> NDArray[np.float64]:
        """Greatest value, shape (n_slots,); NaN where there is none."""
        return np.where(self.counts.values > 0, self.greatest.array, np.nan)

    @property
    def magnitude(self) -> NDArray[np.float64]:
        """Greatest magnitude, shape (n_slots,); NaN where there is no value."""
        return np.maximum(np.abs(self.minimum), np.abs(self.maximum))
