"""The record of what was counted, beside what there is now: what is new, the same, changed or gone.

Locations in a record are compared as text, and it is asked whether something is there still: nothing that a state
names is opened.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase, translate
from glob import has_magic
from pathlib import Path, PurePath

from streamnorm.errors import CountedTwiceWarning, DataError
from streamnorm.files import Place, Target, location_of, stamp
from streamnorm.formats import CsvOptions, Source, kind_of
from streamnorm.states import Counted, State

__all__ = [
    "Given",
    "Named",
    "as_it_is_now",
    "check_not_vanished",
    "options_of",
    "pair_up",
    "refuse_table",
    "tell_of_moves",
    "warn_of_copies",
]

_LOG = logging.getLogger("streamnorm")

#: A file written less than this before the state was may have been written to again within one tick of the
#: file system's clock; its time proves nothing.
_TICKS = 2_000_000_000


def options_of(record: Collection[Counted]) -> CsvOptions | None:
    """Give how the CSV files of a record are written, by default where it has none; None where that is not one way."""
    ways = {entry.options for entry in record}
    if len(ways) > 1:
        ways = {entry.options for entry in record if entry.options or _is_text(entry.location)}
    return CsvOptions(**dict(ways.pop())) if len(ways) == 1 else None


def _is_text(location: str) -> bool:
    kind = kind_of(PurePath(location))
    return kind is not None and not kind.typed


def _key(location: str | Place) -> str:
    text = location_of(location)
    return text.rstrip("/") if "://" in text else os.path.abspath(text)  # noqa: PTH100 (links in a state stay unread)


def _keys(source: Source) -> Iterator[str]:
    yield _key(source.path)
    yield _key(os.path.realpath(source.location))


def pair_up(
    record: Iterable[Counted], sources: Iterable[Source]
) -> tuple[list[tuple[Source, Counted | None]], list[Counted]]:
    """Give each source with its entry in the record, and the entries that have no source.

    A source has the entry of its own location; else one of the same content whose location leads to the same file, or
    to nothing any more.
    """
    entries = {_key(entry.location): entry for entry in record}
    found: list[tuple[Source, Counted | None]] = []
    for source in sources:
        key = next((key for key in _keys(source) if key in entries), None)
        found.append((source, entries.pop(key) if key else None))
    moved = _Moved(entries.values())
    pairs = [(source, entry or moved.take(source)) for source, entry in found]
    return pairs, moved.left


class _Moved:
    """Entries of a record that no source has by its location.

    Parameters
    ----------
    entries : iterable of Counted
    """

    def __init__(self, entries: Iterable[Counted]) -> None:
        self._by_content: dict[int, dict[str, list[Counted]]] = {}
        for entry in entries:
            self._by_content.setdefault(entry.size, {}).setdefault(entry.fingerprint, []).append(entry)

    def take(self, source: Source) -> Counted | None:
        """Give the entry of a source that was counted by another path, and is counted no more by that; else None."""
        alike = self._by_content.get(source.size)
        there = alike.get(source.fingerprint(), []) if alike else []
        found = next((entry for entry in there if _is_gone_or(source, entry.location)), None)
        if found:
            there.remove(found)
        return found

    @property
    def left(self) -> list[Counted]:
        """The entries that were not taken."""
        return [entry for alike in self._by_content.values() for entries in alike.values() for entry in entries]


def _is_gone_or(source: Source, location: str) -> bool:
    """Tell whether a location leads to nothing any more, or to this source."""
    if "://" in location:
        return False
    try:
        return isinstance(source.path, Path) and source.path.samefile(location)
    except OSError:
        return not os.path.lexists(location)


class Named:
    """Files, folders and globs as a user named them, each looked at once however many locations are compared.

    Parameters
    ----------
    given : sequence of str or Path
    """

    def __init__(self, given: Given) -> None:
        self._items = {_key(item): item for item in given}
        globs = [key for key, item in self._items.items() if has_magic(str(item))]
        in_folder: dict[str, list[str]] = {}
        for folder, _, name in (key.rpartition(_separator(key)) for key in globs):
            if not has_magic(folder) and name != "**":
                in_folder.setdefault(folder, []).append(translate(name))
        # One expression for all patterns of a folder: names that a shell expanded are many, and may hold brackets.
        self._names = {folder: re.compile("|".join(names)) for folder, names in in_folder.items()}
        self._wide = [
            _parts(key) for key in globs if has_magic(key.rpartition(_separator(key))[0]) or key.endswith("**")
        ]

    def covers(self, location: str) -> bool:
        """Tell whether a location is one of the files, or lies in one of the folders or globs."""
        places = list(_with_parents(_key(location)))
        return any(place in self._items for place in places) or any(map(self._is_match, places))

    def _is_match(self, place: str) -> bool:
        folder, _, name = place.rpartition(_separator(place))
        names = self._names.get(folder)
        return bool(names and names.match(name)) or any(_matches(_parts(place), wide) for wide in self._wide)

    def unused(self, locations: Sequence[str]) -> str | Path | None:
        """Give the first of the names that covers none of the locations."""
        places = {place for location in locations for place in _with_parents(_key(location))}
        return next(
            (
                item
                for key, item in self._items.items()
                if key not in places and not (has_magic(str(item)) and any(map(Named([item])._is_match, places)))
            ),
            None,
        )


def _separator(place: str) -> str:
    return "/" if "://" in place else os.sep


def _parts(place: str) -> tuple[str, ...]:
    return tuple(place.split(_separator(place)))


def _with_parents(place: str) -> Iterator[str]:
    """Yield a place and the folders that it lies in."""
    separator, end = _separator(place), len(place)
    while end > 0:
        yield place[:end]
        end = place.rfind(separator, 0, end)
    if place.startswith(separator):
        yield separator


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def as_it_is_now(entry: Counted, source: Source, written: int) -> Counted | None:
    """Give the entry of a file that is as it was when counted, with the path and the time it has now; else None.

    It is read only where size and time do not tell.

    Parameters
    ----------
    entry : Counted
        The entry of the record.
    source : Source
        The file.
    written : int
        When the record was written, in nanoseconds since 1970.
    """
    _, size, modified = stamp(source.path)
    if entry.location != source.location and _key(entry.location) not in _keys(source):
        return replace(entry, location=source.location, modified=max(0, modified))  # `pair_up` compared the content
    if size != entry.size:
        return None
    if modified == entry.modified and modified < written - _TICKS:
        return entry
    return replace(entry, modified=max(0, modified)) if source.fingerprint() == entry.fingerprint else None


def check_not_vanished(gone: Counted, named: Named, remedy: str) -> None:
    """Raise DataError if a file that was counted is no longer in the folder or glob it would be found by.

    Parameters
    ----------
    gone : Counted
    named : Named
        Files, globs and folders, as the user named them.
    remedy : str
        What to do beside restoring it.
    """
    if named.covers(gone.location):
        raise DataError(
            f"{gone.location} was counted and is no longer there: restore it, {remedy}, or name the new files alone."
        )


def warn_of_copies(new: Iterable[Counted], counted: Iterable[Counted] = ()) -> None:
    """Warn of sources whose content is that of another one, which was counted before or is counted beside them."""
    known = {entry.fingerprint: (entry.location, "was counted before") for entry in counted}
    copies = []
    for entry in new:
        if entry.rows and entry.fingerprint in known:
            copies.append((entry.location, *known[entry.fingerprint]))
        known.setdefault(entry.fingerprint, (entry.location, "is counted too"))
    if copies:
        copy, original, when = copies[0]
        alike = f" (so it is with {len(copies):,} files)" if copies[1:] else ""
        warnings.warn(
            f"{copy} has the content of {original}, which {when}{alike}: now its rows count twice.",
            CountedTwiceWarning,
            stacklevel=3,
        )


def refuse_table(known: State, path: Target) -> None:
    """Raise DataError where a state follows a table, which says what it has counted."""
    table = next((source.location for source in known.sources if source.table), None)
    if table is not None:
        raise DataError(
            f"{path} follows the table {table}, and counts nothing else: name the table, alone, or begin another state."
        )


def tell_of_moves(now: Mapping[Counted, Counted]) -> None:
    """Say which sources were counted by another path, and are not counted again.

    Parameters
    ----------
    now : mapping of Counted to Counted
        Entries as they were, and as they are now.
    """
    moved = {before: after for before, after in now.items() if before.location != after.location}
    if moved:
        before, after = next(iter(moved.items()))
        alike = f" (so it is with {len(moved):,} files)" if len(moved) > 1 else ""
        _LOG.info("%s was counted as %s%s: it goes by its new path, and is not counted again",
                  after.location, before.location, alike)  # fmt: skip


Given = Sequence[str | Path]
