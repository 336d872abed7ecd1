"""The record of what was counted, beside what there is now: what is new, the same, changed or gone.

Locations in a record are compared as text, and it is asked whether something is there still: nothing that a state
names is opened.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePath

from streamnorm.errors import CountedTwiceWarning, DataError, StateError
from streamnorm.files import Place, location_of, stamp
from streamnorm.formats import CsvOptions, Source, kind_of
from streamnorm.states import Counted, read

__all__ = [
    "Given",
    "check_not_vanished",
    "covered",
    "options_of",
    "pair_up",
    "record_of",
    "same_content",
    "tell_of_moves",
    "under_its_path",
    "warn_of_copies",
]

_LOG = logging.getLogger("streamnorm")

#: A file written less than this before the state was may have been written to again within one tick of the
#: file system's clock; its time proves nothing.
_TICKS = 2_000_000_000


def options_of(record: Iterable[Counted]) -> CsvOptions | None:
    """Give how the CSV files of a record are written; None where that is not one way, or there are none."""
    ways = {entry.options for entry in record if entry.options or _is_text(entry.location)}
    return CsvOptions(**dict(ways.pop())) if len(ways) == 1 else None


def _is_text(location: str) -> bool:
    kind = kind_of(PurePath(location))
    return kind is not None and not kind.typed


def record_of(state: str | Path) -> tuple[Counted, ...]:
    """Give the record of a state; nothing where there is none that can be read, which whoever uses it will say."""
    try:
        return read(state).sources
    except StateError:
        return ()


def _key(location: str | Place) -> str:
    text = location_of(location)
    return text if "://" in text else os.path.abspath(text)  # noqa: PTH100 (links in a state's paths stay unread)


def _keys(source: Source) -> tuple[str, str]:
    return _key(source.path), _key(os.path.realpath(source.location))


def under_its_path(entry: Counted, source: Source) -> Counted:
    """Give the entry of a source as it is, or with the path that the source goes by now if that is another one."""
    if _key(entry.location) in _keys(source):
        return entry
    return replace(entry, location=source.location, modified=max(0, stamp(source.path)[2]))


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
        self._by_size: dict[int, list[Counted]] = {}
        for entry in entries:
            self._by_size.setdefault(entry.size, []).append(entry)

    def take(self, source: Source) -> Counted | None:
        """Give the entry of a source that was counted by another path, and is counted no more by that; else None."""
        there = self._by_size.get(source.size, [])
        candidates = [entry for entry in there if _is_gone_or(source, entry.location)]
        content = source.fingerprint() if candidates else ""
        found = next((entry for entry in candidates if entry.fingerprint == content), None)
        if found:
            there.remove(found)
        return found

    @property
    def left(self) -> list[Counted]:
        """The entries that were not taken."""
        return [entry for entries in self._by_size.values() for entry in entries]


def _is_gone_or(source: Source, location: str) -> bool:
    """Tell whether a location leads to nothing any more, or to this source."""
    if "://" in location:
        return False
    try:
        return isinstance(source.path, Path) and source.path.samefile(location)
    except OSError:
        return not os.path.lexists(location)


def covered(location: str, given: Sequence[str | Path]) -> bool:
    """Tell whether a location is one of these files, or lies in one of these folders or globs."""
    place = PurePath(_key(location))
    for item in given:
        whole = PurePath(_key(item))
        candidates = (place, *place.parents)
        if whole in candidates:
            return True
        if has_magic(str(item)) and any(_matches(c.parts, whole.parts) for c in candidates):
            return True
    return False


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def same_content(entry: Counted, source: Source, written: int) -> bool:
    """Tell whether a file is as it was when counted, reading it only where size and time do not tell.

    Parameters
    ----------
    written : int
        When the record was written, in nanoseconds since 1970.
    """
    _, size, modified = stamp(source.path)
    if size != entry.size:
        return False
    if modified == entry.modified and modified < written - _TICKS:
        return True
    return source.fingerprint() == entry.fingerprint


def check_not_vanished(gone: Counted, given: Sequence[str | Path], remedy: str) -> None:
    """Raise DataError if a file that was counted is no longer in the folder or glob it would be found by.

    Parameters
    ----------
    gone : Counted
    given : sequence of str or Path
        Files, globs and folders, as the user named them.
    remedy : str
        What to do beside restoring it.
    """
    if covered(gone.location, given):
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


def tell_of_moves(moved: Mapping[Counted, Counted]) -> None:
    """Say which sources were counted by another path, and are not counted again.

    Parameters
    ----------
    moved : mapping of Counted to Counted
        Entries as they were, and as they are now.
    """
    if moved:
        before, now = next(iter(moved.items()))
        alike = f" (so it is with {len(moved):,} files)" if len(moved) > 1 else ""
        _LOG.info("%s was counted as %s%s: it goes by its new path, and is not counted again",
                  now.location, before.location, alike)  # fmt: skip


Given = Sequence[str | Path]
