"""Folders and patterns of this machine's file system; what cannot be listed is an error, and never passed over."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from streamnorm.files import naming

__all__ = ["files_below", "matches"]


def files_below(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    """Find the files of a folder whose places below it are wanted, in the order of their names.

    Raises
    ------
    SourceError
        If a folder cannot be listed (`Path.rglob` passes it over).
    """
    with naming(folder):
        paths = (Path(above) / name for above, _, names in os.walk(folder, onerror=_raise) for name in names)
        return sorted(path for path in paths if wanted(path.relative_to(folder)) and path.is_file())


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
