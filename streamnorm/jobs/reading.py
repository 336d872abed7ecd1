"""Learning from files: batches of many sources, summarised by threads and added as they come.

Merging knows no order, so that the result is the same bits for any number of threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from streamnorm.arrow.types import widest
from streamnorm.files.places import naming
from streamnorm.files.stamps import stamp
from streamnorm.formats.source import Source, Unit
from streamnorm.jobs.footers import learn
from streamnorm.jobs.ledger import Reading, warn_of_copies
from streamnorm.jobs.schema import REMEMBERED, check_columns, nothing_of
from streamnorm.jobs.schema_notes import Differences, tell_of_strays
from streamnorm.jobs.threads import in_any_order, threads_of
from streamnorm.jobs.work import summarise
from streamnorm.states.parts import Parts
from streamnorm.states.state import State
from streamnorm.tables.table import Learnt, Table

__all__ = ["Progress", "fit_state", "summarise_units", "together"]

#: Called with the bytes of input and the rows that have been dealt with since the last time.
Progress = Callable[[int, int], Any]

#: A source, and the bytes and rows of it that a task has dealt with.
_Done = tuple[Reading, int, int]

#: Input summarised at once where there are keys: adding them up takes as long for few rows as for many.
_KEYED_BYTES = 1 << 26


def together(units: Iterable[Unit], table: Table) -> Iterator[list[Unit]]:
    """Put neighbouring units together, of which a table with keys wants many at once."""
    enough = _KEYED_BYTES if table.key_names else 0
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


def summarise_units(
    table: Table, like: Learnt, source: Source, units: Sequence[Unit], told: set[str] | None = None
) -> tuple[Learnt | None, int]:
    """Summarise neighbouring units of a source, those of `together`; also give the number of their rows.

    With `told`, what a footer tells is not read, and `told` gets the names of those columns.
    """

    def read_together(like: Learnt) -> tuple[Learnt | None, int]:
        batches = (batch for unit in units for batch in source.read(unit, list(like.types), table.key_names))
        return summarise(table, like, batches, partial(source.rows_before, units[0]))

    def read(like: Learnt) -> tuple[Learnt | None, int]:
        slices = [] if table.key_names else source.slices(units[0], list(like.types))
        if len(slices) < 2:
            return read_together(like)
        parts, rows = zip(*(read_together(like.only(names)) for names in slices), strict=True)
        return like.of_parts(part for part in parts if part is not None), rows[0]

    with naming(source.path):
        return read(like) if table.key_names or told is None else learn(like, source, units[0], read, told)


def fit_state(
    sources: Sequence[Source],
    table: Table,
    *,
    known: State | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    record: bool = True,
    parts: Parts | None = None,
    footers: bool = True,
) -> State:
    """Fit a table normalizer to files, on top of a known state if there is one.

    Parameters
    ----------
    sources : sequence of Source
        What the known state has not counted.
    table : Table
        Chooses columns and scalers by the schema of the first source, unless a state is known; what holds only nulls
        there is chosen by the first source that holds more.
    known : State, optional
        What is already known.
    threads : int, optional
        By default one for each processor.
    progress : callable, optional
        Called with bytes and rows dealt with; in the end the bytes are all of the sources'.
    record : bool
        Whether to write down what was counted, which takes a hash of every source.
    parts : Parts, optional
        Where to keep each source's own summary.
    footers : bool
        Whether least and greatest values are taken from Parquet footers that tell them exactly.

    Raises
    ------
    SourceError, DataError
        If a source cannot be read, changes while it is read, or its columns do not fit. Nothing is changed.
    """
    at_once = threads_of(threads)
    stamps = [stamp(source.path) for source in sources]  # before anything is known of the files
    origin = sources[0] if known is None else None
    if known is None:
        known = State(table.with_learnt(nothing_of(table, sources)))
    total = known.table.learnt
    empty = total.emptied()
    differences = Differences(empty.types, origin)
    types = empty.types
    for source in sources:
        check_columns(source, empty, known.table.by, sources[0])
        differences.look_at(source)
        types = widest(types, {item.name: str(item.type) for item in source.schema})
        if len(sources) > REMEMBERED:
            source.let_go()
    differences.tell()
    if origin is not None:
        tell_of_strays(origin, table, empty.types)
    total = dataclasses.replace(total, types=MappingProxyType(types))
    readings = (Reading(*pair, empty, footers) for pair in zip(sources, stamps, strict=True))
    entries = []
    for reading in _read_all(readings, known.table, at_once, record, progress):
        with naming(reading.source.path):
            total = total + reading.total
        if record:
            entries.append(reading.counted())
        if parts is not None:
            parts.keep(entries[-1], reading.total, known.table)
    entries.sort(key=lambda entry: entry.location)
    warn_of_copies(entries, known.sources)
    all_entries = sorted([*known.sources, *entries], key=lambda entry: entry.location)
    return dataclasses.replace(known, table=known.table.with_learnt(total), sources=tuple(all_entries))


def _read_all(
    readings: Iterable[Reading], table: Table, threads: int, record: bool, progress: Progress | None
) -> Iterator[Reading]:
    """Read sources by units on threads, and give each as soon as all of it has been read."""
    left: dict[Reading, int] = {}

    def tasks() -> Iterator[Callable[[], _Done]]:
        for reading in readings:
            left[reading] = 1 + record
            if record:
                yield partial(_hash, reading)
            rest = reading.size
            for units in together(reading.source.units(), table):
                left[reading] += 1
                rest -= sum(unit.size for unit in units)
                yield partial(_add_units, reading, table, units)
            yield partial(_end, reading, rest)

    for reading, size, rows in in_any_order(tasks(), threads):
        if progress:
            progress(size, rows)
        left[reading] -= 1
        if not left[reading]:
            del left[reading]
            reading.check_unchanged()
            reading.source.let_go()
            yield reading


def _hash(reading: Reading) -> _Done:
    reading.fingerprint = reading.source.fingerprint()
    return reading, 0, 0


def _end(reading: Reading, rest: int) -> _Done:
    """Deal with what is in none of the units, as a footer is."""
    return reading, rest, 0


def _add_units(reading: Reading, table: Table, units: Sequence[Unit]) -> _Done:
    part, rows = summarise_units(table, reading.nothing, reading.source, units, reading.told)
    reading.add(part, rows)
    return reading, sum(unit.size for unit in units), rows
