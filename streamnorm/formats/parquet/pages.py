"""Pages of Parquet files by their headers, before any is unpacked: pyarrow unpacks a page whole.

Headers are written in Thrift's compact protocol; the number of a field is its place in ``parquet.thrift``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm import kernel
from streamnorm.files.places import Place, open_input
from streamnorm.formats.limits import check_unpacked, is_bomb

__all__ = ["check_footer", "check_pages", "longest_text"]

_DICTIONARY, _UNCOMPRESSED = 2, "UNCOMPRESSED"
#: Bytes of a number of 64 bits at most.
_NUMBER = 10
#: Bytes that the header of a dictionary's page has at most, of some twenty, and how it begins: "field 1 is 2".
_HEADER, _SIGN = 1 << 12, b"\x15\x04"
#: Those that pyarrow's footers and codecs have different names for.
_CODECS = {"LZ4": "lz4_raw"}


class _Page(NamedTuple):
    """A page, where its bytes begin, and how many they are packed and unpacked."""

    is_dictionary: bool
    start: int
    packed: int
    unpacked: int


class _Thrift:
    """Reads structs from bytes."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self.at = data, at
        self._readers: dict[int, Callable[[], Any]] = {
            3: self._byte, 4: self._signed, 5: self._signed, 6: self._signed, 7: lambda: self._bytes(8),
            8: lambda: self._bytes(self._unsigned()), 9: self._list, 10: self._list, 12: self.struct,
        }  # fmt: skip

    def struct(self) -> dict[int, Any]:
        """Give the fields of a struct by their numbers."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        return kind == 1 if kind in (1, 2) else self._readers[kind]()

    def _list(self) -> list[Any]:
        head = self._byte()
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self._unsigned()
        if size > len(self._data) - self.at:
            raise ValueError("a list is longer than the file")
        return [self._value(3 if kind in (1, 2) else kind) for _ in range(size)]

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, size: int) -> memoryview:
        self.at += size
        return self._data[self.at - size : self.at]

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _unsigned(self) -> int:
        value = 0
        for place in range(_NUMBER):
            byte = self._byte()
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value
        raise ValueError("a number has no end")


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn what leads out of the bytes into an error that sources give their name to."""
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise pa.ArrowInvalid(f"{what} is damaged") from error


def _page_at(data: memoryview, start: int) -> _Page:
    """Read the header of a page."""
    reader = _Thrift(data, start)
    header = reader.struct()
    unpacked, packed = int(header[2]), int(header[3])
    if packed < 0 or unpacked < 0:
        raise ValueError("a page has less than no bytes")
    return _Page(header[1] == _DICTIONARY, reader.at, packed, unpacked)


def _read(file: pa.NativeFile, start: int, size: int) -> memoryview:
    if not 0 <= start <= start + size <= file.size():
        raise ValueError("what is told of lies outside of the file")
    file.seek(start)
    return memoryview(file.read_buffer(size)).cast("B")


class _SealedError(Exception):
    """Something of a sealed file was to be read."""


class _Sealed:
    """A file of a size that nothing can be read of."""

    closed = False

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """Give the place."""
        return self._at

    def read(self, size: int) -> bytes:
        """Refuse to."""
        raise _SealedError

    def close(self) -> None:
        """Do nothing."""


def check_footer(path: Place, metadata: Any, group: int, columns: Collection[str]) -> None:
    """Find out whether asking a footer for columns of a row group would end the process.

    Arrow looks at the same entries before it reads the first page, and there raises what nothing catches elsewhere.

    Parameters
    ----------
    path : Place
    metadata : pyarrow.parquet.FileMetaData
    group : int
    columns : collection of str

    Raises
    ------
    OSError
        If it would.
    """
    import pyarrow.parquet as pq

    file = pa.PythonFile(_Sealed(path.stat().st_size), mode="r")
    with suppress(_SealedError), pq.ParquetFile(file, metadata=metadata, buffer_size=1, pre_buffer=False) as parquet:
        next(parquet.iter_batches(1, row_groups=[group], columns=list(columns), use_threads=False), None)


def _chunks(metadata: Any, group: int, columns: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield what a footer tells of columns, with the name of each."""
    rows = metadata.row_group(group)
    for i in range(metadata.num_columns):
        path = metadata.schema.column(i).path.split(".")
        name = next((name for name in accumulate(path, "{}.{}".format) if name in columns), None)
        if name is not None:
            yield name, rows.column(i)


def _start(chunk: Any) -> int:
    """Give the place of a column's first page."""
    return int(min(at for at in (chunk.data_page_offset, chunk.dictionary_page_offset) if at))


def check_pages(path: Place, metadata: Any, group: int, slices: Iterable[Collection[str]]) -> None:
    """Find out before a row group is read whether a page of each column can be unpacked at once.

    The pages are looked at where the footer tells that the group unpacks to far more than the file has.

    Parameters
    ----------
    path : Place
    metadata : pyarrow.parquet.FileMetaData
    group : int
    slices : iterable of collection of str
        The columns that are read together.

    Raises
    ------
    SourceError
        If that would take too much memory.
    """
    if not is_bomb(path.stat().st_size, metadata.row_group(group).total_byte_size):
        return
    for names in slices:
        check_footer(path, metadata, group, names)
        packed = unpacked = 0
        with _reading("the header of a page"), open_input(path) as file:
            for _, chunk in _chunks(metadata, group, set(names)):
                packed += chunk.total_compressed_size
                unpacked += 0 if chunk.compression == _UNCOMPRESSED else _at_once(file, chunk)
        check_unpacked(path, f"pages of row group {group}", packed, unpacked, "in smaller pages")


def _at_once(file: pa.NativeFile, chunk: Any) -> int:
    """Give the bytes of the dictionary and of the largest page of a column."""
    data, at = _read(file, _start(chunk), chunk.total_compressed_size), 0
    dictionary = largest = 0
    while at < len(data):
        page = _page_at(data, at)
        if page.is_dictionary:
            dictionary += page.unpacked
        largest = max(largest, page.unpacked)
        at = page.start + page.packed
    return dictionary + largest


def longest_text(path: Place, metadata: Any, group: int, columns: Collection[str]) -> int:
    """Give the bytes of the longest texts that a row group can have more often than a page has them.

    It is that of one in each column, together: from a dictionary, or where texts begin as the ones before them do.

    Parameters
    ----------
    path : Place
    metadata : pyarrow.parquet.FileMetaData
    group : int
    columns : collection of str
        Those with text.

    Raises
    ------
    SourceError
        If a dictionary would take too much memory.
    """
    check_footer(path, metadata, group, columns)
    rows, longest = metadata.row_group(group).num_rows, 0
    with _reading("the header of a page"), open_input(path) as file:
        for name, chunk in _chunks(metadata, group, set(columns)):
            if chunk.physical_type != "BYTE_ARRAY" or not chunk.num_values:
                continue
            own = _longest_shared(file, chunk) or _longest_repeated(path, file, group, name, chunk)
            longest += own * -(-chunk.num_values // max(1, rows))
    return longest


def _longest_shared(file: pa.NativeFile, chunk: Any) -> int:
    """Give what a text can have at most that begins as the ones before it in its page; 0 where none does."""
    return _at_once(file, chunk) if "DELTA_BYTE_ARRAY" in chunk.encodings else 0


def _longest_repeated(path: Place, file: pa.NativeFile, group: int, name: str, chunk: Any) -> int:
    """Give the bytes of the longest text in a dictionary; 0 where there is none."""
    start = _start(chunk)
    header = _read(file, start, min(_HEADER, file.size() - start))
    if header[: len(_SIGN)] != _SIGN:
        return 0
    page = _page_at(header, 0)
    what = f"the dictionary of column {name!r} in row group {group}"
    check_unpacked(path, what, page.packed, page.unpacked, "without one")
    packed = _read(file, start + page.start, page.packed)
    if chunk.compression == _UNCOMPRESSED:
        return kernel.longest(packed)
    try:
        codec = _CODECS.get(chunk.compression, chunk.compression.lower())
        return kernel.longest(pa.decompress(packed, decompressed_size=page.unpacked, codec=codec))
    except (pa.ArrowException, OSError):  # it is damaged, or by an LZ4 of long ago that pyarrow has no name for
        return page.unpacked
