"""What a user names, as sources: files, folders, globs, addresses in object stores and standard input."""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from streamnorm.errors import SourceError, amount, listed
from streamnorm.files import STDIN, Links, Place, Spooled, Target, is_elsewhere, location_of
from streamnorm.formats import CsvOptions, Source, kind_of, source_at
from streamnorm.inputs.folders import Found, check_link, files_below, is_hidden, matches
from streamnorm.inputs.lakes import refuse_lake_above, refuse_lake_in
from streamnorm.inputs.stdin import is_pipe, spool
from streamnorm.inputs.stores import files_at

__all__ = ["data_below", "expand", "is_data", "is_one_file"]

_LOG = logging.getLogger("streamnorm")


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
    options, links = options or CsvOptions(), Links()
    found: dict[Place | str, Source] = {}
    for item in given:
        for path, relative, *real in _files(item):
            key = real[0] if real else links.followed(path)
            found.setdefault(key, source_at(path)(path, relative, options))
    if not found:
        raise SourceError("no source was named: name a file, folder or glob.")
    return list(found.values())


def _files(item: str | Path) -> Iterable[tuple[Place, Path] | Found]:
    """Give files and their places below what was named; of those in a folder, what they are without links too."""
    if str(item) == STDIN:
        spooled = spool()
        return [(spooled, Path(spooled.name))]
    if is_elsewhere(item):
        every = files_at(str(item))
        found = [pair for pair in every if location_of(item) == str(pair[0]) or is_data(pair[1])]
        if not found:
            raise SourceError(f"there is no Parquet, CSV or Arrow file at {location_of(item)}: name another place.")
        read = {relative for _, relative in found}
        _tell_of_others(location_of(item), [relative for _, relative in every if relative not in read])
        return [(remote, relative) for remote, relative in found]
    path = Path(item)
    if path.is_dir():
        below = files_below(path, is_data)
        if not below.files:
            raise SourceError(f"the folder {path} holds no Parquet, CSV or Arrow file: name another.")
        _tell_of_others(path, [found.relative for found in below.beside])
        return below.files
    check_link(path)
    if is_pipe(path):
        spooled = spool(path)
        return [(spooled, Path(spooled.name))]
    if path.exists():
        return [(path, Path(path.name))]
    if glob.has_magic(str(item)):
        return _matching(str(item))
    raise SourceError(f"there is no file {path}: check the path.")


def _matching(pattern: str) -> list[tuple[Place, Path]]:
    """Find the files that a pattern matches, and those of the folders that it does."""
    root = Path(pattern[: pattern.index(next(c for c in pattern if c in "*?["))] + "x").parent
    files: list[Path] = []
    others: list[Path] = []
    folders: set[Path] = set()
    hidden = any(map(is_hidden, Path(pattern).parts))  # are asked for
    for match in matches(pattern):
        if not hidden and any(map(is_hidden, match.relative_to(root).parts)):
            continue
        if match.is_dir():
            below = files_below(match, is_data)
            files += [found.path for found in below.files]
            others += [found.path for found in below.beside]
            continue
        folders.add(match.parent)
        check_link(match)
        data = kind_of(match) is not None or not _SILENT.fullmatch(match.name)
        (files if data and match.is_file() else others).append(match)
    for folder in sorted(folders):
        refuse_lake_above(folder)
        refuse_lake_in(folder, (path.name for path in folder.iterdir()))
    if not files:
        raise SourceError(f"no file matches {pattern}: check the pattern.")
    _tell_of_others(pattern, [other.relative_to(root) for other in others])
    return [(p, p.relative_to(root)) for p in files]


#: Names of what lies beside data and is known to be none: what it is, who may use it, and sums of it.
_SILENT = re.compile(
    r"(readme|licen[cs]e|notice|changelog|copying)(\..*)?|.*\.(json|crc|md|rst|html?|ya?ml|toml|xml|md5|sha\d+|lock)",
    re.IGNORECASE,
)


def _tell_of_others(where: object, others: Iterable[Path]) -> None:
    """Name what lies beside the files that are read, but for what is known to be no data.

    Parameters
    ----------
    where : object
        The folder or pattern.
    others : iterable of Path
        Their places below it.
    """
    named = [str(p) for p in others if not (any(map(is_hidden, p.parts)) or _SILENT.fullmatch(p.name))]
    if named:
        words = "is not read, by its name" if len(named) == 1 else "are not read, by their names"
        _LOG.info("%s holds %s that %s: %s", where, amount(len(named), "file"), words, listed(named))


def is_one_file(item: str | Path, source: Source) -> bool:
    """Tell whether a source is all that was named, and not the only one in a folder."""
    if isinstance(source.path, Spooled):
        return True
    return location_of(item) == str(source.path) if is_elsewhere(item) else Path(item).is_file()


def is_data(relative: Path) -> bool:
    """Tell whether a file at this place below a folder is read with the folder."""
    return not any(map(is_hidden, relative.parts)) and kind_of(relative) is not None


def data_below(folder: Target) -> Sequence[Target]:
    """Find the files that are read with a folder."""
    if isinstance(folder, Path):
        return [found.path for found in files_below(folder, is_data).files]
    return [place for place in folder.below() if is_data(Path(str(place).removeprefix(f"{folder}/")))]
