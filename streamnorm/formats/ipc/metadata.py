"""Metadata of Arrow IPC messages: the flatbuffers that tell what a record batch takes in memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from streamnorm.formats.signatures import ARROW, ARROW_STREAM

__all__ = [
    "ENDS",
    "MAGIC",
    "MARK",
    "REMEDY",
    "_BLOCK",
    "_DICTIONARY",
    "_RECORDS",
    "BatchMetadata",
    "decoding_of",
    "reading_metadata",
    "root_of",
]

#: Remedy for a batch that is too large, in the words of a message.
REMEDY = "in smaller batches"
_DICTIONARY, _RECORDS = 2, 3
_BUFFER = np.dtype([("offset", "<i8"), ("length", "<i8")])
_BLOCK = np.dtype([("offset", "<i8"), ("metadata", "<i4"), ("padding", "<i4"), ("body", "<i8")])
MAGIC, MARK = ARROW, ARROW_STREAM
#: The last bytes of a stream, as they are written today and as they were before 2019.
ENDS = (MARK + b"\0\0\0\0", b"\0\0\0\0")
#: Key by which the metadata of a message told of compression in 2020.
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


def root_of(data: Any) -> _Flat:
    """Give the table that a flatbuffer begins with."""
    view = memoryview(data)
    return _Flat(view, int(struct.unpack_from("<I", view)[0]))


@contextmanager
def reading_metadata() -> Iterator[None]:
    """Turn what leads out of the metadata into an error that sources give their name to."""
    try:
        yield
    except (struct.error, ValueError) as error:
        raise pa.ArrowInvalid("the metadata of a message is damaged") from error


class BatchMetadata:
    """What a message's metadata tells of a batch of rows, or of the values of a dictionary.

    Parameters
    ----------
    metadata : buffer
    """

    def __init__(self, metadata: Any) -> None:
        with reading_metadata():
            message = root_of(metadata)
            self.kind, self.packed = message.number(1, "<B"), message.number(3, "<q")
            batch = message.table(2) if self.kind in (_DICTIONARY, _RECORDS) else None
            if batch and self.kind == _DICTIONARY:
                batch = batch.table(1)
            self.rows = batch.number(0, "<q") if batch else 0
            self._buffers = batch.structs(2, _BUFFER) if batch else np.empty(0, _BUFFER)
            self.codec = _codec(batch, bytes(metadata)) if batch else None
            self.is_compressed = self.codec is not None

    def unpacked(self, body: Any = b"") -> int:
        """Give how many bytes its buffers have once they are unpacked; `body` is needed where it is compressed."""
        if not self.is_compressed:
            return int(np.maximum(self._buffers["length"], 0).sum(dtype=np.float64))
        with reading_metadata():
            return sum(_unpacked(memoryview(body), *buffer) for buffer in self._buffers.tolist())


def _codec(batch: _Flat, metadata: bytes) -> str | None:
    """Name what a body is compressed by, in the words of `pyarrow.ipc.IpcWriteOptions`; None where it is not."""
    compression = batch.table(3)
    if compression:
        return "zstd" if compression.number(0, "<B") else "lz4"
    if _OLD_COMPRESSION in metadata:
        return "zstd" if b"zstd" in metadata.lower() else "lz4"
    return None


def _unpacked(body: memoryview, offset: int, length: int) -> int:
    """Give a buffer's length before compression; -1 says that it was not compressed.

    Parameters
    ----------
    body : memoryview
        Of the message.
    offset : int
        Of the buffer, in bytes.
    length : int
        Of the buffer, in bytes.
    """
    if length <= 0:
        return 0
    size = int(struct.unpack_from("<q", body, offset)[0])
    return length if size < 0 else size


def decoding_of(schema: pa.Schema, columns: Sequence[str] | None) -> pa.ipc.IpcReadOptions:
    """Give options to read the named columns, or all, of a schema."""
    return pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(name) for name in columns or ()])
