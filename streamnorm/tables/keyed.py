"""Statistics per key: for every column a summary with one slot a key, added key by key."""

from __future__ import annotations

import functools
import hashlib
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import MergeError
from streamnorm.summaries import Counts, Summary, pack
from streamnorm.tables.keys import Keys

__all__ = ["Keyed"]


@dataclass(frozen=True, eq=False)
class Keyed(Summary):
    """Summaries of columns by key.

    Adding aligns the keys and adds key by key, so that the laws of the summaries carry over. A key whose
    last row is taken away is gone. The keys may lie in any order: equality, digest and state files do not
    depend on it.

    Parameters
    ----------
    counts : Counts
        Of each column, over all keys.
    keys : Keys
    columns : tuple of Summary
        One a column, each with one slot a key.
    """

    keys: Keys
    columns: tuple[Summary, ...]

    @classmethod
    def make(cls, keys: Keys, columns: Sequence[Summary]) -> Self:
        """Put keys and their summaries together."""
        totals = [column.counts.table.sum(axis=0) for column in columns]
        return cls(Counts(np.array(totals, np.int64).reshape(len(columns), -1)), keys, tuple(columns))

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of each key, shape (n_keys,)."""
        return self.columns[0].counts.rows

    def _combinable(self, other: Summary) -> None:
        self._check(other)
        if not isinstance(other, Keyed) or self.keys.names != other.keys.names:
            raise MergeError(f"cannot combine statistics by {self.keys.names} with those by others: fit both alike.")

    def __add__(self, other: Self) -> Self:
        self._combinable(other)
        if not len(self.keys) or not len(other.keys):
            return self if len(self.keys) else other
        keys, at = self.keys.union(other.keys)
        mine = np.arange(len(self.keys))
        columns = [
            (a if len(keys) == len(a) else a.place(len(keys), mine)) + b.place(len(keys), at)
            for a, b in zip(self.columns, other.columns, strict=True)
        ]
        return self.make(keys, columns)

    def __sub__(self, other: Self) -> Self:
        self._combinable(other)
        at = self.keys.find(other.keys.columns)
        counted = np.append(self.rows, 0)[at]  # the last is found by -1
        if (counted < other.rows).any():
            i = int(np.argmax(counted < other.rows))
            raise MergeError(
                f"cannot forget {other.rows[i]} rows of key {other.keys.words(i)!r}, of which only {counted[i]} were "
                "counted."
            )
        columns = [a - b.place(len(a), at) for a, b in zip(self.columns, other.columns, strict=True)]
        left = np.flatnonzero(columns[0].counts.rows)
        if len(left) == len(self.keys):
            return self.make(self.keys, columns)
        return self.make(self.keys.take(left), [column.take(left) for column in columns])

    def emptied(self) -> Self:
        """Give the same columns without keys."""
        none = np.empty(0, np.int64)
        return self.make(self.keys.take(none), [column.take(none) for column in self.columns])

    def in_order(self) -> Self:
        """Give the same with ascending keys."""
        order = self.keys.order
        return self.make(self.keys.take(order), [column.take(order) for column in self.columns])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Keyed):
            return NotImplemented
        if self.keys.names != other.keys.names or len(self.keys) != len(other.keys) or len(self) != len(other):
            return False
        mine, theirs = self.in_order(), other.in_order()
        same = (a == b for a, b in zip(mine.columns, theirs.columns, strict=True))
        return mine.keys == theirs.keys and all(same)

    __hash__ = None

    def take(self, slots: Any) -> Self:
        """Keep the given columns, in that order."""
        return self.make(self.keys, [self.columns[i] for i in slots])

    def digest(self) -> str:
        """Give a short hash of keys and statistics, equal exactly when they are."""
        digest = hashlib.sha256(self.keys.digest().encode())
        for column in self.columns:
            digest.update(json.dumps([type(column).__name__, pack(column.take(self.keys.order))]).encode())
        return digest.hexdigest()[:16]

    @property
    def overall(self) -> Summary:
        """The statistics over all keys: exactly those of the rows without grouping."""
        return self.cached("overall", lambda: _side_by_side([column.together() for column in self.columns]))

    def of_key(self, at: int) -> Summary:
        """Give the statistics of one key, with one slot a column."""
        return _side_by_side([column.take([at]) for column in self.columns])

    def with_overall(self, column: int) -> Summary:
        """Give one column's slots: those of all keys, and behind them that of all rows."""

        def make() -> Summary:
            own, count = self.columns[column], len(self.keys)
            last = self.overall.take([column])
            return own.place(count + 1, np.arange(count)) + last.place(count + 1, [count])

        return self.cached(("with overall", column), make)


def _side_by_side(columns: Sequence[Summary]) -> Summary:
    """Make one summary of several with one slot each."""
    placed = [column.place(len(columns), [i]) for i, column in enumerate(columns)]
    return functools.reduce(operator.add, placed)
