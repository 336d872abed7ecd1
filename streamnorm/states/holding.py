"""One process at a time updates a state: the other is told, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamnorm.errors import StateError, StreamnormError
from streamnorm.files.locks import lock
from streamnorm.states.file import State, read, write

__all__ = ["Held", "claim", "holding"]


@dataclass(frozen=True)
class Held:
    """A state file that is being updated here.

    Parameters
    ----------
    path : Path
    before : tuple or None
        What identified the file at the start; None where there was none.
    """

    path: Path
    before: tuple[int, ...] | None

    @property
    def exists(self) -> bool:
        """Whether there was a state at the start."""
        return self.before is not None

    @property
    def written(self) -> int:
        """When the state was written, in nanoseconds since 1970."""
        return self.before[-1] if self.before else 0

    def read(self) -> State:
        """Read the state; raises StateError where there is none that can be trusted."""
        return read(self.path)

    @property
    def unchanged(self) -> bool:
        """Whether the state is still the one that was there at the start."""
        return _identity(self.path) == self.before

    def write(self, state: State) -> None:
        """Replace the state in one step, unless it is no longer the one that was there at the start.

        Raises
        ------
        StateError
            If another process wrote a state there meanwhile; it stays.
        """
        with _naming(self.path), _folder_locked(self.path.parent):
            if not self.unchanged:
                raise StateError(
                    f"{self.path} was written by another process meanwhile, and stays as that one left it: run this "
                    "again to add to it."
                )
            write(state, self.path)


@contextmanager
def holding(path: str | Path) -> Iterator[Held]:
    """Keep a state to this process until the block ends.

    Raises
    ------
    StateError
        If another process holds it.
    """
    path = Path(path)
    with _naming(path):
        handle, before = claim(path), _identity(path)
    try:
        yield Held(path, before)
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn what goes wrong with handles and folders, which have no names, into one sentence that names the state."""
    try:
        yield
    except StreamnormError:
        raise
    except OSError as error:
        raise StateError(f"{path} cannot be updated: {error.strerror}; see to it and run this again.") from error


def _identity(path: Path) -> tuple[int, ...] | None:
    try:
        return _identify(path.stat())
    except FileNotFoundError:
        return None


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
            kept = locked is not False and _identify(os.fstat(handle)) == _identity(path)
        finally:
            if not kept:
                os.close(handle)
        if kept:
            return handle
        if locked is False:
            raise StateError(f"{path} is being updated by another process: run this again when that is done.")


@contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
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
