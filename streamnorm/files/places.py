"""Places of files: in the file system, in an object store, or kept from standard input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from streamnorm.errors import DataError, MergeError, OutputError, SourceError
from streamnorm.files.stores import Remote, Stat, Store, as_uri
from streamnorm.files.uploads import Upload

__all__ = [
    "CHUNK_BYTES",
    "STDIN",
    "Draft",
    "Links",
    "Place",
    "Spooled",
    "Target",
    "is_elsewhere",
    "location_of",
    "naming",
    "open_input",
    "open_output",
    "place_of",
]

#: The name that standard input goes by on a command line.
STDIN = "-"
#: Characters of what is told of another library's reason: those that matter come first.
_REASON = 200
#: Bytes read at a time of a file that is read whole, to be hashed or kept.
CHUNK_BYTES = 1 << 20


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


#: Where a file is read from, where it can be replaced, and what is written before it takes its name.
Place = Path | Remote | Spooled
Target = Path | Remote
Draft = Path | Upload


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


def open_output(draft: Draft) -> pa.NativeFile:
    """Open what is written from its beginning to its end."""
    return pa.OSFile(str(draft), "wb") if isinstance(draft, Path) else pa.PythonFile(draft.open(), mode="w")


def place_of(text: str | Target) -> Target:
    """Give the file or folder that a path or a URI names, which need not be there.

    Raises
    ------
    OutputError
        If it is a URI of no store that is known, or the store cannot be reached.
    """
    if isinstance(text, Remote) or "://" not in str(text):
        return text if isinstance(text, Remote) else Path(text)
    if str(text).startswith("file://"):
        from urllib.request import url2pathname  # imports HTTP and TLS, which takes as long as a small job

        return Path(url2pathname(urlsplit(str(text)).path))
    location, store = location_of(text).rstrip("/"), Store(str(text))
    try:
        if store.key:
            return Remote(location, store.key, store)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split()).rstrip(".")[:_REASON]
        raise OutputError(f"{location} cannot be used: {reason}; check the address and the credentials.") from error
    raise OutputError(f"{text} names no bucket: name one, and what is in it.")


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
        remedy = "check the credentials, or run this again later" if isinstance(path, Remote) else "restore the file"
        raise SourceError(f"{path} cannot be read: {reason}; {remedy} or leave it out.") from error


def location_of(item: str | Place) -> str:
    """Give a URI without key, password and settings, and any other text as it is."""
    text = item.location if isinstance(item, Spooled) else str(item)
    if "://" not in text:
        return text
    parts = urlsplit(text)
    user, at, host = parts.netloc.rpartition("@")
    named = (
        f"{user.partition(':')[0]}{at}" if parts.scheme in ("abfs", "abfss") else ""
    )  # Azure's container, or account
    return f"{parts.scheme}://{named}{host}{as_uri(unquote(parts.path))}"


def is_elsewhere(item: str | Path) -> bool:
    """Tell whether a name is a URI or standard input's."""
    return str(item) == STDIN or "://" in str(item)
