"""A Parquet file made of another's bytes: what is not mapped is copied, row group by row group, column by column.

Row groups, pages, codecs, levels and their order stay. The footer's tree is edited where a column changes, so that
what is not known here is written back as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from streamnorm.errors import SourceError
from streamnorm.files import naming, open_input
from streamnorm.formats.limits import width_of
from streamnorm.formats.parquet.codecs import can_unpack
from streamnorm.formats.parquet.layout import Chunk, Field, Layout, NotByPagesError, read_at
from streamnorm.formats.parquet.made import GroupEnd, Made, Placed, moved
from streamnorm.formats.parquet.mapped import ByValue, How, mapped_chunk
from streamnorm.formats.parquet.physical import can_map, stored_as
from streamnorm.formats.parquet.source import ParquetSource
from streamnorm.formats.parquet.spliced import file_of
from streamnorm.formats.parquet.tree import I32, I64, STRUCT, Struct, read_struct, write_struct
from streamnorm.formats.parquet.walk import damage, pages_of
from streamnorm.formats.source import Unit

__all__ = ["Column", "Rewrite", "Values"]

#: Gives batches of the named columns of the result, for one row group.
Values = Callable[[Unit, Sequence[str]], Iterator[pa.RecordBatch]]
_Maker = Callable[[], Iterator[Any]]

#: Bytes of output that one task gathers before it hands them on.
_GATHERED = 4 << 20
#: Bytes of input that small column chunks of a row group are put together to, for one task.
_TASK_BYTES = 1 << 20
#: Bytes that the columns of a row group that are not mapped by pages may have: their values are in memory at once.
_VALUES_BYTES = 64 << 20
#: Bytes of a Bloom filter's header at most, of some fifteen.
_BLOOM_HEADER = 256


@dataclass(frozen=True)
class Column:
    """A column of the result.

    Parameters
    ----------
    field : Field
        Its elements in the schema of the result.
    leaves : range
        Its places among the columns of the result.
    source : Field, optional
        What it is copied or mapped from; None where it is written from values.
    how : How, optional
        The map of its values; None where it is copied.
    """

    field: Field
    leaves: range
    source: Field | None = None
    how: How | None = None


class Rewrite:
    """How a file becomes another.

    Parameters
    ----------
    source : ParquetSource
    schema : pyarrow.Schema
        Of the result.
    mapped : mapping of str to (str, ByValue or None)
        For each column of the result that is mapped, the column that it is made of, and its map; None where a
        result takes more than one value.
    values : Values
        Gives the columns that are not mapped value by value.

    Raises
    ------
    NotByPagesError
        If the file is not of a kind that is written so.
    SourceError
        If the footer is damaged.
    """

    def __init__(
        self, source: ParquetSource, schema: pa.Schema, mapped: Mapping[str, tuple[str, ByValue | None]], values: Values
    ) -> None:
        self.source, self.schema, self._values = source, schema, values
        with naming(source.path):
            self.file = open_input(source.path)
            try:
                self.layout = Layout.read(self.file)
            except ValueError as error:
                raise SourceError(f"{source.path} is damaged: {error}; restore the file or leave it out.") from error
        if [field.name for field in self.layout.fields] != source.schema.names:
            raise NotByPagesError("Arrow reads its fields as others")
        self.columns = list(self._chosen(mapped))
        self.valued = [column.field.name for column in self.columns if column.source is None]
        self._check_values()
        first = next((made_of for name, (made_of, _) in mapped.items() if name in self.valued), "")
        self._codec_of = next((field.leaves[0] for field in self.layout.fields if field.name == first), 0)

    def _chosen(self, mapped: Mapping[str, tuple[str, ByValue | None]]) -> Iterator[Column]:
        """Say of each column of the result how it comes about."""
        own: dict[str, Column] = {}
        fields = {field.name: field for field in self.layout.fields}
        for name, (made_of, function) in mapped.items():
            if made_of not in fields:
                raise NotByPagesError("a column that the file lacks")
            found = self._by_pages(name, fields[made_of], function)
            if found is not None:
                own[name] = found
        for field in self._fields_of_values([name for name in mapped if name not in own]):
            if field.name not in fields:
                field.elements[0].set(9, I32, None)  # the id of the column that it stands beside
            own[field.name] = Column(field, field.leaves)
        leaf = 0
        for position, item in enumerate(self.schema):
            found = own.get(item.name)
            if found is None:
                source = self._copied(item.name, position)
                found = Column(source, source.leaves, source)
            leaves = range(leaf, leaf + len(found.leaves))
            leaf = leaves.stop
            yield Column(found.field, leaves, found.source, found.how)

    def _by_pages(self, name: str, field: Field, function: ByValue | None) -> Column | None:
        """Say how a column is mapped by pages; None where it cannot be.

        Parameters
        ----------
        name : str
            The result's.
        field : Field
            What it is made of.
        function : ByValue or None
        """
        kind, result = self.source.schema.field(field.name).type, self.schema.field(name).type
        if function is None or not field.is_flat or not can_map(kind, field.elements[0].get(1), result):
            return None
        if not all(can_unpack(chunks[field.leaves[0]].meta.get(4)) for chunks in self.layout.chunks):
            return None
        replaced = next((other.elements[0] for other in self.layout.fields if other.name == name), None)
        element, stored, length = stored_as(field.elements[0], result, name, replaced)
        how = How(name, kind, field.nullable, stored, length, function)
        return Column(Field(name, [element], range(1)), range(1), field, how)

    def _fields_of_values(self, names: Sequence[str]) -> list[Field]:
        """Give the fields that pyarrow writes for columns of the result."""
        if not names:
            return []
        schema = pa.schema([item for item in self.schema if item.name in names])
        return Layout.read(pa.BufferReader(file_of(schema, []))).fields

    def _copied(self, name: str, position: int) -> Field:
        """Find the field that a column is copied from: with its name, and as many of that name before it."""
        before = self.schema.names[:position].count(name)
        found: Field = [field for field in self.layout.fields if field.name == name][before]
        return found

    def _check_values(self) -> None:
        """Raise NotByPagesError where the values of a row group's columns are too much for memory."""
        widths = [width_of(self.schema.field(name).type) for name in self.valued]
        for group in self.layout.groups if self.valued else ():
            size = group.get(3) * sum(widths) if all(widths) else group.get(2)
            if size > _VALUES_BYTES:
                raise NotByPagesError("its row groups are large, and values of more than one row are needed")

    # ---- the work on row groups ----

    def tasks(self, unit: Unit) -> Iterator[Callable[[], Iterator[list[Any]]]]:
        """Yield the tasks of a row group, each a part of its bytes: they are run in any order and taken in this.

        Parameters
        ----------
        unit : Unit
            The row group.
        """
        chunks = self.layout.chunks[unit.number]
        makers: list[_Maker] = []
        size = 0
        for column in self.columns:
            old = () if column.source is None else column.source.leaves
            for leaf, chunk in zip(column.leaves, (chunks[i] for i in old), strict=False):
                makers.append(partial(self._chunk, unit.number, column, leaf, chunk))
                size += chunk.size
                if size > _TASK_BYTES:
                    yield partial(_gathered, makers)
                    makers, size = [], 0
        if self.valued:
            makers.append(partial(self._from_values, unit))
        makers.append(lambda: iter((GroupEnd(unit.number),)))
        yield partial(_gathered, makers)

    def _chunk(self, group: int, column: Column, leaf: int, chunk: Chunk) -> Iterator[Any]:
        """Yield the bytes of a column chunk, copied or mapped, and at its end what was made.

        Parameters
        ----------
        group : int
            Number of the row group.
        column : Column
        leaf : int
            Its place among the columns of the result.
        chunk : Chunk
        """
        path = self.source.path
        with naming(path), damage(path, column.field.name, group):
            column_index, offset_index = self._index(chunk, 6), self._index(chunk, 4)
            if column.how is None:
                yield from self._copy(leaf, chunk, column_index, offset_index)
                return
            if chunk.meta.get(5) != self.layout.groups[group].get(3):
                raise ValueError("its number of values is not that of the row group's rows")
            for piece in mapped_chunk(path, self.file, chunk, column.how, group, column_index, offset_index):
                yield Placed(leaf, piece) if isinstance(piece, Made) else piece

    def _copy(self, leaf: int, chunk: Chunk, column_index: Struct | None, offset_index: Struct | None) -> Iterator[Any]:
        """Yield the bytes of a chunk as they are, looking at each page's header, and its CRC where it has one.

        Parameters
        ----------
        leaf : int
            Its place among the columns of the result.
        chunk : Chunk
        column_index, offset_index : Struct or None
        """
        for data, _ in pages_of(self.file, chunk):
            yield data
        meta = chunk.meta.copy()
        for number in (9, 10, 11):
            at = meta.get(number, -1)
            meta.set(number, I64, at - chunk.start if at >= chunk.start else None)
        column = chunk.column.copy().set(3, STRUCT, meta)
        made = Made(column, chunk.size, None if column_index is None else write_struct(column_index))
        made.offset_index = offset_index and moved(offset_index, -chunk.start)
        made.bloom = self._bloom(meta) if meta.get(14) else None
        yield Placed(leaf, made)

    def _index(self, chunk: Chunk, number: int) -> Struct | None:
        """Read one of a chunk's two page indexes, whose offset is in a field of this number."""
        at, size = chunk.column.get(number), chunk.column.get(number + 1)
        return None if not at or not size else read_struct(memoryview(read_at(self.file, at, size)))[0]

    def _bloom(self, meta: Struct) -> tuple[int, int]:
        """Find where a Bloom filter lies, header and bits."""
        at, size = meta.get(14), meta.get(15)
        if size is None:
            head = read_at(self.file, at, min(_BLOOM_HEADER, self.layout.end - at))
            header, behind = read_struct(memoryview(head))
            size = behind + header.get(1)
        if not 0 < at <= at + size <= self.layout.end:
            raise ValueError("its Bloom filter lies outside of the file")
        return at, size

    def _from_values(self, unit: Unit) -> Iterator[Any]:
        """Yield the chunks of columns that are written from values, out of a file that pyarrow makes of them."""
        schema = pa.schema([self.schema.field(name) for name in self.valued])
        codec = self.layout.chunks[unit.number][self._codec_of].meta.get(4)
        made = pa.BufferReader(file_of(schema, self._values(unit, self.valued), codec))
        layout = Layout.read(made)
        leaves = (leaf for column in self.columns if column.source is None for leaf in column.leaves)
        for leaf, chunk in zip(leaves, layout.chunks[0], strict=True):
            meta = chunk.meta.copy().set(9, I64, 0 if chunk.size else None)
            yield memoryview(read_at(made, chunk.start, chunk.size))
            yield Placed(leaf, Made(Struct().set(2, I64, 0).set(3, STRUCT, meta), chunk.size))

    def close(self) -> None:
        """Close the input."""
        self.file.close()


def _gathered(makers: Sequence[_Maker]) -> Iterator[list[Any]]:
    """Yield lists of what makers give one after the other."""
    items: list[Any] = []
    size = 0
    for make in makers:
        for item in make():
            items.append(item)
            size += 0 if isinstance(item, (Placed, GroupEnd)) else len(item)
            if size > _GATHERED:
                yield items
                items, size = [], 0
    yield items
