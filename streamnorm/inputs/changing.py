"""Tables that change: what any of them says of one version of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.files import Place
from streamnorm.formats import CsvOptions, Source
from streamnorm.inputs.tablefile import NoFiles, TableColumn, TableFile

__all__ = ["ChangingTable", "Commit", "Snapshot", "needing"]


@dataclass(frozen=True)
class Snapshot:
    """One version of a table.

    Parameters
    ----------
    location : str
        What a record calls the table.
    place : Place
        Its folder.
    identity : str
        Tells it from another table that was made at the same place.
    version : int
    columns : tuple of TableColumn
    files : tuple of TableFile
        The data files that count in this version.
    partitioned : tuple of str
        Columns that have one value in each file, where the table says so of all its files.
    """

    location: str
    place: Place
    identity: str
    version: int
    columns: tuple[TableColumn, ...]
    files: tuple[TableFile, ...]
    partitioned: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({file.log_path for file in self.files}) == len(self.files):
            return
        ((path, _),) = Counter(file.log_path for file in self.files).most_common(1)
        raise SourceError(f"{self.location} lists {path} more than once, which is not read: write its rows anew first.")

    @property
    def sources(self) -> list[Source]:
        """The files; where there are none, what says what the columns are."""
        if self.files:
            return list(self.files)
        return [NoFiles(self.place, pa.schema([column.field for column in self.columns]), CsvOptions())]


@dataclass(frozen=True)
class Commit:
    """What a commit, or a part of it, did to the files of a table.

    Parameters
    ----------
    removed : tuple of str
        Paths of files that no longer count, or not as they did.
    added : mapping of str to int or None
        Paths of those that count now, and their rows, where these are known.
    only_moved : bool
        Whether the table says that the rows of these are all among the rows of those.
    """

    removed: tuple[str, ...]
    added: Mapping[str, int | None]
    only_moved: bool


class ChangingTable(ABC):
    """A table whose log says which of its files count in which version."""

    #: What a record, and messages, call it.
    location: str
    #: Whether what was given is one version, and not the table as it is now.
    is_fixed: bool = False
    #: What it is, and what to do where it cannot be read, for messages.
    kind: ClassVar[str]
    remedy: ClassVar[str]

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Turn what goes wrong while the table's log is read into one sentence that names the table."""
        try:
            yield
        except SourceError:
            raise
        except Exception as error:  # libraries of tables raise errors of many kinds, and their engines bare ones
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise SourceError(f"{self.location} cannot be read as {self.kind}: {reason}; {self.remedy}.") from error

    @abstractmethod
    def snapshot(self, version: int | None = None, as_of: str | None = None) -> Snapshot:
        """Give the newest version, or another one by its number or by the time at which it was the newest.

        Raises
        ------
        SourceError
            If there is no such version, or the table is written in a way that is not read.
        """

    def commits(self, before: int, after: int) -> Sequence[Commit]:
        """Give what the commits behind one version, up to another, changed; nothing where that is not known."""
        return ()


def needing(library: str, extra: str, error: ImportError) -> SourceError:
    """Give the error for a library that is not there.

    Parameters
    ----------
    library, extra : str
        Its name, and that of the extra that it comes with.
    error : ImportError
    """
    return SourceError(f"{library} is needed to read this table ({error}): pip install 'streamnorm[{extra}]'.")
