"""Thrift, compact protocol, as far as page headers need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Thrift"]

#: Bytes of a number of 64 bits at most.
_NUMBER = 10


class Thrift:
    """Reads structs from bytes."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self.at = data, at
        self._readers: dict[int, Callable[[], Any]] = {
            3: self._byte, 4: self._signed, 5: self._signed, 6: self._signed, 7: lambda: self._bytes(8),
            8: lambda: self._bytes(self._unsigned()), 9: self._list, 10: self._list, 12: self.struct,
        }  # fmt: skip

    def struct(self) -> dict[int, Any]:
        """Give the fields of a struct by their numbers."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            fields[number] = self._value(head & 15)
        return fields

    def _value(self, kind: int) -> Any:
        return kind == 1 if kind in (1, 2) else self._readers[kind]()

    def _list(self) -> list[Any]:
        head = self._byte()
        size, kind = head >> 4, head & 15
        if size == 15:
            size = self._unsigned()
        if size > len(self._data) - self.at:
            raise ValueError("a list is longer than the file")
        return [self._value(3 if kind in (1, 2) else kind) for _ in range(size)]

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, size: int) -> memoryview:
        self.at += size
        return self._data[self.at - size : self.at]

    def _signed(self) -> int:
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
