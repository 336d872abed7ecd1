"""One column chunk with its values mapped: of a dictionary each entry once, of other pages each value.

Levels, page boundaries and indices stay as they are. Pages that are made anew have a CRC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.errors import DataError
from streamnorm.files import Place
from streamnorm.formats.limits import check_unpacked
from streamnorm.formats.parquet.codecs import packed, unpacked, written_codec
from streamnorm.formats.parquet.layout import Chunk, NotByPagesError
from streamnorm.formats.parquet.made import Made
from streamnorm.formats.parquet.physical import array_of, width_of_physical
from streamnorm.formats.parquet.statistics import PageBounds, bounds, restated, restated_index, union
from streamnorm.formats.parquet.tree import (
    BINARY,
    BOOL,
    I32,
    I64,
    LIST,
    STRUCT,
    List,
    Struct,
    read_struct,
    write_struct,
)
from streamnorm.formats.parquet.walk import DATA, DATA_V2, DICTIONARY, Page, pages_of

__all__ = ["ByValue", "How", "mapped_chunk"]

#: Maps an array without nulls, value by value.
ByValue = Callable[[pa.Array], pa.Array]

_PLAIN, _PLAIN_DICTIONARY, _BIT_PACKED, _DELTA, _RLE_DICTIONARY, _SPLIT = 0, 2, 4, 5, 8, 9
#: Encodings by indices into a dictionary, and all whose pages are mapped.
_INDICES = frozenset({_PLAIN_DICTIONARY, _RLE_DICTIONARY})
_MAPPED_ENCODINGS = _INDICES | {_PLAIN, _DELTA, _SPLIT}
#: What a data page's header is, by the page's type: its field, and the fields of encoding and statistics in it.
_HEADERS = {DATA: (5, 2, 5), DATA_V2: (8, 4, 8)}


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


@dataclass
class _Chunk:
    """What becomes known of a chunk while its pages go by."""

    path: Place
    file: pa.NativeFile
    chunk: Chunk
    how: How
    group: int
    dictionary: NDArray[Any] | None = None
    used: NDArray[np.bool_] | None = None
    size: int = 0
    plain_size: int = 0
    pages: list[PageBounds] = field(default_factory=list)
    places: list[Struct] = field(default_factory=list)
    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    rows: int = 0
    data_at: int | None = None

    def __post_init__(self) -> None:
        self.codec: int = self.chunk.meta.get(4)
        self.codec_out = written_codec(self.codec)
        self.physical: int = self.chunk.meta.get(1)
        self.width = width_of_physical(self.physical)

    # ---- pages in ----

    def unpacked(self, page: Page, body: memoryview) -> tuple[memoryview | None, Any]:
        """Give the definition levels of a page of version 2, else None, and what else is in it, unpacked."""
        levels = page.repetition_bytes + page.definition_bytes if page.kind == DATA_V2 else 0
        if levels > min(page.packed, page.unpacked):
            raise ValueError("a page has more bytes of levels than bytes")
        what = f"a page of column {self.how.name!r} in row group {self.group}"
        check_unpacked(self.path, what, page.packed, page.unpacked, "in smaller pages")
        codec = self.codec if page.compressed else 0
        values = unpacked(codec, body[levels:], page.unpacked - levels)
        return (body[page.repetition_bytes : levels] if page.kind == DATA_V2 else None), values

    def count(self, page: Page, body: memoryview, counts: Any = None) -> tuple[Any, int, int]:
        """Give a data page unpacked, how many of its values are not null, and where their encoding begins."""
        if page.encoding not in _MAPPED_ENCODINGS or (page.definition_encoding == _BIT_PACKED and self.how.nullable):
            raise NotByPagesError("an encoding that is not mapped by pages")
        levels, values = self.unpacked(page, body)
        args = ([(page.values, page.encoding, levels, values)], self.how.nullable, self.width)
        found = kernel.count_pages(*args) if counts is None else kernel.count_pages(*args, counts)
        present, start = np.frombuffer(found, np.int64).tolist()
        return values, present, start

    def counted(self, page: Page, body: memoryview) -> tuple[NDArray[np.int64], int]:
        """Count the indices of a page; also give how many there are."""
        if self.dictionary is None:
            raise ValueError("a page has indices, and there is no dictionary")
        counts = np.zeros(len(self.dictionary), np.int64)
        _, present, _ = self.count(page, body, counts)
        return counts, present

    # ---- pages out ----

    def map(self, values: Any, count: int) -> NDArray[Any]:
        """Map values as they lie in a plain page."""
        array = self.how.function(array_of(self.how.kind, self.physical, values, count))
        kind = array.type.to_pandas_dtype()
        return np.frombuffer(array.buffers()[1] or b"", kind, count, array.offset * np.dtype(kind).itemsize)

    def map_dictionary(self, page: Page, body: memoryview) -> None:
        """Map each entry; of those that no value has, what cannot be mapped need not be."""
        if self.dictionary is not None or self.pages:
            raise ValueError("a dictionary does not stand first")
        _, values = self.unpacked(page, body)
        if page.values < 0 or len(values) != page.values * self.width:
            raise ValueError(f"its dictionary has {len(values)} bytes for {page.values} values")
        try:
            self.dictionary = self.map(values, page.values)
        except DataError:
            own = np.frombuffer(values, f"V{self.width}").copy()
            self.dictionary = np.empty(len(own))
            own[~self.find_used()] = np.zeros(1, own.dtype)
            self.dictionary = self.map(own, page.values)

    def find_used(self) -> NDArray[np.bool_]:
        """Find out which entries of the dictionary the chunk's values have, by going through all its pages."""
        assert self.dictionary is not None
        used = np.zeros(len(self.dictionary), np.bool_)
        for data, pages in pages_of(self.file, self.chunk):
            for page in pages:
                if page.kind in _HEADERS and page.encoding in _INDICES:
                    used |= self.counted(page, data[page.body : page.end])[0] > 0
        return used

    def remade(self, page: Page, header: Struct, levels: Any, values: Any) -> list[Any]:
        """Give a page with other values: header and body."""
        before = len(levels)
        if page.kind == DATA_V2:
            own = packed(self.codec_out, values)
            smaller = len(own) < len(values)
            header.get(8).set(7, BOOL, smaller)
            body = b"".join((levels, own if smaller else values))
        else:
            body = packed(self.codec_out, b"".join((levels, values)) if before else values)
        crc = kernel.crc32(body)
        header.set(2, I32, before + len(values)).set(3, I32, len(body)).set(4, I32, crc - (crc >> 31 << 32))
        return [write_struct(header), body]

    def passed(self, page: Page, kind: int, encoding: int, pieces: list[Any], unpacked_bytes: int) -> list[Any]:
        """Note a page that is written."""
        size = sum(len(piece) for piece in pieces)
        self.counts[kind, encoding] += 1
        if kind in _HEADERS:
            self.data_at = self.size if self.data_at is None else self.data_at
            place = Struct().set(1, I64, self.size).set(2, I32, size).set(3, I64, self.rows)
            self.places.append(place)
            self.rows += page.values
        self.size += size
        self.plain_size += size - len(pieces[-1]) + unpacked_bytes
        return pieces

    def dictionary_page(self, page: Page, data: memoryview) -> list[Any]:
        header, _ = read_struct(data, page.start)
        self.map_dictionary(page, data[page.body : page.end])
        assert self.dictionary is not None
        self.used = np.zeros(len(self.dictionary), np.bool_)
        header.get(7).set(3, BOOL, None)  # whether it is sorted
        plain = self.dictionary.tobytes()
        return self.passed(page, DICTIONARY, page.encoding, self.remade(page, header, b"", plain), len(plain))

    def index_page(self, page: Page, data: memoryview) -> list[Any]:
        """Copy a page of indices; only the statistics in its header are others."""
        body = data[page.body : page.end]
        counts, present = self.counted(page, body)
        assert self.dictionary is not None
        assert self.used is not None
        own = counts > 0
        self.used |= own
        self.pages.append(PageBounds(present, page.values - present, bounds(self.dictionary[own])))
        header, _ = read_struct(data, page.start)
        place, _, stated = _HEADERS[page.kind]
        inner: Struct = header.get(place)
        repacked = self.codec != self.codec_out
        if repacked:
            pieces = self.remade(page, header, *self.split(page, body))
            return self.passed(page, page.kind, page.encoding, pieces, page.unpacked)
        if stated in inner.fields:
            inner.set(stated, STRUCT, restated(inner.get(stated), self.pages[-1]))
            pieces = [write_struct(header), body]
        else:
            pieces = [data[page.start : page.body], body]
        return self.passed(page, page.kind, page.encoding, pieces, page.unpacked)

    def split(self, page: Page, body: memoryview) -> tuple[Any, Any]:
        """Give the levels of a page of version 2, and what else is in it, unpacked."""
        levels = page.repetition_bytes + page.definition_bytes if page.kind == DATA_V2 else 0
        return body[:levels], self.unpacked(page, body)[1]

    def value_page(self, page: Page, data: memoryview) -> list[Any]:
        """Map a page of values, whatever their encoding."""
        body = data[page.body : page.end]
        values, present, start = self.count(page, body)
        view = memoryview(values).cast("B")
        if page.encoding == _PLAIN:
            own: Any = view[start : start + present * self.width]
        else:
            own = kernel.unpack(page.encoding, values, start, present, self.width)
        mapped = self.map(own, present)
        self.pages.append(PageBounds(present, page.values - present, bounds(mapped)))
        encoding = _SPLIT if page.encoding == _SPLIT else _PLAIN
        plain = _streams_of(mapped) if encoding == _SPLIT else mapped.view(np.uint8).data
        header, _ = read_struct(data, page.start)
        place, coded, stated = _HEADERS[page.kind]
        inner: Struct = header.get(place)
        inner.set(coded, I32, encoding).set(stated, STRUCT, restated(inner.get(stated), self.pages[-1]))
        levels = view[:start] if page.kind == DATA else body[: page.repetition_bytes + page.definition_bytes]
        pieces = self.remade(page, header, levels, plain)
        return self.passed(page, page.kind, encoding, pieces, len(levels) + len(plain))

    # ---- the entry in the footer ----

    def made(self, column_index: Struct | None, offset_index: Struct | None) -> Made:
        """Give the chunk's entry, when all pages have gone by."""
        old, known = self.chunk.meta, union(self.pages)
        meta = Struct().set(1, I32, self.how.physical)
        encodings = [_PLAIN if code == _DELTA else code for code in old.get(2).items]
        meta.set(2, LIST, List(I32, list(dict.fromkeys(encodings)))).set(
            3, LIST, List(BINARY, [self.how.name.encode()])
        )
        meta.set(4, I32, self.codec_out).set(5, I64, old.get(5)).set(6, I64, self.plain_size).set(7, I64, self.size)
        meta.set(9, I64, self.data_at).set(11, I64, 0 if self.dictionary is not None else None)
        for number in (8, 16):  # what the writer notes of the chunk, and sizes and histograms of levels
            if number in old.fields:
                meta.fields[number] = old.fields[number]
        meta.set(12, STRUCT, restated(old.get(12), known, self.distinct()))
        if 13 in old.fields:
            stats = [
                Struct().set(1, I32, kind).set(2, I32, encoding).set(3, I32, count)
                for (kind, encoding), count in self.counts.items()
            ]
            meta.set(13, LIST, List(STRUCT, stats))
        index = None if column_index is None else restated_index(column_index, self.pages)
        if offset_index is not None:
            offset_index = offset_index.copy().set(1, LIST, List(STRUCT, self.places))
        column = Struct().set(2, I64, 0).set(3, STRUCT, meta)
        return Made(column, self.size, None if index is None else write_struct(index), offset_index)

    def distinct(self) -> int | None:
        """Count the different values, where all are a dictionary's."""
        encodings = {encoding for kind, encoding in self.counts if kind in _HEADERS}
        if encodings - _INDICES or self.dictionary is None or self.used is None:
            return None
        return len(np.unique(self.dictionary[self.used]))


def _streams_of(values: NDArray[Any]) -> Any:
    """Encode as BYTE_STREAM_SPLIT: the first bytes of all values, then the second, and so on."""
    return np.ascontiguousarray(values.view(np.uint8).reshape(-1, values.itemsize).T).data.cast("B")


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
    state = _Chunk(path, file, chunk, how, group)
    for data, pages in pages_of(file, chunk):
        for page in pages:
            if page.kind == DICTIONARY:
                yield from state.dictionary_page(page, data)
            elif page.kind in _HEADERS and page.encoding in _INDICES:
                yield from state.index_page(page, data)
            elif page.kind in _HEADERS:
                yield from state.value_page(page, data)
            else:
                raise NotByPagesError("a page of a kind that is not known")
    yield state.made(column_index, offset_index)
