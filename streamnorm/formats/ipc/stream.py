"""Arrow IPC streams, read from their beginning to their end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.files import Place, open_input
from streamnorm.formats.ipc.metadata import _DICTIONARY, _RECORDS, ENDS, MARK, REMEDY, BatchMetadata, decoding_of
from streamnorm.formats.limits import check_unpacked, pieces, validated
from streamnorm.once import once

__all__ = ["SUFFIX", "IpcStream"]

#: What the names of streams end in.
SUFFIX = ".arrows"


class IpcStream:
    """Reads one IPC stream, from its beginning to its end.

    Parameters
    ----------
    path : Place
    """

    def __init__(self, path: Place) -> None:
        self._path = path

    @once
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with open_input(self._path) as file, pa.ipc.open_stream(file) as stream:
            return stream.schema

    #: How many parts can be read on their own: only the whole.
    count = 1

    def rows_before(self, number: int) -> int:
        """Give the rows before the only part."""
        return 0

    @property
    def codec(self) -> str | None:
        """What the first body is compressed by."""
        with open_input(self._path) as file:
            found = (BatchMetadata(message.metadata) for message in pa.ipc.MessageReader.open_stream(file))
            return next((batch.codec for batch in found if batch.kind in (_DICTIONARY, _RECORDS)), None)

    def read(self, number: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the named columns of all record batches, or all columns, in pieces.

        Parameters
        ----------
        number : int
            That of the only part.
        columns : sequence of str, optional
            By default all.

        Raises
        ------
        SourceError
            If a batch would unpack to more than can be of what it has in the file, or if the stream has no end.
        """
        options = decoding_of(self.schema, columns)
        with open_input(self._path) as file, pa.PythonFile(_Parts(_messages(self._path, file)), mode="r") as parts:
            rows = 0
            for batch in pa.ipc.open_stream(parts, options=options):
                yield from pieces(validated(batch, columns, rows))
                rows += batch.num_rows


def _messages(path: Place, file: pa.NativeFile) -> Iterator[pa.Buffer]:
    """Yield the parts of a stream's messages, each message when it has been looked at."""
    number = packed = unpacked = end = 0
    for message in pa.ipc.MessageReader.open_stream(file):
        batch = BatchMetadata(message.metadata)
        sizes = message.body.size, batch.unpacked(message.body)
        if batch.kind == _DICTIONARY:  # which stay until the end
            packed, unpacked = packed + sizes[0], unpacked + sizes[1]
            check_unpacked(path, "its dictionaries", packed, unpacked, REMEDY)
        elif batch.kind == _RECORDS:
            check_unpacked(path, f"record batch {number}", *sizes, REMEDY)
            number += 1
        yield pa.py_buffer(MARK + message.metadata.size.to_bytes(4, "little"))
        yield message.metadata
        yield message.body
        end = file.tell()
    file.seek(end)
    rest = file.read(len(ENDS[0]) + 1)
    if rest not in ENDS:
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
