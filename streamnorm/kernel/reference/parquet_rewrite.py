"""Pages of Parquet that are written again: the twin of parquet_rewrite.h."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from streamnorm.kernel.reference.page_headers import Bytes, CutError
from streamnorm.kernel.reference.page_values import count_indices
from streamnorm.kernel.reference.parquet_pages import count_pages

__all__ = ["index_bounds", "open_pages", "page_header", "read_struct", "remake_pages", "seal_pages", "write_struct"]

_YES, _NO, _INT, _LONG, _BINARY, _STRUCT = 1, 2, 5, 6, 8, 12
#: Bytes that a header can grow by beside its bounds.
_ROOM = 64
_NO_BOUNDS = (None, None)


class _Retold(NamedTuple):
    """What a header tells anew; -1 and None: what it told before."""

    unpacked: int
    packed: int
    crc: int
    encoding: int
    compressed: int
    statistics: tuple[int, bytes | None, bytes | None] | None


class _Emitted:
    """A struct that is being written."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.last = 0

    def field(self, number: int, kind: int, value: bytes = b"") -> None:
        """Write a field whose value is written already.

        Parameters
        ----------
        number, kind : int
            The field's number, and its type by the protocol.
        value : bytes
            As it is written.
        """
        if 0 < number - self.last < 16:
            self.data.append((number - self.last) << 4 | kind)
        else:
            self.data.append(kind)
            self.data += _zigzag(number)
        self.last = number
        self.data += value

    def end(self) -> bytes:
        """Give the struct."""
        return bytes(self.data) + b"\0"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else ~(value << 1))


def page_header(
    header: Any, unpacked: int, packed: int, crc: int, encoding: int, compressed: int,
    statistics: tuple[int, bytes | None, bytes | None] | None,
) -> bytes:  # fmt: skip
    """Give the header of a page with other numbers.

    Parameters
    ----------
    header : buffer
    unpacked, packed, crc, encoding, compressed : int
        Sizes, checksum, encoding and whether a v2 page is compressed; what is -1 stays.
    statistics : (int, bytes or None, bytes or None) or None
        Nulls, least and greatest value, for the fields of statistics that are there; None where they stay.

    Raises
    ------
    ValueError
        If it is no header.
    """
    data = memoryview(header).cast("B")
    bounds = _NO_BOUNDS if statistics is None else statistics[1:]
    if (bounds[0] is None) != (bounds[1] is None):
        raise ValueError("of two bounds there is one")
    try:
        made = _page(Bytes(data), _Retold(unpacked, packed, crc, encoding, compressed, statistics))
    except CutError:
        made = None
    if made is None or len(made) > len(data) + 2 * sum(len(bound or b"") for bound in bounds) + _ROOM:
        raise ValueError("the header of a page is damaged")
    return made


def _page(reader: Bytes, retold: _Retold) -> bytes:
    out, pending = _Emitted(), retold.crc >= 0
    checksum = retold.crc - (1 << 32) if retold.crc >= 1 << 31 else retold.crc
    sizes = {2: retold.unpacked, 3: retold.packed}
    kinds = {5: (2, 0, 5, -1), 7: (2, 0, -1, 3), 8: (4, 7, 8, -1)}
    for number, kind in reader.fields():
        if pending and number >= 4:
            out.field(4, _INT, _zigzag(checksum))
            pending = False
        if number == 4 and retold.crc >= 0:
            reader.skip_value(kind)
        elif sizes.get(number, -1) >= 0:
            reader.skip_value(kind)
            out.field(number, _INT, _zigzag(sizes[number]))
        elif kind == _STRUCT and number in kinds:
            out.field(number, kind, _kind(reader, retold, *kinds[number]))
        else:
            out.field(number, kind, _copied(reader, kind))
    return out.end()


def _copied(reader: Bytes, kind: int) -> bytes:
    start = reader.at
    reader.skip_value(kind)
    return bytes(reader.data[start : reader.at])


def _kind(reader: Bytes, retold: _Retold, encoding: int, compressed: int, statistics: int, left_out: int) -> bytes:
    """Write the struct of a kind of page, whose fields have these numbers.

    Parameters
    ----------
    reader : Bytes
    retold : _Retold
    encoding, compressed, statistics, left_out : int
        Fields of encoding, of whether it is compressed, of statistics, and one that is not written.
    """
    out, pending = _Emitted(), bool(compressed) and retold.compressed >= 0
    told = _YES if retold.compressed else _NO
    for number, kind in reader.fields():
        if pending and number >= compressed:
            out.field(compressed, told)
            pending = False
            if number == compressed:
                continue
        if number == encoding and retold.encoding >= 0:
            reader.skip_value(kind)
            out.field(number, _INT, _zigzag(retold.encoding))
        elif number == statistics and retold.statistics is not None and kind == _STRUCT:
            out.field(number, kind, _statistics(reader, *retold.statistics))
        elif number == left_out:
            reader.skip_value(kind)
        else:
            out.field(number, kind, _copied(reader, kind))
    if pending:
        out.field(compressed, told)
    return out.end()


def _statistics(reader: Bytes, nulls: int, least: bytes | None, greatest: bytes | None) -> bytes:
    """Write the statistics that were there anew.

    Parameters
    ----------
    reader : Bytes
    nulls : int
    least, greatest : bytes or None
    """
    there, out = set(), _Emitted()
    for number, kind in reader.fields():
        there.add(number)
        reader.skip_value(kind)
    for high, low in ((1, 2), (5, 6)):
        if high == 5 and 3 in there:
            out.field(3, _LONG, _zigzag(nulls))
        if least is not None and greatest is not None and there & {high, low}:
            out.field(high, _BINARY, _varint(len(greatest)) + greatest)
            out.field(low, _BINARY, _varint(len(least)) + least)
    for number in (7, 8):
        if least is not None and number in there:
            out.field(number, _YES)
    return out.end()


def index_bounds(page: Any, nullable: bool, entries: Any, used: Any) -> tuple[int, float, float]:
    """Find the bounds of a page of indices.

    Parameters
    ----------
    page : (int, int, buffer or None, buffer)
        As of `count_pages`.
    nullable : bool
    entries : buffer of float64
        The dictionary.
    used : buffer
        A byte an entry, which becomes 1 for each that occurs.

    Returns
    -------
    present : int
        Values that are not null.
    least, greatest : float
        Infinity and its negative where all are NaN.
    """
    table, seen = np.frombuffer(entries, np.float64), np.frombuffer(used, np.uint8)
    if len(table) != len(seen):
        raise ValueError("entries and what is used are of other lengths")
    values, _, levels, body = page
    present, start = np.frombuffer(count_pages([(values, -1, levels, body)], nullable, 1), np.int64).tolist()
    counts = np.zeros(len(table), np.int64)
    count_indices(memoryview(body).cast("B")[start:], present, counts)
    seen[counts > 0] = 1
    own = table[(counts > 0) & ~np.isnan(table)]
    return present, float(own.min(initial=np.inf)), float(own.max(initial=-np.inf))


def open_pages(*words: Any) -> Any:
    """Leave pages to be mapped one by one: there is nothing that would be gained."""


#: What goes on with pages that were opened, of which there are none.
remake_pages = seal_pages = open_pages


def read_struct(*words: Any) -> Any:
    """Leave a struct to be read, or written, in Python."""


write_struct = read_struct
