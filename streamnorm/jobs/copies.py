"""Mapped copies of files: batches from sources, past a table, to sinks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import NamedTuple

import pyarrow as pa

from streamnorm.errors import DataError, listed
from streamnorm.files import naming, replacing
from streamnorm.formats import Format, Source, Unit, format_for, open_sink, writing
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.threads import in_any_order, in_order, threads_of
from streamnorm.jobs.work import map_batch, mapped_schema, worker_table
from streamnorm.tables import Table

__all__ = ["check_inputs", "map_files"]

#: Called with a source, the name of its output and the complete temporary file, before that takes the name.
Finish = Callable[[Source, Path, Path], None]


class UnitDone(NamedTuple):
    """The end of a unit: the bytes of input that it stood for, and its rows."""

    size: int
    rows: int


@dataclass(frozen=True)
class _Copy:
    """One mapped copy of a source."""

    table: Table
    source: Source
    target: Path
    inverse: bool

    @classmethod
    def of(cls, table: Table, source: Source, target: Path, inverse: bool) -> _Copy:
        """Make the copy of what a source has of the columns.

        Parameters
        ----------
        table : Table
        source : Source
        target : Path
        inverse : bool
        """
        inputs = table.inputs(inverse)
        with naming(source.path):
            has = set(source.schema.names)
            there = {name: other for name, other in inputs.items() if name in has}
            if inputs and not there:
                raise DataError(
                    f"it has none of the columns that are normalised ({listed(map(repr, inputs))}): leave it out."
                )
        if len(there) < len(inputs):
            table = worker_table(table, table.learnt.only(set(there.values() if inverse else there)))
        return cls(table, source, target, inverse)

    @property
    def schema(self) -> pa.Schema:
        """The output's schema."""
        with naming(self.source.path):
            to_map = self.source.schema_to_map(self.table.inputs(self.inverse).keys())
            return mapped_schema(self.table, to_map, inverse=self.inverse)

    @property
    def format(self) -> Format:
        """The output's format."""
        return format_for(self.target, self.source)

    def map_unit(self, unit: Unit) -> Generator[pa.RecordBatch | UnitDone, None, None]:
        """Yield the mapped batches of one unit, ready to be written, and its end."""
        source, names, rows = self.source, list(self.table.inputs(self.inverse)), 0
        prepare, before = self.format.prepare, partial(source.rows_before, unit)
        with naming(source.path):
            for batch, original in source.read_to_map(unit, names):
                mapped = map_batch(self.table, batch, inverse=self.inverse, rows=rows, rows_before=before)
                rows += batch.num_rows
                ready = [prepare(mapped, original, source.options.decimal)]
                del batch, original, mapped
                yield handed_over(ready)
            yield UnitDone(unit.size, rows)


def handed_over(ready: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Take the batch out of a list of one, so that its maker holds on to nothing while it waits to be written.

    A batch that a paused generator still names stays in memory until the generator goes on, which may be long after
    another file's batch was written.
    """
    return ready.pop()


def map_files(
    table: Table,
    pairs: Sequence[tuple[Source, Path]],
    *,
    inverse: bool = False,
    effort: Effort | None = None,
    before: Finish | None = None,
) -> None:
    """Write the mapped copy of every source under its name, each when it is complete.

    As many files at once as there are threads, the largest first; threads that are left over go into the files.

    Parameters
    ----------
    table : Table
    pairs : sequence of (Source, Path)
        Sources and the names of their copies.
    inverse : bool
        Whether to undo rather than to do.
    effort : Effort, optional
    before : callable, optional
        Called before a copy takes its name.

    Raises
    ------
    SourceError, DataError, OutputError
        If a source cannot be read or mapped, or a copy not be written. Copies that were complete stay.
    """
    effort = effort or Effort()
    threads, progress = threads_of(effort.threads), effort.progress
    table.warn_of_empty()
    files_at_once = max(1, min(threads, len(pairs)))
    stopped = Event()

    def write(source: Source, target: Path) -> None:
        copy = _Copy.of(table, source, target, inverse)
        with closing(_write(copy, threads // files_at_once, before)) as ends:
            for end in ends:
                if stopped.is_set():
                    raise CancelledError
                if progress:
                    progress(end.size, end.rows)
        source.let_go()

    largest_first = sorted(pairs, key=lambda pair: -pair[0].size)
    for _ in in_any_order((partial(write, *pair) for pair in largest_first), files_at_once, stopped):
        pass


def _write(copy: _Copy, threads: int, before: Finish | None) -> Generator[UnitDone, None, None]:
    """Write a copy, and give the end of each unit when it is written, then the rest of the bytes.

    Parameters
    ----------
    copy : _Copy
    threads : int
    before : callable or None
        Called before the copy takes its name.
    """
    source, target, schema = copy.source, copy.target, copy.schema
    last = partial(before, source, target) if before else None
    with writing(target), replacing(target, parents=True, before=last) as temporary:
        sink = open_sink(temporary, target, schema, source, set(copy.table.inputs(copy.inverse).values()))
        rest = source.size
        try:
            tasks = (partial(copy.map_unit, unit) for unit in source.units())
            with closing(in_order(tasks, threads)) as items:
                for item in items:
                    if isinstance(item, UnitDone):
                        sink.end_unit()
                        rest -= item.size
                        yield item
                    else:
                        sink.write(item)
        finally:
            sink.close()
    yield UnitDone(rest, 0)


def check_inputs(table: Table, source: Source, inverse: bool) -> list[str]:
    """Find out before anything is written whether a source has columns to be mapped, and name those that it lacks.

    Parameters
    ----------
    table : Table
    source : Source
    inverse : bool
        Whether they are to be mapped back.

    Raises
    ------
    SourceError, DataError
        If the source cannot be read, or has none of the columns or something else in them.
    """
    copy = _Copy.of(table, source, Path(), inverse)
    _ = copy.schema
    return sorted(table.inputs(inverse).keys() - copy.table.inputs(inverse).keys())
