"""Structs of Thrift's compact protocol as trees that are written back as they were read.

A field keeps its number and its type, so that what a newer version of Parquet adds survives a copy unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streamnorm import kernel

__all__ = ["BINARY", "BOOL", "I32", "I64", "LIST", "STRUCT", "List", "Struct", "read_struct", "write_struct"]

#: Types of fields, by the protocol's numbers; 2 is a boolean that is false.
BOOL, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, STRUCT = 1, 3, 4, 5, 6, 7, 8, 9, 10, 12
_FALSE = 2
#: Structs inside one another: a footer has seven.
_DEEPEST = 32
#: Bytes of a number of 64 bits at most.
_NUMBER = 10


class Struct:
    """Fields by their numbers.

    Parameters
    ----------
    fields : dict of int to (int, value)
        Type and value of each field: bool, int, bytes, `List` or `Struct`.

    Examples
    --------
    >>> made = Struct().set(1, I32, 7).set(3, BINARY, b"x")
    >>> write_struct(made).hex(), read_struct(write_struct(made))[0].get(3)
    ('150e28017800', b'x')
    """

    __slots__ = ("fields",)

    def __init__(self, fields: dict[int, tuple[int, Any]] | None = None) -> None:
        self.fields = {} if fields is None else fields

    def get(self, number: int, default: Any = None) -> Any:
        """Give the value of a field, or the default where it is absent."""
        found = self.fields.get(number)
        return default if found is None else found[1]

    def set(self, number: int, kind: int, value: Any) -> Struct:
        """Give a field a value; None takes the field away. Returns the struct itself.

        Parameters
        ----------
        number, kind : int
            The field's number, and its type by the protocol.
        value : bool, int, bytes, List, Struct or None
        """
        if value is None:
            self.fields.pop(number, None)
        else:
            self.fields[number] = (kind, value)
        return self

    def copy(self) -> Struct:
        """Give a struct with the same values, which are not copied."""
        return Struct(dict(self.fields))


class List:
    """Values of one type."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: int, items: list[Any]) -> None:
        self.kind = kind
        self.items = items


def read_struct(data: bytes | memoryview, at: int = 0) -> tuple[Struct, int]:
    """Read a struct; also give where it ends.

    Parameters
    ----------
    data : bytes or memoryview
    at : int
        Where it begins.

    Raises
    ------
    ValueError, IndexError
        If there is none.
    """
    found: tuple[Struct, int] | None = kernel.read_struct(data, at, Struct, List)
    if found is None:  # of what is wrong the reader here says what it is
        reader = _Reader(data, at)
        found = reader.struct(0), reader.at
    return found


class _Reader:
    def __init__(self, data: bytes | memoryview, at: int) -> None:
        self.data, self.at = data, at
        self._readers: dict[int, Callable[[int], Any]] = {
            BYTE: lambda depth: self._byte(), I16: self._signed, I32: self._signed, I64: self._signed,
            DOUBLE: lambda depth: self._bytes(8), BINARY: lambda depth: self._bytes(self._unsigned()),
            LIST: self._list, SET: self._list, STRUCT: self.struct,
        }  # fmt: skip

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise ValueError("structs lie too deep inside one another")
        fields: dict[int, tuple[int, Any]] = {}
        number, readers = 0, self._readers
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            if kind in (BOOL, _FALSE):
                fields[number] = (BOOL, kind == BOOL)
            elif kind in readers:
                fields[number] = (kind, readers[kind](depth + 1))
            else:
                raise ValueError(f"a field of type {kind} is not known")
        return Struct(fields)

    def _list(self, depth: int) -> List:
        head = self._byte()
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self._unsigned()
        if size > len(self.data) - self.at or depth > _DEEPEST:
            raise ValueError("a list is longer than the file")
        if not size:  # of which some writers say no type
            return List(kind, [])
        if kind in (BOOL, _FALSE):
            return List(BOOL, [self._byte() == BOOL for _ in range(size)])
        if kind not in self._readers:
            raise ValueError(f"a list of type {kind} is not known")
        read = self._readers[kind]
        return List(kind, [read(depth + 1) for _ in range(size)])

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _bytes(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError("a text is longer than the file")
        self.at += size
        return bytes(self.data[self.at - size : self.at])

    def _signed(self, depth: int = 0) -> int:
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


def write_struct(struct: Struct) -> bytes:
    """Write a struct, its fields in the order of their numbers."""
    found: bytes | None = kernel.write_struct(struct)
    if found is None:
        out = bytearray()
        _put_struct(out, struct)
        found = bytes(out)
    return found


def _put_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for number in sorted(struct.fields):
        kind, value = struct.fields[number]
        tag = kind if kind != BOOL or value else _FALSE
        if 0 < number - last < 16:
            out.append((number - last) << 4 | tag)
        else:
            out.append(tag)
            _put_signed(out, number)
        if kind != BOOL:
            _PUT[kind](out, value)
        last = number
    out.append(0)


def _put_list(out: bytearray, value: List) -> None:
    if len(value.items) < 15:
        out.append(len(value.items) << 4 | value.kind)
    else:
        out.append(15 << 4 | value.kind)
        _put_unsigned(out, len(value.items))
    for item in value.items:
        _PUT[value.kind](out, item)


def _put_bytes(out: bytearray, value: bytes) -> None:
    _put_unsigned(out, len(value))
    out += value


def _put_signed(out: bytearray, value: int) -> None:
    _put_unsigned(out, value << 1 if value >= 0 else ~(value << 1))


def _put_unsigned(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


_PUT: dict[int, Callable[[bytearray, Any], None]] = {
    BOOL: lambda out, value: out.append(BOOL if value else _FALSE),
    BYTE: lambda out, value: out.append(value & 255),
    I16: _put_signed, I32: _put_signed, I64: _put_signed,
    DOUBLE: bytearray.extend,
    BINARY: _put_bytes, LIST: _put_list, SET: _put_list, STRUCT: _put_struct,
}  # fmt: skip
