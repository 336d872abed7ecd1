"""What every summary is made of: fields that add, and the record that adds field by field."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import InfiniteValueError, MergeError
from streamnorm.summaries.exact import Exact

__all__ = ["Block", "Counts", "Index", "Slots", "Summary", "SummaryType", "WideWeights"]

T = TypeVar("T")
#: Positions of slots.
Index: TypeAlias = Sequence[int] | NDArray[np.int64]
#: Slots from which on counts are kept narrow.
_MANY = 4096
_WIDTHS = (np.uint8, np.uint16, np.uint32, np.int64)
_NO_INFINITY = np.int64(-1).tobytes()  # as the row of a column's first one


class Slots(Protocol):
    """A field of a summary: an array with one slot a column."""

    def __len__(self) -> int: ...
    def __add__(self, other: Any) -> Any: ...
    def __sub__(self, other: Any) -> Any: ...
    def take(self, slots: Index) -> Any:
        """Keep the given slots, in that order."""

    def place(self, slots: int, at: Index) -> Any:
        """Put each slot at its place among more of them; the others are empty."""

    def joined(self, *others: Any) -> Any:
        """Put the slots of others behind these."""


class SummaryType(Protocol):
    """What makes summaries: a class of them, or one with its parameters bound."""

    def empty(self, slots: int) -> Any:
        """Summarise no rows."""

    def of(self, block: Block, *, skip_infinite: bool = False) -> Any:
        """Summarise a block of rows."""

    def from_json(self, slots: Sequence[dict[str, Any]]) -> Any:
        """Read what `Summary.to_json` gave."""


class WideWeights(NamedTuple):
    """Weights of rows that may be beyond float64: ``factors * 2**powers``.

    Parameters
    ----------
    factors : ndarray of shape (n_rows,), dtype float64
        Of at least a half and at most 2, or 0.
    powers : ndarray of shape (n_rows,), dtype int64
    """

    factors: NDArray[np.float64]
    powers: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> WideWeights:
        """Give those of some rows, in that order."""
        return WideWeights(self.factors[rows], self.powers[rows])


@dataclass(frozen=True)
class Block:
    """Rows of columns in memory, as a summary takes them.

    Parameters
    ----------
    slots : int
        Number of columns.
    rows : int
        Number of rows.
    runs : list of kernel.Run, kernel.Exported, kernel.Segments or kernel.Chunks
        Where the values lie. Several runs of one slot follow each other in the order of their rows.
    zeros : ndarray of shape (slots,), dtype int64, optional
        How many more rows of each column are 0 without being stored (sparse input).
    zero_weight : Exact, optional
        The weights of those rows, where rows have weights.
    nulls : ndarray of shape (slots,), dtype int64, optional
        How many more rows of each column are null and in no run (pages of Parquet).
    wide_weights : WideWeights, optional
        The weights of the rows, where they may be beyond float64. The runs have none then.
    """

    slots: int
    rows: int
    runs: list[kernel.Run] | kernel.Exported | kernel.Segments | kernel.Chunks
    zeros: NDArray[np.int64] | None = None
    zero_weight: Exact | None = None
    nulls: NDArray[np.int64] | None = None
    wide_weights: WideWeights | None = None

    def weighing(self, weights: NDArray[np.float64] | None) -> Block:
        """Give the rows with these weights, or with none, of shape (rows,)."""
        if isinstance(self.runs, (kernel.Exported, kernel.Chunks)):
            raise TypeError("rows of record batches or of column chunks have no weights")
        if isinstance(self.runs, kernel.Segments):
            runs: Any = kernel.Segments(self.runs.run._replace(weights=weights), self.runs.bounds)
        else:
            runs = [run._replace(weights=weights) for run in self.runs]
        return dataclasses.replace(self, runs=runs, wide_weights=None)

    @property
    def weighted(self) -> bool:
        """Whether its rows have weights."""
        if isinstance(self.runs, (kernel.Exported, kernel.Segments, kernel.Chunks)):
            return False
        return self.zero_weight is not None or any(run.weights is not None for run in self.runs)


@dataclass(frozen=True, eq=False)
class Counts:
    """How many values, nulls, NaN, +inf and -inf each column has had.

    Parameters
    ----------
    stored : ndarray of shape (n_slots, 5)
        In the order of `kernel.COUNTS`; int64, and where slots are many as narrow as the counts allow. Rows of weight 0
        are not counted.
    """

    stored: NDArray[Any]

    @classmethod
    def empty(cls, slots: int) -> Counts:
        """Nothing counted."""
        return cls(np.zeros((slots, len(kernel.COUNTS)), np.int64))

    @classmethod
    def of_table(cls, table: NDArray[np.int64]) -> Counts:
        """Take counts of shape (n_slots, 5), none negative; those of many slots, as keys are, are kept narrow."""
        if len(table) < _MANY:
            return cls(table)
        most = int(table.max(initial=0))
        return cls(table.astype(next(kind for kind in _WIDTHS if most <= np.iinfo(kind).max), copy=False))

    @property
    def table(self) -> NDArray[np.int64]:
        """The counts, shape (n_slots, 5)."""
        return self.stored.astype(np.int64, copy=False)

    @classmethod
    def of_kernel(cls, block: Block, counts: bytes, infinities: bytes, skip_infinite: bool) -> Counts:
        """Take the kernel's tallies; an infinity is an error unless it is to be skipped.

        Parameters
        ----------
        block : Block
        counts : bytes of int64, shape (n_slots, 5)
        infinities : bytes of int64, shape (n_slots,)
            Row of the first infinity, or -1.
        skip_infinite : bool
            Whether infinities are counted and passed over, not an error.
        """
        table = np.frombuffer(counts, np.int64).reshape(block.slots, len(kernel.COUNTS))
        if not skip_infinite and infinities != _NO_INFINITY * block.slots:
            first = np.frombuffer(infinities, np.int64)
            slot = int(np.argmax(first >= 0))
            raise InfiniteValueError(slot, int(first[slot]))
        if block.zeros is not None:
            table = table.copy()
            table[:, 0] += block.zeros
        if block.nulls is not None:
            table = table.copy()
            table[:, 1] += block.nulls
        if isinstance(block.runs, kernel.Chunks):
            table = table.copy()
            table[:, 1] = block.rows - table.sum(axis=1)
        return cls.of_table(table)

    @property
    def values(self) -> NDArray[np.int64]:
        """Values that are neither missing nor infinite, shape (n_slots,)."""
        return self.stored[:, 0].astype(np.int64, copy=False)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of any kind, shape (n_slots,)."""
        return np.asarray(self.stored.sum(axis=1, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.stored)

    def __add__(self, other: Counts) -> Counts:
        return self.of_table(np.add(self.stored, other.stored, dtype=np.int64))

    def __sub__(self, other: Counts) -> Counts:
        table = self.table - other.table
        if (table < 0).any():
            slot, kind = (int(i) for i in np.argwhere(table < 0)[0])
            raise MergeError(
                f"cannot forget {other.table[slot, kind]} {kernel.COUNTS[kind].replace('_', ' ')} of column "
                f"{slot}, of which only {self.stored[slot, kind]} were counted."
            )
        return self.of_table(table)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        return np.array_equal(self.stored, other.stored)

    __hash__ = None  # type: ignore[assignment]

    def take(self, slots: Index) -> Counts:
        """Keep the given slots, in that order."""
        return Counts(self.stored[np.asarray(slots, np.int64)])

    def place(self, slots: int, at: Index) -> Counts:
        """Put each slot at its place among more of them; the others are empty."""
        stored = np.zeros((slots, len(kernel.COUNTS)), self.stored.dtype)
        stored[at] = self.stored
        return Counts(stored)

    def joined(self, *others: Counts) -> Counts:
        """Put the slots of others behind these."""
        return Counts(np.concatenate([part.stored for part in (self, *others)]))

    def to_json(self) -> list[dict[str, int]]:
        """Give one object a slot, without the kinds that did not occur."""
        names = kernel.COUNTS
        return [{k: v for k, v in zip(names, row, strict=True) if v} for row in self.stored.tolist()]

    @classmethod
    def from_json(cls, slots: Sequence[dict[str, int]]) -> Counts:
        """Read what `to_json` gave."""
        rows = [[slot.get(name, 0) for name in kernel.COUNTS] for slot in slots]
        if not all(isinstance(count, int) and 0 <= count < 2**63 for row in rows for count in row):
            raise ValueError("a count is no integer of 63 bits")
        return cls(np.array(rows, np.int64).reshape(len(rows), len(kernel.COUNTS)))


@dataclass(frozen=True, eq=False)
class Summary:
    """A record of `Slots`. Subclasses add fields and say how a block of rows fills them.

    Adding, subtracting and comparing go field by field, so that a summary obeys the laws when its fields do.
    """

    counts: Counts

    #: Whether ``-`` undoes ``+``.
    can_forget: ClassVar[bool] = True

    @classmethod
    def empty(cls, slots: int) -> Self:
        """Summarise no rows."""
        raise TypeError(f"{cls.__name__} has no empty record")

    @classmethod
    def of(cls, block: Block, *, skip_infinite: bool = False) -> Self:
        """Summarise a block of rows; raises InfiniteValueError unless infinities are to be skipped."""
        raise TypeError(f"{cls.__name__} cannot summarise")

    def with_rows(self, kind: Any, block: Block) -> Self:
        """Add the summary of a block of rows that `kind`, a `SummaryType`, makes."""
        more: Self = kind.of(block)
        return self + more

    def __len__(self) -> int:
        return len(self.counts)

    def _by_field(self, apply: Callable[..., Any], *others: Any) -> Self:
        names = self.field_types()
        return type(self)(*[apply(*[getattr(s, name) for s in (self, *others)]) for name in names])

    def cached(self, key: Any, make: Callable[[], T]) -> T:
        """Make something of this record once; the record never changes, so neither does what is made."""
        cache: dict[Any, Any] = self.__dict__.setdefault("_cache", {})
        if key not in cache:
            cache[key] = make()
        made: T = cache[key]
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def _check(self, other: Summary) -> None:
        if type(self) is not type(other) or len(self) != len(other):
            raise MergeError(
                f"cannot combine {type(self).__name__} of {len(self)} columns with "
                f"{type(other).__name__} of {len(other)}."
            )

    def __add__(self, other: Self) -> Self:
        self._check(other)
        return self._by_field(lambda a, b: a + b, other)

    def __sub__(self, other: Self) -> Self:
        self._check(other)
        return self._by_field(lambda a, b: a - b, other)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, f.name) == getattr(other, f.name) for f in dataclasses.fields(self))

    __hash__ = None  # type: ignore[assignment]

    def take(self, slots: Index) -> Self:
        """Keep the given slots, in that order."""
        return self._by_field(lambda a: a.take(slots))

    def place(self, slots: int, at: Index) -> Self:
        """Put each slot at its place among more of them; the others are empty."""
        return self._by_field(lambda a: a.place(slots, at))

    def joined(self, *others: Self) -> Self:
        """Put the slots of others behind these."""
        return self._by_field(lambda a, *rest: a.joined(*rest), *others)

    def added_at(self, other: Self, slots: int, at: Index) -> Self:
        """Add each slot of another at its place among these and empty ones behind them, field by field.

        Parameters
        ----------
        other : Summary
        slots : int
            How many there are then.
        at : sequence of int
            The places of the other's slots.
        """
        own = np.arange(len(self))
        return self._by_field(lambda a, b: (a if len(a) == slots else a.place(slots, own)) + b.place(slots, at), other)

    def together(self) -> Self:
        """Add all slots up to one, as if their rows had been those of one column."""
        rest = self if len(self) else self.place(1, [])
        while len(rest) > 1:
            half = len(rest) // 2
            low, high = rest.take(np.arange(half)), rest.take(np.arange(half, len(rest)))
            rest = high + low.place(len(high), np.arange(half))
        return rest

    @property
    def overall(self) -> Summary:
        """The record with one slot a column, whatever the rows were grouped by."""
        return self

    def to_json(self) -> list[dict[str, Any]]:
        """Give one object of exact texts and integers a slot, equal exactly when the slots are."""
        per_field = {f.name: getattr(self, f.name).to_json() for f in dataclasses.fields(self)}
        return [{name: slots[i] for name, slots in per_field.items()} for i in range(len(self))]

    @classmethod
    def from_json(cls, slots: Sequence[dict[str, Any]]) -> Self:
        """Read what `to_json` gave; raises ValueError, KeyError or TypeError where it is not that."""
        fields = cls.field_types()
        return cls(*(kind.from_json([slot[name] for slot in slots]) for name, kind in fields.items()))

    @classmethod
    def field_types(cls) -> dict[str, Any]:
        """Give the type of every field by its name."""
        raise TypeError(f"{cls.__name__} has no fields")

    def digest(self) -> str:
        """Give a short hash of the class and every number, equal exactly when they are."""
        text = repr([type(self).__name__, self.to_json()])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
