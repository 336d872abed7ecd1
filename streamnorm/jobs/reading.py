"""Learning from files: batches of many sources, summarised by threads and added as they come.

Merging knows no order, so that the result is the same bits for any number of threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from threading import Lock
from types import MappingProxyType
from typing import Any

from streamnorm.arrow import widest
from streamnorm.files import Stamp, check_unchanged, naming, stamp
from streamnorm.formats import CsvSource, Source, Unit
from streamnorm.jobs.ledger import warn_of_copies
from streamnorm.jobs.schema import REMEMBERED, check_columns, nothing_of
from streamnorm.jobs.schema_notes import Differences, tell_of_strays
from streamnorm.jobs.threads import in_any_order, threads_of
from streamnorm.jobs.work import summarise_units, together
from streamnorm.states import Counted, Parts, State
from streamnorm.tables import Learnt, Table

__all__ = ["Progress", "Reading", "fit_state"]


class Reading:
    """One source while it is counted: what its parts gave, and whether it stays the same meanwhile.

    Parameters
    ----------
    source : Source
    before : tuple of int
        Its stamp before anything was read of it.
    nothing : Learnt
        Columns and scalers, with nothing learnt.
    footers : bool
        Whether what a footer tells need not be read.
    """

    def __init__(self, source: Source, before: Stamp, nothing: Learnt, footers: bool = True) -> None:
        self.source, self.nothing = source, nothing
        self.told: set[str] | None = set() if footers else None
        self.total, self.rows, self.fingerprint = nothing, 0, ""
        self._before = before
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes, at the start."""
        return self._before[1]

    def add(self, part: Learnt | None, rows: int) -> None:
        """Add what one unit gave; from any thread."""
        with self._lock:
            self.total = self.total if part is None else self.total + part
            self.rows += rows

    def check_unchanged(self) -> None:
        """Raise SourceError if the file was written to or replaced since."""
        check_unchanged(self.source.path, self._before)

    def counted(self) -> Counted:
        """Give the entry for the record."""
        _, size, modified = self._before
        return Counted(
            self.source.location,
            size,
            self.rows,
            self.fingerprint,
            digest=self.total.digest(),
            modified=max(0, modified),
            from_footer=len(self.told or ()),
            options=self.source.options.uncommon() if isinstance(self.source, CsvSource) else (),
        )


#: Called with the bytes of input and the rows that have been dealt with since the last time.
Progress = Callable[[int, int], Any]


#: A source, and the bytes and rows of it that a task has dealt with.
_Done = tuple[Reading, int, int]


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
