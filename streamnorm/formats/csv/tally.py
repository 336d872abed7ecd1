"""What was seen of a file while its pieces were read by threads, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

from streamnorm.formats.csv.parsed import Parsed
from streamnorm.formats.csv.seen import Seen

__all__ = ["Tally"]


class Tally:
    """What all pieces that were read gave, with rows counted from the beginning of the file.

    A piece waits until those before it are there, since only then the numbers of its rows are known.
    """

    def __init__(self) -> None:
        self.columns: dict[str, Seen] = {}
        #: Rows with empty fields beyond the header's, and the first of them, from 1; 0 if there is none.
        self.padded = (0, 0)
        self._rows, self._next = 0, 1
        self._waiting: dict[int, tuple[int, Mapping[str, Seen], tuple[int, int]]] = {}
        self._lock = Lock()

    def __reduce__(self) -> Any:  # a lock cannot be pickled; where it is sent to, nothing was read yet
        return Tally, ()

    def add(self, number: int, found: Parsed, slots: Mapping[str, int]) -> None:
        """Add what one piece gave; from any thread.

        Parameters
        ----------
        number : int
            Of the piece, from 1.
        found : Parsed
        slots : mapping of str to int
            The columns that are looked at, and where they stand.
        """
        seen = {name: found.seen(slot) for name, slot in slots.items()}
        with self._lock:
            self._waiting[number] = found.rows, seen, found.padded
            while self._next in self._waiting:
                self._add(*self._waiting.pop(self._next))
                self._next += 1

    def _add(self, rows: int, columns: Mapping[str, Seen], padded: tuple[int, int]) -> None:
        """Add the next piece.

        Parameters
        ----------
        rows : int
        columns : mapping of str to Seen
        padded : tuple of int
            Rows with empty fields beyond the header's, and the first of them, from 0.
        """
        for name, seen in columns.items():
            self.columns[name] = self.columns.get(name, Seen()) + seen.after(self._rows)
        if padded[0]:
            self.padded = self.padded[0] + padded[0], self.padded[1] or self._rows + padded[1] + 1
        self._rows += rows
