"""How a table normalizer maps: tables of every kind, streams and single batches, each to its own kind."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from streamnorm.arrow import (
    Column,
    batches_of,
    field_for,
    flat,
    is_chosen,
    is_frame,
    is_stream,
    known,
    library_of,
    no_rows,
    schema_of,
    with_columns,
    with_fields,
)
from streamnorm.errors import DataError, listed
from streamnorm.tables.batch import map_column
from streamnorm.tables.frames import map_frame, names_of
from streamnorm.tables.grouping import By, Found
from streamnorm.tables.learning import Learning, after, check_there
from streamnorm.tables.statistics import Learnt

__all__ = ["Applying"]

#: Types that results keep; also where a file has nothing but nulls, and its result takes the type of the others.
_SMALL = {str(kind): kind for kind in (pa.float16(), pa.float32())}


class Applying(Learning):
    """What `Table` does with what it learnt; its parameters are those of `TableNormalizer`."""

    by: str | Sequence[str] | None
    unseen: str
    min_count: int

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

    @property
    def keyed_by(self) -> By | None:
        """The columns that rows are grouped by, and what happens to keys without statistics."""
        return By.of(self.by, self.unseen, self.min_count)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the columns that rows are grouped by; none without `by`."""
        return self.keyed_by.names if self.keyed_by else ()

    def transform(self, X: Any) -> Any:
        """Normalise the columns learnt from; all others, their order, nulls and metadata are kept.

        Parameters
        ----------
        X : pyarrow Table, RecordBatch, reader or dataset, pandas or polars DataFrame, DuckDB relation, or a stream

        Returns
        -------
        The same kind of object; a lazy reader for a reader or dataset, and an iterator for another stream. Columns of
        pandas stay nullable, sparse, or Arrow's, if they were; a relation is one of DuckDB's default connection.

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
        library, X = library_of(X), known(X)
        if isinstance(X, pa.RecordBatch):
            return self.map_batch(X, inverse=inverse)
        if isinstance(X, pa.RecordBatchReader):
            schema = self.map_schema(X.schema, inverse=inverse)
            return pa.RecordBatchReader.from_batches(schema, self._map_batches(X, inverse))
        if is_frame(X):
            return self._map_frame(X, inverse)
        if is_stream(X):
            return self._map_stream(X, inverse)
        table = self._map_table(X, inverse)
        if "duckdb" in library:
            import duckdb

            return duckdb.from_arrow(table)
        return table

    def _map_table(self, X: Any, inverse: bool) -> pa.Table:
        if isinstance(X, pa.Table) and not X.num_rows:
            return pa.Table.from_batches([], self.map_schema(X.schema, inverse=inverse))
        return pa.Table.from_batches(self._map_batches(batches_of(X), inverse))

    def _map_stream(self, X: Any, inverse: bool) -> Iterator[Any]:
        """Map the tables of a stream as they are asked for, each to its own kind; a reader's batch by batch."""
        rows = 0
        for table in flat(X):
            for part in table if isinstance(table, pa.RecordBatchReader) else [table]:
                with after(rows):
                    mapped = self._map(part, inverse=inverse)
                yield mapped
                rows += len(part)

    def _map_batches(self, batches: Iterable[pa.RecordBatch], inverse: bool) -> Iterator[pa.RecordBatch]:
        rows = 0
        for batch in batches:
            with after(rows):
                mapped = self.map_batch(batch, inverse=inverse)
            yield mapped
            rows += batch.num_rows

    def _map_frame(self, frame: Any, inverse: bool) -> Any:
        names = names_of(frame)
        inputs = self._inputs_in(names, inverse, partial(schema_of, frame))
        check_there(self.key_names, names)
        return map_frame(
            frame,
            inputs,
            self._gone(inputs, inverse),
            self.learnt.columns(),
            partial(self._map_columns, inverse=inverse),
            keys=self.key_names,
            dtype=self.dtype,
            inverse=inverse,
            skip_infinite=self.infinite == "skip",
        )

    def _gone(self, inputs: Mapping[str, str], inverse: bool) -> set[str]:
        """Name the columns that a result lacks."""
        return {old for old, new in inputs.items() if new != old} if inverse else set(self.learnt.dropped)

    def _inputs_in(self, names: Sequence[str], inverse: bool, schema: Callable[[], pa.Schema]) -> dict[str, str]:
        """Give the columns to map of a table that has these, and what the result of each is called.

        Parameters
        ----------
        names : sequence of str
        inverse : bool
        schema : callable
            Gives names and types of the columns.

        Raises
        ------
        DataError
            If one is missing (unless that is to be passed over) or there twice, or a result would replace another
            column.
        """
        times, inputs = Counter(names), self.inputs(inverse)
        if self.learnt.unknown:
            inputs = self._of_numbers(inputs, schema(), inverse)
        if self.missing_columns == "skip":
            inputs = {name: target for name, target in inputs.items() if name in times}
        check_there(inputs, names)
        for name, target in inputs.items():
            if times[name] > 1:
                raise DataError(f"there are {times[name]} columns {name!r}: rename all but one.")
            if target != name and target in times and not inverse:
                raise DataError(f"there is a column {target!r} already: choose another suffix.")
        return inputs

    def inputs_of(self, schema: pa.Schema, inverse: bool) -> dict[str, str]:
        """Give the columns to map of a table of a schema, and what the result of each is called.

        Parameters
        ----------
        schema : pyarrow.Schema
        inverse : bool

        Raises
        ------
        DataError
            If one is missing (unless that is to be passed over) or there twice, or a result would replace another
            column.
        """
        return self._inputs_in(schema.names, inverse, lambda: schema)

    def _of_numbers(self, inputs: dict[str, str], schema: pa.Schema, inverse: bool) -> dict[str, str]:
        """Leave out the columns of which only nulls were seen where there are no numbers either; warn of the others.

        Parameters
        ----------
        inputs : dict of str to str
            The columns to map, and what the result of each is called.
        schema : pyarrow.Schema
        inverse : bool
        """
        kinds = {item.name: item.type for item in schema}
        unknown = {name: (target if inverse else name) in self.learnt.unknown for name, target in inputs.items()}
        left = {
            name for name in inputs
            if unknown[name] and ((inverse and name not in kinds) or (name in kinds and not is_chosen(kinds[name])))
        }  # fmt: skip
        coming = {(inputs[name] if inverse else name) for name in unknown if unknown[name] and name not in left}
        self.warn_of_empty(coming)
        return {name: target for name, target in inputs.items() if name not in left}

    def inputs(self, inverse: bool) -> dict[str, str]:
        """Give the columns that are read when mapping, and what the result of each is called."""
        after = {name: self._target(name, group.rule) for name, (group, _) in self.learnt.columns().items()}
        return {new: old for old, new in after.items()} if inverse else after

    def map_batch(self, batch: pa.RecordBatch, *, inverse: bool = False) -> pa.RecordBatch:
        """Map one batch; with a suffix the result stands in new columns at the end, and back."""
        return self._map_columns(batch, self.inputs_of(batch.schema, inverse), inverse)

    def map_schema(self, schema: pa.Schema, *, inverse: bool = False) -> pa.Schema:
        """Give the schema that batches of a schema are mapped to; errors are those of `map_batch`."""
        inputs = self._inputs_in(schema.names, inverse, lambda: schema)
        new = self._mapped(no_rows(self._of_what_is_read(schema, inputs)), inputs, inverse)
        return with_fields(schema, {name: item for name, (item, _) in new.items()}, self._gone(inputs, inverse))

    def _map_columns(self, batch: pa.RecordBatch, inputs: Mapping[str, str], inverse: bool) -> pa.RecordBatch:
        """Map columns of one batch.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        inputs : mapping of str to str
            The columns to map, and what the result of each is called.
        inverse : bool
        """
        return with_columns(batch, self._mapped(batch, inputs, inverse), self._gone(inputs, inverse))

    def _mapped(self, batch: pa.RecordBatch, inputs: Mapping[str, str], inverse: bool) -> dict[str, Column]:
        """Give the results of columns of one batch, by their names.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        inputs : mapping of str to str
            The columns to map, and what the result of each is called.
        inverse : bool
        """
        where = self.learnt.columns()
        at = {name: i for i, name in enumerate(batch.schema.names)}
        found = Found.of(batch, self.keyed_by) if self.keyed_by else None
        options = {"dtype": self.dtype, "inverse": inverse, "skip_infinite": self.infinite == "skip"}
        new = {}
        for source, target in inputs.items():
            array = batch.column(at[source])
            name = target if inverse else source
            if pa.types.is_null(array.type) and self.learnt.types[name] in _SMALL:
                array = array.cast(_SMALL[self.learnt.types[name]])
            mapped = map_column(array, source, *where[name], found, **options)
            new[target] = (field_for(batch.schema.field(at[source]), mapped.type, target), mapped)
        return new

    def warn_of_empty(self, unknown: Collection[str] = ()) -> None:
        """Warn, once, of columns of which too few values were seen for their statistics.

        Parameters
        ----------
        unknown : collection of str
            Of those that only nulls without a type were seen of, the ones that come as numbers now.
        """
        warned: frozenset[str] = self.__dict__.get("_warned", frozenset())
        if "" in warned and warned.issuperset(unknown):
            return
        passed = (self.learnt.unknown - frozenset(unknown)) | warned
        where = [item for item in self.learnt.where().items() if item[0] not in passed]
        lacking = {name: g.summary.counts.values[i] for name, (g, i) in where if g.rule.lacking(g.summary)[i]}
        self._warned = warned | lacking.keys() | {""}  # the empty name: those of a known type were looked at
        if lacking:
            few = "no value, or no more than ddof," if any(lacking.values()) else "no value"
            warnings.warn(
                f"{few} of column {listed(map(repr, lacking))} was seen: its statistics are NaN, and "
                "so is what becomes of its values.",
                stacklevel=4,
            )
