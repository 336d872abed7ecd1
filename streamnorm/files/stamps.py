"""Stamps of files: what changes when a file is written to or replaced."""

from __future__ import annotations

from streamnorm.errors import SourceError
from streamnorm.files.places import Place, naming

__all__ = ["Stamp", "check_unchanged", "stamp"]

#: Inode, size, and time of the last change in nanoseconds since 1970.
Stamp = tuple[int, int, int]


def stamp(path: Place) -> Stamp:
    """Give what changes when a file is written to or replaced."""
    with naming(path):
        found = path.stat()
        return (found.st_ino, found.st_size, found.st_mtime_ns)


def check_unchanged(path: Place, before: Stamp) -> None:
    """Raise SourceError if a file was written to or replaced since it had a stamp."""
    if stamp(path) != before:
        raise SourceError(f"{path} changed while it was read: run this again when it is complete.")
