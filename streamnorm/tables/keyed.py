"""Statistics per key: for every column a summary with one slot a key, added key by key."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import MergeError
from streamnorm.once import once
from streamnorm.summaries import Counts, Summary, pack
from streamnorm.tables.keys import Keys

__all__ = ["Keyed"]

#: Smallest ratio of the keys of one layer to those of the next. A larger one copies keys more often on their way down;
#: a smaller one leaves more layers to look through.
_RATIO = 8


@dataclass(frozen=True, eq=False)
class _Layer:
    """Statistics by key of some of the rows.

    Parameters
    ----------
    keys : Keys
    columns : tuple of Summary
        One a column, each with one slot a key.
    """

    keys: Keys
    columns: tuple[Summary, ...]

    def __len__(self) -> int:
        return len(self.keys)

    def __add__(self, other: _Layer) -> _Layer:
        keys, at = self.keys.union(other.keys)
        columns = (a.added_at(b, len(keys), at) for a, b in zip(self.columns, other.columns, strict=True))
        return _Layer(keys, tuple(columns))

    def of(self, keys: Keys) -> _Layer:
        """Give the same for other keys, with nothing in the slots of those that it does not have."""
        at = self.keys.find(keys.columns)
        there = np.flatnonzero(at >= 0)
        return _Layer(keys, tuple(column.take(at[there]).place(len(keys), there) for column in self.columns))

    @once
    def overall(self) -> Summary:
        """The statistics over all keys, with one slot a column."""
        return _side_by_side([column.together() for column in self.columns])


@dataclass(frozen=True, eq=False)
class Keyed(Summary):
    """Summaries of columns by key.

    Adding aligns the keys and adds key by key, so that the laws of the summaries carry over. A key whose
    last row is taken away is gone. The keys may lie in any order: equality, digest and state files do not
    depend on it.

    What is added stays in layers, each of far fewer keys than the one before, until all keys are asked for: rows of a
    few keys cost what these cost, however many others there are.

    Parameters
    ----------
    counts : Counts
        Of each column, over all keys.
    layers : tuple of _Layer
        At least one; a key may be in several.
    """

    layers: tuple[_Layer, ...]

    @classmethod
    def make(cls, keys: Keys, columns: Sequence[Summary]) -> Self:
        """Put keys and their summaries together."""
        totals = [column.counts.stored.sum(axis=0, dtype=np.int64) for column in columns]
        return cls(Counts(np.array(totals, np.int64).reshape(len(columns), -1)), (_Layer(keys, tuple(columns)),))

    @once
    def _whole(self) -> _Layer:
        """All layers in one."""
        return functools.reduce(operator.add, self.layers)

    @property
    def keys(self) -> Keys:
        """The distinct keys."""
        return self._whole.keys

    @property
    def columns(self) -> tuple[Summary, ...]:
        """Summaries, one a column, each with one slot a key."""
        return self._whole.columns

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of each key, shape (n_keys,)."""
        return self.columns[0].counts.rows

    def _combinable(self, other: Summary) -> None:
        self._check(other)
        names = self.layers[0].keys.names
        if not isinstance(other, Keyed) or names != other.layers[0].keys.names:
            raise MergeError(f"cannot combine statistics by {names} with those by others: fit both alike.")

    def __add__(self, other: Self) -> Self:
        self._combinable(other)
        mine, theirs = (tuple(filter(len, summary._lowest())) for summary in (self, other))
        for one, two in itertools.product(mine, theirs):
            one.keys.check_types(two.keys)
        layers: list[_Layer] = []
        for layer in sorted((*mine, *theirs), key=len, reverse=True):
            layers.append(layer)
            while len(layers) > 1 and len(layers[-2]) < _RATIO * len(layers[-1]):
                upper = layers.pop()
                layers[-1] += upper
        return type(self)(self.counts + other.counts, tuple(layers) or self.layers)

    def _lowest(self) -> tuple[_Layer, ...]:
        """Give the layers, or the one that they were put together in already."""
        whole = self.__dict__.get("_whole")
        return self.layers if whole is None else (whole,)

    def few(self, keys: Keys) -> Self:
        """Give the statistics of some keys, as far as they are known, beside those of all rows.

        Raises
        ------
        MergeError
            If the keys are of other types.
        """
        found = functools.reduce(_added, [layer.of(keys) for layer in self._lowest()])
        known = np.flatnonzero(found.columns[0].counts.rows)
        few = self.make(keys.take(known), [column.take(known) for column in found.columns])
        few.cached("overall", lambda: self.overall)
        return few

    @property
    def size(self) -> int:
        """How many keys there are at most: one may be in several layers."""
        return sum(map(len, self._lowest()))

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

    def without(self, keys: Keys) -> Self:
        """Leave keys out, as if their rows had never been; those that it does not have are no matter.

        Raises
        ------
        MergeError
            If the keys are of other types.
        """
        left = np.setdiff1d(np.arange(len(self.keys)), self.keys.find(keys.columns))
        if len(left) == len(self.keys):
            return self
        return self.make(self.keys.take(left), [column.take(left) for column in self.columns])

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
            packed = pack(column.take(self.keys.order))
            for text in json.JSONEncoder().iterencode([type(column).__name__, packed]):  # of many keys all is large
                digest.update(text.encode())
        return digest.hexdigest()[:16]

    @property
    def overall(self) -> Summary:
        """The statistics over all keys: exactly those of the rows without grouping."""
        return self.cached(
            "overall", lambda: functools.reduce(operator.add, (layer.overall for layer in self._lowest()))
        )

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


def _added(a: _Layer, b: _Layer) -> _Layer:
    """Add what two layers have of the same keys."""
    return _Layer(a.keys, tuple(map(operator.add, a.columns, b.columns)))


def _side_by_side(columns: Sequence[Summary]) -> Summary:
    """Make one summary of several with one slot each."""
    placed = [column.place(len(columns), [i]) for i, column in enumerate(columns)]
    return functools.reduce(operator.add, placed)
