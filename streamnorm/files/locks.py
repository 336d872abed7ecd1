"""Locks on files and folders: one process at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamnorm.errors import StateError

__all__ = ["claim", "folder_locked", "identity", "identity_of", "lock"]

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


def identity(path: Path) -> tuple[int, ...] | None:
    """Give what tells a file from one that replaces it; None where there is none."""
    try:
        return _identify(path.stat())
    except FileNotFoundError:
        return None


def identity_of(handle: int) -> tuple[int, ...]:
    """Give what `identity` gives of an open file."""
    return _identify(os.fstat(handle))


def _identify(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def claim(path: Path) -> int | None:
    """Lock the file or folder that has the name now, not one that it has just replaced; None where there is none.

    Raises
    ------
    StateError
        If another process has locked it.
    """
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
