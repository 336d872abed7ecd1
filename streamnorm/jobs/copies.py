"""Mapped copies of files: batches from sources, past a table, to sinks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event

from streamnorm.files import Draft, Target, replacing
from streamnorm.formats import NotByPagesError, Source, open_sink, writing
from streamnorm.jobs.copy import Copy, UnitDone
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.rewriting import rewritten
from streamnorm.jobs.threads import in_any_order, in_order, threads_of
from streamnorm.tables import Table

__all__ = ["check_inputs", "map_files"]

#: Called with a source, the name of its output and what was written, before that takes the name.
Finish = Callable[[Source, Target, Draft], None]


def map_files(
    table: Table,
    pairs: Sequence[tuple[Source, Target]],
    *,
    inverse: bool = False,
    effort: Effort | None = None,
    before: Finish | None = None,
    mark: Callable[[Source], str] | None = None,
) -> None:
    """Write the mapped copy of every source under its name, each when it is complete.

    As many files at once as there are threads, the largest first; threads that are left over go into the files.

    Parameters
    ----------
    table : Table
    pairs : sequence of (Source, Path or Remote)
        Sources and the names of their copies.
    inverse : bool
        Whether to undo rather than to do.
    effort : Effort, optional
    before : callable, optional
        Called before a copy takes its name.
    mark : callable, optional
        Gives what the copy of a source is to say that it was made of, where it can.

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

    def write(source: Source, target: Target) -> None:
        copy = Copy.of(table, source, target, inverse)
        with closing(_write(copy, threads // files_at_once, before, mark and mark(source))) as ends:
            for end in ends:
                if stopped.is_set():
                    raise CancelledError
                if progress:
                    progress(end.size, end.rows)
        source.let_go()

    largest_first = sorted(pairs, key=lambda pair: -pair[0].size)
    for _ in in_any_order((partial(write, *pair) for pair in largest_first), files_at_once, stopped):
        pass


def _write(copy: Copy, threads: int, before: Finish | None, mark: str | None) -> Generator[UnitDone, None, None]:
    """Write a copy, and give the end of each unit when it is written, then the rest of the bytes.

    Parameters
    ----------
    copy : Copy
    threads : int
    before : callable or None
        Called before the copy takes its name.
    mark : str or None
        What the copy is to say that it was made of.
    """
    rest, ends = copy.source.size, 0
    with writing(copy.target), replacing(copy.target, parents=True, mark=mark) as temporary:
        try:
            for end in rewritten(copy, temporary, threads):
                rest, ends = rest - end.size, ends + 1
                yield end
        except NotByPagesError:
            for end in itertools.islice(_by_batches(copy, temporary, threads), ends, None):
                rest -= end.size
                yield end
        if before:
            before(copy.source, copy.target, temporary)
    yield UnitDone(rest, 0)


def _by_batches(copy: Copy, temporary: Draft, threads: int) -> Generator[UnitDone, None, None]:
    """Write a copy anew from its values, and give the end of each unit.

    Parameters
    ----------
    copy : Copy
    temporary : Path or Upload
        The file to be written.
    threads : int
    """
    source, editor = copy.source, copy.editor
    sink = open_sink(temporary, copy.target, copy.schema, source, set(copy.table.inputs(copy.inverse).values()))
    try:
        tasks = (partial(copy.map_unit, editor, unit) for unit in source.units())
        with closing(in_order(tasks, threads)) as items:
            for item in items:
                if isinstance(item, UnitDone):
                    sink.end_unit()
                    yield item
                else:
                    sink.write(item)
    finally:
        sink.close()


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
    copy = Copy.of(table, source, Path(), inverse)
    _ = copy.schema
    return sorted(table.inputs(inverse).keys() - set(source.schema.names))
