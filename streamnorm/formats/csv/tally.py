"""What was seen of a file while its pieces were read by threads, in any order."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.formats.csv.parsed import Parsed
from streamnorm.formats.csv.seen import Seen

__all__ = ["Tally"]


class Tally:
    """What all pieces that were read gave, with rows counted from the beginning of the file.

    Where something stands waits until the pieces before are there, since only then the numbers of rows are known.
    """

    def __init__(self) -> None:
        #: Rows with empty fields beyond the header's, and the first of them, from 1; 0 if there is none.
        self.padded = (0, 0)
        self._counts: dict[tuple[str, ...], NDArray[np.int64]] = {}
        self._firsts: dict[str, Seen] = {}
        self._rows, self._next = 0, 1
        self._waiting: dict[int, tuple[int, Mapping[str, Seen], tuple[int, int]]] = {}
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}  # which cannot be sent

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())

    @property
    def columns(self) -> dict[str, Seen]:
        """What was seen of each column."""
        columns, nothing = {}, Seen()
        for names, counts in self._counts.items():
            for name, row in zip(names, counts.tolist(), strict=True):
                columns[name] = Seen(*row) + self._firsts.get(name, nothing)
        return columns

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
        names, counts = tuple(slots), found.counts[list(slots.values())]
        firsts = {name: found.firsts(slot) for name, slot in slots.items() if slot in found.with_firsts}
        with self._lock:
            self._counts[names] = self._counts[names] + counts if names in self._counts else counts
            self._waiting[number] = found.rows, firsts, found.padded
            while self._next in self._waiting:
                self._place(*self._waiting.pop(self._next))
                self._next += 1

    def _place(self, rows: int, firsts: Mapping[str, Seen], padded: tuple[int, int]) -> None:
        """Say where something stands in the next piece.

        Parameters
        ----------
        rows : int
        firsts : mapping of str to Seen
            Where the first values stand that are none, or codes.
        padded : tuple of int
            Rows with empty fields beyond the header's, and the first of them, from 0.
        """
        for name, seen in firsts.items():
            self._firsts[name] = self._firsts.get(name, Seen()) + seen.after(self._rows)
        if padded[0]:
            self.padded = self.padded[0] + padded[0], self.padded[1] or self._rows + padded[1] + 1
        self._rows += rows
