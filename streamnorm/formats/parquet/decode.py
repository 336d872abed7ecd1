"""Numbers of a column chunk: entries of its dictionary and how often each occurs, and what is written plainly.

No array of the column's rows is built. Which rows are null does not matter here, only how many. What is read so are
flat columns, in the encodings that the kernel knows; everything else is left to pyarrow, as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.formats.limits import LARGEST
from streamnorm.formats.parquet.codecs import SNAPPY, UNCOMPRESSED, unpacked
from streamnorm.formats.parquet.flat import Chunk
from streamnorm.formats.parquet.layout import NotByPagesError
from streamnorm.formats.parquet.walk import DATA_V2, DICTIONARY, Page, pages_of
from streamnorm.formats.source import Counted, Portion

__all__ = ["portions_of"]

#: Bytes of a column chunk that are read at a time, and of its pages that are unpacked at a time, unless one page has
#: more: both stay in the processor's second cache.
PIECE_BYTES = UNPACKED_BYTES = 3 << 19

#: Parquet's numbers of encodings.
_PLAIN, _PLAIN_DICTIONARY, _DELTA, _SPLIT = 0, 2, 5, 9


def portions_of(file: pa.NativeFile, chunk: Chunk, kind: pa.DataType) -> Iterator[Portion]:
    """Yield all numbers of a column chunk, in bounded portions.

    Parameters
    ----------
    file : pyarrow.NativeFile
    chunk : Chunk
    kind : pyarrow.DataType
        The column's.

    Raises
    ------
    NotByPagesError
        If it turns out to be written in a way that is not read here.
    ValueError
        If its bytes are none that a writer makes.
    """
    reader, waiting = _Reader(chunk, kind), list[Counted]()
    for data, pages in pages_of(file, chunk, PIECE_BYTES):
        first = pages[0].kind == DICTIONARY
        if first:
            reader.take_dictionary(data, pages[0])
        for start, stop in _together([page.unpacked for page in pages], int(first)):
            if waiting:
                yield Portion(waiting, 0)
            waiting = [reader.read(data, pages[start:stop])]
    yield reader.last(waiting)


def _together(sizes: list[int], start: int) -> Iterator[tuple[int, int]]:
    """Yield from where to where pages of these sizes, from one on, are unpacked at a time."""
    total = 0
    for at, size in enumerate(sizes[start:], start):
        if at > start and total + size > UNPACKED_BYTES:
            yield start, at
            start, total = at, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


class _Reader:
    """A column chunk while its pages come."""

    def __init__(self, chunk: Chunk, kind: pa.DataType) -> None:
        self._chunk, self._kind = chunk, kind
        self._width = chunk.stored.bit_width // 8
        self._dictionary: pa.Array | None = None
        self._counts: NDArray[np.int64] | None = None
        self._values = self._nulls = 0

    def take_dictionary(self, data: memoryview, page: Page) -> None:
        """Keep the entries of the dictionary, which comes before all values."""
        if self._dictionary is not None or self._values or page.encoding not in (_PLAIN, _PLAIN_DICTIONARY):
            raise NotByPagesError("a dictionary that is not plain or not the first page")
        if page.unpacked > LARGEST:
            raise NotByPagesError("a dictionary of much memory")
        body = self._body(data, page)
        if page.values * self._width > len(body):
            raise ValueError("its dictionary has fewer entries than its header tells of")
        self._dictionary = _array(pa.py_buffer(body), page.values, self._kind, self._chunk.stored)
        self._counts = np.zeros(page.values, np.int64)

    def read(self, data: memoryview, pages: list[Page]) -> Counted:
        """Give the plain values of pages, and count the entries of the dictionary."""
        unpacked_here = [page for page in pages if page.encoding in (_DELTA, _SPLIT)]
        room = sum(page.unpacked for page in pages) + self._width * sum(page.values for page in unpacked_here)
        if room > LARGEST:
            raise NotByPagesError("pages of much memory")
        if pa.types.is_floating(self._chunk.stored) and any(page.encoding == _DELTA for page in unpacked_here):
            raise NotByPagesError("deltas of floats")
        out, codec = pa.allocate_buffer(room), self._chunk.codec
        bodies = None if codec in (UNCOMPRESSED, SNAPPY) else [self._body(data, page) for page in pages]
        try:
            values, present, plain = kernel.read_pages(
                data, np.array(pages, np.int64), codec == SNAPPY, bodies, self._chunk.nullable, self._width,
                self._counts, out,
            )  # fmt: skip
        except NotImplementedError as error:
            raise NotByPagesError(str(error)) from None
        self._values += values
        self._nulls += values - present
        return _array(out, plain, self._kind, self._chunk.stored), None

    def last(self, waiting: list[Counted]) -> Portion:
        """Give what waits, and what is known when all pages were read: how often entries of the dictionary occur."""
        entries = [] if self._dictionary is None else [(self._dictionary, self._counts)]
        return Portion(waiting + entries, self._nulls)

    def _body(self, data: memoryview, page: Page) -> Any:
        """Unpack a page, from behind the levels of one of version 2."""
        levels = page.definition_bytes if page.kind == DATA_V2 else 0
        packed = data[page.body + levels : page.end]
        return unpacked(self._chunk.codec if page.compressed else UNCOMPRESSED, packed, page.unpacked - levels)


def _array(data: pa.Buffer, number: int, kind: pa.DataType, stored: pa.DataType) -> pa.Array:
    """View stored values, none of which is null, as the column's type.

    Parameters
    ----------
    data : pyarrow.Buffer
    number : int
    kind, stored : pyarrow.DataType
    """
    if pa.types.is_decimal(kind):
        words = np.empty((number, 2), np.int64)
        words[:, 0] = np.frombuffer(data, stored.to_pandas_dtype(), number)
        words[:, 1] = words[:, 0] >> 63
        data = pa.py_buffer(words)
    elif kind.bit_width < stored.bit_width:
        data = pa.py_buffer(np.frombuffer(data, np.int32, number).astype(kind.to_pandas_dtype()))
    return pa.Array.from_buffers(kind, number, [None, data])
