"""Where everything of a Parquet file lies, by its footer: FileMetaData as a tree, fields, column chunks.

What stands here is looked at before a byte of the file is copied: every offset lies inside the file, and no column
chunk lies in another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm import kernel
from streamnorm.formats.parquet.tree import Struct, read_struct

__all__ = ["Chunk", "Field", "Layout", "NotByPagesError", "descriptor_of", "read_at", "read_footer", "read_view"]

_MAGIC, _SEALED = b"PAR1", b"PARE"
#: Bytes at the end: the footer's length and the magic.
_TAIL = 8
#: Writers of before 2014 that left the header of the dictionary's page out of a chunk's size.
_ODD_SIZES = re.compile(rb"parquet-mr version (0\.|1\.[01]\.|1\.2\.[0-8]\b)|parquet-mr$")


class NotByPagesError(Exception):
    """Something is not of a kind that is read or written by pages: it goes by its values."""


class Field(NamedTuple):
    """A field of the table: its elements in the schema, itself first, and its leaves' places among the columns."""

    name: str
    elements: list[Struct]
    leaves: range

    @property
    def is_flat(self) -> bool:
        """Whether it has one value a row, or a null."""
        return len(self.elements) == 1 and self.elements[0].get(3) in (0, 1)

    def paths(self) -> list[list[bytes]]:
        """Give the names that lead to each leaf."""
        found: list[list[bytes]] = []
        under: list[list[Any]] = []  # names, and how many children of each are still to come
        for element in self.elements:
            while under and under[-1][1] == 0:
                under.pop()
            if under:
                under[-1][1] -= 1
            name, children = element.get(4), element.get(5, 0)
            if children:
                under.append([name, children])
            else:
                found.append([*(above for above, _ in under), name])
        return found

    @property
    def nullable(self) -> bool:
        """Whether a row can be null."""
        return bool(self.elements[0].get(3) == 1)


@dataclass(frozen=True)
class Chunk:
    """A column chunk: its entry in the footer, and where its pages lie."""

    column: Struct
    start: int
    size: int

    @property
    def meta(self) -> Struct:
        """The entry's ColumnMetaData."""
        found: Struct = self.column.get(3)
        return found

    @property
    def values(self) -> int:
        """Its values, nulls included."""
        return int(self.meta.get(5))

    @classmethod
    def of(cls, column: Struct) -> Chunk:
        """Find where the pages of a column chunk lie.

        Raises
        ------
        NotByPagesError
            If they lie in another file, or are encrypted.
        """
        meta = column.get(3)
        if meta is None or {1, 8, 9} & column.fields.keys():
            raise NotByPagesError("column chunks are encrypted or lie in other files")
        start = min((at for at in (meta.get(9), meta.get(11)) if at), default=0)  # 0 where there are no such pages
        return cls(column, start, meta.get(7))


class Layout:
    """A file's footer.

    Parameters
    ----------
    meta : Struct
        FileMetaData.
    end : int
        Where the footer begins, and what it tells of ends.
    """

    def __init__(self, meta: Struct, end: int) -> None:
        self.meta = meta
        self.end = end
        self.fields = list(_fields(meta.get(2).items))
        self.groups: list[Struct] = meta.get(4).items
        self.chunks = [[Chunk.of(column) for column in group.get(1).items] for group in self.groups]
        self._check()

    @classmethod
    def read(cls, file: pa.NativeFile) -> Layout:
        """Read the footer of a file.

        Raises
        ------
        NotByPagesError
            If the file is encrypted, or of a writer whose footers tell no sizes.
        ValueError
            If the footer is damaged.
        """
        footer, end = read_footer(file)
        try:
            meta, _ = read_struct(memoryview(footer))
            if 8 in meta.fields or _ODD_SIZES.match(meta.get(6, b"")):
                raise NotByPagesError("of an encrypted file, or a writer of long ago")
            return cls(meta, end)
        except (AttributeError, IndexError, TypeError, KeyError, RecursionError) as error:
            raise ValueError("the footer is damaged") from error

    def _check(self) -> None:
        if not all(isinstance(group.get(number), int) for group in self.groups for number in (2, 3)):
            raise ValueError("the footer is damaged")  # bytes and rows of a row group
        paths = [path for field in self.fields for path in field.paths()]
        ranges = []
        for chunks in self.chunks:
            if [chunk.meta.get(3).items for chunk in chunks] != paths:
                raise ValueError("the column chunks of a row group are not those of the schema's columns")
            ranges += [(chunk.start, chunk.size) for chunk in chunks if chunk.size]
        last = len(_MAGIC)
        for start, size in sorted(ranges):
            if start < last or size < 0 or start + size > self.end:
                raise ValueError("a column chunk lies in another or outside of the file")
            last = start + size


def read_footer(file: pa.NativeFile) -> tuple[Any, int]:
    """Read the bytes of a file's footer, and give where it begins; errors are those of `Layout.read`."""
    size = file.size()
    tail = read_at(file, max(0, size - _TAIL), min(size, _TAIL))
    length = int.from_bytes(bytes(tail[:4]), "little")
    if bytes(tail[4:]) == _SEALED:
        raise NotByPagesError("the footer is encrypted")
    if bytes(tail[4:]) != _MAGIC or length > size - _TAIL - len(_MAGIC):
        raise ValueError("the footer is no Parquet footer")
    end = size - _TAIL - length
    return read_at(file, end, length), end


def _fields(elements: list[Struct]) -> Iterator[Field]:
    """Yield the fields of a table: the children of the schema's root, with all that is under each."""
    at = 1
    leaf = 0
    for _ in range(elements[0].get(5, 0)):
        stop, leaves = _under(elements, at)
        yield Field(elements[at].get(4).decode(), elements[at:stop], range(leaf, leaf + leaves))
        at, leaf = stop, leaf + leaves
    if at != len(elements):
        raise ValueError("the schema does not end where its root says")


def _under(elements: list[Struct], at: int) -> tuple[int, int]:
    """Find where an element's children end, and how many leaves it has."""
    open_, leaves = 1, 0
    while open_:
        children = elements[at].get(5, 0)
        if children < 0:
            raise ValueError("an element of the schema has less than no children")
        leaves += not children
        open_ += children - 1
        at += 1
    return at, leaves


def read_at(file: pa.NativeFile, start: int, size: int) -> Any:
    """Read bytes of a file, all of them; several threads may do so at once.

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
    if start < 0 or size < 0:
        raise ValueError("what is told of lies outside of the file")
    data = file.read_at(size, start)
    if len(data) != size:
        raise ValueError("the file ends before what is told of")
    return data


def descriptor_of(file: pa.NativeFile) -> int | None:
    """Give the system's number of a file on a disk, by which several threads may read it at once; None of another."""
    try:
        return int(file.fileno()) if isinstance(file, pa.OSFile) else None
    except AttributeError:  # of pyarrow 19
        return None


def read_view(file: pa.NativeFile, start: int, size: int) -> memoryview:
    """Read bytes of a file as `read_at` does, from a disk into memory that is used again; errors are the same.

    Parameters
    ----------
    file : pyarrow.NativeFile
    start, size : int
        In bytes.
    """
    number = descriptor_of(file)
    if not hasattr(os, "preadv") or number is None or not 0 <= start <= start + size <= file.size():
        return memoryview(read_at(file, start, size))
    data, at = memoryview(kernel.memory(size)), 0
    while at < size:
        fresh = os.preadv(number, [data[at:]], start + at)
        if fresh == 0:
            raise ValueError("the file ends before what is told of")
        at += fresh
    return data
