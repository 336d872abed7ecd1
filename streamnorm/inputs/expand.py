"""What a user names, as sources: files, folders, globs, addresses in object stores and standard input."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streamnorm.errors import SourceError
from streamnorm.files import STDIN, Place, Spooled, is_elsewhere, location_of
from streamnorm.formats import CsvOptions, Source, kind_of, known_names, source_at
from streamnorm.inputs.folders import files_below, matches
from streamnorm.inputs.stdin import is_pipe, spool
from streamnorm.inputs.stores import files_at

__all__ = ["expand", "is_data", "is_one_file"]


def expand(sources: Any, options: CsvOptions | None = None) -> list[Source]:
    """Find the files that paths, globs and folders name, in the order of their names.

    Parameters
    ----------
    sources : str, Path or sequence of these
        Files, folders and globs, here or in an object store (a URI such as ``s3://bucket/folder``), and "-" for
        standard input. A folder stands for every file of a known kind below it; hidden ones are passed over.
    options : CsvOptions, optional
        How CSV files are written.

    Raises
    ------
    SourceError
        If a path does not exist, a folder or glob holds no file, or a file is of no known kind.
    """
    given = [sources] if isinstance(sources, (str, Path)) else list(sources)
    found: dict[Place, Source] = {}
    for item in given:
        for path, relative in _files(item):
            found.setdefault(path.resolve(), source_at(path)(path, relative, options or CsvOptions()))
    if not found:
        raise SourceError("no source was named: name a file, folder or glob.")
    return list(found.values())


def _files(item: str | Path) -> Iterable[tuple[Place, Path]]:
    if str(item) == STDIN:
        spooled = spool()
        return [(spooled, Path(spooled.name))]
    if is_elsewhere(item):
        found = [pair for pair in files_at(str(item)) if location_of(item) == str(pair[0]) or is_data(pair[1])]
        if not found:
            raise SourceError(f"there is no {known_names()} file at {location_of(item)}: name another place.")
        return [(remote, relative) for remote, relative in found]
    path = Path(item)
    if path.is_dir():
        files = files_below(path, is_data)
        if not files:
            raise SourceError(f"the folder {path} holds no {known_names()} file: name another.")
        return [(p, p.relative_to(path)) for p in files]
    if is_pipe(path):
        spooled = spool(path)
        return [(spooled, Path(spooled.name))]
    if path.exists():
        return [(path, Path(path.name))]
    if glob.has_magic(str(item)):
        found_here = matches(str(item))
        files = [p for match in found_here for p in (files_below(match, is_data) if match.is_dir() else [match])]
        if not files:
            raise SourceError(f"no file matches {item}: check the pattern.")
        root = Path(str(item)[: str(item).index(next(c for c in str(item) if c in "*?["))] + "x").parent
        return [(p, p.relative_to(root)) for p in files]
    raise SourceError(f"there is no file {path}: check the path.")


def is_one_file(item: str | Path, source: Source) -> bool:
    """Tell whether a source is all that was named, and not the only one in a folder."""
    if isinstance(source.path, Spooled):
        return True
    return location_of(item) == str(source.path) if is_elsewhere(item) else Path(item).is_file()


def is_data(relative: Path) -> bool:
    """Tell whether a file at this place below a folder is read with the folder."""
    hidden = any(part.startswith((".", "_")) for part in relative.parts)
    return not hidden and kind_of(relative) is not None
