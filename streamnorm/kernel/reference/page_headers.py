"""Headers of pages and footers of Parquet: the twin of page_headers.h and parquet_footer.h, and Thrift's numbers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["FIELDS", "Bytes", "CutError", "column_chunks", "crc32", "is_size", "pages"]

_DATA_PAGE, _INDEX_PAGE, _, _DATA_PAGE_V2 = range(4)
FIELDS, _MOST_FIELDS, _MOST_DEPTH = 16, 12, 16
_YES, _NO, _BYTE, _SHORT, _INT, _LONG, _DOUBLE, _BINARY, _LIST, _SET, _, _STRUCT = range(1, 13)
_INT32, _NUMBER_BYTES = 2**31 - 1, 10


class CutError(Exception):
    """There are too few bytes: perhaps more follow."""


class EndlessError(CutError):
    """A number does not end where every number has."""


def crc32(data: Any) -> int:
    """Give the checksum that Parquet's pages have, zlib's."""
    return zlib.crc32(data)


class Bytes:
    """Numbers of Thrift's compact protocol and of the encodings, one after the other."""

    def __init__(self, data: memoryview, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        """Read one."""
        if self.at >= len(self.data):
            raise CutError
        self.at += 1
        return self.data[self.at - 1]

    def skip(self, size: int) -> None:
        """Pass over so many."""
        if size > len(self.data) - self.at:
            raise CutError
        self.at += size

    def unsigned(self) -> int:
        """Read a number, seven bits a byte."""
        value = 0
        for place in range(_NUMBER_BYTES):
            byte = self.byte()
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value & (2**64 - 1)
        raise EndlessError

    def signed(self) -> int:
        """Read a number that is written as 0, -1, 1, -2, ..."""
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and type of each field of a struct; what it holds is to be read before the next."""
        number = 0
        while head := self.byte():
            number = number + (head >> 4) if head >> 4 else self.signed()
            if not head & 15:
                return
            yield number, head & 15

    def skip_value(self, kind: int, depth: int = 0) -> None:
        """Pass over a value of a type."""
        if depth > _MOST_DEPTH:
            raise ValueError("the header of a page is damaged")
        if kind == _BYTE:
            self.byte()
        elif kind in (_SHORT, _INT, _LONG):
            self.unsigned()
        elif kind == _DOUBLE:
            self.skip(8)
        elif kind == _BINARY:
            self.skip(self.unsigned())
        elif kind in (_LIST, _SET):
            head = self.byte()
            size, kind = head >> 4, head & 15
            for _ in range(self.unsigned() if size == 15 else size):
                self.skip_value(_BYTE if kind in (_YES, _NO) else kind, depth + 1)
        elif kind == _STRUCT:
            for _, own in self.fields():
                self.skip_value(own, depth + 1)
        elif kind not in (_YES, _NO):
            raise ValueError("the header of a page is damaged")

    def structs(self) -> Iterator[int]:
        """Yield the places in a list of structs; each is to be read before the next."""
        head = self.byte()
        if head & 15 != _STRUCT and head:
            raise ValueError("a list is of something else")
        yield from range(self.unsigned() if head >> 4 == 15 else head >> 4)

    def struct(self) -> tuple[dict[int, int], dict[int, int]]:
        """Give the numbers and truths of a struct, and where structs in it begin."""
        numbers: dict[int, int] = {}
        nested: dict[int, int] = {}
        for number, kind in self.fields():
            known = 0 < number < _MOST_FIELDS
            if known and kind in (_SHORT, _INT, _LONG):
                numbers[number] = self.signed()
            elif known and kind in (_YES, _NO):
                numbers[number] = int(kind == _YES)
            else:
                if known and kind == _STRUCT:
                    nested[number] = self.at
                self.skip_value(kind)
        return numbers, nested


def pages(data: Any, at: int = 0) -> tuple[bytes, int]:
    """List the pages that lie wholly in the data, and tell where the next one begins."""
    view = memoryview(data).cast("B")
    if at < 0:
        raise ValueError("pages begin before the data")
    records: list[list[int]] = []
    while at < len(view):
        try:
            record = _record(view, at)
        except EndlessError:
            raise ValueError("the header of a page is damaged") from None
        except CutError:
            break
        if record[3] > len(view) - record[2]:
            break
        at = record[2] + record[3]
        if record[5] != -1:
            record[6] = crc32(view[record[2] : at])
        records.append(record)
    return np.array(records, np.int64).tobytes(), at


def column_chunks(footer: Any) -> bytes:
    """Give the records of all column chunks, row group by row group."""
    reader = Bytes(memoryview(footer).cast("B"))
    records: list[list[int]] = []
    try:
        for number, kind in reader.fields():
            if (number, kind) == (4, _LIST):
                for group in reader.structs():
                    records += _group(reader, group)
            else:
                reader.skip_value(kind)
    except (CutError, ValueError):
        raise ValueError("the footer is damaged") from None
    return np.array(records, np.int64).tobytes()


def _group(reader: Bytes, group: int) -> list[list[int]]:
    """Read a RowGroup, whose columns come before the number of its rows."""
    rows, columns = -1, []
    for number, kind in reader.fields():
        if (number, kind) == (1, _LIST):
            columns += [_column(reader) for _ in reader.structs()]
        elif (number, kind) == (3, _LONG):
            rows = reader.signed()
        else:
            reader.skip_value(kind)
    return [[group, rows, *column] for column in columns]


def _column(reader: Bytes) -> list[int]:
    """Read a ColumnChunk. What lies in another file or is encrypted is elsewhere."""
    fields: dict[int, int] = {}
    elsewhere = False
    for number, kind in reader.fields():
        if (number, kind) == (3, _STRUCT):
            fields, _ = reader.struct()
        else:
            elsewhere |= number in (1, 8, 9)
            reader.skip_value(kind)
    return [*(fields.get(number, -1) for number in (1, 4, 5, 7, 9, 11)), int(elsewhere)]


def is_size(value: int) -> bool:
    """Tell whether a number of bytes or values can be one."""
    return 0 <= value <= _INT32


def _record(data: memoryview, at: int) -> list[int]:
    reader = Bytes(data, at)
    fields, nested = reader.struct()
    kind, unpacked, packed = (fields.get(i, -1) for i in (1, 2, 3))
    if not (_DATA_PAGE <= kind <= _DATA_PAGE_V2 and is_size(unpacked) and is_size(packed)):
        raise ValueError("the header of a page is damaged")
    record = [-1] * FIELDS
    record[:5] = kind, at, reader.at, packed, unpacked
    record[5] = fields[4] & 0xFFFFFFFF if 4 in fields else -1
    record[15] = 1
    if kind != _INDEX_PAGE:
        _add_kind(data, nested, record)
    return record


def _add_kind(data: memoryview, nested: dict[int, int], record: list[int]) -> None:
    """Put what the struct of a kind of page tells into the record.

    Parameters
    ----------
    data : memoryview
    nested : dict of int to int
        Where structs begin in it, by the number of their field.
    record : list of int
        The page's, which is added to.
    """
    kind, packed, unpacked = record[0], record[3], record[4]
    if kind + 5 not in nested:
        raise ValueError("the header of a page does not say what is in it")
    own, _ = Bytes(data, nested[kind + 5]).struct()
    told = [own.get(i, -1) for i in range(_MOST_FIELDS)]
    record[7] = told[1]
    if kind == _DATA_PAGE_V2:
        record[8], record[11:15], record[15] = told[4], [told[2], told[3], told[5], told[6]], int(told[7] != 0)
        sizes = all(is_size(size) for size in record[11:15])
        if not sizes or told[2] > told[1] or told[5] + told[6] > min(packed, unpacked):
            raise ValueError("the header of a page tells of levels that it has no room for")
    else:
        record[8] = told[2]
        if kind == _DATA_PAGE:
            record[9:11] = told[3:5]
    if not is_size(record[7]):
        raise ValueError("the header of a page tells of no number of values")
