"""Copies made of the input's bytes: only the columns that are normalised are taken apart."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import pyarrow as pa

from streamnorm.errors import DataError
from streamnorm.files import Draft
from streamnorm.formats import NotByPagesError, Unit
from streamnorm.jobs.copy import Copy, UnitDone
from streamnorm.jobs.threads import in_order
from streamnorm.jobs.work import map_batch, worker_table
from streamnorm.tables import by_value

__all__ = ["rewritten"]


def rewritten(copy: Copy, temporary: Draft, threads: int) -> Generator[UnitDone, None, None]:
    """Write a copy by pages, and give the end of each unit when it is written.

    Parameters
    ----------
    copy : Copy
    temporary : Path or Upload
        The file to be written.
    threads : int

    Raises
    ------
    NotByPagesError
        If the copy cannot be written so, or turns out not to be; it is written anew then, from its values.
    SourceError, DataError
        If the source cannot be read or mapped.
    """
    source, rewriter = copy.source, copy.format.rewriter
    if rewriter is None:
        raise NotByPagesError("there is nothing that copies bytes in this format")
    mapped = {
        target: (name, by_value(copy.table, name, inverse=copy.inverse))
        for name, target in copy.table.inputs(copy.inverse).items()
    }
    writer = rewriter(temporary, source, copy.schema, mapped, partial(_values, copy))
    with closing(writer):
        tasks = (partial(_located, copy, unit, task) for unit in source.units() for task in writer.tasks(unit))
        units = source.units()
        with closing(in_order(tasks, threads)) as items:
            for item in items:
                rows = writer.take(item)
                if rows is not None:
                    yield UnitDone(next(units).size, rows)
        writer.finish()


def _values(copy: Copy, unit: Unit, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield some columns of the result of a unit, mapped by whole rows.

    Parameters
    ----------
    copy : Copy
    unit : Unit
    names : sequence of str
        Of the result.
    """
    inputs = {name: target for name, target in copy.table.inputs(copy.inverse).items() if target in names}
    table = copy.table
    if not table.keyed_by:  # statistics by key belong together
        table = worker_table(table, table.learnt.only(set(inputs.values() if copy.inverse else inputs)))
    rows = 0
    for batch in copy.source.read(unit, list(table.inputs(copy.inverse)), table.key_names):
        mapped = map_batch(
            table, batch, inverse=copy.inverse, rows=rows, rows_before=partial(copy.source.rows_before, unit)
        )
        rows += batch.num_rows
        yield mapped.select(list(names))


def _located(copy: Copy, unit: Unit, task: Callable[[], Iterator[list[Any]]]) -> Iterator[list[Any]]:
    """Yield what a task gives; of a value that cannot be mapped the unit's batches say where it stands.

    Parameters
    ----------
    copy : Copy
    unit : Unit
    task : callable
    """
    try:
        yield from task()
    except DataError:
        for _ in copy.map_unit(None, unit):
            pass
        raise
