"""States on disk: count what is new.

A state, its record and its parts change together or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from streamnorm.errors import DataError
from streamnorm.formats import Source
from streamnorm.jobs.ledger import Given, check_not_vanished, covered, pair_up, same_content
from streamnorm.jobs.outputs import check_state_path
from streamnorm.jobs.reading import Progress, fit_state
from streamnorm.jobs.schema import check_choices
from streamnorm.states import Counted, Held, Parts, State, holding
from streamnorm.tables import Table

__all__ = ["count"]


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
