"""States that follow a table: what has become active is added, and what no longer is is taken out, under one lock.

The state is that of a fit of the version it names, bit for bit. Where the record, the parts or the columns do not let
it be brought there by the difference, all files of that version are counted again.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import NamedTuple, TypeVar

import xxhash

from streamnorm.errors import DataError, MergeError, SourceError
from streamnorm.files import Target, place_of
from streamnorm.formats import Source
from streamnorm.inputs import ChangingTable, Snapshot, TableFile
from streamnorm.jobs.count import How
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.files_now import Difference, difference
from streamnorm.jobs.forget import not_subtracted, taken_out
from streamnorm.jobs.outputs import check_state_path
from streamnorm.jobs.reading import fit_state
from streamnorm.jobs.schema import check_choices, decide, decided
from streamnorm.states import Counted, Parts, Share, State, Tracked, holding
from streamnorm.tables import Learnt, Table

__all__ = ["Followed", "at_version", "check_version_of_table", "fit_snapshot", "follow", "tracked_in"]

T = TypeVar("T")
_LOG = logging.getLogger("streamnorm")
#: How often a table is looked at again where files of its newest version are gone before they are read.
_TRIES = 5
#: Most parts by which files are known together, before these are added up to one.
_MOST_PARTS = 256


class Followed(NamedTuple):
    """What became of a state that follows a table.

    Parameters
    ----------
    state : State
    before : int or None
        The version that it had counted; None where there was none, or all was counted again.
    difference : Difference
    """

    state: State
    before: int | None
    difference: Difference


def check_version_of_table(lake: ChangingTable | None, version: int | None, as_of: str | None) -> None:
    """Raise DataError where a version is asked for of what has none, or two are.

    Parameters
    ----------
    lake : ChangingTable or None
    version : int or None
    as_of : str or None
    """
    if lake is None and (version is not None or as_of is not None):
        raise DataError("only a table that changes has versions: name its folder, alone.")
    if version is not None and as_of is not None:
        raise DataError("a version and a time are two versions of a table: name one of them.")


def follow(
    path: str | Path,
    lake: ChangingTable,
    table: Table,
    *,
    how: How,
    chosen: bool,
    version: int | None = None,
    as_of: str | None = None,
    effort: Effort | None = None,
) -> Followed:
    """Fit a state file to a version of a table.

    Parameters
    ----------
    path : str or Path
        The state file.
    lake : ChangingTable
    table : Table
        Chooses columns and scalers.
    how : {"new", "add", "rebuild"}
        Whether the state begins anew, is brought to the version, or counts all of it again with its own columns and
        scalers.
    chosen : bool
        Whether the user chose columns and scalers; those of a state that is there must then be the same.
    version : int, optional
        By default the newest.
    as_of : str, optional
        The version that was the newest at a time.
    effort : Effort, optional

    Raises
    ------
    DataError
        If the state has counted something else, or a column of it is no longer in the table.
    SourceError
        If the table or a file of it cannot be read.
    StateError
        If the state cannot be used, or another process wrote it meanwhile.
    """
    place = place_of(path)
    check_state_path(place, [])
    parts = Parts(place)
    with holding(place) as held, parts.alone(make=True):
        try:
            known = held.read() if held.exists and how != "new" else None

            def bring(snapshot: Snapshot) -> Followed:
                if known is None:
                    return Followed(fit_snapshot(snapshot, table, parts=parts, effort=effort), None, _all_of(snapshot))
                if chosen:
                    check_choices(known, table, snapshot.sources)
                return _followed(known, snapshot, lake, table, how, parts, place, effort)

            result = at_version(lake, (version, as_of), bring)
            _keep_sums(result.state, parts)
            parts.settle()
            held.write(result.state)
        except BaseException:
            if held.unchanged:
                parts.drop_new()
            raise
        parts.tidy(result.state.sources, lambda: held.unchanged)
    return result


def _keep_sums(state: State, parts: Parts) -> None:
    """Keep the sums of groups of parts, so that taking some out the next time reads few."""
    (entry,), groups = state.sources, not_subtracted(state.table.learnt)
    if groups and entry.part_names:
        parts.sum_of(entry.part_names, groups)


def at_version(lake: ChangingTable, at: tuple[int | None, str | None], work: Callable[[Snapshot], T]) -> T:
    """Do something with a version; with a newer one where files of the newest are gone before they are read.

    Parameters
    ----------
    lake : ChangingTable
    at : tuple of (int or None, str or None)
        The version, or the time, that is asked for.
    work : callable
    """
    snapshot = lake.snapshot(*at)
    for _ in range(_TRIES):
        try:
            return work(snapshot)
        except SourceError as error:  # of a data file, or of one that says which rows of it are deleted
            newer = snapshot if lake.is_fixed or at != (None, None) else lake.snapshot()
            if newer.version == snapshot.version:
                gone = next((file for file in snapshot.files if _is_gone(file)), None)
                if gone is None:
                    raise
                raise SourceError(
                    f"{gone.path} is in version {snapshot.version} of {snapshot.location} and is not there, as after a "
                    "vacuum: name a version whose files are there, or restore it."
                ) from error
            snapshot = newer
    raise SourceError(f"{snapshot.location} changes faster than it is read: run this again when that is done.")


def _is_gone(file: TableFile) -> bool:
    try:
        return not file.path.exists() if isinstance(file.path, Path) else not file.path.stat()
    except FileNotFoundError:
        return True


def _all_of(snapshot: Snapshot) -> Difference:
    return Difference(read=list(snapshot.files), added=len(snapshot.files))


def fit_snapshot(
    snapshot: Snapshot,
    table: Table,
    *,
    known: State | None = None,
    parts: Parts | None = None,
    effort: Effort | None = None,
    footers: bool = True,
) -> State:
    """Fit a version of a table, all of it.

    Parameters
    ----------
    snapshot : Snapshot
    table : Table
        Chooses columns and scalers.
    known : State, optional
        Of no rows: gives columns and scalers instead.
    parts : Parts, optional
        Where to keep the summary of each file.
    effort : Effort, optional
    footers : bool
        Whether least and greatest values are taken from Parquet footers that tell them exactly.
    """
    if not snapshot.files:
        job = decide(table, snapshot.sources) if known is None else decided(known.table, snapshot.sources)
        state = known or State(table.with_learnt(job.like))
        return _with_record(state, state.table.learnt, snapshot, [])
    result = fit_state(snapshot.sources, table, known=known, effort=effort, parts=parts, footers=footers)
    return _with_record(result, result.table.learnt, snapshot, _shares(snapshot.files, result.sources))


def _shares(files: Iterable[TableFile], entries: Sequence[Counted]) -> list[Share]:
    """Give the record of files that were read.

    Raises
    ------
    SourceError
        If one has other rows than the table says.
    """
    by_fingerprint = {entry.fingerprint: entry for entry in entries}
    shares = []
    for file in files:
        entry = by_fingerprint[file.fingerprint()]
        if file.told_rows not in (None, entry.rows):
            raise SourceError(
                f"{file.path} has {entry.rows} rows, and its table says {file.told_rows}: restore the file, or see to "
                "the table."
            )
        shares.append(Share(((file.key, entry.rows),), entry.part_names))
    return shares


def _with_record(state: State, learnt: Learnt, snapshot: Snapshot, shares: Sequence[Share]) -> State:
    """Give a state that has counted a version of a table.

    Parameters
    ----------
    state : State
        Its settings count.
    learnt : Learnt
    snapshot : Snapshot
    shares : sequence of Share
    """
    identities = {column.name: column.identity for column in snapshot.columns}
    names = [*learnt.types, *state.table.key_names]
    columns = tuple((name, identities[name]) for name in dict.fromkeys(names))
    ordered = tuple(sorted(shares, key=lambda share: share.files))
    files = "\n".join(sorted(file.key for file in snapshot.files))
    entry = Counted(
        snapshot.location,
        sum(file.listed_size for file in snapshot.files),
        sum(rows for share in shares for _, rows in share.files),
        xxhash.xxh3_128_hexdigest(f"{snapshot.identity}\n{files}".encode()),
        table=Tracked(snapshot.identity, snapshot.version, columns, ordered),
    )
    return dataclasses.replace(state, table=state.table.with_learnt(learnt), sources=(entry,))


def tracked_in(known: State, path: Target, location: str) -> Tracked:
    """Give what a state has counted of a table, where it is all that it has counted.

    Parameters
    ----------
    known : State
    path : Path or Remote
        The state file, for messages.
    location : str
        Of the table, for messages.

    Raises
    ------
    DataError
        If it has counted something else.
    """
    tracked = [source.table for source in known.sources if source.table]
    if len(tracked) != 1 or len(known.sources) != 1 or known.positions:
        what = "streams" if known.positions else "files" if known.sources else "nothing"
        raise DataError(
            f"{path} has counted {what}, and cannot follow the table {location}: "
            "begin a state of its own, or fit it again (--overwrite)."
        )
    return tracked[0]


def _followed(
    known: State, snapshot: Snapshot, lake: ChangingTable, table: Table, how: How, parts: Parts, path: Target,
    effort: Effort | None,
) -> Followed:  # fmt: skip
    """Bring a state that has counted a version to another one.

    Parameters
    ----------
    known : State
    snapshot : Snapshot
        The version that it is brought to.
    lake : ChangingTable
    table : Table
    how : {"add", "rebuild"}
    parts : Parts
    path : Path or Remote
        The state file, for messages.
    effort : Effort or None
    """
    before = tracked_in(known, path, snapshot.location)
    if before.identity != snapshot.identity:
        raise DataError(
            f"{snapshot.location} is another table than the one that was counted (its id is {snapshot.identity}, and "
            f"was {before.identity}): fit it again (--overwrite)."
        )
    names = _names_now(before, snapshot)
    again = how == "rebuild" or any(name != new for name, new in names.items())
    if not again:
        commits = lake.commits(before.version, snapshot.version) if snapshot.version != before.version else ()
        found = difference(before, snapshot, commits)
        state = _by_difference(known, snapshot, found, table, parts, effort)
        if state is not None:
            return Followed(state, before.version, found)
        _LOG.info("parts of %s are not there, or not what was counted: all its files are counted again", path)
    if any(name != new for name, new in names.items()):
        _LOG.info("columns of %s have other names now: all its files are counted again", snapshot.location)
    known = _renamed(known, names)
    result = fit_snapshot(snapshot, table, known=known, parts=parts, effort=effort)
    return Followed(result, None, _all_of(snapshot))


def _names_now(before: Tracked, snapshot: Snapshot) -> dict[str, str]:
    """Find what the columns of a state are called now.

    Raises
    ------
    DataError
        If one is no longer there.
    """
    names = {column.identity: column.name for column in snapshot.columns}
    for name, identity in before.columns:
        if identity not in names:
            other = "; another one has its name" if name in names.values() else ""
            raise DataError(
                f"{snapshot.location} has dropped column {name!r}, which was counted, by version "
                f"{snapshot.version}{other}: fit the table again (--overwrite)."
            )
    return {name: names[identity] for name, identity in before.columns}


def _renamed(known: State, names: dict[str, str]) -> State:
    """Give a state of no rows, with the names that columns have now."""
    learnt = known.table.learnt
    if any(names[name] != name for name in known.table.key_names):
        raise DataError("a column that rows are grouped by has another name now: fit the table again (--overwrite).")
    return dataclasses.replace(known, table=known.table.with_learnt(learnt.renamed(names)), sources=())


def _by_difference(
    known: State, snapshot: Snapshot, found: Difference, table: Table, parts: Parts, effort: Effort | None
) -> State | None:
    """Take out what no longer counts and add what does; None where that needs parts that are not there.

    Parameters
    ----------
    known : State
    snapshot : Snapshot
    found : Difference
    table : Table
    parts : Parts
    effort : Effort or None
    """
    learnt: Learnt | None = known.table.learnt
    kept = [part for share in found.shares for part in share.parts]
    if not parts.has_all(kept):
        return None
    if learnt is not None and found.gone:
        gone = [parts.find(name) for name in found.gone]
        if any(part is None for part in gone):
            return None
        total = reduce(add, [part for part in gone if part is not None], learnt.emptied())
        try:
            learnt = taken_out(learnt, total, partial(parts.sum_of, kept) if kept else None)
        except MergeError:
            return None
    if learnt is None:
        return None
    shares = [_few_parts(share, parts, learnt) for share in found.shares]
    base = dataclasses.replace(known, table=known.table.with_learnt(learnt), sources=())
    if not found.read:
        return _with_record(base, learnt, snapshot, shares)
    sources: list[Source] = list(found.read)
    result = fit_state(sources, table, known=base, effort=effort, parts=parts)
    return _with_record(result, result.table.learnt, snapshot, [*shares, *_shares(found.read, result.sources)])


def _few_parts(share: Share, parts: Parts, learnt: Learnt) -> Share:
    """Give files that are known together by many parts by one, their sum.

    Parameters
    ----------
    share : Share
    parts : Parts
    learnt : Learnt
        Has as many groups as a part.
    """
    if len(share.parts) <= _MOST_PARTS:
        return share
    total = parts.sum_of(share.parts, range(len(learnt.groups)))
    if total is None:
        return share
    mark = xxhash.xxh3_128_hexdigest("\n".join(name for name, _ in share.files).encode())
    name = f"{mark}-{total.digest()}"
    parts.keep(name, total)
    return dataclasses.replace(share, parts=(name,))
