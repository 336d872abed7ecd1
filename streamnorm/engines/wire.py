"""Summaries on the way between machines, as bytes; and the work on one partition of a data frame."""

from __future__ import annotations

import dataclasses
import io
import pickle
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from streamnorm.errors import DataError, StateError
from streamnorm.jobs import map_batch, summarise
from streamnorm.tables import Learnt, Table

__all__ = ["from_bytes", "map_partition", "merge", "summarise_partition", "to_bytes"]

#: What arrays are made of again, of any numpy; classes of this package are the rest.
_NUMPY = {"_frombuffer", "_reconstruct", "dtype", "ndarray"}


def summarise_partition(table: Table, number: int, batches: Iterable[pa.RecordBatch]) -> bytes:
    """Summarise the batches of one partition, for `merge`; errors are those of `summarise`, and name the partition.

    Parameters
    ----------
    table : Table
    number : int
        Of the partition, for messages.
    batches : iterable of pyarrow.RecordBatch
    """
    with _in_partition(number):
        learnt, _ = summarise(table, table.learnt, batches)
    return to_bytes(learnt or table.learnt)


def map_partition(
    table: Table, number: int, batches: Iterable[pa.RecordBatch], *, inverse: bool = False
) -> Iterator[pa.RecordBatch]:
    """Map the batches of one partition; errors are those of `summarise_partition`.

    Parameters
    ----------
    table : Table
    number : int
        Of the partition, for messages.
    batches : iterable of pyarrow.RecordBatch
    inverse : bool
        Whether to map back.
    """
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


def to_bytes(learnt: Learnt) -> bytes:
    """Write what was learnt, without the names and rules, which both ends know.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from streamnorm.jobs import nothing
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
