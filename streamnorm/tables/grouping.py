"""Rows by their keys: how a table is told to group, and what it finds in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.arrow import booleans, integers, readable
from streamnorm.arrow import compute as pc
from streamnorm.columns import block_of_groups, map_array
from streamnorm.errors import DataError, InfiniteValueError, UnseenKeyError
from streamnorm.rules import BoundRule
from streamnorm.summaries import Summary, SummaryType, WideWeights
from streamnorm.tables.keyed import Keyed
from streamnorm.tables.keys import Keys, keys_of_batch

__all__ = ["KEYED_BYTES", "UNSEEN", "By", "Found", "Grouped"]

#: Bytes of rows summarised at once where there are keys: adding two summaries up takes as long as their keys are many,
#: whatever rows are behind them.
KEYED_BYTES = 1 << 27
#: Keys to each row of a batch from which on plans are made for the keys that occur alone.
_FEW = 16
#: Keys of which a column is summarised at once: the kernel works in 400 bytes for each.
_KEYS_AT_ONCE = 1 << 16
#: Choices for rows whose key was not seen in the fit.
UNSEEN = ("global", "error", "null", "keep")


@dataclass(frozen=True)
class By:
    """The columns that rows are grouped by, and what happens to keys without statistics.

    Parameters
    ----------
    names : tuple of str
    unseen : {"global", "error", "null", "keep"}
    min_count : int
        Values that a key must have had of a column for its own statistics to be used.
    """

    names: tuple[str, ...]
    unseen: str
    min_count: int

    @classmethod
    def of(cls, by: str | Sequence[str] | None, unseen: str, min_count: int) -> By | None:
        """Check what was asked for, None where that is no grouping; raises DataError where it cannot be.

        Parameters
        ----------
        by : str, sequence of str or None
            Key columns.
        unseen : str
            What becomes of keys that were not seen.
        min_count : int
            Values that a key needs for statistics of its own.
        """
        if by is None:
            if (unseen, min_count) != ("global", 1):
                raise DataError("unseen and min_count are about keys: name their columns (by).")
            return None
        names = (by,) if isinstance(by, str) else tuple(by)
        if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
            raise DataError(f"by takes one or several different names of columns, got {by!r}.")
        if unseen not in UNSEEN:
            raise DataError(f"unseen takes one of {', '.join(UNSEEN)}, got {unseen!r}.")
        if type(min_count) is not int or min_count < 1:
            raise DataError(f"min_count takes a number of values from 1 on, got {min_count!r}.")
        return cls(names, unseen, min_count)

    def settings(self) -> dict[str, Any]:
        """Give the parameters as they are compared and written."""
        return {"by": list(self.names), "unseen": self.unseen, "min_count": self.min_count}


@dataclass(frozen=True)
class Grouped:
    """The rows of a batch, sorted by their key.

    Parameters
    ----------
    keys : Keys
        Those that occur.
    order : ndarray of shape (n_rows,), dtype int64
        The rows, key by key.
    bounds : ndarray of shape (n_keys + 1,), dtype int64
        Where those of each key begin and end.
    """

    keys: Keys
    order: NDArray[np.int64] = field(repr=False)
    bounds: NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, batch: pa.RecordBatch, by: Sequence[str]) -> Grouped:
        """Sort the rows of a batch by their values in the columns `by`."""
        keys, ids = Keys.of(tuple(by), keys_of_batch(batch, by))
        order, bounds = kernel.sort(len(keys), np.ascontiguousarray(ids, np.int32))
        return cls(keys, np.frombuffer(order, np.int64), np.frombuffer(bounds, np.int64))

    def summarise(
        self, kind: SummaryType, arrays: Sequence[pa.Array], names: Sequence[str], *, skip_infinite: bool,
        in_a_row: int = 1, weights: WideWeights | None = None,
    ) -> Keyed:  # fmt: skip
        """Summarise columns, each with a slot a key.

        Parameters
        ----------
        kind : SummaryType
        arrays : sequence of pyarrow.Array of shape (n_rows * in_a_row,)
        names : sequence of str
            Columns.
        skip_infinite : bool
            Whether infinities are counted and passed over, not an error.
        in_a_row : int, default=1
            Values of each row, which lie beside each other.
        weights : WideWeights, optional
            Of the batch's rows.

        Raises
        ------
        InfiniteValueError
            If a column holds an infinity that is not to be skipped.
        """
        order, bounds = self.order, self.bounds * in_a_row
        if weights is not None:
            weights = weights.take(np.repeat(order, in_a_row))
        if in_a_row > 1:
            order = (order[:, None] * in_a_row + np.arange(in_a_row)).ravel()
        places = integers(order)
        columns, step = [], _KEYS_AT_ONCE if weights is None else len(bounds)
        for slot, (array, name) in enumerate(zip(arrays, names, strict=True)):
            sorted_rows, parts = array.take(places), []
            for first in range(0, max(len(self.keys), 1), step):
                block = block_of_groups(sorted_rows, name, bounds[first : first + step + 1])
                try:
                    parts.append(kind.of(replace(block, wide_weights=weights), skip_infinite=skip_infinite))
                except InfiniteValueError as error:
                    row = int(order[bounds[first + error.slot] + error.row]) // in_a_row
                    raise InfiniteValueError(slot, row, name) from None
            columns.append(parts[0].joined(*parts[1:]) if len(parts) > 1 else parts[0])
        return Keyed.make(self.keys, columns)


@dataclass(frozen=True)
class Found:
    """The rows of a batch to be mapped, and which keys they have.

    Parameters
    ----------
    by : By
    rows : list of pyarrow.Array
        The key columns.
    """

    by: By
    rows: list[pa.Array]
    _known: dict[int, tuple[Keyed, Keyed, NDArray[np.int64]]] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: pa.RecordBatch, by: By) -> Found:
        """Take the key columns of a batch."""
        return cls(by, keys_of_batch(batch, by.names))

    def look_up(self, summary: Keyed) -> tuple[Keyed, NDArray[np.int64]]:
        """Give the statistics of at least the keys that occur, and which of their keys each row has, -1 where none."""
        if id(summary) not in self._known:
            few = summary
            if len(self.rows[0]) * _FEW <= summary.size:
                few = summary.few(Keys.distinct(self.by.names, self.rows)[0])
            self._known[id(summary)] = summary, few, few.keys.find(self.rows)  # the first stays, and so its id
        return self._known[id(summary)][1:]

    def emptied(self, summary: Summary) -> pa.BooleanArray:
        """Tell of each row whether all becomes null, since its key was not seen."""
        if self.by.unseen != "null" or not isinstance(summary, Keyed):
            return booleans(np.zeros(len(self.rows[0]), bool))
        return booleans(self.look_up(summary)[1] < 0)

    def map_array(
        self, array: pa.Array, given: pa.Array, name: str, rule: BoundRule, summary: Summary, slot: int, *,
        in_a_row: int = 1, **options: Any,
    ) -> pa.Array:  # fmt: skip
        """Apply to each value the plan of its key, or of all rows where the key has too few values.

        Parameters are those of `columns.map_array`, with a rule and a keyed summary for the plan, and with the
        column as it was given, before the rule's steps, for values that are kept.

        Parameters
        ----------
        array : pyarrow.Array of shape (n_rows * in_a_row,)
        given : pyarrow.Array
            The column before the steps of its treatment.
        name : str
            The column, for messages.
        rule : BoundRule
        summary : Summary
        slot : int
            The column in the summary.
        in_a_row : int, default=1
            Values of each row, which lie beside each other.
        options : object
            As of `columns.map_array`.

        Raises
        ------
        UnseenKeyError
            If a key was not seen and that is an error.
        """
        if not isinstance(summary, Keyed):
            raise DataError(f"the statistics are not those by {', '.join(self.by.names)}: fit again.")
        summary, at = self.look_up(summary)
        unseen = at < 0
        if self.by.unseen == "error" and unseen.any():
            row = int(np.argmax(unseen))
            raise UnseenKeyError(Keys(self.by.names, tuple(self.rows)).words(row), row)
        if in_a_row > 1:
            at, unseen = np.repeat(at, in_a_row), np.repeat(unseen, in_a_row)
        both, slots = summary.with_overall(slot), self._slots(summary, slot, at)
        filling = None if options.get("inverse") else rule.filling(both)
        if filling is not None:
            array = rule.steps.fill_missing(array, filling[slots])
        mapped = map_array(array, name, rule.plan(both), slots, **options)
        if self.by.unseen == "global" or not unseen.any():
            return mapped
        keep = self.by.unseen == "keep"
        other = readable(given, name).cast(mapped.type, safe=False) if keep else pa.nulls(len(array), mapped.type)
        return pc.if_else(booleans(unseen), other, mapped)

    def _slots(self, summary: Keyed, slot: int, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give each row's slot in the summary with that of all rows behind the keys'.

        Parameters
        ----------
        summary : Keyed
        slot : int
            The column.
        at : ndarray of shape (n_rows,)
            The key of each row, or -1.
        """

        def choose() -> NDArray[np.int64]:
            values = summary.columns[slot].counts.values
            places = np.where(values >= self.by.min_count, np.arange(len(values)), len(values))
            return np.append(places, len(values))  # the last is found by -1

        chosen = summary.cached(("chosen", slot, self.by.min_count), choose)
        return chosen[at]
