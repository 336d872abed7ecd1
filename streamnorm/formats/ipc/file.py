"""Arrow IPC files and streams: what a batch unpacks to is known before any of it is unpacked.

pyarrow unpacks a record batch whole, and a few bytes can stand for gigabytes. But every compressed buffer begins with
its length before compression, and where the buffers lie is said by the message's metadata, a flatbuffer of which a few
fields are read here. The number of a field is its place in ``Message.fbs`` and ``File.fbs`` of the Arrow format.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.files.places import Place, open_input
from streamnorm.formats.limits import LARGEST, check_unpacked, checked, pieces

__all__ = ["IpcFile", "IpcStream"]

#: How a batch is written that can be read.
_REMEDY = "in smaller batches"

_DICTIONARY, _RECORDS = 2, 3
_BUFFER = np.dtype([("offset", "<i8"), ("length", "<i8")])
_BLOCK = np.dtype([("offset", "<i8"), ("metadata", "<i4"), ("padding", "<i4"), ("body", "<i8")])
_MAGIC, _MARK = b"ARROW1", b"\xff\xff\xff\xff"
#: The last bytes of a stream, as they are written today and as they were before 2019.
_ENDS = (_MARK + b"\0\0\0\0", b"\0\0\0\0")
#: How compression was told of in 2020, in the metadata of a message.
_OLD_COMPRESSION = b"ARROW:experimental_compression"


class _Flat(NamedTuple):
    """A table in a flatbuffer."""

    data: memoryview
    at: int

    def _place(self, field: int) -> int:
        """Find a field; 0 where the table has none."""
        table, slot = self.at - self._number("<i", self.at), 4 + 2 * field
        offset = self._number("<H", table + slot) if slot < self._number("<H", table) else 0
        return self.at + offset if offset else 0

    def _number(self, kind: str, at: int) -> int:
        return int(struct.unpack_from(kind, self.data, at)[0])

    def number(self, field: int, kind: str) -> int:
        """Give a number, by default 0."""
        place = self._place(field)
        return self._number(kind, place) if place else 0

    def table(self, field: int) -> _Flat | None:
        """Give a table."""
        place = self._place(field)
        return _Flat(self.data, place + self._number("<I", place)) if place else None

    def structs(self, field: int, kind: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """Give a vector of structs."""
        place = self._place(field)
        if not place:
            return np.empty(0, kind)
        start = place + self._number("<I", place)
        return np.frombuffer(self.data, kind, self._number("<I", start), start + 4)


def _root(data: Any) -> _Flat:
    view = memoryview(data)
    return _Flat(view, int(struct.unpack_from("<I", view)[0]))


@contextmanager
def _reading_metadata() -> Iterator[None]:
    """Turn what leads out of the metadata into an error that sources give their name to."""
    try:
        yield
    except (struct.error, ValueError) as error:
        raise pa.ArrowInvalid("the metadata of a message is damaged") from error


class _Batch:
    """What a message's metadata tells of a batch of rows, or of the values of a dictionary.

    Parameters
    ----------
    metadata : buffer
    """

    def __init__(self, metadata: Any) -> None:
        with _reading_metadata():
            message = _root(metadata)
            self.kind, self.packed = message.number(1, "<B"), message.number(3, "<q")
            batch = message.table(2) if self.kind in (_DICTIONARY, _RECORDS) else None
            if batch and self.kind == _DICTIONARY:
                batch = batch.table(1)
            self.rows = batch.number(0, "<q") if batch else 0
            self._buffers = batch.structs(2, _BUFFER) if batch else np.empty(0, _BUFFER)
            self.is_compressed = bool(batch and batch.table(3)) or _OLD_COMPRESSION in bytes(metadata)

    def unpacked(self, body: Any = b"") -> int:
        """Give how many bytes its buffers have once they are unpacked; `body` is needed where it is compressed."""
        if not self.is_compressed:
            return int(np.maximum(self._buffers["length"], 0).sum(dtype=np.float64))
        with _reading_metadata():
            return sum(_unpacked(memoryview(body), *buffer) for buffer in self._buffers.tolist())


def _unpacked(body: memoryview, offset: int, length: int) -> int:
    """Give a buffer's length before compression; -1 says that it was not compressed."""
    if length <= 0:
        return 0
    size = int(struct.unpack_from("<q", body, offset)[0])
    return length if size < 0 else size


def _decoding(schema: pa.Schema, columns: Sequence[str] | None) -> pa.ipc.IpcReadOptions:
    return pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in columns or ()])


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

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with self._open() as file:
            return pa.ipc.open_file(file).schema

    @cached_property
    def _blocks(self) -> list[tuple[int, int]]:
        """Where the record batches begin, and the bytes of their metadata.

        All dictionaries, which are read before the first batch, have been found small enough.
        """
        with self._open() as file:
            pa.ipc.open_file(file)  # has a closer look at the footer
            end = file.size() - len(_MAGIC) - 4
            file.seek(end)
            size = int.from_bytes(file.read(4), "little")
            file.seek(end - size)
            with _reading_metadata():
                footer = _root(file.read(size))
                dictionaries, batches = (footer.structs(field, _BLOCK)[["offset", "metadata"]] for field in (2, 3))
            sizes = [self._sizes(file, *block) for block in dictionaries.tolist()]
        packed, unpacked = (sum(size[i] for size in sizes) for i in (0, 1))
        check_unpacked(self._path, "its dictionaries", packed, unpacked, _REMEDY)
        return batches.tolist()  # type: ignore[no-any-return]

    @property
    def count(self) -> int:
        """How many record batches there are."""
        return len(self._blocks)

    @staticmethod
    def _batch(file: pa.NativeFile, start: int, size: int) -> _Batch:
        file.seek(start)
        message = file.read_buffer(size)
        return _Batch(message[len(_ENDS[0]) :] if message[:4] == _MARK else message[len(_ENDS[1]) :])

    def _sizes(self, file: pa.NativeFile, start: int, size: int) -> tuple[int, int]:
        """Give the bytes that a batch has in the file, and those it has unpacked."""
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
        check_unpacked(self._path, f"record batch {number}", packed, unpacked, _REMEDY)
        with self._open(mapped=unpacked > LARGEST) as file:
            batch = pa.ipc.open_file(file, options=_decoding(self.schema, columns)).get_batch(number)
        yield from pieces(checked(batch, columns, rows_before=partial(self.rows_before, number)))


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


class IpcStream:
    """Reads one IPC stream, from its beginning to its end.

    Parameters
    ----------
    path : Place
    """

    def __init__(self, path: Place) -> None:
        self._path = path

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with open_input(self._path) as file, pa.ipc.open_stream(file) as stream:
            return stream.schema

    def read(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of all record batches, or all columns, in pieces.

        Raises
        ------
        SourceError
            If a batch would unpack to more than can be of what it has in the file, or if the stream has no end.
        """
        options = _decoding(self.schema, columns)
        with open_input(self._path) as file, pa.PythonFile(_Parts(_messages(self._path, file)), mode="r") as parts:
            rows = 0
            for batch in pa.ipc.open_stream(parts, options=options):
                yield from pieces(checked(batch, columns, rows))
                rows += batch.num_rows


def _messages(path: Place, file: pa.NativeFile) -> Iterator[pa.Buffer]:
    """Yield the parts of a stream's messages, each message when it has been looked at."""
    number = packed = unpacked = end = 0
    for message in pa.ipc.MessageReader.open_stream(file):
        batch = _Batch(message.metadata)
        sizes = message.body.size, batch.unpacked(message.body)
        if batch.kind == _DICTIONARY:  # which stay until the end
            packed, unpacked = packed + sizes[0], unpacked + sizes[1]
            check_unpacked(path, "its dictionaries", packed, unpacked, _REMEDY)
        elif batch.kind == _RECORDS:
            check_unpacked(path, f"record batch {number}", *sizes, _REMEDY)
            number += 1
        yield pa.py_buffer(_MARK + message.metadata.size.to_bytes(4, "little"))
        yield message.metadata
        yield message.body
        end = file.tell()
    file.seek(end)
    rest = file.read(len(_ENDS[0]) + 1)
    if rest not in _ENDS:
        what = "more follows the end of the stream" if rest else "the stream has no end: it was cut short or not closed"
        raise SourceError(f"{path} is damaged: {what}; restore it, or write it again.")


class _Parts:
    """A file of one part after another."""

    closed = False

    def __init__(self, parts: Iterator[pa.Buffer]) -> None:
        self._parts, self._part = parts, pa.py_buffer(b"")

    def read(self, size: int) -> pa.Buffer:
        """Give so many bytes, or what is left of a part; nothing at the end."""
        while not self._part.size:
            part = next(self._parts, None)
            if part is None:
                break
            self._part = part
        given, self._part = self._part[:size], self._part[size:]
        return given

    def close(self) -> None:
        """Leave the parts to whom they belong."""
