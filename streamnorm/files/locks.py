"""Locks on files and folders: one process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamnorm.errors import OutputError, StateError
from streamnorm.files.places import Target
from streamnorm.files.stores import Version

__all__ = ["Identity", "claim", "folder_alone", "folder_locked", "identity", "identity_of", "lock", "time_of"]

if sys.platform != "win32":
    import fcntl


def lock(handle: int, *, wait: bool) -> bool | None:
    """Lock an open file or folder until it is closed or the process ends, however it ends.

    Returns
    -------
    bool or None
        True when it is locked, False when another has the lock, None where the system or the file system
        knows no such locks.
    """
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


#: What tells a file from one that replaces it.
Identity = tuple[int, ...] | Version


def identity(place: Target) -> Identity | None:
    """Give what tells a file from one that replaces it; None where there is none."""
    if not isinstance(place, Path):
        return place.version()
    try:
        return _identify(place.stat())
    except FileNotFoundError:
        return None


def time_of(found: Identity | None) -> int:
    """Give when a file was written, by what `identity` gave of it, in nanoseconds since 1970; 0 of none."""
    if isinstance(found, Version):
        return found.modified
    return found[-1] if found else 0


def identity_of(handle: int) -> tuple[int, ...]:
    """Give what `identity` gives of an open file."""
    return _identify(os.fstat(handle))


def _identify(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def claim(path: Target) -> int | None:
    """Lock the file or folder that has the name now, not one that it has just replaced; None where there is none.

    A store and Windows have no such locks: of a store it is found out whether it replaces a file only while that is
    still the same.

    Raises
    ------
    StateError
        If another process has locked it.
    OutputError
        If a store cannot.
    """
    if not isinstance(path, Path):
        path.check_conditions()
        return None
    if os.name == "nt":  # which knows no such locks, and would not let a file be replaced while it is open
        return None
    while True:
        try:
            handle = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        kept = False
        try:
            locked = lock(handle, wait=False)
            kept = locked is not False and _identify(os.fstat(handle)) == identity(path)
        finally:
            if not kept:
                os.close(handle)
        if kept:
            return handle
        if locked is False:
            raise StateError(f"{path} is being updated by another process: run this again when that is done.")


@contextmanager
def folder_alone(folder: Target, *, make: bool) -> Iterator[None]:
    """Keep a folder to this process until the block ends; one that nothing is in is gone then.

    A store has neither locks nor folders: there it is on who replaces the state.

    Parameters
    ----------
    folder : Path or Remote
    make : bool
        Whether to make it; else one that is not there is not kept.

    Raises
    ------
    StateError
        If another process has it.
    OutputError
        If it cannot be made or read.
    """
    handle = _claim_folder(folder, make) if isinstance(folder, Path) else None
    try:
        yield
    finally:
        if isinstance(folder, Path):
            with suppress(OSError):
                folder.rmdir()
        if handle is not None:
            os.close(handle)


def _claim_folder(folder: Path, make: bool) -> int | None:
    handle = None
    try:
        while handle is None and (make or folder.is_dir()):
            if make:
                folder.mkdir(exist_ok=True)
            handle = claim(folder)
            if os.name == "nt":
                break
    except OSError as error:
        raise OutputError(f"{folder} cannot be used: {error.strerror}; see to it, or keep none.") from error
    return handle


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Let no other process look at what is there and replace it at the same time."""
    if os.name == "nt":
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        lock(handle, wait=True)
        yield
    finally:
        os.close(handle)
