"""A CSV file as what stands before its rows, and pieces of whole rows, which can be parsed on their own.

Quotes decide which line ends end a row, so that the pieces are cut one after the other; that is many times
faster than parsing them.
"""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from streamnorm import kernel
from streamnorm.errors import DataError
from streamnorm.files import Place
from streamnorm.formats.csv.checks import OpenQuoteError
from streamnorm.formats.csv.opening import open_text
from streamnorm.formats.source import Unit

if TYPE_CHECKING:
    from streamnorm.formats.options import CsvOptions

__all__ = ["CsvUnit", "Piece", "Pieces", "Start"]

#: Bytes of a piece. The first one, which columns are looked at in before all is read, is shorter.
_SIZE, _FIRST = 1 << 22, 1 << 20
#: Bytes from which on a row is taken for something that is no table.
_LONGEST_ROW = 1 << 26
#: Line ends in the quoted names of a header, at most.
_HEADER_LINES = 100
#: A line end; a carriage return at the very end may be half of one.
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
#: What spreadsheets write before a table: the delimiter of its fields.
_SEPARATOR = re.compile(rb'"?sep=([^"\r\n])"?(\r\n|\n|\r|$)', re.IGNORECASE)


_Block: TypeAlias = bytes | bytearray | memoryview


class Start(NamedTuple):
    """What stands before the rows.

    Parameters
    ----------
    before : bytes
        All in front of the header: a byte order mark, lines that are skipped, empty lines and comments.
    header : bytes
        The line of names with its end; where there is none, the first row, which is one of the rows too.
    delimiter : str
    """

    before: bytes
    header: bytes
    delimiter: str


class Piece(NamedTuple):
    """Whole rows of a file.

    Parameters
    ----------
    data : bytes or memoryview
    number : int
        Its place among the pieces, from 1.
    end : int
        Bytes of the file that had been read by then.
    """

    data: bytes | memoryview
    number: int
    end: int


@dataclass(frozen=True)
class CsvUnit(Unit):
    """A piece of whole rows."""

    piece: Piece


class Pieces:
    """Cuts one file.

    Parameters
    ----------
    path : Place
    delimiter : str
        Unless the file says another one.
    options : CsvOptions
    """

    def __init__(self, path: Place, delimiter: str, options: CsvOptions) -> None:
        self._path = path
        self._delimiter = delimiter
        self._options = options

    def start(self) -> Start:
        """Read what stands before the rows."""
        with open_text(self._path, self._options.encoding) as (file, _):
            return self._start(file)[0]

    def __iter__(self) -> Iterator[Piece]:
        """Yield pieces of whole rows.

        Raises
        ------
        DataError
            If a quote is never closed, or a row is longer than can be.
        """
        with open_text(self._path, self._options.encoding) as (file, raw):
            start, lines = self._start(file)
            rest: _Block = lines or file.read(_FIRST)
            number, quote = 0, -1
            while rest:
                end, quote = kernel.last_row(rest, start.delimiter, self._options.comment or "")
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

    def _start(self, file: io.BufferedReader) -> tuple[Start, bytes | bytearray]:
        """Read what stands before the rows, and some of these."""
        lines = _Lines(file)
        lines.take(len(codecs.BOM_UTF8) if lines.rest.startswith(codecs.BOM_UTF8) else 0)
        for _ in range(self._options.skip_rows):
            lines.take_line()
        delimiter, said = self._delimiter, _SEPARATOR.match(lines.rest)
        if said and said[1].isascii():
            delimiter = self._options.delimiter or said[1].decode()
            lines.take_line()
        while lines.rest.startswith((b"\r", b"\n")) or self._is_comment(lines.rest):
            lines.take_line()
        end = self._header_end(lines, delimiter)
        start = Start(bytes(lines.taken), bytes(lines.rest[:end]), delimiter)
        return start, lines.rest if self._options.no_header else lines.rest[end:]

    def _is_comment(self, rest: bytes | bytearray) -> bool:
        sign = self._options.comment
        return bool(sign) and rest.startswith(sign.encode())  # type: ignore[union-attr]

    def _header_end(self, lines: _Lines, delimiter: str) -> int:
        """Find the end of the first row, whose names may be quoted and hold line ends."""
        while True:
            for end in itertools.islice(_LINE_END.finditer(lines.rest), _HEADER_LINES):
                if kernel.last_row(lines.rest[: end.end()], delimiter)[1] < 0:
                    return end.end()
            if len(lines.rest) > _LONGEST_ROW or not lines.more():
                break
        quote = kernel.last_row(lines.rest, delimiter)[1]
        if len(lines.rest) > _LONGEST_ROW or quote >= 0:
            raise _endless(quote)
        return len(lines.rest)


class _Lines:
    """The beginning of a file, from which lines are taken."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.taken = bytearray()
        self.rest = bytearray(file.read(_FIRST))

    def more(self) -> bool:
        """Read more; tell whether there was some."""
        fresh = self._file.read(max(_SIZE, len(self.rest)))
        self.rest += fresh
        return bool(fresh)

    def take(self, size: int) -> None:
        self.taken += self.rest[:size]
        del self.rest[:size]

    def take_line(self) -> None:
        """Take a line with its end; it may be as long as a row.

        Raises
        ------
        DataError
            If it is longer.
        """
        while not (end := _LINE_END.search(self.rest)):
            if len(self.rest) > _LONGEST_ROW:
                raise _endless(-1)
            if not self.more():
                break
        self.take(end.end() if end else len(self.rest))


def _with_more(file: io.BufferedReader, block: _Block, start: int) -> _Block:
    """Give a block from `start` on, and more of the file; a long row doubles it, lest it be searched time and again.

    Parameters
    ----------
    file : io.BufferedReader
    block : bytes-like
    start : int
    """
    kept = len(block) - start
    longer = memoryview(kernel.memory(kept + max(_SIZE, kept)))
    longer[:kept] = memoryview(block)[start:]
    size = kept
    while fresh := file.readinto(longer[size:]):
        size += fresh
    return longer[:size]


def _endless(quote: int) -> DataError:
    if quote < 0:
        return DataError(f"a row has more than {_LONGEST_ROW} bytes: give the delimiter, or name another file.")
    return OpenQuoteError("a quote is opened and never closed: close it where the field ends.")
