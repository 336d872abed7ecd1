"""The bytes of a file that is being written: many pieces in one call of the system, and to the disk while more come."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamnorm import kernel
from streamnorm.files import Draft

__all__ = ["Output"]

#: Pieces that one call of the system takes.
_PIECES = 1024
#: Bytes after which the disk is told to begin: an fsync at the end would find it idle, and wait for all of them.
_EARLY_BYTES = 2 << 20
#: Bytes of a page of memory, of which a file is brought to the disk as wholes.
_PAGE_BYTES = 1 << 12


class Output:
    """Writes one piece behind the other.

    Parameters
    ----------
    draft : Path or Upload
        The file to be written.
    """

    def __init__(self, draft: Draft) -> None:
        self._number: int | None = None
        if isinstance(draft, Path):
            self._file: Any = draft.open("wb", buffering=0)
            self._number = self._file.fileno()
        else:
            self._file = draft.open("wb")
        self.at = self._begun = 0

    def write(self, pieces: Sequence[Any]) -> None:
        """Write pieces, each a buffer of bytes."""
        for first in range(0, len(pieces), _PIECES):
            self._write(pieces[first : first + _PIECES])
        if self._number is not None and self.at - self._begun > _EARLY_BYTES:
            end = self.at // _PAGE_BYTES * _PAGE_BYTES
            kernel.write_early(self._number, self._begun, end - self._begun)
            self._begun = end

    def _write(self, pieces: Sequence[Any]) -> None:
        size = sum(map(len, pieces))
        done = os.writev(self._number, pieces) if hasattr(os, "writev") and self._number is not None else 0
        if done < size:  # a signal came, a disk is full, or there is no such call
            for piece in pieces:
                view = memoryview(piece).cast("B")
                self._write_whole(view[done:])
                done = max(0, done - len(view))
        self.at += size

    def _write_whole(self, data: memoryview) -> None:
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()
