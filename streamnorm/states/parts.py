"""Each source's own summary, kept beside the state, so that it can be taken out without its old bytes.

A part is a state file of one source. Its name is made of the content it was read from and of what was
learnt from it, so that a part is never replaced by another one: a state that was not replaced after a
crash finds its parts as they were.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamnorm.errors import OutputError, StateError
from streamnorm.files import beside, claim, replacing, sweep
from streamnorm.states.document import to_json
from streamnorm.states.file import read
from streamnorm.states.state import Counted, State
from streamnorm.tables import Learnt, Table

__all__ = ["Parts"]

_NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}\.json")


class Parts:
    """The folder ``STATE.parts``.

    Parameters
    ----------
    state : Path
        The state file.
    """

    def __init__(self, state: Path) -> None:
        self.folder = beside(state, "", ".parts")
        self._new: list[Path] = []

    def has(self, record: Iterable[Counted]) -> bool:
        """Tell whether a part is kept of any source in the record; a process that was killed may have left others."""
        try:
            kept = set(os.listdir(self.folder))  # noqa: PTH208 (names alone)
        except OSError:
            return False
        return any(_name_of(entry) in kept for entry in record)

    @contextmanager
    def alone(self, *, make: bool = False) -> Iterator[None]:
        """Keep the parts to this process until the block ends: what another one keeps must not be tidied away.

        Parameters
        ----------
        make : bool
            Whether parts will be kept; else there is nothing to be kept alone where there are none.

        Raises
        ------
        StateError
            If another process is at them.
        """
        handle = self._claim(make)
        try:
            yield
        finally:
            with suppress(OSError):
                self.folder.rmdir()  # where nothing is in it
            if handle is not None:
                os.close(handle)

    def _claim(self, make: bool) -> int | None:
        handle = None
        try:
            while handle is None and (make or self.folder.is_dir()):
                if make:
                    self.folder.mkdir(exist_ok=True)
                if os.name == "nt":  # a folder cannot be opened there
                    break
                handle = claim(self.folder)
        except OSError as error:
            raise OutputError(f"{self.folder} cannot be used: {error.strerror}; see to it, or keep none.") from error
        return handle

    def _path(self, entry: Counted) -> Path:
        return self.folder / _name_of(entry)

    def keep(self, entry: Counted, learnt: Learnt, table: Table) -> None:
        """Keep what was learnt from one source.

        Parameters
        ----------
        entry : Counted
            The entry of the record.
        learnt : Learnt
        table : Table
            Its settings count.
        """
        path = self._path(entry)
        if not path.exists():
            self._new.append(path)
        with replacing(path, parents=True) as temporary:
            temporary.write_text(to_json(State(table.with_learnt(learnt), (entry,))), encoding="utf-8")

    def find(self, entry: Counted) -> Learnt | None:
        """Give what was learnt from a source, if it was kept.

        Raises
        ------
        StateError
            If its part is damaged or is another one's.
        """
        path = self._path(entry)
        if not (_NAME.fullmatch(path.name) and path.exists()):
            return None
        learnt = read(path).table.learnt
        if learnt.digest() != entry.digest:
            raise StateError(f"{path} is not the part of {entry.location}: restore it, or count anew (--rebuild).")
        return learnt

    def drop_new(self) -> None:
        """Remove the parts that were kept for a state that will not be written."""
        with suppress(OSError):
            for path in self._new:
                path.unlink(missing_ok=True)

    def tidy(self, record: Iterable[Counted]) -> None:
        """Remove the parts that the record does not have."""
        with suppress(OSError):
            sweep([self.folder])
            known = {_name_of(entry) for entry in record}
            for path in self.folder.iterdir():
                if _NAME.fullmatch(path.name) and path.name not in known:
                    path.unlink()


def _name_of(entry: Counted) -> str:
    return f"{entry.fingerprint}-{entry.digest}.json"
