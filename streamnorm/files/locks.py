"""Locks between processes, which end with the process that holds them."""

from __future__ import annotations

import sys

if sys.platform != "win32":
    import fcntl

__all__ = ["lock"]


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
