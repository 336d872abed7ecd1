"""The record of what was counted, beside what there is now: what is new, the same, changed or gone.

Of the locations in a record only the text is compared: no path is taken from a state.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePath

from streamnorm.errors import DataError, StateError
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
    "warn_of_copies",
]

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


def pair_up(
    record: Iterable[Counted], sources: Iterable[Source]
) -> tuple[list[tuple[Source, Counted | None]], list[Counted]]:
    """Give each source with its entry in the record, and the entries that have no source."""
    entries = {_key(entry.location): entry for entry in record}
    pairs, taken = [], set()
    for source in sources:
        keys = (_key(source.path), _key(os.path.realpath(source.location)))
        found = next((key for key in keys if key in entries), None)
        pairs.append((source, entries[found] if found else None))
        taken.add(found)
    return pairs, [entry for key, entry in entries.items() if key not in taken]


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


def warn_of_copies(new: Iterable[Counted], counted: Iterable[Counted]) -> None:
    """Warn of sources whose content was counted before under another name."""
    known = {entry.fingerprint: entry.location for entry in counted}
    for entry in new:
        if entry.rows and entry.fingerprint in known:
            warnings.warn(
                f"{entry.location} has the content of {known[entry.fingerprint]}, which was counted before: now "
                "its rows count twice.",
                stacklevel=3,
            )


Given = Sequence[str | Path]
