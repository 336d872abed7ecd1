"""Places of files: in the file system, in an object store, or kept from standard input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa

from streamnorm.errors import DataError, MergeError, OutputError, SourceError

__all__ = [
    "CHUNK_BYTES",
    "STDIN",
    "Links",
    "Place",
    "Remote",
    "Spooled",
    "is_elsewhere",
    "location_of",
    "naming",
    "open_input",
]

#: The name that standard input goes by on a command line.
STDIN = "-"
#: Bytes read at a time of a file that is read whole, to be hashed or kept.
CHUNK_BYTES = 1 << 20


class Stat(NamedTuple):
    """Of `os.stat_result`, what tells that a file has changed."""

    st_ino: int
    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True)
class Remote:
    """A file in an object store, with as much of `pathlib.Path` as reading takes.

    Parameters
    ----------
    location : str
        Its URI, without credentials.
    key : str
        Its path in the file system.
    filesystem : pyarrow.fs.FileSystem
    """

    location: str
    key: str
    filesystem: Any = field(compare=False)

    def __str__(self) -> str:
        return self.location

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.key).name

    def stat(self) -> Stat:
        """Ask for size and time of change."""
        found = self.filesystem.get_file_info(self.key)
        if not found.is_file:
            raise FileNotFoundError(self.location)
        return Stat(0, found.size, found.mtime_ns or 0)

    def open(self, mode: str = "rb") -> pa.NativeFile:
        """Open for reading at any place."""
        return self.filesystem.open_input_file(self.key)

    def resolve(self) -> Remote:
        """Give itself: there are no links."""
        return self


@dataclass(frozen=True)
class Spooled:
    """Standard input or a pipe, kept in a temporary file that goes with this object.

    Parameters
    ----------
    location : str
        Made of the content, so that the same is counted once.
    name : str
        Whose ending tells the kind.
    file : file
    title : str
        What messages call it.
    """

    location: str
    name: str
    file: IO[bytes] = field(compare=False)
    title: str = "standard input"

    def __str__(self) -> str:
        return self.title

    def stat(self) -> Stat:
        """Give the size; what was read does not change any more."""
        return Stat(0, self.file.tell(), 0)

    def open(self, mode: str = "rb") -> pa.NativeFile:
        """Open for reading at any place."""
        return pa.OSFile(self.file.name)

    def resolve(self) -> Spooled:
        """Give itself: there are no links."""
        return self


Place = Path | Remote | Spooled


class Links:
    """Paths without the links in them; those that lead to a folder are followed once, however many files it has."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def followed(self, place: Place) -> Place | str:
        """Give what all paths of a file have in common; what is no path is that itself."""
        if not isinstance(place, Path):
            return place
        folder, name = os.path.split(text := str(place))
        if name in ("", "..") or os.path.islink(text):  # noqa: PTH114 (a Path takes twice as long)
            return os.path.realpath(text)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)  # noqa: PTH118 (a Path takes five times as long)


def open_input(place: Place) -> pa.NativeFile:
    """Open what is read from its beginning to its end."""
    return pa.OSFile(str(place)) if isinstance(place, Path) else place.open()


@contextmanager
def naming(path: Place) -> Iterator[None]:
    """Turn what goes wrong while reading into one sentence that names the file."""
    try:
        yield
    except (SourceError, OutputError):
        raise
    except (DataError, MergeError) as error:
        if str(error).startswith(str(path)):
            raise
        kind = MergeError if isinstance(error, MergeError) else DataError
        raise kind(f"{path}: {error}") from error
    except FileNotFoundError:
        raise SourceError(f"there is no file {path}: check the path.") from None
    except PermissionError as error:
        where = error.filename or path
        raise SourceError(f"{where} may not be read: permission is denied; ask for it, or leave it out.") from error
    except (pa.ArrowException, OSError, UnicodeError) as error:
        if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
            raise SourceError(f"{path} has a name that is no UTF-8 text: rename it.") from None
        reason = " ".join(str(error).split()).rstrip(".")
        raise SourceError(f"{path} cannot be read: {reason}; restore the file or leave it out.") from error


def location_of(item: str | Place) -> str:
    """Give a URI without user, password and settings, and any other text as it is."""
    text = item.location if isinstance(item, Spooled) else str(item)
    if "://" not in text:
        return text
    parts = urlsplit(text)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_elsewhere(item: str | Path) -> bool:
    """Tell whether a name is a URI or standard input's."""
    return str(item) == STDIN or "://" in str(item)
