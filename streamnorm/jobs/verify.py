"""Counting the sources of a state again, and comparing exactly."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streamnorm.errors import DataError
from streamnorm.files import place_of
from streamnorm.formats import Source
from streamnorm.inputs import ChangingTable, Snapshot
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.following import at_version, fit_snapshot, tracked_in
from streamnorm.jobs.ledger import Given, pair_up, refuse_table
from streamnorm.jobs.reading import fit_state
from streamnorm.states import State, read
from streamnorm.tables import Learnt

__all__ = ["verify", "verify_table"]


def verify(
    path: str | Path,
    given: Given,
    found: list[Source],
    *,
    effort: Effort | None = None,
) -> State:
    """Count all sources of a state again and compare, exactly; what a footer told is read now.

    Parameters
    ----------
    path : str or Path
        The state file.
    given : sequence of str or Path
        Files, globs and folders: all that the state has counted.
    found : list of Source
        The sources that are there now.
    effort : Effort, optional

    Returns
    -------
    State
        What the sources give: the statistics of the file, bit for bit, and the record of this count.

    Raises
    ------
    DataError
        If anything differs; it names the sources or columns that do.
    """
    place = place_of(path)
    known = read(place)
    if known.positions:
        raise DataError(
            f"{place} has counted streams too ({min(known.positions.streams)}), which are no files to be counted: "
            "verify states of files alone."
        )
    refuse_table(known, place)
    empty = known.emptied()
    without = {
        source.location: entry.without
        for source, entry in pair_up(known.sources, found)[0]
        if entry is not None and entry.without is not None
    }
    again = fit_state(found, known.table, known=empty, effort=effort, footers=False, without=without)
    differences = _differing_sources(known, again, found) if known.sources else []
    if not differences and again.table.learnt != known.table.learnt:
        names = ", ".join(map(repr, _differing_columns(known.table.learnt, again.table.learnt)))
        differences = [f"the statistics of column {names} are not those of the sources"]
    if differences:
        shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if differences[3:] else "")
        raise DataError(
            f"{place} is not what these sources give: {shown}. Name all that was counted and nothing else, "
            f"restore what changed, or fit again (--rebuild)."
        )
    return again


def verify_table(path: str | Path, lake: ChangingTable, *, effort: Effort | None = None) -> State:
    """Count the version of a table that a state has counted again and compare, exactly.

    Parameters
    ----------
    path : str or Path
        The state file.
    lake : ChangingTable
    effort : Effort, optional

    Returns
    -------
    State
        What the version gives: the statistics of the file, bit for bit.

    Raises
    ------
    DataError
        If anything differs, or the state has counted something else.
    SourceError
        If the files of that version are no longer there.
    """
    place = place_of(path)
    known = read(place)
    before = tracked_in(known, place, lake.location)

    def count(snapshot: Snapshot) -> State:
        if snapshot.identity != before.identity:
            raise DataError(
                f"{snapshot.location} is another table than the one that {place} has counted: name that, or fit it "
                "again (--overwrite)."
            )
        return fit_snapshot(snapshot, known.table, known=known.emptied(), effort=effort, footers=False)

    again = at_version(lake, (before.version, None), count)
    (now,), (entry,) = again.sources, known.sources
    if again.table.learnt != known.table.learnt or now.rows != entry.rows:
        names = ", ".join(map(repr, _differing_columns(known.table.learnt, again.table.learnt)))
        raise DataError(
            f"{place} is not what version {before.version} of {lake.location} gives: the statistics of column "
            f"{names or 'none, but the number of rows,'} are others; count it again (--rebuild)."
        )
    return again


def _differing_sources(known: State, again: State, found: Iterable[Source]) -> list[str]:
    """Say of each source that differs how it does.

    Parameters
    ----------
    known : State
        What the state has counted.
    again : State
        What counting again gave.
    found : sequence of Source
        The sources that are there now.
    """
    pairs, gone = pair_up(known.sources, found)
    entries = {entry.location: entry for entry in again.sources}
    differences = [f"{entry.location} was counted, and is not among them" for entry in gone]
    for source, counted in pairs:
        now = entries[source.location]
        if counted is None:
            differences.append(f"{source.path} was never counted")
        elif now.fingerprint != counted.fingerprint:
            differences.append(f"{source.path} has changed since it was counted")
        elif (counted.rows, counted.digest or now.digest) != (now.rows, now.digest):
            differences.append(f"{source.path} gives other statistics than when it was counted")
    return differences


def _differing_columns(mine: Learnt, theirs: Learnt) -> list[str]:
    columns = mine.where(), theirs.where()
    slots = [{name: group.summary.take([slot]) for name, (group, slot) in where.items()} for where in columns]
    return [name for name in slots[0] if slots[0][name] != slots[1].get(name)]
