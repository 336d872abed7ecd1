"""Memory that pieces of files are read into again: new memory for each piece takes longer than reading does.

The system gives new memory page by page as it is first written to, and what is freed goes back to it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from streamnorm.formats.parquet.layout import read_at

__all__ = ["Room", "room"]

#: Bytes of the largest piece that is kept room for.
_LARGEST = 8 << 20


class Room:
    """Memory for one piece of a file at a time: what `read` gave is overwritten by the next."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray())

    def read(self, file: pa.NativeFile, start: int, size: int) -> memoryview:
        """Read bytes of a file, all of them, which no other thread may do meanwhile.

        Parameters
        ----------
        file : pyarrow.NativeFile
        start, size : int
            In bytes.

        Raises
        ------
        ValueError
            If they do not lie in the file.
        """
        if size > _LARGEST or start < 0 or size < 0:
            return memoryview(read_at(file, start, size))
        if size > len(self._memory):
            self._memory = memoryview(bytearray(size))
        piece = self._memory[:size]
        file.seek(start)
        if file.readinto(piece) != size:
            raise ValueError("the file ends before what is told of")
        return piece


class _Kept(threading.local):
    """The rooms of a thread that nobody is in."""

    def __init__(self) -> None:
        self.rooms: list[Room] = []


_KEPT = _Kept()


@contextmanager
def room() -> Iterator[Room]:
    """Give a room that is nobody else's until the block ends."""
    found = _KEPT.rooms.pop() if _KEPT.rooms else Room()
    try:
        yield found
    finally:
        _KEPT.rooms.append(found)
