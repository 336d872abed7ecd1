"""Learning from files: batches of many sources, summarised by threads and added as they come.

Merging knows no order, so that the result is the same bits for any number of threads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from types import MappingProxyType

from streamnorm.arrow import widest
from streamnorm.files import Stamp, check_unchanged, naming, stamp
from streamnorm.formats import Hashing, Source, Unit
from streamnorm.jobs.allocators import give_back
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.ledger import warn_of_copies
from streamnorm.jobs.schema import decide, decided
from streamnorm.jobs.schema_notes import tell_of_differences
from streamnorm.jobs.text_columns import open_columns, settled_columns, types_seen
from streamnorm.jobs.threads import in_any_order, threads_of
from streamnorm.jobs.work import Part, neighbours, summarise_units
from streamnorm.states import Counted, Parts, State
from streamnorm.tables import Keys, Learnt, Table

__all__ = ["Reading", "fit_state"]


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
        self.footers, self.told = footers, frozenset[str]()
        self.total, self.rows, self.fingerprint = nothing, 0, ""
        self._before = before
        self._left = 0
        self._lock = Lock()

    @property
    def size(self) -> int:
        """Bytes, at the start."""
        return self._before[1]

    def begin(self) -> Reading:
        """Note that one more task is to deal with a part of it; from any thread."""
        with self._lock:
            self._left += 1
        return self

    def end(self) -> bool:
        """Note that a task has done so, and tell whether it was the last one."""
        with self._lock:
            self._left -= 1
            return not self._left

    def add(self, part: Part) -> None:
        """Add what one unit gave; from any thread."""
        with self._lock:
            self.total = self.total if part.learnt is None else self.total + part.learnt
            self.rows += part.rows
            self.told |= part.told

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
            from_footer=len(self.told),
            options=self.source.remembered_options,
        )


#: Bytes of a source that one thread reads in one task, at most: for so long a job that is stopped goes on.
_MOST_BYTES = 1 << 30

#: A source, and the bytes and rows of it that a task has dealt with.
_Done = tuple[Reading, int, int]


def fit_state(
    sources: Sequence[Source],
    table: Table,
    *,
    known: State | None = None,
    effort: Effort | None = None,
    record: bool = True,
    parts: Parts | None = None,
    footers: bool = True,
    strict: bool = False,
    without: Mapping[str, Keys] | None = None,
) -> State:
    """Fit a table normalizer to files, on top of a known state if there is one.

    Parameters
    ----------
    sources : sequence of Source
        What the known state has not counted.
    table : Table
        Chooses columns and scalers by the schemas of all sources, unless a state is known.
    known : State, optional
        What is already known.
    effort : Effort, optional
    record : bool
        Whether to write down what was counted, which takes a hash of every source.
    parts : Parts, optional
        Where to keep each source's own summary.
    footers : bool
        Whether least and greatest values are taken from Parquet footers that tell them exactly.
    strict : bool
        Whether a column of text files that was not named and is in doubt is an error, and not left alone: one of
        mostly numbers, and in a known state one with codes such as 00501.
    without : mapping of str to Keys, optional
        Keys whose rows do not count, by the locations of sources.

    Raises
    ------
    SourceError, DataError
        If a source cannot be read, changes while it is read, or its columns do not fit. Nothing is changed.
    """
    effort = effort or Effort()
    stamps = [stamp(source.path) for source in sources]  # before anything is known of the files
    added = known is not None
    job = decide(table, sources) if known is None else decided(known.table, sources)
    known = known or State(table.with_learnt(job.like))
    tell_of_differences(job)
    opened = [source.with_open(frozenset() if added else open_columns(table, job.like)) for source in sources]
    readings = (Reading(*pair, job.like, footers) for pair in zip(opened, stamps, strict=True))
    count = _Count(known, record, parts, without or {})
    share = min(_MOST_BYTES, sum(size for _, size, _ in stamps) // threads_of(effort.threads))
    found = _read_all(readings, known.table, effort, record, share)
    if all(source.typed for source in sources):
        for reading in found:
            count.add(reading)
        return count.state(widest(job.like.types, count.total.types))
    finished = list(found)  # what their columns are is known only when all of them have been read
    opened.sort(key=lambda source: source.location)
    names = settled_columns(table, job.like, opened, added=added, strict=strict)
    count.keep_only(names)
    for reading in finished:
        reading.total = reading.total.only(names)
        count.add(reading)
    return count.state(types_seen(count.total.types, opened, known.table.learnt.types if added else None))


class _Count:
    """The state that readings are added to as they are finished.

    Parameters
    ----------
    known : State
    record : bool
        Whether to write down what was counted.
    parts : Parts or None
        Where to keep each source's own summary.
    without : mapping of str to Keys
        Keys whose rows do not count, by the locations of sources.
    """

    def __init__(self, known: State, record: bool, parts: Parts | None, without: Mapping[str, Keys]) -> None:
        self.total = known.table.learnt
        self._known, self._record, self._parts, self._without = known, record, parts, without
        self._entries: list[Counted] = []

    def keep_only(self, names: Collection[str]) -> None:
        """Leave columns out."""
        self.total = self.total.only(names)

    def add(self, reading: Reading) -> None:
        """Add what a source gave."""
        with naming(reading.source.path):
            keys = self._without.get(reading.source.location)
            self.total = self.total + (reading.total if keys is None else reading.total.without(keys))
        give_back(self.total)  # what was the total before, while the digest takes its own
        if self._record:
            self._entries.append(reading.counted())
        if self._parts is not None:
            (name,) = self._entries[-1].part_names
            self._parts.keep(name, reading.total)
        reading.total = reading.nothing  # the next one is read meanwhile, and of many keys each takes much memory
        give_back(self.total)

    def state(self, types: Mapping[str, str]) -> State:
        """Give what is known now, of columns of these types."""
        entries = sorted(self._entries, key=lambda entry: entry.location)
        warn_of_copies(entries, self._known.sources)
        sources = tuple(sorted([*self._known.sources, *entries], key=lambda entry: entry.location))
        learnt = dataclasses.replace(self.total, types=MappingProxyType(dict(types)))
        return dataclasses.replace(self._known, table=self._known.table.with_learnt(learnt), sources=sources)


def _read_all(readings: Iterable[Reading], table: Table, effort: Effort, record: bool, share: int) -> Iterator[Reading]:
    """Read sources by units on threads, and give each as soon as all of it has been read.

    Parameters
    ----------
    readings : iterable of Reading
    table : Table
    effort : Effort
    record : bool
        Whether the sources are hashed.
    share : int
        Bytes of a source up to which one thread may read all of it.
    """

    def tasks() -> Iterator[Callable[[], _Done]]:
        for reading in readings:
            if record and reading.size <= share and reading.source.may_be_hashed_while_read:
                yield partial(_read_in_order, reading.begin(), table)
                continue
            last = partial(_end, reading.begin())
            if record:
                yield partial(_hash, reading.begin())
            rest = reading.size
            for units in neighbours(reading.source.units(), table):
                rest -= sum(unit.size for unit in units)
                yield partial(_add_units, reading.begin(), table, units)
            yield partial(last, rest)

    ahead = 1 if table.key_names else 3  # what waits to be added takes memory, of many keys much
    for reading, size, rows in in_any_order(tasks(), threads_of(effort.threads), ahead=ahead):
        if effort.progress:
            effort.progress(size, rows)
        if reading.end():
            reading.check_unchanged()
            reading.source.let_go()
            yield reading


def _read_in_order(reading: Reading, table: Table) -> _Done:
    """Learn from all of a source and hash it meanwhile: what is read once is fetched from memory once."""
    hashing = Hashing(reading.source.path)
    for units in neighbours(reading.source.units(), table):
        part = summarise_units(
            table, reading.nothing, reading.source, units, footers=reading.footers, hashing=hashing
        )  # fmt: skip
        reading.add(part)
        give_back(part.learnt)
    reading.fingerprint = hashing.digest()
    return reading, reading.size, reading.rows


def _hash(reading: Reading) -> _Done:
    reading.fingerprint = reading.source.fingerprint()
    return reading, 0, 0


def _end(reading: Reading, rest: int) -> _Done:
    """Deal with what is in none of the units, as a footer is."""
    return reading, rest, 0


def _add_units(reading: Reading, table: Table, units: Sequence[Unit]) -> _Done:
    """Read neighbouring units and add what they give.

    Parameters
    ----------
    reading : Reading
    table : Table
    units : sequence of Unit
    """
    part = summarise_units(table, reading.nothing, reading.source, units, footers=reading.footers)
    reading.add(part)
    give_back(part.learnt)
    return reading, sum(unit.size for unit in units), part.rows
