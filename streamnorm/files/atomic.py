"""Files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar, cast

from streamnorm.errors import OutputError, StreamnormError, unwritable
from streamnorm.files.locks import Identity, folder_locked, identity, lock
from streamnorm.files.places import Draft, Target, place_of

__all__ = [
    "beside",
    "entries",
    "mark_of",
    "refuse_existing",
    "replace",
    "replace_version",
    "replacing",
    "sweep",
]

T = TypeVar("T", bound=Target)
#: Bytes of the longest name of a file.
_LONGEST = 255
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}\.streamnorm")


@contextmanager
def replacing(
    place: str | Target,
    *,
    parents: bool = False,
    mark: str | None = None,
    after: Callable[[int], None] | None = None,
) -> Iterator[Draft]:
    """Give what is to be written: it takes the name when the block ends well, else all is as it was.

    In a store it is an upload that nobody sees before it is complete. On a disk it is a temporary file in the same
    folder. Its bytes are on the disk before it is renamed, and the folder's entry after. If an error leaves the
    block, what had the name before is as it was, and the temporary file is gone. A file that is replaced keeps its
    mode, and its owner where that is permitted; a link stays, and what it leads to is replaced.

    Parameters
    ----------
    place : str, Path or Remote
    parents : bool
        Whether to make the folders it lies in; those made are gone too after an error.
    mark : str, optional
        What the file was made of, as far as it can say so itself: an object of a store can.
    after : callable, optional
        Called with the open file, which is locked until it is closed, when it has the name; not in a store, nor on
        Windows, where it is closed before.

    Raises
    ------
    OutputError
        If the folder or the file cannot be written to.
    """
    place = place_of(place)
    if not (parents or isinstance(place, Path)):
        place.check_name()
    with _on_disk(place, parents, after) if isinstance(place, Path) else place.replacing(mark) as draft:
        yield draft


@contextmanager
def _on_disk(path: Path, parents: bool, after: Callable[[int], None] | None) -> Iterator[Path]:
    """Give a temporary file that takes the name of another.

    Parameters
    ----------
    path : Path
    parents : bool
        Whether to make the folders it lies in.
    after : callable or None
        Called with the open file when it has the name.
    """
    if path.is_symlink():
        path = Path(os.path.realpath(path))
    temporary = beside(path, ".", f".{secrets.token_hex(4)}.streamnorm")
    made: list[Path] = []
    handle = -1
    try:
        made += [folder for folder in path.parents if parents and not folder.exists()]
        if made:
            path.parent.mkdir(parents=True, exist_ok=True)
        handle = _claim(temporary)
        _keep_who_may(handle, path)
        yield temporary
        os.fsync(handle)
        if os.name == "nt":  # an open file cannot be renamed there
            os.close(handle)
            handle = -1
        temporary.replace(path)
        for folder in (path, *made):
            _sync_folder(folder.parent)
        if after and handle >= 0:
            after(handle)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError) and not isinstance(error, StreamnormError):
            raise unwritable(path, error) from error
        raise
    finally:
        if handle >= 0:
            with suppress(OSError):  # all bytes are on the disk, or an error is on its way already
                os.close(handle)


def replace_version(
    place: Target, version: Identity | None, text: str, after: Callable[[int], None] | None = None
) -> Identity | None:
    """Replace a file, unless it is no longer the one that `identity` knew; give what tells the new one, else None.

    Parameters
    ----------
    place : Path or Remote
    version : tuple or Version or None
        What `identity` gave; None where there was no file.
    text : str
        What it shall hold.
    after : callable, optional
        As of `replacing`.
    """
    if not isinstance(place, Path):
        return place.put(text.encode(), version)
    with folder_locked(place.parent):
        if identity(place) != version:
            return None
        replace(place, text, after)
        return identity(place)


def replace(place: Target, text: str, after: Callable[[int], None] | None = None) -> None:
    """Replace a file in one step, and remove what killed processes left beside it.

    Parameters
    ----------
    place : Path or Remote
    text : str
        What it shall hold.
    after : callable, optional
        As of `replacing`.
    """
    if isinstance(place, Path):
        sweep([Path(os.path.realpath(place)).parent])
    with replacing(place, after=after) as draft:
        draft.write_text(text, encoding="utf-8")


def entries(folder: Target) -> list[Target]:
    """Give what lies in a folder; nothing where there is none."""
    if not isinstance(folder, Path):
        return list(folder.below())
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def mark_of(place: Target) -> str | None:
    """Give what a file says that it was made of, with which it was replaced; None of a file on a disk."""
    return None if isinstance(place, Path) else place.mark()


def beside(path: T, before: str, after: str) -> T:
    """Give the path of what is kept beside a file, named after it.

    Where that name would be longer than file systems allow, it is cut, and told from others by a hash.

    Parameters
    ----------
    path : Path or Remote
    before, after : str
        What is put before and behind the file's name.
    """
    name = os.fsencode(path.name)
    room = _LONGEST - len(before) - len(after)
    if len(name) <= room:
        return cast("T", path.with_name(f"{before}{path.name}{after}"))
    mark = hashlib.sha256(name).hexdigest()[:8]
    cut = name[: room - len(mark) - 1].decode("utf-8", "ignore")
    return cast("T", path.with_name(f"{before}{cut}~{mark}{after}"))


def _keep_who_may(handle: int, path: Path) -> None:
    """Let those read and write a new file who may read and write the one that it replaces, and nobody else."""
    if os.name == "nt" or not path.exists():
        return
    found, new = path.stat(), os.fstat(handle)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_gid != new.st_gid:
        try:
            os.fchown(handle, -1, found.st_gid)
        except OSError:
            mode &= ~stat.S_IRWXG  # would be for another group
    if found.st_uid != new.st_uid:
        with suppress(OSError):
            os.fchown(handle, found.st_uid, -1)
    os.fchmod(handle, mode)


def sweep(folders: Iterable[Target]) -> None:
    """Remove the temporary files of processes that were killed; those of living ones are locked, and stay.

    In a store there are none: an upload that was cut off has no name, and goes when the bucket's rules say.
    """
    for folder in folders:
        if not isinstance(folder, Path):
            continue
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    _remove_if_left(Path(entry.path))


def _remove_if_left(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        if lock(handle, wait=False):
            path.unlink()
    finally:
        os.close(handle)


def _claim(temporary: Path) -> int:
    """Make a file and lock it, so that `sweep` knows it for one that is being written."""
    while True:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        lock(handle, wait=False)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # swept away before it was locked


def _sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def refuse_existing(path: Target, remedy: str) -> None:
    """Raise OutputError, with what to do about it, where there is something at a path already."""
    if path.exists():
        raise OutputError(f"{path} exists: {remedy}.")
