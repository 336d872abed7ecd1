"""One process at a time updates a state: the other is told, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from streamnorm.errors import StateError, StreamnormError
from streamnorm.files import (
    Identity,
    Target,
    beside,
    claim,
    identity,
    identity_of,
    lock,
    place_of,
    replace_version,
    time_of,
)
from streamnorm.states.document import to_json
from streamnorm.states.file import read
from streamnorm.states.state import State

__all__ = ["Held", "holding", "name_held"]


@dataclass
class Held:
    """A state file that is being updated here.

    Parameters
    ----------
    path : Path or Remote
    before : tuple or Version or None
        What identified the file when it was read, or written here last; None where there was none.
    handle : int or None
        The file, open and locked, where there is one.
    """

    path: Target
    before: Identity | None
    handle: int | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a state."""
        return self.before is not None

    @property
    def written(self) -> int:
        """When the state was written, in nanoseconds since 1970."""
        return time_of(self.before)

    def read(self) -> State:
        """Read the state; raises StateError where there is none that can be trusted."""
        return read(self.path)

    @property
    def unchanged(self) -> bool:
        """Whether the state is still the one that was there at the start, or was written here."""
        return identity(self.path) == self.before

    def write(self, state: State) -> None:
        """Replace the state in one step, as `write_text` does."""
        self.write_text(to_json(state))

    def write_text(self, text: str) -> None:
        """Replace the state in one step, unless it is no longer the one that was there; the new one is held, too.

        Raises
        ------
        StateError
            If another process wrote a state there meanwhile; it stays.
        """
        with _naming(self.path):
            now = replace_version(self.path, self.before, text, self._take)
        if now is None:
            raise StateError(
                f"{self.path} was written by another process meanwhile, and stays as that one left it: run this "
                "again to add to it."
            )
        self.before = now

    def _take(self, handle: int) -> None:
        """Hold the file that has replaced the one that was held: its lock is never let go in between."""
        self.let_go()
        self.handle = os.dup(handle)

    def let_go(self) -> None:
        """Let others have the file."""
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


@contextmanager
def holding(path: str | Target) -> Iterator[Held]:
    """Keep a state to this process until the block ends.

    Nothing can be held in a store: who replaces it there second is told, and has replaced nothing.

    Raises
    ------
    StateError
        If another process holds it.
    OutputError
        If a store could lose one of two updates.
    """
    place = place_of(path)
    with _naming(place):
        handle, before = claim(place), identity(place)
    held = Held(place, before, handle)
    try:
        yield held
    finally:
        held.let_go()


@contextmanager
def name_held(path: str | Path) -> Iterator[None]:
    """Keep the name of a state to this process until the block ends, whether or not there is one by now.

    Raises
    ------
    StateError
        If another process has it.
    """
    if os.name == "nt" or not isinstance(place_of(path), Path):
        yield  # nothing can be held there
        return
    place = Path(os.path.realpath(path))
    taken = beside(place, ".", ".00000000.streamnorm")  # a temporary file's, so that it is swept away after a kill
    with _naming(place):
        handle = _open_locked(taken, place)
    try:
        yield
    finally:
        with suppress(OSError):
            taken.unlink()
        os.close(handle)


def _open_locked(path: Path, state: Path) -> int:
    """Make a file and lock it; StateError, about the state, where another process has."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        locked = lock(handle, wait=False)
        if locked is not False and identity(path) == identity_of(handle):
            return handle
        os.close(handle)
        if locked is False:
            raise StateError(f"{state} is being updated by another process: run this again when that is done.")


@contextmanager
def _naming(path: Target) -> Iterator[None]:
    """Turn what goes wrong with handles and folders, which have no names, into one sentence that names the state."""
    try:
        yield
    except StreamnormError:
        raise
    except OSError as error:
        raise StateError(f"{path} cannot be updated: {error.strerror}; see to it and run this again.") from error
