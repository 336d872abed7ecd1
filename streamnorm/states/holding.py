"""One process at a time updates a state: the other is told, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamnorm.errors import StateError, StreamnormError
from streamnorm.files import claim, folder_locked, identity
from streamnorm.states.file import read, write
from streamnorm.states.state import State

__all__ = ["Held", "holding"]


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
        return identity(self.path) == self.before

    def write(self, state: State) -> None:
        """Replace the state in one step, unless it is no longer the one that was there at the start.

        Raises
        ------
        StateError
            If another process wrote a state there meanwhile; it stays.
        """
        with _naming(self.path), folder_locked(self.path.parent):
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
        handle, before = claim(path), identity(path)
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
