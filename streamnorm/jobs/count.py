"""States on disk: count what is new.

A state, its record and its parts change together or not at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Literal

from streamnorm.errors import DataError
from streamnorm.files import Target, place_of, refuse_existing
from streamnorm.formats import Source
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.ledger import (
    Given,
    Named,
    as_it_is_now,
    check_not_vanished,
    pair_up,
    refuse_table,
    tell_of_moves,
)
from streamnorm.jobs.outputs import check_state_path
from streamnorm.jobs.reading import fit_state
from streamnorm.jobs.schema import check_choices
from streamnorm.states import Counted, Held, Parts, State, holding
from streamnorm.tables import Table

__all__ = ["How", "check_new_state", "count"]

#: What becomes of a state that is there, or of none.
How = Literal["new", "add", "rebuild"]


def count(
    path: str | Target,
    given: Given,
    found: list[Source],
    table: Table,
    *,
    how: How,
    chosen: bool,
    keep_parts: bool = False,
    effort: Effort | None = None,
) -> State:
    """Fit a state file to sources.

    Parameters
    ----------
    path : str, Path or Remote
        The state file.
    given : sequence of str or Path
        Files, globs and folders.
    found : list of Source
        The sources that are there now.
    table : Table
        Chooses columns and scalers.
    how : {"new", "add", "rebuild"}
        Whether the state begins anew, gets what it has not counted, or counts all sources again with its own columns
        and scalers.
    chosen : bool
        Whether the user chose columns and scalers; those of a state that is added to must then be the same.
    keep_parts : bool
        Keep each source's own summary; a state that has some goes on to.
    effort : Effort, optional

    Raises
    ------
    DataError
        If a source changed or vanished since it was counted, or the choices are others.
    StateError
        If the state cannot be used, or another process wrote it meanwhile.
    """
    place = place_of(path)
    check_state_path(place, [source.path for source in found])
    parts = Parts(place)
    with holding(place) as held, parts.alone(make=keep_parts):
        known = held.read() if held.exists and how != "new" else None
        kept = parts if keep_parts or (known and parts.has(known.sources)) else None
        if known:
            refuse_table(known, place)
            if chosen:
                check_choices(known, table, found)
            if how == "rebuild":
                _check_all_named(known, given, found, held)
                known = known.emptied()
            else:
                known, found = _new(known, given, found, held, parts)
        fit = partial(fit_state, found, table, known=known, effort=effort, parts=kept, strict=how == "add")
        return _replace(held, parts, kept, fit)


def _replace(held: Held, parts: Parts, kept: Parts | None, fit: Callable[[], State]) -> State:
    """Fit, and replace the state and its parts.

    Parameters
    ----------
    held : Held
        The state file.
    parts : Parts
        The folder of its parts.
    kept : Parts or None
        The same, where parts are kept.
    fit : callable
        Gives the new state.
    """
    try:
        result = fit()
        parts.settle()
        held.write(result)
    except BaseException:
        if held.unchanged:
            parts.drop_new()
        raise
    parts.tidy(result.sources if kept else (), lambda: held.unchanged)
    return result


def check_new_state(path: str | Path, how: How, remedy: str) -> None:
    """Raise OutputError, with what to do about it, where a new state would replace one that is there.

    Parameters
    ----------
    path : str or Path
        The state file.
    how : {"new", "add", "rebuild"}
    remedy : str
        What to do about it.
    """
    if how == "new":
        refuse_existing(place_of(path), remedy)


def _new(known: State, given: Given, found: Iterable[Source], held: Held, parts: Parts) -> tuple[State, list[Source]]:
    """Find what the state has not counted; raises DataError where something it has is no longer the same.

    Also give the state with the paths and times that its files have now: one that was only touched is read once, not
    every night.

    Parameters
    ----------
    known : State
        What the state has counted.
    given : sequence of str or Path
        Files, globs and folders, as the user named them.
    found : sequence of Source
        The sources that are there now.
    held : Held
        The state file.
    parts : Parts
        The summaries of single sources, where they are kept.
    """
    pairs, gone = pair_up(known.sources, found)
    named = Named(given)
    for entry in gone:
        check_not_vanished(entry, named, _remedy(entry, parts, held.path))
    new: list[Source] = []
    now: dict[Counted, Counted] = {}
    for source, counted in pairs:
        entry_now = counted and as_it_is_now(counted, source, held.written)
        if counted is None:
            new.append(source)
        elif entry_now is None:
            raise DataError(
                f"{source.path} has changed since it was counted ({counted.size} bytes then, {source.size} now): "
                f"{_remedy(counted, parts, held.path)}."
            )
        elif entry_now is not counted:
            now[counted] = entry_now
    tell_of_moves(now)
    if now:
        known = dataclasses.replace(known, sources=tuple(now.get(entry, entry) for entry in known.sources))
    return known, new


def _remedy(entry: Counted, parts: Parts, state: Target) -> str:
    """Say what can be done about a source that is no longer as it was.

    Parameters
    ----------
    entry : Counted
        The entry of the record.
    parts : Parts
        The summaries of single sources, where they are kept.
    state : Path or Remote
        The state file.
    """
    if parts.has([entry]):
        return f"take out what was counted (streamnorm forget {state} {entry.location}), or count all again (--rebuild)"
    return "count all again (--rebuild; what --keep-parts keeps can be taken out alone)"


def _check_all_named(known: State, given: Given, found: list[Source], held: Held) -> None:
    """Raise DataError where a state that is rebuilt would lose a source unsaid.

    Parameters
    ----------
    known : State
        What the state has counted.
    given : sequence of str or Path
        Files, globs and folders that are to be counted again.
    found : list of Source
        The sources that are there now.
    held : Held
        The state file.
    """
    if known.positions:
        raise DataError(
            f"{held.path} has counted streams too ({min(known.positions.streams)}), which are no files to be counted "
            "again: begin another state (--overwrite)."
        )
    named = Named(given)
    for entry in pair_up(known.sources, found)[1]:
        if not named.covers(entry.location):
            raise DataError(
                f"{held.path} has counted {entry.location} too: name it or its folder beside the others to rebuild "
                "the state, or begin another (--overwrite)."
            )
