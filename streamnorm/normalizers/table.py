"""Whole tables: the columns asked for are normalised, every other one passes through untouched.

`Table` needs no scikit-learn, so that jobs over files start without it; `TableNormalizer` is the same as
an estimator.
"""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from streamnorm.columns import (
    block_of_arrays,
    infinity_message,
    is_numeric,
    is_stream,
    map_array,
    parts_of,
    to_batches,
)
from streamnorm.errors import DataError, InfiniteValueError, MergeError, nearest
from streamnorm.normalizers.family import BoundRule, rule_of
from streamnorm.summaries import Summary

__all__ = ["Group", "Learnt", "Table", "batches_of"]


@dataclass(frozen=True)
class Group:
    """Columns under one rule, and the summary with a slot for each, in the order of their names."""

    rule: BoundRule
    names: tuple[str, ...]
    summary: Summary

    def attribute(self, attribute: str) -> Any:
        """Compute a fitted attribute of all its columns."""
        return self.rule.attribute(attribute, self.summary)


@dataclass(frozen=True)
class Learnt:
    """What a table normalizer knows: groups of columns, in the order of their rules.

    Parameters
    ----------
    groups : tuple of Group
    types : mapping of str to str
        Arrow types of the columns as they were first seen, in the table's order. They are shown, and not
        compared: the same numbers may come as int32 and as int64.
    """

    groups: tuple[Group, ...]
    types: Mapping[str, str] = field(compare=False)

    def __reduce__(self) -> Any:  # a read-only mapping cannot be pickled
        return _learnt, (self.groups, dict(self.types))

    def _combine(self, other: Learnt, verb: str) -> Iterator[tuple[Group, Group]]:
        mine, theirs = ([(g.rule.key, g.names) for g in x.groups] for x in (self, other))
        if mine != theirs:
            raise MergeError(f"cannot {verb} tables with other columns or scalers: {mine} and {theirs}.")
        return zip(self.groups, other.groups, strict=True)

    def __add__(self, other: Learnt) -> Learnt:
        pairs = self._combine(other, "add")
        groups = tuple(dataclasses.replace(a, summary=a.summary + b.summary) for a, b in pairs)
        return Learnt(groups, self.types)

    def __sub__(self, other: Learnt) -> Learnt:
        pairs = self._combine(other, "take from each other")
        groups = tuple(dataclasses.replace(a, summary=a.summary - b.summary) for a, b in pairs)
        return Learnt(groups, self.types)

    def where(self) -> dict[str, tuple[Group, int]]:
        """Find each column's group and slot, in the table's order."""
        found = {name: (group, i) for group in self.groups for i, name in enumerate(group.names)}
        return {name: found[name] for name in self.types}

    def digest(self) -> str:
        """Give a short hash of rules, names and statistics, equal exactly when they are."""
        text = repr([(g.rule.key, g.names, g.summary.digest()) for g in self.groups])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _learnt(groups: tuple[Group, ...], types: dict[str, str]) -> Learnt:
    return Learnt(groups, MappingProxyType(types))


class Table:
    """Normalise the numeric columns of tables, batch by batch, and leave the others alone.

    The parameters are those of `TableNormalizer`.
    """

    def __init__(
        self,
        default: Any = "standard",
        columns: Mapping[str, Any] | None = None,
        *,
        exclude: Sequence[str] = (),
        dtype: Any = None,
        suffix: str = "",
        infinite: str = "error",
        profile: bool = False,
    ) -> None:
        self.default = default
        self.columns = columns
        self.exclude = exclude
        self.dtype = dtype
        self.suffix = suffix
        self.infinite = infinite
        self.profile = profile

    # ---- learning ----

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
        return self._set(self._learn(X, None))

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from one more table or stream; parameters, result and errors are those of `fit`."""
        return self._set(self._learn(X, self.__dict__.get("_learnt")))

    def _set(self, learnt: Learnt) -> Self:
        self._learnt = learnt
        return self

    def _learn(self, X: Any, total: Learnt | None) -> Learnt:
        for batch in batches_of(X):
            part = self.summarise(batch, total)
            total = part if total is None else total + part
        if total is None:
            raise DataError("the stream gave no batch, so that there are no columns to learn from.")
        return total

    def summarise(self, batch: pa.RecordBatch, like: Learnt | None = None) -> Learnt:
        """Summarise one batch on its own; what several give may be added in any order.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        like : Learnt, optional
            Take its columns and scalers, rather than choosing them by the batch's schema.
        """
        rules = self.choose(batch.schema) if like is None else _rules_of(like)
        there = set(batch.schema.names)
        missing = [name for name in rules if name not in there]
        if missing:
            raise DataError(f"column {missing[0]!r} is missing here: {nearest(missing[0], batch.schema.names)}")
        by_key: dict[tuple[str, str], list[str]] = {}
        for name in sorted(rules):
            by_key.setdefault(rules[name].key, []).append(name)
        groups = tuple(
            Group(rules[names[0]], tuple(names), self._summary(rules[names[0]], batch, names))
            for _, names in sorted(by_key.items())
        )
        kinds = {name: str(batch.schema.field(name).type) for name in rules}
        return Learnt(groups, MappingProxyType(kinds if like is None else dict(like.types)))

    def _summary(self, rule: BoundRule, batch: pa.RecordBatch, names: Sequence[str]) -> Summary:
        block = block_of_arrays([batch.column(name) for name in names], names)
        try:
            summary: Summary = rule.summary.of(block, skip_infinite=self.infinite == "skip")
        except InfiniteValueError as error:
            message = infinity_message(names[error.slot], error.row)
            raise InfiniteValueError(error.slot, error.row, message) from None
        return summary

    def choose(self, schema: pa.Schema) -> dict[str, BoundRule]:
        """Choose the columns to normalise, and how, for tables of a schema.

        Raises
        ------
        DataError
            If a column that was named does not exist, is there twice or holds no numbers.
        """
        named, times = dict(self.columns or {}), Counter(schema.names)
        for name in [*named, *self.exclude]:
            if name not in times:
                raise DataError(f"there is no column {name!r}: {nearest(name, schema.names)}")
        default = None if self.default is None else rule_of(self.default)
        rules = {}
        for item in schema:
            if item.name in named:
                if not (is_numeric(item.type) or pa.types.is_boolean(item.type)):
                    raise DataError(f"column {item.name!r} holds {item.type}, not numbers: name another one.")
                rules[item.name] = rule_of(named[item.name])
            elif default is not None and item.name not in self.exclude and is_numeric(item.type):
                rules[item.name] = default
        for name in rules:
            if times[name] > 1:
                raise DataError(f"there are {times[name]} columns {name!r}: rename all but one.")
        if not rules:
            raise DataError("there is no column to normalise: name some that hold numbers.")
        if self.profile:
            return {name: dataclasses.replace(rule, profile=True) for name, rule in rules.items()}
        return rules

    # ---- applying ----

    def transform(self, X: Any) -> Any:
        """Normalise the columns learnt from; all others, their order, nulls and metadata are kept.

        Parameters
        ----------
        X : pyarrow Table, RecordBatch or reader, pandas or polars DataFrame

        Returns
        -------
        The same kind of object; a lazy reader for a reader.

        Raises
        ------
        DataError
            If a column is missing, holds no numbers or an infinity.
        """
        return self._map(X, inverse=False)

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`, up to rounding and the type of the columns; errors are the same."""
        return self._map(X, inverse=True)

    def _map(self, X: Any, *, inverse: bool) -> Any:
        self.learnt  # noqa: B018 (raises where nothing was learnt)
        self.warn_of_empty()
        if isinstance(X, pa.RecordBatch):
            return self.map_batch(X, inverse=inverse)
        if isinstance(X, pa.RecordBatchReader):
            empty = next(to_batches(X.schema.empty_table()))
            schema = self.map_batch(empty, inverse=inverse).schema
            return pa.RecordBatchReader.from_batches(schema, (self.map_batch(b, inverse=inverse) for b in X))
        library = type(X).__module__.partition(".")[0]
        if library == "pandas":
            return self._map_pandas(X, inverse=inverse)
        table = pa.Table.from_batches([self.map_batch(b, inverse=inverse) for b in batches_of(X)])
        if library == "polars":
            import polars

            return polars.from_arrow(table)
        return table

    def _map_pandas(self, frame: Any, *, inverse: bool) -> Any:
        """Map only the columns concerned, so that the others keep what only pandas knows of them."""
        names = [name for name in frame.columns if name in self.inputs(inverse)]
        part = pa.Table.from_pandas(frame[names], preserve_index=False)
        mapped = pa.Table.from_batches([self.map_batch(b, inverse=inverse) for b in to_batches(part)])
        result = frame.copy(deep=False)
        for name in mapped.column_names:
            result[name] = mapped.column(name).to_numpy()
        if inverse and self.suffix:
            result = result.drop(columns=[name for name in names if name not in mapped.column_names])
        return result

    def inputs(self, inverse: bool) -> dict[str, str]:
        """Give the columns that are read when mapping, and what the result of each is called."""
        after = {name: name + self.suffix for name in self.learnt.types}
        return {new: old for old, new in after.items()} if inverse else after

    def map_batch(self, batch: pa.RecordBatch, *, inverse: bool = False) -> pa.RecordBatch:
        """Map one batch; with a suffix the result stands in new columns at the end, and back."""
        inputs, where = self.inputs(inverse), self.learnt.where()
        times = Counter(batch.schema.names)
        for name in inputs:
            if name not in times:
                raise DataError(f"column {name!r} is missing here: {nearest(name, batch.schema.names)}")
        fields = {item.name: (item, batch.column(i)) for i, item in enumerate(batch.schema)}
        if len(fields) < batch.num_columns and any(times[name] > 1 for name in inputs):
            raise DataError("a column to normalise is there twice: rename one of the two.")
        columns = [(item, batch.column(i)) for i, item in enumerate(batch.schema)]
        at = {item.name: i for i, (item, _) in enumerate(columns)}
        added = []
        for source, target in inputs.items():
            group, slot = where[target if inverse else source]
            item, array = fields[source]
            mapped = map_array(
                array, source, group.rule.plan(group.summary), slot,
                dtype=self.dtype, inverse=inverse, skip_infinite=self.infinite == "skip",
            )  # fmt: skip
            new = (item.with_type(mapped.type).with_name(target), mapped)
            if target in at:
                columns[at[target]] = new
            else:
                added.append(new)
        dropped = set(inputs) if inverse and self.suffix else set()
        columns = [pair for pair in columns if pair[0].name not in dropped] + added
        schema = pa.schema([item for item, _ in columns], batch.schema.metadata)
        return pa.RecordBatch.from_arrays([array for _, array in columns], schema=schema)

    def warn_of_empty(self) -> None:
        """Warn, once, of columns that no value was seen of."""
        if self.__dict__.get("_warned"):
            return
        empty = [name for name, (g, i) in self.learnt.where().items() if g.summary.counts.values[i] == 0]
        if empty:
            self._warned = True
            warnings.warn(
                f"no value of column {', '.join(map(repr, empty[:10]))} was seen: its statistics are NaN, and "
                "so is what becomes of its values.",
                stacklevel=4,
            )

    # ---- what is known ----

    @property
    def learnt(self) -> Learnt:
        """What was learnt; raises DataError before the first fit."""
        learnt = self.__dict__.get("_learnt")
        if learnt is None:
            raise DataError(f"this {type(self).__name__} is not fitted yet: call fit or partial_fit first.")
        found: Learnt = learnt
        return found

    def __sklearn_is_fitted__(self) -> bool:
        return "_learnt" in self.__dict__

    # ---- algebra ----

    def _combinable(self, other: Any) -> bool:
        if not isinstance(other, Table):
            return False
        if self.settings() != other.settings():
            raise MergeError(
                f"cannot combine table normalizers with other settings: {self.settings()} and "
                f"{other.settings()}; set them alike."
            )
        return True

    def settings(self) -> dict[str, Any]:
        """Give the parameters that matter to what was learnt and how it is applied."""
        dtype = None if self.dtype is None else np.dtype(self.dtype).name
        return {"dtype": dtype, "suffix": self.suffix, "infinite": self.infinite}

    def with_learnt(self, learnt: Learnt) -> Self:
        """Give a table normalizer with these parameters that has learnt something else."""
        result = type(self)(
            self.default, self.columns, exclude=self.exclude,
            dtype=self.dtype, suffix=self.suffix, infinite=self.infinite, profile=self.profile,
        )  # fmt: skip
        return result._set(learnt)

    def __add__(self, other: Any) -> Self:
        return self.with_learnt(self.learnt + other.learnt) if self._combinable(other) else NotImplemented

    def __radd__(self, other: Any) -> Self:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # where sum() starts

    def __sub__(self, other: Any) -> Self:
        return self.with_learnt(self.learnt - other.learnt) if self._combinable(other) else NotImplemented

    def __eq__(self, other: object) -> bool:
        """Compare settings, columns, scalers and every statistic, exactly."""
        if not isinstance(other, Table):
            return NotImplemented
        mine, theirs = self.__dict__.get("_learnt"), other.__dict__.get("_learnt")
        return self.settings() == other.settings() and mine == theirs

    def __hash__(self) -> int:
        return hash(Table)  # equal objects must hash alike, and they change

    def digest(self) -> str:
        """Give a short hash of settings, columns, scalers and statistics, equal exactly when they are."""
        text = repr((self.settings(), self.learnt.digest()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rules_of(learnt: Learnt) -> dict[str, BoundRule]:
    return {name: group.rule for name, (group, _) in learnt.where().items()}


def batches_of(X: Any) -> Iterable[pa.RecordBatch]:
    """Yield the record batches of a table, frame, stream or dataset."""
    if is_stream(X) and not isinstance(X, pa.RecordBatchReader):
        return (batch for item in parts_of(X) for batch in batches_of(item))
    if type(X).__module__.partition(".")[0] == "pandas":
        return to_batches(pa.Table.from_pandas(X, preserve_index=False))
    if type(X).__module__.partition(".")[0] == "polars":
        return to_batches(X.to_arrow())
    if not (hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__")):
        raise DataError(
            f"expected a table (pyarrow, pandas, polars or what exports Arrow data), found {type(X).__name__}."
        )
    return to_batches(X)
