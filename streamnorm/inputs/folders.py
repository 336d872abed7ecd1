"""Folders and patterns of this machine's file system; what cannot be listed is an error, and never passed over."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from streamnorm.errors import SourceError
from streamnorm.files import naming
from streamnorm.inputs.lakes import refuse_lake_above, refuse_lake_in

__all__ = ["Below", "check_link", "files_below", "is_hidden", "matches"]


class Below(NamedTuple):
    """What lies in a folder: the files that are wanted, in the order of their names, and those beside them."""

    files: list[Path]
    beside: list[Path]


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
    found = Below([], [])
    with naming(folder):
        refuse_lake_above(folder)
        for path in _walked(folder):
            is_wanted = wanted(path.relative_to(folder))
            if is_wanted:
                check_link(path)
            (found.files if is_wanted and path.is_file() else found.beside).append(path)
    return Below(sorted(found.files), sorted(found.beside))


def check_link(path: Path) -> None:
    """Raise SourceError if a path is a link that leads nowhere."""
    with naming(path):
        if path.is_symlink() and not path.exists():
            raise SourceError(
                f"{path} is a link to {path.readlink()}, which is not there: restore that, or remove the link."
            )


def _walked(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, each folder once: first what lies there itself, then what links lead to."""
    seen: set[str] = set()
    links = deque([folder])
    while links:
        start = links.popleft()
        for above, folders, names in os.walk(start, onerror=_raise):
            here = Path(above)
            real = os.path.realpath(above)
            refuse_lake_in(here, [*folders, *names])
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            visible = sorted(name for name in folders if not is_hidden(name))
            linked = [name for name in visible if (here / name).is_symlink()]
            links += [here / name for name in linked if not _is_loop(here / name)]
            folders[:] = [name for name in visible if name not in linked]
            yield from (here / name for name in names)


def _is_loop(link: Path) -> bool:
    """Tell whether a link leads to a folder that it lies in."""
    return Path(os.path.realpath(link.parent)).is_relative_to(os.path.realpath(link))


def _raise(error: OSError) -> None:
    raise error


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
