"""The work on one part of the data, on whatever machine: batches to a summary, a batch to a batch.

Threads of a local job and tasks of a cluster run these same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm.arrow import boolean_of, vector_values
from streamnorm.arrow import compute as pc
from streamnorm.errors import InfiniteValueError, InfinityInFileError, OverflowedError, UnseenKeyError
from streamnorm.files import naming
from streamnorm.formats import Hashing, Source, Unit
from streamnorm.jobs.footers import told_by_footer
from streamnorm.jobs.pages import learnt_by_pages
from streamnorm.tables import KEYED_BYTES, Learnt, Table

__all__ = [
    "Part",
    "map_batch",
    "mapped_schema",
    "neighbours",
    "nothing",
    "reading",
    "summarise",
    "summarise_units",
    "table_of",
    "worker_table",
]


def table_of(normalizer: Any = None) -> Any:
    """Give the table normalizer that a scaler, or nothing, stands for."""
    from streamnorm.normalizers.table_normalizer import TableNormalizer

    return normalizer if isinstance(normalizer, Table) else TableNormalizer(normalizer or "standard")


def nothing(table: Table, schema: pa.Schema) -> Learnt:
    """Choose columns and scalers by a schema, with nothing learnt.

    Raises
    ------
    DataError
        If a column that was named does not exist or holds no numbers.
    """
    return table.nothing(schema)


def mapped_schema(table: Table, schema: pa.Schema, *, inverse: bool = False) -> pa.Schema:
    """Give the schema that batches of a schema are mapped to.

    Parameters
    ----------
    table : Table
    schema : pyarrow.Schema
    inverse : bool
        Whether to map back.
    """
    return table.map_schema(schema, inverse=inverse)


def worker_table(table: Table, learnt: Learnt) -> Table:
    """Give what a worker needs to know of a table: settings, columns and rules, and no scikit-learn."""
    return Table(None, **table.settings()).with_learnt(learnt)


def summarise(
    table: Table, like: Learnt, batches: Iterable[pa.RecordBatch], rows_before: Callable[[], int] = int
) -> tuple[Learnt | None, int]:
    """Summarise batches on their own; also give the number of their rows.

    Parameters
    ----------
    table : Table
        Its settings count.
    like : Learnt
        Columns and rules.
    batches : iterable of pyarrow.RecordBatch
    rows_before : callable, optional
        Gives the number of rows before the first batch, for messages.

    Returns
    -------
    learnt : Learnt or None
        None if there was no batch.
    rows : int

    Raises
    ------
    DataError
        If a column is missing, holds no numbers or an infinity, with its row, counted from 1.
    """
    total, rows = None, 0
    for batch in table.gathered(batches):
        with _placing(batch, like.types, rows_before, rows):
            part = table.summarise(batch, like)
        total = part if total is None else total + part
        rows += batch.num_rows
    return total, rows


def map_batch(
    table: Table, batch: pa.RecordBatch, *, inverse: bool = False, rows: int = 0, rows_before: Callable[[], int] = int
) -> pa.RecordBatch:
    """Map one batch, which `rows` and then `rows_before()` rows come before; errors are those of `summarise`.

    Parameters
    ----------
    table : Table
    batch : pyarrow.RecordBatch
    inverse : bool
        Whether to map back.
    rows : int
        Rows of the unit before the batch.
    rows_before : callable
        Gives the rows of the source before the unit, for messages.
    """
    with _placing(batch, table.inputs(inverse), rows_before, rows):
        return table.map_batch(batch, inverse=inverse)


@contextmanager
def _placing(
    batch: pa.RecordBatch, columns: Iterable[str], rows_before: Callable[[], int], rows: int
) -> Iterator[None]:
    """Say of an infinity, a value whose result is one, or a key where it stands, counting rows from 1.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
    columns : iterable of str
    rows_before : callable
        Gives the rows of the source before the unit, for messages.
    rows : int
        Rows of the unit before the batch.
    """
    try:
        yield
    except InfiniteValueError:
        for name in columns:
            at = _infinite_row(batch.column(name)) if name in batch.schema.names else -1
            if at >= 0:
                raise InfinityInFileError(name, rows_before() + rows + at + 1) from None
        raise
    except OverflowedError as error:
        at = rows_before() + rows + error.row + 1
        raise error.at(error.slot, at, error.name, "row {}") from None
    except UnseenKeyError as error:
        at = rows_before() + rows + error.row
        raise UnseenKeyError(error.key, at, str(at + 1)) from None


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """Say of what goes wrong in which file, and of a number of text that became an infinity what it was."""
    with naming(source.path):
        try:
            yield
        except InfinityInFileError as error:
            text = source.number_at(error.name, error.row)
            raise error if text is None else InfinityInFileError(error.name, error.row, text) from None


def _infinite_row(column: pa.Array) -> int:
    """Find the first row with an infinity, in a vector too; -1 where there is none."""
    if vector_values(column.type) is not None:
        lists = column.storage if isinstance(column, pa.ExtensionArray) else column
        at = _infinite_row(pc.list_flatten(lists))
        return at if at < 0 else int(pc.list_parent_indices(lists)[at].as_py())
    if pa.types.is_dictionary(column.type):
        return _infinite_row(column.dictionary_decode())
    if not pa.types.is_floating(column.type):
        return -1
    return int(pc.index(pc.is_inf(column), boolean_of(True)).as_py())


def neighbours(units: Iterable[Unit], table: Table) -> Iterator[list[Unit]]:
    """Put neighbouring units together, of which a table with keys wants many at once; without keys each stays alone."""
    if not table.key_names:
        yield from ([unit] for unit in units)
        return
    enough = KEYED_BYTES // 2  # of the file, which has twice as many in memory
    pending: list[Unit] = []
    size = 0
    for unit in units:
        pending.append(unit)
        size += unit.size
        if size >= enough:
            yield pending
            pending, size = [], 0
    if pending:
        yield pending


class Part(NamedTuple):
    """What neighbouring units of a source gave.

    Parameters
    ----------
    learnt : Learnt or None
        None if there was no batch.
    rows : int
    told : frozenset of str
        Columns of which a footer told all, so that they were not read.
    """

    learnt: Learnt | None
    rows: int
    told: frozenset[str]


def summarise_units(
    table: Table, like: Learnt, source: Source, units: Sequence[Unit], *, footers: bool = True,
    hashing: Hashing | None = None,
) -> Part:  # fmt: skip
    """Summarise neighbouring units of a source, those of `neighbours`.

    Parameters
    ----------
    table : Table
        Its settings count.
    like : Learnt
        Columns and rules, with nothing learnt.
    source : Source
    units : sequence of Unit
        More than one only where there are keys.
    footers : bool
        Whether what a footer tells is not read.
    hashing : Hashing, optional
        What gets the bytes of the source that are read, as far as they can be had.

    Raises
    ------
    SourceError, DataError
        If the units cannot be read or do not fit; errors name the file, column and row.
    """
    with reading(source):
        if table.key_names:
            return Part(*_summarise_by_slices(table, like, source, units), frozenset())
        there = like.only(like.types.keys() - _passed_over(like, source))
        known = told_by_footer(there, source, units[0]) if footers else like.only(())
        paged, rows = learnt_by_pages(
            table, there.only(there.types.keys() - known.types.keys()), source, units[0], hashing
        )
        parts, rest = [known, paged], like.only(like.types.keys() - known.types.keys() - paged.types.keys())
        if rest.types or not like.types:
            part, rows = _summarise_by_slices(table, rest, source, units)
            if part is None:
                return Part(None, rows, frozenset(known.types))
            parts.append(part)
        elif not paged.types:
            rows = int(known.groups[0].summary.counts.rows[0])
        return Part(like.of_parts(parts), rows, frozenset(known.types))


def _summarise_by_slices(
    table: Table, like: Learnt, source: Source, units: Sequence[Unit]
) -> tuple[Learnt | None, int]:
    """Read units, of a wide row group a few columns at a time; also give the number of their rows.

    Parameters
    ----------
    table : Table
    like : Learnt
        Columns and rules, with nothing learnt.
    source : Source
    units : sequence of Unit
    """
    there = set(source.schema.names) - _passed_over(like, source)
    slices = [] if table.key_names else source.slices(units[0], [name for name in like.types if name in there])
    if len(slices) < 2:
        return _summarise_slice(table, like, source, units)
    slices[0] += [name for name in like.types if name not in there]
    parts, rows = zip(*(_summarise_slice(table, like.only(names), source, units) for names in slices), strict=True)
    return like.of_parts(part for part in parts if part is not None), rows[0]


def _summarise_slice(table: Table, like: Learnt, source: Source, units: Sequence[Unit]) -> tuple[Learnt | None, int]:
    """Read some columns of neighbouring units; also give the number of rows.

    Parameters
    ----------
    table : Table
    like : Learnt
        Columns and rules, with nothing learnt.
    source : Source
    units : sequence of Unit
    """
    has = set(source.schema.names) - _passed_over(like, source)
    there, lacking = ([name for name in like.types if (name in has) is wanted] for wanted in (True, False))
    batches = (batch for unit in units for batch in source.read(unit, there, table.read_beside(like)))
    with_nulls = (_with_nulls(batch, lacking) for batch in batches) if lacking else batches
    return summarise(table, like, with_nulls, partial(source.rows_before, units[0]))


def _passed_over(like: Learnt, source: Source) -> frozenset[str]:
    """Name the columns that are left alone in a source: text says what it holds only when it is read."""
    return like.passed_over(source.schema) if source.typed else frozenset()


def _with_nulls(batch: pa.RecordBatch, names: Iterable[str]) -> pa.RecordBatch:
    """Add columns that a file lacks: every row is missing there."""
    for name in names:
        batch = batch.append_column(name, pa.nulls(batch.num_rows))
    return batch
