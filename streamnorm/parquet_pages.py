"""Pages of Parquet files by their headers, before any is unpacked: pyarrow unpacks a page whole.

Headers and footer are written in Thrift's compact protocol; the number of a field is its place in ``parquet.thrift``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm import kernel
from streamnorm.batches import check_unpacked, is_bomb
from streamnorm.places import Place, open_input

__all__ = ["check_pages", "longest_text"]

#: The footer's length and a word that ends the file.
_END = 8
_DICTIONARY, _UNCOMPRESSED = 2, 0
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


def check_pages(path: Place, metadata: Any, group: int, columns: Collection[str] | None = None) -> None:
    """Find out before a row group is read whether a page of each column can be unpacked at once.

    The pages are looked at where the footer tells that the group unpacks to far more than the file has.

    Parameters
    ----------
    path : Place
    metadata : pyarrow.parquet.FileMetaData
    group : int
    columns : collection of str, optional
        What is read; by default all.

    Raises
    ------
    SourceError
        If that would take too much memory.
    """
    size = path.stat().st_size
    if not is_bomb(size, metadata.row_group(group).total_byte_size):
        return
    with _reading("the footer or a page's header"), open_input(path) as file:
        length = int.from_bytes(_read(file, size - _END, 4), "little")
        footer = _Thrift(_read(file, size - _END - length, length), 0).struct()
        chunks = [column[3] for column in footer[4][group][1]]
        wanted = [chunk for chunk in chunks if columns is None or str(chunk[3][0], "utf-8") in columns]
        sizes = [(chunk[7], _at_once(file, chunk)) for chunk in wanted if chunk[4] != _UNCOMPRESSED]
    packed, unpacked = (sum(size[i] for size in sizes) for i in (0, 1))
    check_unpacked(path, f"pages of row group {group}", packed, unpacked, "in smaller pages")


def _at_once(file: pa.NativeFile, chunk: dict[int, Any]) -> int:
    """Give the bytes of the dictionary and of the largest page of a column."""
    start = min(at for at in (chunk[9], chunk.get(11)) if at)
    data, at = _read(file, start, chunk[7]), 0
    dictionary = largest = 0
    while at < len(data):
        page = _page_at(data, at)
        if page.is_dictionary:
            dictionary += page.unpacked
        largest = max(largest, page.unpacked)
        at = page.start + page.packed
    return dictionary + largest


def longest_text(path: Place, metadata: Any, group: int, columns: Collection[str] | None = None) -> int:
    """Give the bytes of the longest texts that dictionaries of a row group repeat: of one in each column, together.

    Parameters
    ----------
    path : Place
    metadata : pyarrow.parquet.FileMetaData
        Which may be asked for columns.
    group : int
    columns : collection of str, optional
        What is read; by default all.

    Raises
    ------
    SourceError
        If a dictionary would take too much memory.
    """
    rows = metadata.row_group(group)
    longest = 0
    with _reading("a page's header"), open_input(path) as file:
        for chunk in (rows.column(i) for i in range(metadata.num_columns)):
            if chunk.physical_type != "BYTE_ARRAY" or not _is_of(chunk.path_in_schema, columns):
                continue
            start = min(at for at in (chunk.data_page_offset, chunk.dictionary_page_offset) if at)
            header = _read(file, start, min(_HEADER, file.size() - start))
            if header[: len(_SIGN)] == _SIGN:
                page = _page_at(header, 0)
                check_unpacked(path, f"a dictionary of row group {group}", page.packed, page.unpacked, "without one")
                repeated = _longest(_read(file, start + page.start, page.packed), page.unpacked, chunk.compression)
                longest += repeated * -(-chunk.num_values // max(1, rows.num_rows))
    return longest


def _is_of(path: str, columns: Collection[str] | None) -> bool:
    """Tell whether values are those of one of the columns, by the names from the column to them."""
    return columns is None or any(name in columns for name in accumulate(path.split("."), "{}.{}".format))


def _longest(packed: memoryview, unpacked: int, codec: str) -> int:
    """Give the bytes of the longest text in a dictionary, or more."""
    if codec == "UNCOMPRESSED":
        return kernel.longest(packed)
    try:
        name = _CODECS.get(codec, codec.lower())
        return kernel.longest(pa.decompress(packed, decompressed_size=unpacked, codec=name))
    except (pa.ArrowException, OSError):  # it is damaged, or by an LZ4 of long ago that pyarrow has no name for
        return unpacked
