"""A CSV file as pieces of whole rows, which can be parsed on their own.

Quotes decide which line ends end a row, so that the pieces are cut one after the other; that is many times
faster than parsing them.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa

from streamnorm import kernel
from streamnorm.errors import DataError
from streamnorm.files import Place, open_input
from streamnorm.formats.csv.checks import OpenQuoteError

if TYPE_CHECKING:
    from streamnorm.formats.options import CsvOptions

__all__ = ["Piece", "Pieces"]

#: Size of a piece, in bytes; the first one, by which types are found, is shorter.
_SIZE, _FIRST = 1 << 21, 1 << 20
#: Longest row, in bytes, before a file is taken for something that is no table.
_LONGEST_ROW = 1 << 26
#: Largest number of line ends in the names of a header.
_HEADER_LINES = 100
#: Line ends; a carriage return at the very end may be half of one.
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")


class Piece(NamedTuple):
    """Whole rows of a file, their place among its pieces, and how many bytes of the file had been read by then."""

    data: bytes | memoryview
    number: int
    end: int


class Pieces:
    """Cuts one file.

    Parameters
    ----------
    path : Place
    delimiter : str
    options : CsvOptions
    """

    def __init__(self, path: Place, delimiter: str, options: CsvOptions) -> None:
        self._path = path
        self._delimiter = delimiter
        self._options = options

    def __iter__(self) -> Iterator[Piece]:
        """Yield the header row, then pieces of whole rows.

        Raises
        ------
        DataError
            If a quote is never closed, or a row is longer than can be.
        """
        with open_input(self._path) as raw, self._text(raw) as file:
            rest: bytes | bytearray = file.read(_FIRST).removeprefix(codecs.BOM_UTF8)
            for _ in range(self._options.skip_rows):
                rest = self._without_line(file, rest)
            header, rest = self._header(file, rest.lstrip(b"\r\n"))
            yield Piece(header, 0, 0)
            number, quote, rest = 0, -1, rest or file.read(_FIRST)
            while rest:
                end, quote = kernel.last_row(rest, self._delimiter)
                if end:
                    yield Piece(memoryview(rest)[:end], number := number + 1, raw.tell())
                elif len(rest) > _LONGEST_ROW:
                    raise _endless(quote)
                kept, rest = rest, _with_more(file, rest, end)
                if len(rest) == len(kept) - end:
                    break
            if quote >= 0:
                raise _endless(quote)
            if rest:
                yield Piece(memoryview(rest), number + 1, raw.tell())

    def _text(self, raw: pa.NativeFile) -> io.BufferedReader:
        """Decompress, and recode as UTF-8."""
        if self._path.name.lower().endswith(".gz"):
            raw = pa.CompressedInputStream(raw, "gzip")
        if codecs.lookup(self._options.encoding).name != "utf-8":
            raw = pa.transcoding_input_stream(raw, self._options.encoding, "utf8")
        return io.BufferedReader(raw, _SIZE)

    def _without_line(self, file: io.BufferedReader, rest: bytes | bytearray) -> bytes:
        while not (end := _LINE_END.search(rest)):
            fresh = file.read(_SIZE)
            if not fresh:
                return b""
            rest = rest[-1:] + fresh
        return bytes(rest[end.end() :])

    def _header(self, file: io.BufferedReader, rest: bytes | bytearray) -> tuple[bytes, bytes]:
        """Cut the first row off, whose names may be quoted and hold line ends."""
        while True:
            for end in itertools.islice(_LINE_END.finditer(rest), _HEADER_LINES):
                if kernel.last_row(rest[: end.end()], self._delimiter)[1] < 0:
                    return bytes(rest[: end.end()]), bytes(rest[end.end() :])
            fresh = file.read(max(_SIZE, len(rest)))
            if not fresh or len(rest) > _LONGEST_ROW:
                break
            rest += fresh
        quote = kernel.last_row(rest, self._delimiter)[1]
        if fresh or quote >= 0:
            raise _endless(quote)
        return bytes(rest), b""


def _with_more(file: io.BufferedReader, block: bytes | bytearray, start: int) -> bytearray:
    """Give a block from `start` on, and more of the file; a long row doubles it, lest it be searched time and again.

    Parameters
    ----------
    file : binary file
    block : bytes-like
    start : int
        The first byte that is kept.
    """
    kept = len(block) - start
    longer = bytearray(kept + max(_SIZE, kept))
    view = memoryview(longer)
    view[:kept] = memoryview(block)[start:]
    size = kept
    while fresh := file.readinto(view[size:]):
        size += fresh
    view.release()
    del longer[size:]
    return longer


def _endless(quote: int) -> DataError:
    if quote < 0:
        return DataError(f"a row has more than {_LONGEST_ROW} bytes: give the delimiter, or name another file.")
    return OpenQuoteError("a quote is opened and never closed: close it where the field ends.")
