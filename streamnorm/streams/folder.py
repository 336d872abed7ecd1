"""A folder that files arrive in: those that are complete are counted once, and their normalised copies written."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from streamnorm.errors import SourceError, StreamnormError
from streamnorm.files import Stamp, Target, place_of, stamp
from streamnorm.formats import CsvOptions, Source
from streamnorm.inputs import expand
from streamnorm.jobs import Effort, How, copy_missing, count, options_of
from streamnorm.states import name_held, read, record_of
from streamnorm.tables import Table

__all__ = ["Folder"]

_LOG = logging.getLogger("streamnorm")
#: Seconds between two questions whether to end.
_NAP = 0.2


class Folder:
    """A folder that is followed.

    Parameters
    ----------
    folder : str or Path
        Or a glob, or a folder in an object store.
    output : str or Path, optional
        The folder of the normalised copies.
    skip : bool
        Whether files that cannot be read are passed over until they change, rather than an error.
    every : float
        Seconds between looks. A file that was not there at the look before, or has changed since, waits for the next.
    once : bool
        Whether to end after one look, by which all files count as complete.
    stop : callable
        Tells whether to end.
    options : CsvOptions, optional
        How CSV files are written.
    effort : Effort, optional
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        output: str | Path | None = None,
        skip: bool = False,
        every: float = 60.0,
        once: bool = False,
        stop: Callable[[], object] = bool,
        options: CsvOptions | None = None,
        effort: Effort | None = None,
    ) -> None:
        self._folder, self._output, self._skip, self._every = folder, output, skip, every
        self._once, self._stop, self._options, self._effort = once, stop, options, effort
        self._seen: dict[str, Stamp] = {}
        self._passed_over: dict[str, Stamp] = {}
        self._uncopied = True
        self.tally: Counter[str] = Counter()

    def follow(self, state: str | Path, table: Table | None) -> None:
        """Follow it until it is to end.

        Parameters
        ----------
        state : str or Path
            The state file.
        table : Table or None
            Chooses columns and scalers of a new state; those of one that is there must be the same.
        """
        with name_held(state):
            if self._output is not None and place_of(state).exists():
                read(state).mapping()  # before anything is counted
            while not self._stop():
                self._look(place_of(state), table)
                if self._once:
                    break
                until = time.monotonic() + self._every
                while not self._stop() and (left := until - time.monotonic()) > 0:
                    time.sleep(min(_NAP, left))

    def _look(self, state: Target, table: Table | None) -> None:
        """Count what is new and complete, and write the copies that are missing."""
        record = record_of(state)
        found = self._complete(self._found(self._options or options_of(record)), {entry.location for entry in record})
        known = {(entry.location, entry.size, entry.modified) for entry in record}
        if any((source.location, *stamp(source.path)[1:]) not in known for source in found):
            found = self._count(state, found, table)
            self.tally["file"] += len(record_of(state)) - len(record)
            self._uncopied = True
        if self._output is not None and found and self._uncopied:
            self.tally["written"] += copy_missing(
                read(state).mapping(), found, self._folder, self._output, self._effort
            )
            self._uncopied = False

    def _found(self, options: CsvOptions | None) -> list[Source]:
        try:
            return expand(self._folder, options)
        except SourceError:
            if self._once or not Path(self._folder).is_dir():
                raise
            return []  # no file has come yet

    def _complete(self, found: Sequence[Source], counted: set[str]) -> list[Source]:
        """Keep the files that have not changed since the last look, and those that were counted."""
        now: dict[str, Stamp] = {}
        for source in found:
            try:
                now[source.location] = stamp(source.path)
            except SourceError:  # taken away since
                continue
        kept = [
            source
            for source in found
            if (at := now.get(source.location))
            and (self._once or source.location in counted or self._seen.get(source.location) == at)
            and self._passed_over.get(source.location) != at
        ]
        self._seen = now
        return kept

    def _count(self, state: Target, found: list[Source], table: Table | None) -> list[Source]:
        """Count files, one by one if any cannot be read and that is to be passed over; gives those that were counted.

        Parameters
        ----------
        state : Path or Remote
        found : list of Source
        table : Table or None
        """
        try:
            self._add(state, found, table)
        except StreamnormError:
            if not self._skip:
                raise
            return [source for source in found if self._counted_alone(state, source, table)]
        return found

    def _counted_alone(self, state: Target, source: Source, table: Table | None) -> bool:
        """Count one file, and tell whether that could be; one that is passed over is looked at again when it changes.

        Parameters
        ----------
        state : Path or Remote
        source : Source
        table : Table or None
        """
        before = stamp(source.path)
        try:
            self._add(state, [source], table)
        except StreamnormError as error:
            _LOG.warning("%s is passed over until it changes: %s", source.path, error)
            self._passed_over[source.location] = before
            return False
        return True

    def _add(self, state: Target, found: list[Source], table: Table | None) -> None:
        """Add files to the state, or begin it with them.

        Parameters
        ----------
        state : Path or Remote
        found : list of Source
        table : Table or None
        """
        given = [str(source.path) for source in found]  # what was counted may go
        how: How = "add" if state.exists() else "new"
        count(state, given, found, table or Table(), how=how, chosen=table is not None, effort=self._effort)
