"""Where the chunks of flat columns lie in a file, by its footer: of columns with one value a row, or a null."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.formats.parquet.codecs import LZ4_RAW, SNAPPY, UNCOMPRESSED

__all__ = ["Chunk", "FlatColumns"]

#: Codecs that pages are unpacked by, beside these GZIP, BROTLI and ZSTD; and those that the kernel unpacks by itself.
_CODECS, _OWN_CODECS = (UNCOMPRESSED, SNAPPY, 2, 4, 6, LZ4_RAW), (UNCOMPRESSED, SNAPPY)

#: Arrow's type of values by Parquet's number of the physical type.
_STORED = {1: pa.int32(), 2: pa.int64(), 4: pa.float32(), 5: pa.float64()}
_INTEGERS = (1, 2)
#: Parquet's number of the physical type by that of the column, and the kernel's name of what is stored as it is.
_PHYSICAL = {
    pa.int8(): (1, ""), pa.int16(): (1, ""), pa.int32(): (1, "i"), pa.int64(): (2, "q"),
    pa.uint8(): (1, ""), pa.uint16(): (1, ""), pa.uint32(): (1, "I"), pa.uint64(): (2, "Q"),
    pa.float32(): (4, "f"), pa.float64(): (5, "d"),
}  # fmt: skip
_DECIMAL, _OTHER = (-1, ""), (-2, "")  # a decimal is stored as either of the integers


@dataclass(frozen=True)
class Chunk:
    """A column chunk that is read by pages.

    Parameters
    ----------
    start, size : int
        Where its pages lie in the file, in bytes.
    values : int
        Number of values, nulls included.
    stored : pyarrow.DataType
        What values are written as.
    codec : int
        Parquet's number of it.
    nullable : bool
        Whether there are definition levels.
    """

    start: int
    size: int
    values: int
    stored: pa.DataType
    codec: int
    nullable: bool


class FlatColumns:
    """The flat columns of a file, and which of their chunks are read by pages.

    Parameters
    ----------
    metadata : pyarrow.parquet.FileMetaData
        It is not asked for column chunks, which of a damaged footer would end the process.
    schema : pyarrow.Schema
    footer : buffer
        The bytes that `metadata` was made of.

    Raises
    ------
    ValueError
        If the footer is damaged.
    """

    def __init__(self, metadata: Any, schema: pa.Schema, footer: Any) -> None:
        leaves = [metadata.schema.column(i) for i in range(len(metadata.schema))]
        told = np.frombuffer(kernel.column_chunks(footer), np.int64).reshape(-1, len(kernel.TOLD))
        if not np.array_equal(told[:, 0], np.repeat(np.arange(metadata.num_row_groups), len(leaves))):
            raise ValueError("the footer is damaged")
        times, names = Counter(leaf.path for leaf in leaves), set(schema.names)
        flat = [
            (i, leaf)
            for i, leaf in enumerate(leaves)
            if times[leaf.path] == 1 and leaf.path in names and leaf.max_repetition_level == 0
            and leaf.max_definition_level <= 1
        ]  # fmt: skip
        self._places = {leaf.path: place for place, (_, leaf) in enumerate(flat)}
        kinds = [_physical(schema.field(name).type) for name in self._places]
        expected, types = np.array([number for number, _ in kinds]), np.array([ord(code or "\0") for _, code in kinds])
        told = told.reshape(metadata.num_row_groups, len(leaves), -1)[:, [i for i, _ in flat]]
        _, rows, self._stored, self._codecs, values, size, data, dictionary, elsewhere = np.moveaxis(told, -1, 0)
        fits = np.where(expected == _DECIMAL[0], np.isin(self._stored, _INTEGERS), self._stored == expected)
        self._paged = fits & (values == rows) & (elsewhere == 0) & (size >= 0) & np.isin(self._codecs, _CODECS)
        self._own = self._paged & (types > 0) & np.isin(self._codecs, _OWN_CODECS)
        start = np.where((dictionary > 0) & ((dictionary < data) | (data <= 0)), dictionary, np.maximum(data, 0))
        nullable = np.array([leaf.max_definition_level == 1 for _, leaf in flat])
        record = np.broadcast_arrays(start, size, values, types, self._codecs == SNAPPY, nullable)
        self._records = np.stack(record, axis=-1).astype(np.int64)

    def chunk(self, group: int, name: str) -> Chunk | None:
        """Give a column chunk of a row group; None of one that is not read by pages."""
        place = self._places.get(name)
        if place is None or not self._paged[group, place]:
            return None
        start, size, values, _, _, nullable = self._records[group, place].tolist()
        stored, codec = self._stored[group, place], self._codecs[group, place]
        return Chunk(start, size, values, _STORED[int(stored)], int(codec), bool(nullable))

    def read_by_kernel(self, group: int, names: Iterable[str]) -> tuple[list[str], NDArray[np.int64]]:
        """Name those of some columns that the kernel reads by itself, and give their records of `kernel.Chunks`.

        They are in the order of the file's columns, in which their chunks mostly lie.
        """
        own, asked = self._own[group], set(names)
        there = [(name, place) for name, place in self._places.items() if own[place] and name in asked]
        return [name for name, _ in there], self._records[group, [place for _, place in there]]


def _physical(kind: pa.DataType) -> tuple[int, str]:
    return _DECIMAL if pa.types.is_decimal128(kind) else _PHYSICAL.get(kind, _OTHER)
