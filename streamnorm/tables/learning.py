"""How a table normalizer learns: columns are chosen, and their batches summarised and added up."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from streamnorm.arrow import (
    batch_of,
    flat,
    in_large_batches,
    is_at_hand,
    is_frame,
    known,
    no_rows,
    schema_of,
    to_batches,
    vector_values,
)
from streamnorm.errors import DataError, InfiniteValueError, OverflowedError, UnseenKeyError, nearest
from streamnorm.rules import LAYOUTS, RULES, UNIT, BoundRule, Decay, choose, named
from streamnorm.summaries import Tally
from streamnorm.tables.batch import summarise_columns
from streamnorm.tables.frames import names_of
from streamnorm.tables.grouping import KEYED_BYTES, Grouped
from streamnorm.tables.statistics import Learnt
from streamnorm.tables.vectors import Vector

__all__ = ["Learning", "after", "check_there", "learning_lock"]

#: Bytes of a batch that is large: what a call takes beside them is little.
_ENOUGH = 1 << 20
#: Locks of objects that learn, by their address: an object of its own could not be pickled with one.
_LOCKS = [threading.RLock() for _ in range(256)]


def learning_lock(learner: object) -> threading.RLock:
    """Give the lock that a thread holds while an object learns, so that nothing learnt by others is lost.

    Several objects share one. A thread that holds it runs no code but this package's, and asks for no other: so no two
    can wait for each other.
    """
    return _LOCKS[id(learner) // 16 % len(_LOCKS)]


class Learning:
    """What `Table` does to learn; its parameters are those of `TableNormalizer`."""

    default: Any
    columns: Mapping[str, Any] | None
    exclude: str | Sequence[str]
    dtype: Any
    suffix: str
    infinite: str
    vectors: str
    profile: bool
    missing_columns: str
    time: str | None
    _learnt: Learnt

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the columns that rows are grouped by; none without `by`."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any = None) -> Self:
        """Forget what was learnt and learn from a table, or from a stream of its batches.

        Parameters
        ----------
        X : pyarrow Table, RecordBatch or reader, data frame, or an iterator of these
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If a column is missing, holds no numbers or an infinity; the object stays as it was.
        """
        learnt = self._learn(X, None)
        with learning_lock(self):
            for of_before in ("sources_", "positions_"):
                self.__dict__.pop(of_before, None)
            return self._set(learnt)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from one more table or stream; parameters, result and errors are those of `fit`."""
        X = known(X)
        if is_at_hand(X):
            with learning_lock(self):
                return self._set(self._learn(X, self.__dict__.get("_learnt")))
        # Asking for the rows runs code that may itself learn, or wait for others who do: nobody is locked out then.
        before: Learnt | None = self.__dict__.get("_learnt")
        part = self._learn(X, None if before is None else before.emptied())
        with learning_lock(self):
            now: Learnt | None = self.__dict__.get("_learnt")
            return self._set(part if now is None else now + part)

    def _set(self, learnt: Learnt) -> Self:
        self._learnt = learnt
        return self

    def _learn(self, X: Any, total: Learnt | None) -> Learnt:
        tables = flat(X)
        first = next(tables, None)
        if first is None:
            raise DataError("the stream gave no batch, so that there are no columns to learn from.")
        rules, dropped = self.choose(_schema(first)) if total is None else (_rules_of(total), total.dropped)
        batches = (batch for table in itertools.chain([first], tables) for batch in self._read(table, rules, total))
        counted = _Counted(batches)
        rows = 0
        for batch in self.gathered(counted):
            with after(rows, among_others=counted.number > 1):
                part = self._summarise(batch, rules, dropped, total)
            total = part if total is None else total + part
            rows += batch.num_rows
        if total is None:
            raise DataError("the stream gave no batch, so that there are no columns to learn from.")
        return total

    def _read(self, table: Any, rules: Mapping[str, BoundRule], like: Learnt | None) -> Iterator[pa.RecordBatch]:
        """Give the batches of a table; of a data frame no more than the columns that are learnt from, and the keys.

        Parameters
        ----------
        table : table or data frame
        rules : mapping of str to BoundRule
            Of the columns that are learnt from.
        like : Learnt or None
            What was learnt before.
        """
        if isinstance(table, pa.Table) and not table.num_rows:
            yield no_rows(self._of_what_is_read(table.schema, [*rules, *_beside((), rules)]))
            return
        if not is_frame(table):
            yield from to_batches(table)
            return
        beside = _beside(self.key_names, rules)
        check_there(rules, names_of(table))
        check_there(beside, names_of(table))
        schema = schema_of(table) if like is not None and like.unknown else None
        passed = frozenset() if like is None or schema is None else like.passed_over(schema)
        batch = batch_of(table, [*(name for name in rules if name not in passed), *beside])
        for name in sorted(passed):
            batch = batch.append_column(name, pa.nulls(len(batch)))
        yield batch

    def summarise(self, batch: pa.RecordBatch, like: Learnt | None = None) -> Learnt:
        """Summarise one batch on its own; what several give may be added in any order.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        like : Learnt, optional
            Take its columns and scalers, rather than choosing them by the batch's schema.
        """
        rules, dropped = self.choose(batch.schema) if like is None else (_rules_of(like), like.dropped)
        return self._summarise(batch, rules, dropped, like)

    def nothing(self, schema: pa.Schema) -> Learnt:
        """Choose columns and scalers for tables of a schema, with nothing learnt; errors are those of `choose`."""
        rules, dropped = self.choose(schema)
        read = self._of_what_is_read(schema, [*rules, *_beside((), rules)])
        return self._summarise(no_rows(read), rules, dropped, None)

    def _of_what_is_read(self, schema: pa.Schema, names: Iterable[str]) -> pa.Schema:
        """Give the fields of columns and of the keys; raises DataError where one is missing."""
        read = [*dict.fromkeys([*names, *self.key_names])]
        check_there(read, schema.names)
        return pa.schema([schema.field(name) for name in read])

    def _summarise(
        self, batch: pa.RecordBatch, rules: Mapping[str, BoundRule], dropped: tuple[str, ...], like: Learnt | None
    ) -> Learnt:
        """Summarise columns of one batch.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        rules : mapping of str to BoundRule
            By column.
        dropped : tuple of str
        like : Learnt or None
            What was learnt before.
        """
        check_there([*rules, *_beside((), rules)], batch.schema.names)
        for name in like.passed_over(batch.schema) if like is not None else ():
            batch = batch.set_column(batch.schema.get_field_index(name), name, pa.nulls(len(batch)))
        layouts = self._layouts(batch.schema, rules, like)
        grouped = Grouped.of(batch, self.key_names) if self.key_names else None
        weights = {decay: decay.weights(batch.column(str(decay.time))) for decay in _decays(rules)}
        by_key: dict[tuple[Any, ...], list[str]] = {}
        for name in sorted(rules):
            alone = () if layouts[name] is None else (name,)
            by_key.setdefault((rules[name].key, alone), []).append(name)
        groups = tuple(
            summarise_columns(
                rules[names[0]],
                batch,
                names,
                layouts[names[0]],
                grouped,
                skip_infinite=self.infinite == "skip",
                weights=None if (decay := rules[names[0]].decay) is None else weights[decay],
            )
            for _, names in sorted(by_key.items())
        )
        kinds = {name: str(batch.schema.field(name).type) for name in rules}
        if like is None and "null" in kinds.values():
            kinds |= {name: "double" for name in named(rules, self.columns or {}) if kinds[name] == "null"}
        return Learnt(groups, MappingProxyType(kinds), dropped)

    def _layouts(
        self, schema: pa.Schema, rules: Mapping[str, BoundRule], like: Learnt | None
    ) -> dict[str, Vector | None]:
        """Find the layout of each column of vectors; None for single numbers.

        Parameters
        ----------
        schema : pyarrow.Schema
        rules : mapping of str to BoundRule
            By column.
        like : Learnt or None
            What was learnt before.
        """
        if like is not None:
            return {name: group.vector for name, (group, _) in like.columns().items()}
        found = {}
        for name, rule in rules.items():
            unit, whole = rule.rule.name == UNIT, (rule.steps.vectors or self.vectors) == "whole"
            found[name] = Vector.of(schema.field(name).type, unit or whole, unit)
            if unit and found[name] is None and not pa.types.is_null(schema.field(name).type):
                raise DataError(
                    f"column {name!r} holds single numbers, and only vectors have a length to be divided by: give it "
                    "another scaler."
                )
        return found

    def choose(self, schema: pa.Schema) -> tuple[dict[str, BoundRule], tuple[str, ...]]:
        """Choose the columns to normalise, how, and those to drop, for tables of a schema.

        Raises
        ------
        DataError
            If a column that was named does not exist, is there twice or holds no numbers.
        """
        self._check_parameters()
        rules, dropped = choose(schema, self.default, self.columns or {}, self.exclude, self.key_names, self.time)
        for name, rule in rules.items():
            if (rule.steps.vectors or self.vectors) == UNIT and vector_values(schema.field(name).type) is not None:
                rules[name] = BoundRule(RULES[UNIT], MappingProxyType({}), rule.steps)
            elif self.profile and rule.rule.name != UNIT:
                rules[name] = dataclasses.replace(rule, profile=True)
        for name, rule in rules.items():
            if rule.rule.name == UNIT and type(rule.summary.empty(1)) is not Tally:
                raise DataError(
                    f"nothing is learnt of column {name!r}, whose vectors are divided by their lengths: leave a fill, "
                    "and percentages of clip_result, out."
                )
            if self._target(name, rule) in self.key_names:
                raise DataError(
                    f"the result of column {name!r} would replace {self._target(name, rule)!r}, which rows are grouped "
                    "by: choose another suffix."
                )
        return rules, dropped

    def _check_parameters(self) -> None:
        if self.vectors not in LAYOUTS:
            raise DataError(f"vectors must be 'element', 'whole' or 'unit', got {self.vectors!r}.")
        if self.missing_columns not in ("error", "skip"):
            raise DataError(f"missing_columns must be 'error' or 'skip', got {self.missing_columns!r}.")
        if self.infinite not in ("error", "skip"):
            raise DataError(f"infinite must be 'error' or 'skip', got {self.infinite!r}.")
        if not (self.columns is None or isinstance(self.columns, Mapping)):
            raise DataError(f"columns must map names to scalers ({{'price': 'robust'}}), got {self.columns!r}.")
        if not (self.time is None or isinstance(self.time, str)):
            raise DataError(f"time must be the name of a column, got {self.time!r}.")
        if not isinstance(self.suffix, str):
            raise DataError(f"suffix must be a text, got {self.suffix!r}.")
        if self.dtype is not None and np.dtype(self.dtype).kind != "f":
            raise DataError(f"dtype must be float64, float32 or float16, got {self.dtype!r}.")

    def _target(self, name: str, rule: BoundRule) -> str:
        """Name the result of a column."""
        return name + (self.suffix if rule.steps.suffix is None else rule.steps.suffix)

    def read_columns(self, like: Learnt) -> list[str]:
        """Name the columns that learning reads: those learnt from, then those that are read beside."""
        return [*like.types, *self.read_beside(like)]

    def read_beside(self, like: Learnt) -> list[str]:
        """Name the columns that learning reads and does not learn from: the keys', and those of times."""
        return _beside(self.key_names, _rules_of(like))

    def gathered(self, batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """Give batches to learn from as large as that wants them: small neighbours are put together, with keys most."""
        return in_large_batches(batches, KEYED_BYTES if self.key_names else _ENOUGH)


class _Counted:
    """Batches, and how many of them have come."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.number = 0
        self._batches = batches

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            self.number += 1
            yield batch


@contextmanager
def after(rows: int, *, among_others: bool = False) -> Iterator[None]:
    """Let errors count rows from the beginning of the input, of which so many came before.

    With `among_others` they do so in the first batch too, which was put together of several.
    """
    try:
        yield
    except (InfiniteValueError, OverflowedError, UnseenKeyError) as error:
        raise error.after(rows, among_others=among_others) from None


def check_there(wanted: Iterable[str], names: Sequence[str]) -> None:
    """Raise DataError where a column that is wanted is missing."""
    there = set(names)
    missing = next((name for name in wanted if name not in there), None)
    if missing is not None:
        raise DataError(f"column {missing!r} is missing here: {nearest(missing, names)}")


def _schema(table: Any) -> pa.Schema:
    return schema_of(table) if is_frame(table) else table.schema


def _decays(rules: Mapping[str, BoundRule]) -> list[Decay]:
    """Give how rows weigh by their times, once each."""
    return list(dict.fromkeys(rule.decay for rule in rules.values() if rule.decay is not None))


def _beside(keys: Sequence[str], rules: Mapping[str, BoundRule]) -> list[str]:
    """Name the columns of keys and times, once each.

    Parameters
    ----------
    keys : sequence of str
    rules : mapping of str to BoundRule
    """
    return list(dict.fromkeys([*keys, *sorted({str(decay.time) for decay in _decays(rules)})]))


def _rules_of(learnt: Learnt) -> dict[str, BoundRule]:
    return {name: group.rule for name, (group, _) in learnt.columns().items()}
