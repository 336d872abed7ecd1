"""Pages of Parquet files by their headers, before any is unpacked: pyarrow unpacks a page whole.

Headers are written in Thrift's compact protocol; the number of a field is its place in ``parquet.thrift``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm import kernel
from streamnorm.files import Place, open_input
from streamnorm.formats.limits import check_unpacked, is_bomb
from streamnorm.formats.parquet.footer import check_footer, chunks_of, start_of
from streamnorm.formats.parquet.thrift import Thrift

__all__ = ["check_pages", "longest_text"]

_DICTIONARY, _UNCOMPRESSED = 2, "UNCOMPRESSED"
#: Longest header of a dictionary page, in bytes, which has some twenty; and its first bytes, "field 1 is 2".
_HEADER, _SIGN = 1 << 12, b"\x15\x04"
#: Codecs whose name in pyarrow's footers is another than in `pyarrow.Codec`.
_CODECS = {"LZ4": "lz4_raw"}


class _Page(NamedTuple):
    """A page, where its bytes begin, and how many they are packed and unpacked."""

    is_dictionary: bool
    start: int
    packed: int
    unpacked: int


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn what leads out of the bytes into an error that sources give their name to."""
    try:
        yield
    except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise pa.ArrowInvalid(f"{what} is damaged") from error


def _page_at(data: memoryview, start: int) -> _Page:
    """Read the header of a page."""
    reader = Thrift(data, start)
    header = reader.struct()
    unpacked, packed = int(header[2]), int(header[3])
    if packed < 0 or unpacked < 0:
        raise ValueError("a page has less than no bytes")
    return _Page(header[1] == _DICTIONARY, reader.at, packed, unpacked)


def _read(file: pa.NativeFile, start: int, size: int) -> memoryview:
    """Read bytes of a file.

    Parameters
    ----------
    file : pyarrow.NativeFile
    start : int
        Byte at which it begins.
    size : int
        Bytes.
    """
    if not 0 <= start <= start + size <= file.size():
        raise ValueError("what is told of lies outside of the file")
    file.seek(start)
    return memoryview(file.read_buffer(size)).cast("B")


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
            for _, chunk in chunks_of(metadata, group, set(names)):
                packed += chunk.total_compressed_size
                unpacked += 0 if chunk.compression == _UNCOMPRESSED else _at_once(file, chunk)
        check_unpacked(path, f"pages of row group {group}", packed, unpacked, "in smaller pages")


def _at_once(file: pa.NativeFile, chunk: Any) -> int:
    """Give the bytes of the dictionary and of the largest page of a column."""
    data, at = _read(file, start_of(chunk), chunk.total_compressed_size), 0
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
        for name, chunk in chunks_of(metadata, group, set(columns)):
            if chunk.physical_type != "BYTE_ARRAY" or not chunk.num_values:
                continue
            own = _longest_shared(file, chunk) or _longest_repeated(path, file, group, name, chunk)
            longest += own * -(-chunk.num_values // max(1, rows))
    return longest


def _longest_shared(file: pa.NativeFile, chunk: Any) -> int:
    """Give what a text can have at most that begins as the ones before it in its page; 0 where none does."""
    return _at_once(file, chunk) if "DELTA_BYTE_ARRAY" in chunk.encodings else 0


def _longest_repeated(path: Place, file: pa.NativeFile, group: int, name: str, chunk: Any) -> int:
    """Give the bytes of the longest text in a dictionary; 0 where there is none.

    Parameters
    ----------
    path : Place
    file : pyarrow.NativeFile
    group : int
        Number of the row group.
    name : str
        The column, for messages.
    chunk : pyarrow.parquet.ColumnChunkMetaData
    """
    start = start_of(chunk)
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
