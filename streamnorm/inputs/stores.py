"""Folders and files of object stores: what lies at a URI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.files import Remote, Store, as_uri, location_of, patiently, said_of
from streamnorm.inputs.lakes import SIGN_FOLDERS, refuse_lake

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
    except SourceError:
        raise
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        remedy = "run this again later, or check" if said_of(str(error)) else "check"
        told = f"{location} cannot be listed: {reason}; {remedy} the address and the credentials."
        raise SourceError(told) from error
    if not found:
        raise SourceError(f"there is no file {location}: check the path.")
    return found


def _listed(uri: str, location: str) -> Iterator[tuple[Remote, Path]]:
    from pyarrow import fs

    last = urlsplit(uri).path.rpartition("/")[2]
    pattern = unquote(last) if has_magic(last) else None
    root = (location.rpartition("/")[0] if pattern else location).rstrip("/")
    store = Store(uri.replace(last, "", 1) if pattern else uri)
    filesystem, key = store.filesystem, store.key
    if not key:
        raise SourceError(f"{location} names no bucket: name one, and what is in it.")
    info = patiently(location, lambda: filesystem.get_file_info(key))
    if info.is_file:
        yield Remote(root, key, store), Path(PurePosixPath(key).name)
    elif info.type == fs.FileType.Directory:
        below = fs.FileSelector(key, recursive=True)
        listed = sorted(patiently(location, lambda: filesystem.get_file_info(below)), key=lambda found: found.path)
        refuse_lake(root, (found.path for found in listed))
        _refuse_lake_above(filesystem, key, root)
        for found in listed:
            name = found.path[len(key) + 1 :]
            if found.is_file and (pattern is None or fnmatchcase(name, pattern)):
                yield Remote(f"{root}/{as_uri(name)}", found.path, store), Path(name)


def _refuse_lake_above(filesystem: Any, key: str, location: str) -> None:
    """Raise SourceError if a folder of a store lies in a lake table's.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
    key : str
        The folder's path.
    location : str
        What messages call it.
    """
    from pyarrow import fs

    for above in PurePosixPath(key).parents:
        places: list[str] = []
        with suppress(OSError):  # what lies higher up may be nobody's business
            signs = filesystem.get_file_info([f"{above}/{name}" for name in SIGN_FOLDERS]) if above.name else []
            for sign in (sign for sign in signs if sign.type == fs.FileType.Directory):
                places += [found.path for found in filesystem.get_file_info(fs.FileSelector(sign.path))]
        refuse_lake(location, places)
