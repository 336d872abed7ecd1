"""Taking sources out of a state, or all rows of a key, exactly."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np

from streamnorm.errors import DataError, MergeError, SourceError, StateError
from streamnorm.files import Target, place_of
from streamnorm.formats import CsvOptions, Source
from streamnorm.inputs import expand
from streamnorm.jobs.effort import Effort, Progress
from streamnorm.jobs.ledger import Given, Named, pair_up, refuse_table
from streamnorm.jobs.reading import fit_state
from streamnorm.states import Counted, Parts, State, holding
from streamnorm.summaries import Moments
from streamnorm.tables import Group, Keyed, Learnt

__all__ = ["forget", "forget_keys", "not_subtracted", "taken_out"]


def forget(
    path: str | Path,
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
    path : str or Path
        The state file.
    given : sequence of str or Path
        Files, globs and folders, as far as the state has counted them; they need not be there.
    threads : int, optional
        By default one for each processor.
    progress : callable, optional
        Called with numbers of bytes and of rows as they have been dealt with.
    options : CsvOptions, optional
        How CSV files are written.

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
    place, effort = place_of(path), Effort(threads, progress)
    parts = Parts(place)
    with holding(place) as held, parts.alone():
        known = held.read()
        refuse_table(known, place)
        there = {entry: source for source, entry in pair_up(known.sources, _existing(given, options))[0] if entry}
        gone = _counted_there(known, given, there, place)
        taken = [
            entry.left(_part(parts, entry) or _count_again(entry, there.get(entry), known, place, effort))
            for entry in gone
        ]
        taken_out = set(gone)
        left = tuple(entry for entry in known.sources if entry not in taken_out)
        learnt = _without(known, taken, left, parts, place)
        parts.settle()
        held.write(dataclasses.replace(known, table=known.table.with_learnt(learnt), sources=left))
        parts.tidy(left, lambda: held.unchanged)
    return gone


def forget_keys(path: str | Path, words: Sequence[str]) -> int:
    """Take keys out of a state, exactly: the rest is as if their rows had never been, in whatever source they stood.

    Sources that are counted later may have rows of them again.

    Parameters
    ----------
    path : str or Path
        The state file.
    words : sequence of str
        The keys, a word for each column of `by`.

    Returns
    -------
    int
        How many keys they are.

    Raises
    ------
    StateError
        If the state has no keys.
    DataError
        If it does not have these, or follows a table.
    """
    place = place_of(path)
    with holding(place) as held:
        known = held.read()
        if any(entry.table for entry in known.sources):
            raise DataError(
                f"{place} follows the table {known.sources[0].location}: delete the rows there, and bring the state up "
                "to date (streamnorm fit TABLE --update)."
            )
        keyed = known.table.learnt.keyed
        if keyed is None:
            raise StateError(f"{place} has no keys: it was fitted without --by; name the sources to forget.")
        width = len(keyed.keys.names)
        if not words or len(words) % width:
            raise DataError(f"a key has a word for each of {', '.join(keyed.keys.names)}: got {len(words)} in all.")
        at = [keyed.keys.parse(words[i : i + width]) for i in range(0, len(words), width)]
        keys = keyed.keys.take(np.unique(np.array(at, np.int64)))
        table = known.table.with_learnt(known.table.learnt.without(keys))
        sources = tuple(entry.less(keys) for entry in known.sources)
        held.write(dataclasses.replace(known, table=table, sources=sources))
    return len(keys)


def _part(parts: Parts, entry: Counted) -> Learnt | None:
    (name,) = entry.part_names
    return parts.find(name)


def _counted_there(known: State, given: Given, there: Mapping[Counted, Source], path: Target) -> tuple[Counted, ...]:
    """Find the entries that were named; raises DataError where nothing is named by one of the names.

    Parameters
    ----------
    known : State
        What the state has counted.
    given : sequence of str or Path
        Files, globs and folders, as the user named them.
    there : mapping of Counted to Source
        Files that were named and are there, by whatever path they were counted.
    path : Path or Remote
    """
    named = Named(given)
    gone = tuple(entry for entry in known.sources if entry in there or named.covers(entry.location))
    unused = named.unused([*(entry.location for entry in gone), *(source.location for source in there.values())])
    if unused is not None:
        raise DataError(
            f"{path} has counted nothing of {unused}: name what it has ('streamnorm show {path} --json' lists it)."
        )
    return gone


def _existing(given: Given, options: CsvOptions | None) -> list[Source]:
    found = []
    for item in given:
        try:
            found += expand(item, options)
        except SourceError:  # nothing is there any more; there may be a part
            continue
    return found


def _count_again(entry: Counted, source: Source | None, known: State, path: Target, effort: Effort) -> Learnt:
    """Find out what a source had given to a state, by reading it.

    Parameters
    ----------
    entry : Counted
        What the record has of it.
    source : Source or None
        The file, None where it is gone.
    known : State
        The state.
    path : Path or Remote
        Its file.
    effort : Effort

    Raises
    ------
    DataError
        If the file is not what was counted.
    """
    remedy = f"restore it, or count all others again (streamnorm fit SRC --state {path} --rebuild)."
    if source is None:
        raise DataError(f"{entry.location} is not there, and its part was not kept (--keep-parts): {remedy}")
    again = fit_state([source], known.table, known=known.emptied(), effort=effort)
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


def _without(known: State, taken: Sequence[Learnt], left: Sequence[Counted], parts: Parts, path: Target) -> Learnt:
    """Take parts away, by adding up those that stay where subtracting would lose something.

    Parameters
    ----------
    known : State
    taken : sequence of Learnt
        What is taken out.
    left : sequence of Counted
        The entries that stay.
    parts : Parts
        The summaries of single sources, where they are kept.
    path : Path or Remote
    """
    learnt = known.table.learnt
    gone = reduce(add, taken, learnt.emptied())
    try:
        return taken_out(learnt, gone, partial(_sum_of, left, parts) if left else None) or learnt - gone
    except MergeError as error:
        raise MergeError(
            f"{path}: {str(error).rstrip('.')}; count what stays again (streamnorm fit SRC --state {path} --rebuild), "
            "with --keep-parts to be able to forget it."
        ) from error


def _sum_of(entries: Sequence[Counted], parts: Parts, groups: Sequence[int]) -> Learnt | None:
    """Add up some groups of columns of parts, without the keys that were taken out; None where one was not kept.

    Parameters
    ----------
    entries : sequence of Counted
        Whose parts.
    parts : Parts
    groups : sequence of int
        Positions of the groups in what was learnt.
    """
    alike: dict[str, list[Counted]] = {}
    for entry in entries:
        alike.setdefault("" if entry.without is None else entry.without.digest(), []).append(entry)
    total: Learnt | None = None
    for some in alike.values():
        found = parts.sum_of([name for entry in some for name in entry.part_names], groups)
        if found is None:
            return None
        found = some[0].left(found)
        total = found if total is None else total + found
    return total


def taken_out(learnt: Learnt, gone: Learnt, left: Callable[[Sequence[int]], Learnt | None] | None) -> Learnt | None:
    """Take statistics out of others, exactly: sums are subtracted, and all else is added up again from parts that stay.

    Parameters
    ----------
    learnt : Learnt
        What is known.
    gone : Learnt
        What is taken out of it.
    left : callable or None
        Adds up some groups of columns of the parts that stay; None where none stays.

    Returns
    -------
    Learnt or None
        None where not all parts that are needed were kept, or they are not what is known.

    Raises
    ------
    MergeError
        If what is taken out was never counted.
    """
    added_up = not_subtracted(learnt)
    subtracted = [i for i in range(len(learnt.groups)) if i not in added_up]
    rest: Learnt | None = learnt.of_groups(added_up).emptied()
    if added_up and left:
        rest = left(added_up)
    if rest is None or rest + gone.of_groups(added_up) != learnt.of_groups(added_up):
        return None
    some = learnt.of_groups(subtracted) - gone.of_groups(subtracted)
    by_position = dict(zip([*subtracted, *added_up], [*some.groups, *rest.groups], strict=True))
    return dataclasses.replace(learnt, groups=tuple(by_position[i] for i in range(len(learnt.groups))))


def not_subtracted(learnt: Learnt) -> list[int]:
    """Give the positions of the groups that are added up from the parts that stay, where parts are taken out."""
    return [i for i, group in enumerate(learnt.groups) if not _can_subtract(group)]


def _can_subtract(group: Group) -> bool:
    """Tell whether subtracting gives what counting the rest would: of sums it does; vectors may lose their width."""
    summary = group.summary
    kinds = summary.columns if isinstance(summary, Keyed) else (summary,)
    return all(isinstance(kind, Moments) for kind in kinds) and group.vector is None
