"""Folders and files of object stores: what lies at a URI."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePosixPath

import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.files import Remote, location_of

__all__ = ["files_at"]


def files_at(uri: str) -> list[tuple[Remote, Path]]:
    """Find the files at a URI of `pyarrow.fs` (``s3://``, ``gs://``, ...), with their places below it.

    Parameters
    ----------
    uri : str
        Of a file or folder, or with a pattern in its last part. Settings stand behind a question mark, such as
        ``?region=eu-west-1``.

    Raises
    ------
    SourceError
        If there is nothing, or the store cannot be reached.
    """
    location = location_of(uri)
    try:
        found = list(_listed(uri, location))
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise SourceError(f"{location} cannot be listed: {reason}; check the address and the credentials.") from error
    if not found:
        raise SourceError(f"there is no file {location}: check the path.")
    return found


def _listed(uri: str, location: str) -> Iterator[tuple[Remote, Path]]:
    from pyarrow import fs

    head, _, last = location.rpartition("/")
    pattern = last if has_magic(last) else None
    root = (head if pattern else location).rstrip("/")
    filesystem, key = fs.FileSystem.from_uri(uri.replace(last, "", 1) if pattern else uri)
    key = key.rstrip("/")
    info = filesystem.get_file_info(key)
    if info.is_file:
        yield Remote(root, key, filesystem), Path(PurePosixPath(key).name)
    elif info.type == fs.FileType.Directory:
        for found in sorted(filesystem.get_file_info(fs.FileSelector(key, recursive=True)), key=lambda f: f.path):
            below = found.path[len(key) + 1 :]
            if found.is_file and (pattern is None or fnmatchcase(below, pattern)):
                yield Remote(f"{root}/{below}", found.path, filesystem), Path(below)
