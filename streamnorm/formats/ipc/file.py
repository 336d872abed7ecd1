"""Arrow IPC files and streams: what a batch unpacks to is known before any of it is unpacked.

pyarrow unpacks a record batch whole, and a few bytes can stand for gigabytes. But every compressed buffer begins with
its length before compression, and where the buffers lie is said by the message's metadata, a flatbuffer of which a few
fields are read here. The number of a field is its place in ``Message.fbs`` and ``File.fbs`` of the Arrow format.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from streamnorm.files import Place, open_input
from streamnorm.formats.ipc.metadata import (
    _BLOCK,
    ENDS,
    MAGIC,
    MARK,
    REMEDY,
    BatchMetadata,
    decoding_of,
    reading_metadata,
    root_of,
)
from streamnorm.formats.limits import LARGEST, check_unpacked, pieces, validated
from streamnorm.once import once

__all__ = ["IpcFile"]


class IpcFile:
    """Reads one IPC file (Feather version 2), by its record batches and from any thread.

    Parameters
    ----------
    path : Place
    """

    def __init__(self, path: Place) -> None:
        self._path = path

    def _open(self, *, mapped: bool = False) -> pa.NativeFile:
        if isinstance(self._path, Path):
            return pa.memory_map(str(self._path)) if mapped else pa.OSFile(str(self._path))
        return pa.PythonFile(_Kept(open_input(self._path)), mode="r")

    @once
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with self._open() as file:
            return pa.ipc.open_file(file).schema

    @once
    def _blocks(self) -> list[tuple[int, int]]:
        """Where the record batches begin, and the bytes of their metadata.

        All dictionaries, which are read before the first batch, have been found small enough.
        """
        with self._open() as file:
            pa.ipc.open_file(file)  # has a closer look at the footer
            end = file.size() - len(MAGIC) - 4
            file.seek(end)
            size = int.from_bytes(file.read(4), "little")
            file.seek(end - size)
            with reading_metadata():
                footer = root_of(file.read(size))
                dictionaries, batches = (footer.structs(field, _BLOCK)[["offset", "metadata"]] for field in (2, 3))
            sizes = [self._sizes(file, *block) for block in dictionaries.tolist()]
        packed, unpacked = (sum(size[i] for size in sizes) for i in (0, 1))
        check_unpacked(self._path, "its dictionaries", packed, unpacked, REMEDY)
        return batches.tolist()  # type: ignore[no-any-return]

    @property
    def count(self) -> int:
        """How many record batches there are."""
        return len(self._blocks)

    @property
    def codec(self) -> str | None:
        """What the body of the first record batch is compressed by."""
        with self._open() as file:
            return next((self._batch(file, *block).codec for block in self._blocks[:1]), None)

    @staticmethod
    def _batch(file: pa.NativeFile, start: int, size: int) -> BatchMetadata:
        """Read the metadata of a message.

        Parameters
        ----------
        file : pyarrow.NativeFile
        start : int
            Byte at which it begins.
        size : int
            Bytes.
        """
        file.seek(start)
        message = file.read_buffer(size)
        return BatchMetadata(message[len(ENDS[0]) :] if message[:4] == MARK else message[len(ENDS[1]) :])

    def _sizes(self, file: pa.NativeFile, start: int, size: int) -> tuple[int, int]:
        """Give the bytes that a batch has in the file, and those it has unpacked.

        Parameters
        ----------
        file : pyarrow.NativeFile
        start : int
            Byte at which it begins.
        size : int
            Bytes.
        """
        batch = self._batch(file, start, size)
        packed = max(0, min(batch.packed, file.size() - start - size))
        if not batch.is_compressed:
            return packed, batch.unpacked()
        file.seek(start + size)
        return packed, batch.unpacked(file.read_buffer(packed))

    def rows_before(self, number: int) -> int:
        """Count the rows before a batch."""
        with self._open() as file:
            return sum(self._batch(file, *block).rows for block in self._blocks[:number])

    def read(self, number: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of a batch, or all, in pieces.

        One that is too large to be read whole is mapped to memory, although a file that another process cuts short
        meanwhile then ends this one.

        Raises
        ------
        SourceError
            If it would unpack to more than can be of what it has in the file.
        """
        with self._open() as file:
            packed, unpacked = self._sizes(file, *self._blocks[number])
        check_unpacked(self._path, f"record batch {number}", packed, unpacked, REMEDY)
        with self._open(mapped=unpacked > LARGEST) as file:
            batch = pa.ipc.open_file(file, options=decoding_of(self.schema, columns)).get_batch(number)
        yield from pieces(validated(batch, columns, rows_before=partial(self.rows_before, number)))


class _Kept:
    """A file far away, of which the largest part that was read is kept: looked at first, it is then read again.

    Parameters
    ----------
    file : pyarrow.NativeFile
    """

    closed = False

    def __init__(self, file: pa.NativeFile) -> None:
        self._file, self._at = file, 0
        self._start, self._part = 0, pa.py_buffer(b"")

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + (0, self._at, self._file.size())[whence]
        return self._at

    def tell(self) -> int:
        """Give the place."""
        return self._at

    def read(self, size: int) -> pa.Buffer:
        """Give so many bytes, fewer at the end."""
        inside = self._at - self._start
        if 0 <= inside <= self._part.size - size:
            data = self._part[inside : inside + size]
        else:
            self._file.seek(self._at)
            data = self._file.read_buffer(size)
            if data.size > self._part.size:
                self._start, self._part = self._at, data
        self._at += data.size
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
