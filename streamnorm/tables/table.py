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
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from streamnorm.arrow import as_pandas, batches_of, in_large_batches, no_rows, to_batches
from streamnorm.errors import (
    DataError,
    InfiniteValueError,
    MergeError,
    OverflowedError,
    UnseenKeyError,
    listed,
    nearest,
)
from streamnorm.rules import LAYOUTS, BoundRule, arguments_of, choose
from streamnorm.tables.batch import map_column, summarise_columns
from streamnorm.tables.grouping import KEYED_BYTES, By, Found, Grouped
from streamnorm.tables.statistics import Group, Learnt
from streamnorm.tables.vectors import Vector

__all__ = ["Group", "Learnt", "Table"]

#: Types that results keep; also where a file has nothing but nulls, and its result takes the type of the others.
_SMALL = {str(kind): kind for kind in (pa.float16(), pa.float32())}


class Table:
    """Normalise the numeric columns of tables, batch by batch, and leave the others alone.

    The parameters are those of `TableNormalizer`.
    """

    def __init__(
        self,
        default: Any = "standard",
        columns: Mapping[str, Any] | None = None,
        *,
        exclude: str | Sequence[str] = (),
        by: str | Sequence[str] | None = None,
        unseen: str = "global",
        min_count: int = 1,
        dtype: Any = None,
        suffix: str = "",
        infinite: str = "error",
        vectors: str = "element",
        profile: bool = False,
    ) -> None:
        self.default = default
        self.columns = columns
        self.exclude = exclude
        self.by = by
        self.unseen = unseen
        self.min_count = min_count
        self.dtype = dtype
        self.suffix = suffix
        self.infinite = infinite
        self.vectors = vectors
        self.profile = profile

    @classmethod
    def from_recipe(cls, recipe: str | Path | Mapping[str, Any]) -> Self:
        """Make one that does what a recipe says.

        Parameters
        ----------
        recipe : str, Path or mapping
            A TOML file, or what one holds: parameters of this class, and a table for each column or pattern.

        Raises
        ------
        SourceError
            If the file cannot be read.
        DataError
            If it is no TOML, or says what there is not; the message names the nearest word there is.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from streamnorm import TableNormalizer
        >>> recipe = {"columns": {"price": {"log1p": True, "fill": "mean"}, "id": "none", "note": {"drop": True}}}
        >>> table = pa.table({"id": [1, 2, 3], "price": [0.0, None, 2.0], "note": ["a", "b", "c"]})
        >>> TableNormalizer.from_recipe(recipe).fit(table).transform(table).to_pydict()
        {'id': [1, 2, 3], 'price': [-1.0, 0.0, 1.0]}
        """
        return cls(**arguments_of(recipe, cls))

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
        rows = 0
        for batch in self.gathered(batches_of(X)):
            with _after(rows):
                part = self.summarise(batch, total)
            total = part if total is None else total + part
            rows += batch.num_rows
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
        rules, dropped = self.choose(batch.schema) if like is None else (_rules_of(like), like.dropped)
        there = set(batch.schema.names)
        missing = [name for name in rules if name not in there]
        if missing:
            raise DataError(f"column {missing[0]!r} is missing here: {nearest(missing[0], batch.schema.names)}")
        layouts = self._layouts(batch.schema, rules, like)
        grouped = Grouped.of(batch, self.key_names) if self.key_names else None
        by_key: dict[tuple[Any, ...], list[str]] = {}
        for name in sorted(rules):
            alone = () if layouts[name] is None else (name,)
            by_key.setdefault((rules[name].key, alone), []).append(name)
        groups = tuple(
            summarise_columns(
                rules[names[0]], batch, names, layouts[names[0]], grouped, skip_infinite=self.infinite == "skip"
            )
            for _, names in sorted(by_key.items())
        )
        kinds = {name: str(batch.schema.field(name).type) for name in rules}
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
        whole = {name: (rule.steps.vectors or self.vectors) == "whole" for name, rule in rules.items()}
        return {name: Vector.of(schema.field(name).type, whole[name]) for name in rules}

    def choose(self, schema: pa.Schema) -> tuple[dict[str, BoundRule], tuple[str, ...]]:
        """Choose the columns to normalise, how, and those to drop, for tables of a schema.

        Raises
        ------
        DataError
            If a column that was named does not exist, is there twice or holds no numbers.
        """
        self._check_parameters()
        rules, dropped = choose(schema, self.default, self.columns or {}, self.exclude, self.key_names)
        if self.profile:
            rules = {name: dataclasses.replace(rule, profile=True) for name, rule in rules.items()}
        for name, rule in rules.items():
            if self._target(name, rule) in self.key_names:
                raise DataError(
                    f"the result of column {name!r} would replace {self._target(name, rule)!r}, which rows are grouped "
                    "by: choose another suffix."
                )
        return rules, dropped

    def _check_parameters(self) -> None:
        if self.vectors not in LAYOUTS:
            raise DataError(f"vectors must be 'element' or 'whole', got {self.vectors!r}.")
        if self.infinite not in ("error", "skip"):
            raise DataError(f"infinite must be 'error' or 'skip', got {self.infinite!r}.")
        if not (self.columns is None or isinstance(self.columns, Mapping)):
            raise DataError(f"columns must map names to scalers ({{'price': 'robust'}}), got {self.columns!r}.")
        if not isinstance(self.suffix, str):
            raise DataError(f"suffix must be a text, got {self.suffix!r}.")
        if self.dtype is not None and np.dtype(self.dtype).kind != "f":
            raise DataError(f"dtype must be float64, float32 or float16, got {self.dtype!r}.")

    def _target(self, name: str, rule: BoundRule) -> str:
        """Name the result of a column."""
        return name + (self.suffix if rule.steps.suffix is None else rule.steps.suffix)

    def read_columns(self, like: Learnt) -> list[str]:
        """Name the columns that learning reads: those learnt from, then the keys'."""
        return [*like.types, *self.key_names]

    def gathered(self, batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """Give batches to learn from as large as that wants them: with keys, neighbours are put together."""
        return in_large_batches(batches, KEYED_BYTES) if self.key_names else batches

    # ---- applying ----

    def transform(self, X: Any) -> Any:
        """Normalise the columns learnt from; all others, their order, nulls and metadata are kept.

        Parameters
        ----------
        X : pyarrow Table, RecordBatch or reader, pandas or polars DataFrame, DuckDB relation

        Returns
        -------
        The same kind of object; a lazy reader for a reader. Columns of pandas stay nullable, or Arrow's, if they
        were; a relation is one of DuckDB's default connection.

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
            schema = self.map_batch(no_rows(X.schema), inverse=inverse).schema
            return pa.RecordBatchReader.from_batches(schema, self._map_batches(X, inverse))
        library = type(X).__module__.partition(".")[0]
        if library == "pandas":
            return self._map_pandas(X, inverse=inverse)
        table = pa.Table.from_batches(self._map_batches(batches_of(X), inverse))
        if library == "polars":
            import polars

            return polars.from_arrow(table)
        if "duckdb" in library:
            import duckdb

            return duckdb.from_arrow(table)
        return table

    def _map_batches(self, batches: Iterable[pa.RecordBatch], inverse: bool) -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in batches:
            with _after(rows):
                mapped = self.map_batch(batch, inverse=inverse)
            yield mapped
            rows += batch.num_rows

    def _map_pandas(self, frame: Any, *, inverse: bool) -> Any:
        """Map only the columns concerned, so that the others keep what only pandas knows of them."""
        inputs = self.inputs(inverse)
        labels = {str(label): label for label in frame.columns}  # which may be numbers
        self._check_names([str(label) for label in frame.columns], inverse)
        read = [i for i, name in enumerate(labels) if name in inputs or name in self.key_names]
        part = pa.Table.from_pandas(frame.iloc[:, read], preserve_index=False)
        mapped = pa.Table.from_batches(self._map_batches(to_batches(part), inverse))
        result = frame.copy(deep=False)
        for name, target in inputs.items():
            result[labels.get(target, target)] = as_pandas(mapped.column(target), frame.dtypes.loc[labels[name]])
        gone = {old for old, new in inputs.items() if new != old} if inverse else self.learnt.dropped
        return result.drop(columns=[labels[name] for name in gone if name in labels])

    def _check_names(self, names: Sequence[str], inverse: bool) -> None:
        """Raise DataError where a column to map is missing or there twice, or a result would replace another column."""
        times = Counter(names)
        for name, target in self.inputs(inverse).items():
            if name not in times:
                raise DataError(f"column {name!r} is missing here: {nearest(name, names)}")
            if times[name] > 1:
                raise DataError(f"there are {times[name]} columns {name!r}: rename all but one.")
            if target != name and target in times and not inverse:
                raise DataError(f"there is a column {target!r} already: choose another suffix.")

    def inputs(self, inverse: bool) -> dict[str, str]:
        """Give the columns that are read when mapping, and what the result of each is called."""
        after = {name: self._target(name, group.rule) for name, (group, _) in self.learnt.columns().items()}
        return {new: old for old, new in after.items()} if inverse else after

    def map_batch(self, batch: pa.RecordBatch, *, inverse: bool = False) -> pa.RecordBatch:
        """Map one batch; with a suffix the result stands in new columns at the end, and back."""
        inputs, where = self.inputs(inverse), self.learnt.columns()
        self._check_names(batch.schema.names, inverse)
        fields = {item.name: (item, batch.column(i)) for i, item in enumerate(batch.schema)}
        columns = [(item, batch.column(i)) for i, item in enumerate(batch.schema)]
        at = {item.name: i for i, (item, _) in enumerate(columns)}
        added = []
        found = Found.of(batch, self.keyed_by) if self.keyed_by else None
        options = {"dtype": self.dtype, "inverse": inverse, "skip_infinite": self.infinite == "skip"}
        for source, target in inputs.items():
            item, array = fields[source]
            name = target if inverse else source
            if pa.types.is_null(array.type) and self.learnt.types[name] in _SMALL:
                array = array.cast(_SMALL[self.learnt.types[name]])
            mapped = map_column(array, source, *where[name], found, **options)
            new = (item.with_type(mapped.type).with_name(target), mapped)
            if target in at:
                columns[at[target]] = new
            else:
                added.append(new)
        gone = {old for old, new in inputs.items() if new != old} if inverse else set(self.learnt.dropped)
        columns = [pair for pair in columns if pair[0].name not in gone] + added
        schema = pa.schema([item for item, _ in columns], batch.schema.metadata)
        return pa.RecordBatch.from_arrays([array for _, array in columns], schema=schema)

    def warn_of_empty(self) -> None:
        """Warn, once, of columns of which too few values were seen for their statistics."""
        if self.__dict__.get("_warned"):
            return
        where = self.learnt.where().items()
        lacking = {name: g.summary.counts.values[i] for name, (g, i) in where if g.rule.lacking(g.summary)[i]}
        if lacking:
            self._warned = True
            few = "no value, or no more than ddof," if any(lacking.values()) else "no value"
            warnings.warn(
                f"{few} of column {listed(map(repr, lacking))} was seen: its statistics are NaN, and "
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
        keys = self.keyed_by.settings() if self.keyed_by else {}
        return {"dtype": dtype, "suffix": self.suffix, "infinite": self.infinite, **keys}

    @property
    def keyed_by(self) -> By | None:
        """The columns that rows are grouped by, and what happens to keys without statistics."""
        return By.of(self.by, self.unseen, self.min_count)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the columns that rows are grouped by; none without `by`."""
        return self.keyed_by.names if self.keyed_by else ()

    def with_learnt(self, learnt: Learnt) -> Self:
        """Give a table normalizer with these parameters that has learnt something else."""
        result = type(self)(
            self.default, self.columns, exclude=self.exclude, by=self.by, unseen=self.unseen, min_count=self.min_count,
            dtype=self.dtype, suffix=self.suffix, infinite=self.infinite, vectors=self.vectors, profile=self.profile,
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


@contextmanager
def _after(rows: int) -> Iterator[None]:
    """Let errors count rows from the beginning of the input, of which so many came before."""
    try:
        yield
    except (InfiniteValueError, OverflowedError, UnseenKeyError) as error:
        raise error.after(rows) from None


def _rules_of(learnt: Learnt) -> dict[str, BoundRule]:
    return {name: group.rule for name, (group, _) in learnt.columns().items()}
