"""Folders and patterns of this machine's file system; what cannot be listed is an error, and never passed over."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from streamnorm.errors import SourceError
from streamnorm.files import naming
from streamnorm.inputs.lakes import refuse_lake_above, refuse_lake_in

__all__ = ["Below", "Found", "check_link", "files_below", "is_hidden", "matches"]


class Found(NamedTuple):
    """A file, its place below what was named, and its path without links."""

    path: Path
    relative: Path
    real: str


class Below(NamedTuple):
    """What lies in a folder: the files that are wanted, in the order of their places, and what lies beside them."""

    files: list[Found]
    beside: list[Found]


def is_hidden(name: str) -> bool:
    """Tell whether a name is of what tools keep beside data."""
    return name.startswith((".", "_"))


def files_below(folder: Path, wanted: Callable[[Path], bool]) -> Below:
    """Find the files of a folder whose places below it are wanted; linked folders are followed, hidden ones are not.

    Raises
    ------
    SourceError
        If a folder cannot be listed (`Path.rglob` passes it over), belongs to a lake table, or a link leads nowhere.
    """
    files: list[Found] = []
    beside: list[Found] = []
    with naming(folder):
        refuse_lake_above(folder)
        for above, entry in _walked(folder):
            path, relative = above.path / entry.name, above.relative / entry.name
            is_wanted, is_link = wanted(relative), entry.is_symlink()
            if is_wanted and is_link:
                check_link(path)
            real = os.path.realpath(path) if is_link else f"{above.real.rstrip(os.sep)}{os.sep}{entry.name}"
            (files if is_wanted and entry.is_file() else beside).append(Found(path, relative, real))
    return Below(*(sorted(some, key=lambda found: found.relative.parts) for some in (files, beside)))


def check_link(path: Path) -> None:
    """Raise SourceError if a path is a link that leads nowhere."""
    with naming(path):
        if path.is_symlink() and not path.exists():
            raise SourceError(
                f"{path} is a link to {path.readlink()}, which is not there: restore that, or remove the link."
            )


def _walked(folder: Path) -> Iterator[tuple[Found, os.DirEntry[str]]]:
    """Yield what is no folder below a folder: the folder that it lies in, and what listing that told of it.

    Each folder is looked at once: first what lies there itself, then what links lead to. `os.walk` would not say what
    listing told, and to ask for it again takes longer than all else.
    """
    seen: set[str] = set()
    pending, links = deque([(folder, Path())]), deque[tuple[Path, Path]]()
    while pending or links:
        path, relative = pending.popleft() if pending else links.popleft()
        with os.scandir(path) as listed:
            entries = sorted(listed, key=attrgetter("name"))
        refuse_lake_in(path, [entry.name for entry in entries])
        here = Found(path, relative, os.path.realpath(path))
        if here.real in seen:
            continue
        seen.add(here.real)
        for entry in entries:
            if not entry.is_dir():
                yield here, entry
            elif not is_hidden(entry.name):
                below = path / entry.name, relative / entry.name
                if not entry.is_symlink():
                    pending.append(below)
                elif not _is_loop(below[0]):
                    links.append(below)


def _is_loop(link: Path) -> bool:
    """Tell whether a link leads to a folder that it lies in."""
    return Path(os.path.realpath(link.parent)).is_relative_to(os.path.realpath(link))


def matches(pattern: str) -> list[Path]:
    """Find what matches a pattern, in the order of the names.

    Raises
    ------
    SourceError
        If a folder on the way cannot be listed (`glob.glob` passes it over).
    """
    for folder, part in _looked_in(pattern):
        with naming(folder):
            if glob.has_magic(part):
                os.scandir(folder).close()
            else:
                with suppress(FileNotFoundError, NotADirectoryError):
                    (folder / part).lstat()
    return sorted(Path(path) for path in glob.glob(pattern, recursive=True))


def _looked_in(pattern: str) -> Iterator[tuple[Path, str]]:
    """Yield the folders that a pattern looks in, from its first wildcard on, and what for."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    for i in range(first, len(parts)):
        above = f"{Path(*parts[:i])}{os.sep}"  # which no file matches
        for folder in glob.glob(above, recursive=True):
            yield Path(folder), parts[i]
