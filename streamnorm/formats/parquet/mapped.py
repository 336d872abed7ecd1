"""One column chunk with its values mapped: of a dictionary each entry once, of other pages each value.

Levels, page boundaries and indices stay as they are. Pages that are made anew have a CRC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import DataError
from streamnorm.files import Place
from streamnorm.formats.limits import LARGEST, check_unpacked, is_bomb
from streamnorm.formats.parquet.codecs import SNAPPY, UNCOMPRESSED, literal, packed, unpacked, written_codec
from streamnorm.formats.parquet.layout import Chunk, NotByPagesError
from streamnorm.formats.parquet.made import Made
from streamnorm.formats.parquet.physical import array_of, letter_of, width_of_physical
from streamnorm.formats.parquet.statistics import PageBounds, bounds, restated, restated_index, stated, union
from streamnorm.formats.parquet.together import WIDTHS, Arithmetic, Given, Remade, remade
from streamnorm.formats.parquet.tree import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    List,
    Struct,
    write_struct,
)
from streamnorm.formats.parquet.walk import DATA, DATA_V2, DICTIONARY, Page, pages_of
from streamnorm.formats.parquet.written import Written

__all__ = ["ByValue", "How", "mapped_chunk"]

_PLAIN, _PLAIN_DICTIONARY, _BIT_PACKED, _DELTA, _RLE_DICTIONARY, _SPLIT = 0, 2, 4, 5, 8, 9
#: Encodings by indices into a dictionary, and all whose pages are mapped.
_INDICES = frozenset({_PLAIN_DICTIONARY, _RLE_DICTIONARY})
_MAPPED_ENCODINGS = _INDICES | {_PLAIN, _DELTA, _SPLIT}
#: Bytes of pages that are unpacked and mapped at a time, unless one page has more: they stay in a cache.
_AT_ONCE_BYTES = 5 << 18


class ByValue(Protocol):
    """Maps values, one by one."""

    @property
    def arithmetic(self) -> tuple[str, NDArray[np.float64]] | None:
        """Operations of ``+-*/`` and an operand for each, if the map is that and no infinity is allowed."""

    def __call__(self, array: pa.Array, /) -> pa.Array:
        """Map an array without nulls."""


@dataclass(frozen=True)
class How:
    """How the values of a column become others.

    Parameters
    ----------
    name : str
        The result's.
    kind : pyarrow.DataType
        Of the values as they are.
    nullable : bool
    physical, length : int
        Physical type of the mapped values by Parquet's number, and bytes of each.
    function : ByValue
    """

    name: str
    kind: pa.DataType
    nullable: bool
    physical: int
    length: int
    function: ByValue


class _Dictionary:
    """The mapped entries of a dictionary, and which of them occur.

    Parameters
    ----------
    entries : ndarray of shape (n_entries,)
    """

    def __init__(self, entries: NDArray[Any]) -> None:
        self.entries = entries
        self.used = bytearray(len(entries))
        self.numbers = entries.astype(np.float64, copy=False)

    def bounds_of(self, page: tuple[int, int, Any, Any], nullable: bool) -> PageBounds:
        """Find the bounds of a page of indices, each of which is looked at."""
        present, least, greatest = kernel.index_bounds(page, nullable, self.numbers, self.used)
        kind = self.entries.dtype.type
        return PageBounds(present, page[0] - present, None if least > greatest else (kind(least), kind(greatest)))

    def distinct(self) -> int:
        """Count the different values that occur."""
        return len(np.unique(self.entries[np.frombuffer(self.used, np.bool_)]))


class _Chunk:
    """The pages of a column chunk, one after the other.

    Parameters
    ----------
    path : Place
    file : pyarrow.NativeFile
    chunk : Chunk
    how : How
    group : int
    placed : bool
    """

    def __init__(self, path: Place, file: pa.NativeFile, chunk: Chunk, how: How, group: int, placed: bool) -> None:
        self._path, self._file, self._chunk, self._how, self._group = path, file, chunk, how, group
        self._codec: int = chunk.meta.get(4)
        self._codec_out = written_codec(self._codec)
        self._physical: int = chunk.meta.get(1)
        self._width = width_of_physical(self._physical)
        self._dictionary: _Dictionary | None = None
        letter, arithmetic = letter_of(how.kind, self._width), how.function.arithmetic
        self._arithmetic: Arithmetic | None = None
        if letter is not None and arithmetic is not None and how.length in WIDTHS:
            self._arithmetic = letter, *arithmetic
        self.written = Written(placed)

    def pages(self, data: memoryview, pages: Sequence[Page]) -> Iterator[list[Any]]:
        """Yield pages as they are written: header and body of each."""
        start = total = 0
        for at, page in enumerate(pages):
            if page.kind == DICTIONARY or total + page.unpacked > _AT_ONCE_BYTES:
                yield from self._together(data, pages[start:at])
                start, total = at, 0
            if page.kind == DICTIONARY:
                yield self._page(page, data)
                start += 1
            else:
                total += page.unpacked
        yield from self._together(data, pages[start:])

    def _together(self, data: memoryview, pages: Sequence[Page]) -> Iterator[list[Any]]:
        """Yield pages that are mapped in one call, or one by one where they are not all of the common kinds."""
        found = self._at_once(data, pages) if pages else ()
        if found is None:
            yield from (self._page(page, data) for page in pages)
            return
        for page, made in zip(pages, found, strict=True):
            self.written.bounds.append(made.bounds)
            yield self.written.add(page, made.encoding, made.pieces, made.plain)

    def _at_once(self, data: memoryview, pages: Sequence[Page]) -> Iterable[Remade] | None:
        kinds, encodings = {page.kind for page in pages}, {page.encoding for page in pages}
        known = kinds <= {DATA, DATA_V2} and encodings <= (_INDICES if self._dictionary else set()) | {_PLAIN}
        small = sum(page.unpacked for page in pages) <= LARGEST
        if not (known and small and self._codec == self._codec_out and self._how.length in WIDTHS):
            return None
        bodies = None
        if self._codec not in (UNCOMPRESSED, SNAPPY):
            bodies = [self._unpacked(page, data[page.body : page.end])[1] for page in pages]
        entries, used = (self._dictionary.numbers, self._dictionary.used) if self._dictionary else (b"", bytearray())
        given = Given(data, pages, bodies, self._codec, self._how.nullable, self._width)
        return remade(given, self._arithmetic or self._map, self._how.length, entries, used)

    def _page(self, page: Page, data: memoryview) -> list[Any]:
        """Give a page as it is written: header and body."""
        header, body = data[page.start : page.body], data[page.body : page.end]
        if page.kind == DICTIONARY:
            return self._dictionary_page(page, header, body)
        known = page.kind in (DATA, DATA_V2) and page.encoding in _MAPPED_ENCODINGS
        if not known or (page.definition_encoding == _BIT_PACKED and self._how.nullable):
            raise NotByPagesError("a page of a kind that is not mapped")
        levels, values = self._unpacked(page, body)
        if page.encoding in _INDICES:
            return self._index_page(page, header, body, levels, values)
        return self._value_page(page, header, body, levels, values)

    def _unpacked(self, page: Page, body: memoryview) -> tuple[memoryview | None, Any]:
        """Give the definition levels of a page of version 2, else None, and what else is in it, unpacked."""
        before = _before_values(page)
        if before > min(page.packed, page.unpacked):
            raise ValueError("a page has more bytes of levels than bytes")
        if is_bomb(page.packed, page.unpacked):
            what = f"a page of column {self._how.name!r} in row group {self._group}"
            check_unpacked(self._path, what, page.packed, page.unpacked, "in smaller pages")
        values = unpacked(self._codec if page.compressed else UNCOMPRESSED, body[before:], page.unpacked - before)
        return (body[page.repetition_bytes : before] if page.kind == DATA_V2 else None), values

    def _map(self, values: Any, count: int) -> NDArray[Any]:
        """Map values as they lie in a plain page."""
        if self._arithmetic:
            letter, signs, operands = self._arithmetic
            out = np.empty(count, WIDTHS[self._how.length])
            if kernel.arithmetic(np.frombuffer(values, letter, count), signs, operands[:, np.newaxis], out) < 0:
                return out
        array = self._how.function(array_of(self._how.kind, self._physical, values, count))
        kind = np.dtype(array.type.to_pandas_dtype())
        return np.frombuffer(array.buffers()[1] or b"", kind, count, array.offset * kind.itemsize)

    def _dictionary_page(self, page: Page, header: memoryview, body: memoryview) -> list[Any]:
        """Map each entry; of those that no value has, what cannot be mapped need not be.

        Parameters
        ----------
        page : Page
        header, body : memoryview
        """
        if self._dictionary is not None or self.written.bounds:
            raise ValueError("a dictionary does not stand first")
        _, values = self._unpacked(page, body)
        if page.values < 0 or len(values) != page.values * self._width:
            raise ValueError(f"its dictionary has {len(values)} bytes for {page.values} values")
        try:
            mapped = self._map(values, page.values)
        except DataError:
            own = np.frombuffer(values, f"V{self._width}").copy()
            own[~self._used(page.values)] = np.zeros(1, own.dtype)
            mapped = self._map(own, page.values)
        self._dictionary = _Dictionary(mapped)
        return self._remade(page, header, b"", _bytes_of(mapped), page.encoding, None)

    def _used(self, entries: int) -> NDArray[np.bool_]:
        """Find out which entries of the dictionary the chunk's values have, by going through all its pages."""
        seen = _Dictionary(np.zeros(entries))
        for data, pages in pages_of(self._file, self._chunk):
            for page in pages:
                if page.kind in (DATA, DATA_V2) and page.encoding in _INDICES:
                    levels, values = self._unpacked(page, data[page.body : page.end])
                    seen.bounds_of((page.values, page.encoding, levels, values), self._how.nullable)
        return np.frombuffer(seen.used, np.bool_)

    def _index_page(self, page: Page, header: memoryview, body: memoryview, levels: Any, values: Any) -> list[Any]:
        """Copy a page of indices; only the statistics in its header are others.

        Parameters
        ----------
        page : Page
        header, body : memoryview
        levels : memoryview or None
            Those of a page of version 2.
        values : buffer
            What else is in it, unpacked.
        """
        if self._dictionary is None:
            raise ValueError("a page has indices, and there is no dictionary")
        found = self._dictionary.bounds_of((page.values, page.encoding, levels, values), self._how.nullable)
        self.written.bounds.append(found)
        if self._codec != self._codec_out:
            return self._remade(page, header, body[: _before_values(page)], values, page.encoding, stated(found))
        told = kernel.page_header(header, -1, -1, -1, -1, -1, stated(found))
        return self.written.add(page, page.encoding, [told, body], page.unpacked)

    def _value_page(self, page: Page, header: memoryview, body: memoryview, levels: Any, values: Any) -> list[Any]:
        """Map a page of values, whatever their encoding.

        Parameters
        ----------
        page : Page
        header, body : memoryview
        levels : memoryview or None
            Those of a page of version 2.
        values : buffer
            What else is in it, unpacked.
        """
        args = ([(page.values, page.encoding, levels, values)], self._how.nullable, self._width)
        present, start = np.frombuffer(kernel.count_pages(*args), np.int64).tolist()
        view = memoryview(values).cast("B")
        plain: Any = view[start : start + present * self._width]
        if page.encoding != _PLAIN:
            plain = kernel.unpack(page.encoding, values, start, present, self._width)
        mapped = self._map(plain, present)
        found = PageBounds(present, page.values - present, bounds(mapped))
        self.written.bounds.append(found)
        split = page.encoding == _SPLIT
        before = view[:start] if page.kind == DATA else body[: _before_values(page)]
        encoded = _streams_of(mapped) if split else _bytes_of(mapped)
        stubborn = not split and self._is_stubborn(page, found)
        return self._remade(page, header, before, encoded, _SPLIT if split else _PLAIN, stated(found), stubborn)

    def _remade(
        self, page: Page, header: memoryview, levels: Any, values: Any, encoding: int, told: Any, stubborn: bool = False
    ) -> list[Any]:
        """Give a page with other values.

        Parameters
        ----------
        page : Page
        header, levels, values : buffer
        encoding : int
        told : (int, bytes or None, bytes or None), optional
            What its statistics are, if it has some.
        stubborn : bool
            Whether it is not tried to make it smaller.
        """
        compressed = -1
        if page.kind == DATA_V2:
            own = packed(self._codec_out, values)
            compressed = int(len(own) < len(values))
            body = b"".join((levels, own if compressed else values))
        else:
            whole = b"".join((levels, values)) if len(levels) else values
            body = literal(whole) if stubborn else packed(self._codec_out, whole)
        size = len(levels) + len(values)
        own_header = kernel.page_header(header, size, len(body), kernel.crc32(body), encoding, compressed, told)
        return self.written.add(page, encoding, [own_header, body], size)

    def _is_stubborn(self, page: Page, found: PageBounds) -> bool:
        """Tell whether a page is one that its codec could not make smaller, and not all of its numbers are now one."""
        spread = found.bounds is not None and bool(found.bounds[0] < found.bounds[1])
        return self._codec == SNAPPY and page.kind == DATA and page.packed >= page.unpacked and spread

    # ---- the entry in the footer ----

    def made(self, column_index: Struct | None, offset_index: Struct | None) -> Made:
        """Give the chunk's entry, when all pages have gone by."""
        old, done = self._chunk.meta, self.written
        meta = Struct().set(1, I32, self._how.physical)
        encodings = [_PLAIN if code == _DELTA else code for code in old.get(2).items]
        meta.set(2, LIST, List(I32, list(dict.fromkeys(encodings))))
        meta.set(3, LIST, List(BINARY, [self._how.name.encode()]))
        meta.set(4, I32, self._codec_out).set(5, I64, old.get(5)).set(6, I64, done.plain_size).set(7, I64, done.size)
        meta.set(9, I64, done.data_at).set(11, I64, None if self._dictionary is None else 0)
        for number in (8, 16):  # what the writer notes of the chunk, and sizes and histograms of levels
            if number in old.fields:
                meta.fields[number] = old.fields[number]
        meta.set(12, STRUCT, restated(old.get(12), union(done.bounds), self._distinct))
        if 13 in old.fields:
            stats = [
                Struct().set(1, I32, kind).set(2, I32, encoding).set(3, I32, count)
                for (kind, encoding), count in done.counts.items()
            ]
            meta.set(13, LIST, List(STRUCT, stats))
        index = None if column_index is None else restated_index(column_index, done.bounds)
        if offset_index is not None:
            offset_index = offset_index.copy().set(1, LIST, List(STRUCT, done.places or []))
        column = Struct().set(2, I64, 0).set(3, STRUCT, meta)
        return Made(column, done.size, None if index is None else write_struct(index), offset_index)

    def _distinct(self) -> int | None:
        """Count the different values, where all are a dictionary's."""
        encodings = {encoding for kind, encoding in self.written.counts if kind != DICTIONARY}
        return self._dictionary.distinct() if self._dictionary and encodings <= _INDICES else None


def _before_values(page: Page) -> int:
    """Give the bytes of levels that stand before the values and are not packed with them."""
    return page.repetition_bytes + page.definition_bytes if page.kind == DATA_V2 else 0


def _bytes_of(values: NDArray[Any]) -> memoryview:
    return values.view(np.uint8).data


def _streams_of(values: NDArray[Any]) -> Any:
    """Encode as BYTE_STREAM_SPLIT: the first bytes of all values, then the second, and so on."""
    return values.view(np.uint8).reshape(-1, values.itemsize).T.tobytes()


def mapped_chunk(
    path: Place, file: pa.NativeFile, chunk: Chunk, how: How, group: int,
    column_index: Struct | None, offset_index: Struct | None,
) -> Iterator[Any]:  # fmt: skip
    """Yield the bytes of a column chunk with its values mapped, and at the end what was `Made`.

    Parameters
    ----------
    path : Place
        For errors.
    file : pyarrow.NativeFile
    chunk : Chunk
    how : How
    group : int
        Number of the row group, for errors.
    column_index, offset_index : Struct, optional
        The input's.

    Raises
    ------
    ValueError
        If the chunk is damaged.
    DataError
        If a value cannot be mapped.
    NotByPagesError
        If a page is of a kind that is not mapped.
    """
    state = _Chunk(path, file, chunk, how, group, offset_index is not None)
    for data, pages in pages_of(file, chunk):
        for pieces in state.pages(data, pages):
            yield from pieces
    yield state.made(column_index, offset_index)
