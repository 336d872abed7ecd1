"""The work on one part of the data, on whatever machine: batches to a summary, a batch to a batch.

Threads of a local job and tasks of a cluster run these same functions. Summaries travel as bytes; they
add in any order, so that neither retries nor the shape of a tree of merges can be seen in the result.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streamnorm.arrow.batches import no_rows
from streamnorm.arrow.types import vector_values
from streamnorm.errors import DataError, InfiniteValueError, StateError, UnseenKeyError
from streamnorm.tables.table import Learnt, Table

__all__ = [
    "from_bytes",
    "map_batch",
    "map_partition",
    "mapped_schema",
    "merge",
    "nothing",
    "summarise",
    "summarise_partition",
    "table_of",
    "to_bytes",
    "worker_table",
]

#: What arrays are made of again, of any numpy; classes of this package are the rest.
_NUMPY = {"_frombuffer", "_reconstruct", "dtype", "ndarray"}


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
    return table.summarise(no_rows(schema))


def mapped_schema(table: Table, schema: pa.Schema, *, inverse: bool = False) -> pa.Schema:
    """Give the schema that batches of a schema are mapped to."""
    return table.map_batch(no_rows(schema), inverse=inverse).schema


def worker_table(table: Table, learnt: Learnt) -> Table:
    """Give what a worker needs to know of a table: settings, columns and rules, and no scikit-learn."""
    return Table(None, **table.settings()).with_learnt(learnt)


# ---- the two pure functions ----


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
    """Map one batch, which `rows` and then `rows_before()` rows come before; errors are those of `summarise`."""
    with _placing(batch, table.inputs(inverse), rows_before, rows):
        return table.map_batch(batch, inverse=inverse)


@contextmanager
def _placing(
    batch: pa.RecordBatch, columns: Iterable[str], rows_before: Callable[[], int], rows: int
) -> Iterator[None]:
    """Say of an infinity or a key where it stands, counting rows from 1."""
    try:
        yield
    except InfiniteValueError:
        for name in columns:
            at = _infinite_row(batch.column(name))
            if at >= 0:
                raise DataError(
                    f"there is an infinity in column {name!r}, row {rows_before() + rows + at + 1}: make "
                    "infinities missing values, or skip them (--infinite skip, infinite='skip')."
                ) from None
        raise
    except UnseenKeyError as error:
        at = rows_before() + rows + error.row
        raise UnseenKeyError(error.key, at, str(at + 1)) from None


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
    return int(pc.index(pc.is_inf(column), pa.scalar(True)).as_py())


# ---- partitions of a data frame ----


def summarise_partition(table: Table, number: int, batches: Iterable[pa.RecordBatch]) -> bytes:
    """Summarise the batches of one partition, for `merge`; errors are those of `summarise`, and name the partition."""
    with _in_partition(number):
        learnt, _ = summarise(table, table.learnt, batches)
    return to_bytes(learnt or table.learnt)


def map_partition(
    table: Table, number: int, batches: Iterable[pa.RecordBatch], *, inverse: bool = False
) -> Iterator[pa.RecordBatch]:
    """Map the batches of one partition; errors are those of `summarise_partition`."""
    rows = 0
    with _in_partition(number):
        for batch in batches:
            yield map_batch(table, batch, inverse=inverse, rows=rows)
            rows += batch.num_rows


@contextmanager
def _in_partition(number: int) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"partition {number}: {error}") from error


# ---- summaries on the way ----


def to_bytes(learnt: Learnt) -> bytes:
    """Write what was learnt, without the names and rules, which both ends know.

    Examples
    --------
    >>> import pyarrow as pa
    >>> batch = pa.record_batch({"x": [1.0, 5.0, None]})
    >>> table = Table()
    >>> like = nothing(table, batch.schema)
    >>> learnt, rows = summarise(table, like, [batch])
    >>> from_bytes(to_bytes(learnt), like) == learnt, rows
    (True, 3)
    """
    known = {"rule", "names"}
    groups = [{f.name: getattr(g, f.name) for f in dataclasses.fields(g)} for g in learnt.groups]
    numbers = [{name: value for name, value in group.items() if name not in known} for group in groups]
    return zlib.compress(pickle.dumps(numbers, protocol=5), level=1)


def from_bytes(data: bytes, like: Learnt) -> Learnt:
    """Read what `to_bytes` wrote of columns and rules like these; nothing but numbers is made of it.

    Raises
    ------
    StateError
        If it is something else.
    """
    try:
        numbers = _NumbersOnly(io.BytesIO(zlib.decompress(data))).load()
        groups = [dataclasses.replace(group, **own) for group, own in zip(like.groups, numbers, strict=True)]
    except (zlib.error, pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError) as error:
        raise StateError(f"a worker's summary cannot be read: {error}; run one streamnorm everywhere.") from error
    return dataclasses.replace(like, groups=tuple(groups))


class _NumbersOnly(pickle.Unpickler):
    """Makes arrays and this package's records of them; any other name is refused, so that nothing is run."""

    def find_class(self, module: str, name: str) -> Any:
        package = module.partition(".")[0]
        found = super().find_class(module, name) if package in ("numpy", "streamnorm") else None
        if (package == "numpy" and name in _NUMPY) or dataclasses.is_dataclass(found):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a summary")


def merge(states: Iterable[bytes], like: Learnt) -> Learnt:
    """Add up what `to_bytes` wrote, in any order; nothing at all is nothing learnt."""
    total = None
    for state in states:
        part = from_bytes(state, like)
        total = part if total is None else total + part
    return like if total is None else total
