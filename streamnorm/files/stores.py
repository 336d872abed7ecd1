"""Files in object stores, with as much of `pathlib.Path` as reading and replacing takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePath, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa

from streamnorm.errors import OutputError
from streamnorm.files.answers import BeatenError, UnansweredError, asked, library, patiently
from streamnorm.files.clients import client_of, filesystem_at
from streamnorm.files.uploads import MARK, Upload
from streamnorm.once import once

__all__ = ["Remote", "Store", "Version", "as_uri"]

#: Bytes of an object that is read in one request.
_SMALL = 1 << 20
#: The version of no object.
_NEVER = {"e_tag": '"none"', "version": "1"}


def as_uri(path: str) -> str:
    """Write a path as it stands in a URI, in one of the ways that there are."""
    return quote(path, safe="/!$&'()*+,;=:@[]~")


class Stat(NamedTuple):
    """Of `os.stat_result`, what tells that a file has changed."""

    st_ino: int
    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True)
class Version:
    """What tells an object from one that replaces it.

    Parameters
    ----------
    tag, number : str or None
        As the store gives them.
    modified : int
        When it was written, in nanoseconds since 1970.
    """

    tag: str | None
    number: str | None
    modified: int = field(compare=False)

    @classmethod
    def of(cls, found: Any, modified: int | None = None) -> Version:
        """Take it from what the library gives."""
        if modified is None:
            modified = int(found["last_modified"].timestamp() * 1e9)
        return cls(found["e_tag"], found["version"], modified)

    @property
    def condition(self) -> dict[str, str]:
        """What a write is conditional on."""
        return {name: tag for name, tag in (("e_tag", self.tag), ("version", self.number)) if tag is not None}


class Store:
    """A bucket, as a URI names it; connections are made when they are needed, on whatever machine.

    Parameters
    ----------
    uri : str
        Of anything in it, with the settings behind a question mark.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self._uri,)

    @once
    def _found(self) -> tuple[Any, str]:
        filesystem, key = filesystem_at(self._uri)
        return filesystem, key.rstrip("/")

    @property
    def filesystem(self) -> Any:
        """The `pyarrow.fs.FileSystem`, for reading."""
        return self._found[0]

    @property
    def key(self) -> str:
        """The path in the file system that the URI leads to."""
        return self._found[1]

    @once
    def client(self) -> Any:
        """The store of `obstore`, for writing."""
        return self._client(tries=False)

    @once
    def uploader(self) -> Any:
        """The same, which asks again of itself: a part of an upload cannot be asked for twice from here."""
        return self._client(tries=True)

    def _client(self, *, tries: bool) -> Any:
        return client_of(self._uri, self.key.partition("/")[0], self.filesystem, tries=tries)


@dataclass(frozen=True)
class Remote:
    """A file or folder in an object store: read through `pyarrow.fs`, written through `obstore`.

    Parameters
    ----------
    location : str
        Its URI, without credentials.
    key : str
        Its path in the file system.
    store : Store
    """

    location: str
    key: str
    store: Store = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.location

    # ---- its name ----

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """The ending of the name."""
        return PurePosixPath(self.key).suffix

    @property
    def parent(self) -> Remote:
        """The folder that it lies in."""
        return Remote(self.location.rpartition("/")[0], self.key.rpartition("/")[0], self.store)

    @property
    def parents(self) -> list[Remote]:
        """The folders that it lies in, the nearest first."""
        found = [self.parent]
        while "/" in found[-1].key:
            found.append(found[-1].parent)
        return found

    def __truediv__(self, below: str | PurePath) -> Remote:
        text = PurePosixPath(below).as_posix()
        return Remote(f"{self.location.rstrip('/')}/{as_uri(text)}", f"{self.key}/{text}", self.store)

    def with_name(self, name: str) -> Remote:
        """Give what has another name in the same folder."""
        return self.parent / name

    def resolve(self) -> Remote:
        """Give itself: there are no links."""
        return self

    # ---- reading ----

    def stat(self) -> Stat:
        """Ask for size and time of change."""
        found = patiently(self, lambda: self.store.filesystem.get_file_info(self.key))
        if not found.is_file:
            raise FileNotFoundError(self.location)
        return Stat(0, found.size, found.mtime_ns or 0)

    def open(self, mode: str = "rb") -> pa.NativeFile:
        """Open for reading at any place; what is small is read at once."""
        return patiently(self, self._opened)

    def _opened(self) -> pa.NativeFile:
        file = self.store.filesystem.open_input_file(self.key)
        size = file.size()
        if size > _SMALL:
            return file
        data = file.read_buffer()
        if len(data) != size:
            raise OSError(f"NETWORK_CONNECTION: of {size} bytes {len(data)} came")
        return pa.BufferReader(data)

    # ---- what is there, asked of who writes ----

    @property
    def within(self) -> str:
        """Its path in the bucket."""
        return self.key.partition("/")[2]

    def version(self) -> Version | None:
        """Give what tells the object from one that replaces it; None where there is none."""

        def ask() -> Version | None:
            try:
                if not self.within:
                    return None  # the bucket itself
                return Version.of(library().head(self.store.client, self.within))
            except FileNotFoundError:
                return None

        return asked(self, ask)

    def exists(self) -> bool:
        """Tell whether there is an object of this name."""
        return self.version() is not None

    def is_dir(self) -> bool:
        """Tell whether anything lies below this name."""

        def ask() -> bool:
            page = next(iter(library().list(self.store.client, self.within or None)), ())
            return any(found["path"] != self.within for found in page)

        return asked(self, ask)

    def below(self) -> Iterator[Remote]:
        """Yield the objects that lie in the folder and those in it."""

        def ask() -> list[str]:
            pages = library().list(self.store.client, self.within or None)
            return [found["path"] for page in pages for found in page]

        for path in asked(self, ask):
            if path != self.within:
                yield self / path.removeprefix(self.within).lstrip("/")

    def mark(self) -> str | None:
        """Give what an object says that it was made of; None where it says nothing, or is not there."""

        def ask() -> str | None:
            try:
                found = library().get(self.store.client, self.within, options={"head": True})
            except FileNotFoundError:
                return None
            mark: str | None = found.attributes.get(MARK)
            return mark

        return asked(self, ask)

    # ---- writing ----

    def put(self, data: bytes, version: Any) -> Version | None:
        """Replace an object, unless it is no longer of a version; give the new one's, None where it was not replaced.

        Parameters
        ----------
        data : bytes
        version : Version or None
            What there was; None where there was no object.

        Raises
        ------
        OutputError
            If the store refuses, or cannot be reached.
        """
        if version is None:
            self.check_name()
        mode: Any = "create" if version is None else version.condition

        try:
            return Version.of(self.store_whole(data, mode=mode), time.time_ns())
        except (BeatenError, UnansweredError) as error:  # it may be done, and the answer lost
            done = self._if_it_holds(data)
            if done is None and isinstance(error, UnansweredError):
                raise
            return done

    def store_whole(self, data: bytes, **choices: Any) -> Any:
        """Write an object in one request, which either is done or is not; `obstore` would cut what is large."""
        return asked(self, lambda: library().put(self.store.client, self.within, data, use_multipart=False, **choices))

    def check_name(self) -> None:
        """Raise OutputError where there is a folder of this name, or a bucket: what lies in it could not be named."""
        if not self.within or self.is_dir():
            raise OutputError(
                f"{self} cannot be written: it is a {'folder' if self.within else 'bucket'}; name a file in it "
                f"({self}/NAME)."
            )

    def _if_it_holds(self, data: bytes) -> Version | None:
        """Give the version of an object that holds these bytes; None of another, or where it cannot be read."""

        def ask() -> Version | None:
            found = library().get(self.store.client, self.within)
            return Version.of(found.meta) if bytes(found.bytes()) == data else None

        try:
            return asked(self, ask)
        except OSError:
            return None

    def check_conditions(self) -> None:
        """Raise OutputError where the store writes whatever the condition: a second writer would not be noticed."""
        if not self.within:
            self.check_name()
        probe = self.with_name(f".{self.name}.streamnorm")
        try:
            asked(self, lambda: library().put(self.store.client, probe.within, b"", mode=_NEVER))
        except BeatenError:
            return
        except OutputError as error:
            if "NotImplemented" not in str(error):
                raise
        else:
            probe.unlink()
        raise OutputError(
            f"{self} cannot be updated safely: the store does not compare what it replaces (If-Match), so that one of "
            "two updates would be lost; keep the state on a disk, or in a store that does."
        )

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        asked(self, lambda: library().delete(self.store.client, self.within))

    @contextmanager
    def replacing(self, mark: str | None = None) -> Iterator[Upload]:
        """Give an upload; it takes the name when the block ends well, else nothing of it stays.

        Parameters
        ----------
        mark : str, optional
            What the object says that it was made of.
        """
        upload = Upload(self, mark)
        try:
            yield upload
            upload.finish()
        except BaseException:
            with suppress(OutputError):  # what went wrong first is told
                upload.drop()
            raise
