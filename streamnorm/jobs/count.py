"""States on disk: count what is new, forget what was counted, count again and compare.

A state, its record and its parts change together or not at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from pathlib import Path

from streamnorm.errors import DataError, MergeError, SourceError
from streamnorm.formats.options import CsvOptions
from streamnorm.formats.source import Source
from streamnorm.inputs.expand import expand
from streamnorm.jobs.ledger import check_not_vanished, covered, pair_up, same_content
from streamnorm.jobs.outputs import check_state_path
from streamnorm.jobs.reading import Progress, fit_state
from streamnorm.jobs.schema import check_choices
from streamnorm.states.file import read
from streamnorm.states.holding import Held, holding
from streamnorm.states.parts import Parts
from streamnorm.states.state import Counted, State
from streamnorm.summaries import Moments
from streamnorm.tables.table import Learnt, Table

__all__ = ["count", "forget", "verify"]

Given = Sequence[str | Path]


# ---- count ----


def count(
    path: Path,
    given: Given,
    found: list[Source],
    table: Table,
    *,
    asked: bool,
    update: bool = False,
    rebuild: bool = False,
    keep_parts: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> State:
    """Fit a state file to sources.

    Parameters
    ----------
    path : Path
        The state file.
    given : sequence of str or Path
        Files, globs and folders.
    found : list of Source
        The sources that are there now.
    table : Table
        Chooses columns and scalers; those of a state that is added to must be the same, if they are asked for.
    asked : bool
        Whether they are.
    update : bool
        Add to the state what it has not counted.
    rebuild : bool
        Count all sources again, with the columns and scalers of the state.
    keep_parts : bool
        Keep each source's own summary; a state that has some goes on to.
    threads, progress
        As for `fit`.

    Raises
    ------
    DataError
        If a source changed or vanished since it was counted, or the choices are others.
    StateError
        If the state cannot be used, or another process wrote it meanwhile.
    """
    check_state_path(path, [source.path for source in found])
    parts = Parts(path)
    with holding(path) as held, parts.alone(make=keep_parts):
        known = held.read() if held.exists and (update or rebuild) else None
        kept = parts if keep_parts or (known and parts.has(known.sources)) else None
        if known:
            if asked:
                check_choices(known, table, found)
            found = _to_rebuild(known, given, found, held) if rebuild else _new(known, given, found, held, parts)
            if rebuild:
                known = known.emptied()
        return _replace(held, parts, kept, found, table, known, threads, progress)


def _replace(
    held: Held, parts: Parts, kept: Parts | None, found: Sequence[Source], table: Table, known: State | None,
    threads: int | None, progress: Progress | None,
) -> State:  # fmt: skip
    """Fit, and replace the state and its parts."""
    try:
        result = fit_state(found, table, known=known, threads=threads, progress=progress, parts=kept)
        held.write(result)
    except BaseException:
        if held.unchanged:
            parts.drop_new()
        raise
    parts.tidy(result.sources if kept else ())
    return result


def _new(known: State, given: Given, found: Iterable[Source], held: Held, parts: Parts) -> list[Source]:
    """Find what the state has not counted; raises DataError where something it has is no longer the same."""
    pairs, gone = pair_up(known.sources, found)
    for entry in gone:
        check_not_vanished(entry, given, _remedy(entry, parts, held.path))
    new = []
    for source, counted in pairs:
        if counted is None:
            new.append(source)
        elif not same_content(counted, source, held.written):
            raise DataError(
                f"{source.path} has changed since it was counted ({counted.size} bytes then, {source.size} now): "
                f"{_remedy(counted, parts, held.path)}."
            )
    return new


def _remedy(entry: Counted, parts: Parts, state: Path) -> str:
    """Say what can be done about a source that is no longer as it was."""
    if parts.has([entry]):
        return f"take out what was counted (streamnorm forget {state} {entry.location}), or count all again (--rebuild)"
    return "count all again (--rebuild; what --keep-parts keeps can be taken out alone)"


def _to_rebuild(known: State, given: Given, found: list[Source], held: Held) -> list[Source]:
    """Give what is to be counted anew; raises DataError where the state would lose a source unsaid."""
    for entry in pair_up(known.sources, found)[1]:
        if not covered(entry.location, given):
            raise DataError(
                f"{held.path} has counted {entry.location} too: name it or its folder beside the others to rebuild "
                "the state, or begin another (--overwrite)."
            )
    return found


# ---- forget ----


def forget(
    path: Path,
    given: Given,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    options: CsvOptions | None = None,
) -> tuple[Counted, ...]:
    """Take sources out of a state, exactly: the rest is as if they had never been counted.

    A source is read again if it is still as it was; its part is used if it was kept.

    Parameters
    ----------
    path : Path
        The state file.
    given : sequence of str or Path
        Files, globs and folders, as far as the state has counted them; they need not be there.
    threads, progress, options
        As for `fit`.

    Returns
    -------
    tuple of Counted
        What was taken out.

    Raises
    ------
    DataError
        If a source was never counted, or is no longer as it was and has no part.
    MergeError
        If a scaler cannot forget and not all parts were kept.
    """
    parts = Parts(path)
    with holding(path) as held, parts.alone():
        known = held.read()
        gone = _counted_there(known, given, path)
        there = {entry: source for source, entry in pair_up(gone, _existing(given, options))[0] if entry}
        taken = [_part(entry, there.get(entry), known, parts, held, threads, progress) for entry in gone]
        left = tuple(entry for entry in known.sources if entry not in gone)
        learnt = _without(known, taken, left, parts, path)
        held.write(dataclasses.replace(known, table=known.table.with_learnt(learnt), sources=left))
        parts.tidy(left)
    return gone


def _counted_there(known: State, given: Given, path: Path) -> tuple[Counted, ...]:
    for item in given:
        if not any(covered(entry.location, [item]) for entry in known.sources):
            raise DataError(
                f"{path} has counted nothing of {item}: name what it has ('streamnorm show {path} --json' lists it)."
            )
    return tuple(entry for entry in known.sources if covered(entry.location, given))


def _existing(given: Given, options: CsvOptions | None) -> list[Source]:
    found = []
    for item in given:
        try:
            found += expand(item, options)
        except SourceError:  # nothing is there any more; there may be a part
            continue
    return found


def _part(
    entry: Counted, source: Source | None, known: State, parts: Parts, held: Held, threads: int | None,
    progress: Progress | None,
) -> Learnt:  # fmt: skip
    """Find out what a source had given to a state."""
    kept = parts.find(entry)
    if kept is not None:
        return kept
    remedy = f"restore it, or count all others again (streamnorm fit SRC --state {held.path} --rebuild)."
    if source is None:
        raise DataError(f"{entry.location} is not there, and its part was not kept (--keep-parts): {remedy}")
    again = fit_state([source], known.table, known=known.emptied(), threads=threads, progress=progress)
    (found,) = again.sources
    if found.fingerprint != entry.fingerprint:
        raise DataError(
            f"{source.path} has changed since it was counted, and its part was not kept (--keep-parts): {remedy}"
        )
    if entry.digest not in ("", found.digest):
        raise DataError(
            f"{source.path} gives other statistics than when it was counted: name the options that it was read with "
            "then (--null-values, --decimal, ...)."
        )
    return again.table.learnt


def _without(known: State, taken: Sequence[Learnt], left: Sequence[Counted], parts: Parts, path: Path) -> Learnt:
    """Take parts away, by adding up those that stay where subtracting would lose something."""
    learnt = known.table.learnt
    if (not left or parts.has(left)) and not all(isinstance(group.summary, Moments) for group in learnt.groups):
        kept = [parts.find(entry) for entry in left]
        rest = reduce(add, [part for part in kept if part is not None], learnt.emptied())
        if None not in kept and reduce(add, taken, rest) == learnt:
            return rest
    try:
        return reduce(lambda total, part: total - part, taken, learnt)
    except MergeError as error:
        raise MergeError(
            f"{path}: {str(error).rstrip('.')}; count what stays again (streamnorm fit SRC --state {path} --rebuild), "
            "with --keep-parts to be able to forget it."
        ) from error


# ---- verify ----


def verify(
    path: Path,
    given: Given,
    found: list[Source],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> State:
    """Count all sources of a state again and compare, exactly; what a footer told is read now.

    Parameters
    ----------
    path : Path
        The state file.
    given : sequence of str or Path
        Files, globs and folders: all that the state has counted.
    found : list of Source
        The sources that are there now.
    threads, progress
        As for `fit`.

    Returns
    -------
    State
        What the sources give: the statistics of the file, bit for bit, and the record of this count.

    Raises
    ------
    DataError
        If anything differs; it names the sources or columns that do.
    """
    known = read(path)
    empty = known.emptied()
    again = fit_state(found, known.table, known=empty, threads=threads, progress=progress, footers=False)
    differences = _differing_sources(known, again, found) if known.sources else []
    if not differences and again.table.learnt != known.table.learnt:
        names = ", ".join(map(repr, _differing_columns(known.table.learnt, again.table.learnt)))
        differences = [f"the statistics of column {names} are not those of the sources"]
    if differences:
        shown = "; ".join(differences[:3]) + (f"; and {len(differences) - 3} more" if differences[3:] else "")
        raise DataError(
            f"{path} is not what these sources give: {shown}. Name all that was counted and nothing else, "
            f"restore what changed, or fit again (--rebuild)."
        )
    return again


def _differing_sources(known: State, again: State, found: Iterable[Source]) -> list[str]:
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
