"""The journal of a transform: which outputs it has finished, so that a rerun can go on from there.

In a store each output says itself what it was made of. On a disk that stands in a file: an output's line is written
before the output takes its name; it counts only for a file of that very size and time, so that it proves nothing of an
older file of the same name. The file stays when the job is done, since whoever started it may not have learnt that, and
start it again; the lines of outputs that are no longer so go with the next job.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamnorm.errors import unwritable
from streamnorm.files import Draft, Target, beside, check_unchanged, mark_of, replacing, stamp, sweep
from streamnorm.formats import Source
from streamnorm.tables import Table
from streamnorm.version import __version__

__all__ = ["Journal", "job_of", "journal_of"]

Pair = tuple[Source, Target]


def job_of(table: Table, sources: Sequence[Source], inverse: bool) -> str:
    """Name what makes two transforms write the same: statistics, direction, CSV options and version.

    Parameters
    ----------
    table : Table
    sources : sequence of Source
    inverse : bool
        Whether to map back.
    """
    options = sorted({repr(source.options) for source in sources})
    text = repr((table.digest(), inverse, options, __version__))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Journal(ABC):
    """What a job has finished.

    Parameters
    ----------
    pairs : sequence of (Source, Path or Remote)
        Made before anything is read: a source that changes from now on is noticed.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._stamps = {source: stamp(source.path) for source, _ in pairs}
        self.pairs = pairs

    @abstractmethod
    def unfinished(self, job: str) -> list[Pair]:
        """Give the pairs that an earlier run of this job has not finished."""

    @abstractmethod
    def writing(self, job: str) -> Any:
        """Keep the journal while outputs are written, and take back what a job leaves that finished none."""

    def mark(self, job: str, source: Source) -> str:
        """Say in short what an output is made of: the job, and the source as it is.

        Parameters
        ----------
        job : str
            What `job_of` gave.
        source : Source
        """
        text = repr((job, source.location, self._stamps[source]))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def finish(self, job: str, source: Source, target: Target, draft: Draft) -> None:
        """Note an output that is complete and about to take its name, if its source stayed the same.

        Parameters
        ----------
        job : str
            What `job_of` gave.
        source : Source
        target : Path or Remote
            The output.
        draft : Path or Upload
            What is about to take its name.
        """
        check_unchanged(source.path, self._stamps[source])


def journal_of(output: Target, pairs: Sequence[Pair]) -> Journal:
    """Give the journal of what is written to a file or folder.

    Parameters
    ----------
    output : Path or Remote
    pairs : sequence of (Source, Path or Remote)
        The sources, and the names of their copies in it.
    """
    return _Lines(output, pairs) if isinstance(output, Path) else _Marks(pairs)


class _Marks(Journal):
    """What the outputs say themselves."""

    def unfinished(self, job: str) -> list[Pair]:
        return [(source, target) for source, target in self.pairs if mark_of(target) != self.mark(job, source)]

    @contextmanager
    def writing(self, job: str) -> Iterator[None]:
        yield


class _Lines(Journal):
    """Lines in a hidden file in the output folder, or beside the only output.

    It is no data: a folder is read without it, and it may be removed, but for `resume` where a job was stopped.

    Parameters
    ----------
    output : Path
        The file or folder that is written.
    pairs : sequence of (Source, Path)
    """

    def __init__(self, output: Path, pairs: Sequence[Pair]) -> None:
        super().__init__(pairs)
        alone = [path for _, path in pairs] == [output]
        self._path = beside(output, ".", ".resume") if alone else output / ".streamnorm.resume"
        self._new, self._new_folder = not self._path.exists(), not self._path.parent.exists()

    def unfinished(self, job: str) -> list[Pair]:
        lines = set(self._lines())
        return [pair for pair in self.pairs if not pair[1].exists() or self._line(job, *pair, pair[1]) not in lines]

    def _lines(self) -> list[str]:
        """Give what is written; without a journal that can be read, everything is still to be done."""
        with suppress(OSError):
            return self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        return []

    def _tidy(self) -> None:
        """Drop the lines of outputs that are no longer as they were written, lest they grow night by night."""
        lines = [line for line in self._lines() if line]
        kept = [line for line in lines if self._holds(line)]
        if len(kept) < len(lines):
            with replacing(self._path) as temporary:
                temporary.write_text("\n".join(kept), encoding="utf-8")

    def _holds(self, line: str) -> bool:
        """Tell whether the output that a line is of is still as it was written."""
        try:
            _, name, size, modified = json.loads(line)[:4]
            found = (self._path.parent / name).stat()
        except (ValueError, TypeError, OSError):
            return False
        return (found.st_size, found.st_mtime_ns) == (size, modified)

    @contextmanager
    def writing(self, job: str) -> Iterator[None]:
        sweep({path.parent for _, path in self.pairs})
        self._tidy()
        try:
            yield
        except BaseException:
            if self._new and len(self.unfinished(job)) == len(self.pairs):
                self._remove()
            raise

    def finish(self, job: str, source: Source, target: Any, draft: Any) -> None:
        """Write the line of an output.

        Parameters
        ----------
        job : str
            What `job_of` gave.
        source : Source
        target : Path
            The output.
        draft : Path
            The file that is about to take its name.
        """
        super().finish(job, source, target, draft)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{self._line(job, source, target, draft)}")  # after a line that was cut off, too
        except OSError as error:
            raise unwritable(self._path, error) from error

    def _remove(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            if self._new_folder:
                self._path.parent.rmdir()  # where nothing is in it

    def _line(self, job: str, source: Source, target: Any, written: Any) -> str:
        """Identify an output: its name, its file, and what it was made of.

        Parameters
        ----------
        job : str
            What `job_of` gave.
        source : Source
        target : Path
            The output.
        written : Path
            The file that has, or is about to take, the output's name.
        """
        found = written.stat()
        name = str(target.relative_to(self._path.parent))
        return json.dumps([job, name, found.st_size, found.st_mtime_ns, source.location, *self._stamps[source]])
