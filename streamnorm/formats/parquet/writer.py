"""The file that a rewrite gives: column chunks one behind the other, then what tells where they lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from streamnorm.arrow import keys_for
from streamnorm.files import Draft
from streamnorm.formats.parquet.layout import NotByPagesError, read_at
from streamnorm.formats.parquet.made import GroupEnd, Made, Placed, moved
from streamnorm.formats.parquet.mapped import ByValue
from streamnorm.formats.parquet.output import Output
from streamnorm.formats.parquet.rewrite import Rewrite, Values
from streamnorm.formats.parquet.source import ParquetSource
from streamnorm.formats.parquet.tree import BINARY, I32, I64, LIST, STRUCT, List, Struct, write_struct
from streamnorm.formats.source import Source, Unit

__all__ = ["Rewriter"]

_MAGIC = b"PAR1"
_COPIED_BYTES = 4 << 20
#: "application version number (build number)": how readers take the writer's name apart.
_CREATED_BY = re.compile(rb"(.+ version [^()]+?)(?: \(build ([^()]*)\))?")
_REWRITTEN = b"rewritten by streamnorm"


class Rewriter:
    """Writes a file made of another's bytes: takes what its tasks give, in their order.

    Parameters
    ----------
    path : Path or Upload
        The file to be written.
    source : Source
    schema : pyarrow.Schema
        Of the result.
    mapped : mapping of str to (str, ByValue or None)
        As of `Rewrite`.
    values : Values

    Raises
    ------
    NotByPagesError
        If the file is not of a kind that is written so; it may come later too, from a task.
    SourceError
        If the footer is damaged.
    """

    def __init__(
        self, path: Draft, source: Source, schema: pa.Schema, mapped: Mapping[str, tuple[str, ByValue | None]],
        values: Values,
    ) -> None:  # fmt: skip
        if not isinstance(source, ParquetSource):
            raise NotByPagesError("the input is no Parquet file")
        self._rewrite = Rewrite(source, schema, mapped, values)
        self._out = Output(path)
        self._placed: dict[int, tuple[int, Made]] = {}
        self._chunks: list[tuple[int, Made]] = []
        self._groups: list[Struct] = []
        self._out.write([_MAGIC])
        self._begun = self._out.at

    def tasks(self, unit: Unit) -> Iterator[Callable[[], Iterator[list[Any]]]]:
        """Yield the tasks of a row group, to be run in any order; `take` wants what they give in this."""
        return self._rewrite.tasks(unit)

    def take(self, items: Sequence[Any]) -> int | None:
        """Write what a task gave; give the rows of the row group that ends with it, if one does."""
        rows = None
        at, pieces = self._out.at, []
        for item in items:
            if isinstance(item, Placed):
                self._placed[item.leaf] = (self._begun, item.made)
                self._begun = at
            elif isinstance(item, GroupEnd):
                rows = self._end_group(item.number, at)
            else:
                pieces.append(item)
                at += len(item)
        self._out.write(pieces)
        return rows

    def _end_group(self, number: int, at: int) -> int:
        """Note a row group, and give its rows.

        Parameters
        ----------
        number : int
        at : int
            Where the next one begins.
        """
        placed = [self._placed[leaf] for leaf in sorted(self._placed)]
        columns = [_entry(base, made) for base, made in placed]
        old = self._rewrite.layout.groups[number]
        group = old.copy().set(1, LIST, List(STRUCT, columns))
        group.set(2, I64, sum(column.get(3).get(6) for column in columns))
        group.set(4, LIST, self._sorting(old.get(4)))
        if 5 in old.fields:
            group.set(5, I64, min((base for base, made in placed if made.size), default=at))
        if 6 in old.fields:
            group.set(6, I64, sum(made.size for _, made in placed))
        self._groups.append(group)
        self._chunks += placed
        self._placed = {}
        return int(old.get(3))

    def _sorting(self, old: List | None) -> List | None:
        """Give the columns that rows are sorted by, up to the first that is no copy: what follows it is not certain."""
        kept = []
        copied = {
            before: after
            for column in self._rewrite.columns
            if column.how is None and column.source is not None
            for before, after in zip(column.source.leaves, column.leaves, strict=True)
        }
        for item in old.items if old else ():
            if item.get(1) not in copied:
                break
            kept.append(item.copy().set(1, I32, copied[item.get(1)]))
        return List(STRUCT, kept) if kept else None

    def finish(self) -> None:
        """Write Bloom filters, page indexes and the footer."""
        for _, made in self._chunks:
            if made.bloom is not None:
                made.column.get(3).set(14, I64, self._out.at)
                self._copy(*made.bloom)
        indexes = [(made, 6, made.column_index) for _, made in self._chunks]
        for base, made in self._chunks:
            index = made.offset_index
            indexes.append((made, 4, None if index is None else write_struct(moved(index, base))))
        at = self._out.at
        for made, number, data in indexes:  # the field with its offset, and the next one with its length
            made.column.set(number, I64, None if data is None else at)
            made.column.set(number + 1, I32, None if data is None else len(data))
            at += len(data or b"")
        self._out.write([data for *_, data in indexes if data])
        footer = write_struct(self._footer())
        self._out.write([footer, len(footer).to_bytes(4, "little"), _MAGIC])

    def close(self) -> None:
        """Close both files."""
        self._rewrite.close()
        self._out.close()

    def _copy(self, start: int, size: int) -> None:
        for at in range(start, start + size, _COPIED_BYTES):
            self._out.write([read_at(self._rewrite.file, at, min(_COPIED_BYTES, start + size - at))])

    def _footer(self) -> Struct:
        rewrite = self._rewrite
        old = rewrite.layout.meta
        root = old.get(2).items[0].copy().set(5, I32, len(rewrite.columns))
        elements = [element for column in rewrite.columns for element in column.field.elements]
        new = old.copy().set(2, LIST, List(STRUCT, [root, *elements])).set(4, LIST, List(STRUCT, self._groups))
        new.set(5, LIST, self._keys(old.get(5)))
        new.set(6, BINARY, _created_by(old.get(6)))
        if old.get(7):
            new.set(7, LIST, List(STRUCT, self._orders(old.get(7))))
        return new

    def _keys(self, old: List | None) -> List | None:
        """Give the key-value pairs, those that describe types made right for the columns that changed."""
        if old is None:
            return None
        before = {item.get(1): item.get(2) for item in old.items if item.get(2) is not None}
        after = keys_for(before, self._rewrite.source.schema, self._rewrite.schema)
        items = [item.copy().set(2, BINARY, after.get(item.get(1), item.get(2))) for item in old.items]
        return List(STRUCT, items)

    def _orders(self, old: List) -> list[Struct]:
        """Give the order of each column's bounds: that of its type for those that are not copied."""
        orders = []
        for column in self._rewrite.columns:
            if column.source is None or column.how is not None:
                orders += [Struct().set(1, STRUCT, Struct()) for _ in column.leaves]
            else:
                orders += [old.items[i] for i in column.source.leaves]
        return orders


def _entry(base: int, made: Made) -> Struct:
    """Give a column chunk's entry in the footer, for where it lies now."""
    meta: Struct = made.column.get(3)
    for number in (9, 10, 11):
        if number in meta.fields:
            meta.set(number, I64, meta.get(number) + base)
    if 9 not in meta.fields:  # without data pages
        meta.set(9, I64, 0)
    if made.column.get(2):
        made.column.set(2, I64, base)
    return made.column


def _created_by(old: bytes | None) -> bytes | None:
    """Say in the writer's name that the file is not as it left it; readers go on knowing whose pages they read."""
    found = _CREATED_BY.fullmatch(old or b"")
    if found is None or _REWRITTEN in (found[2] or b""):
        return old
    return found[1] + b" (build " + (found[2] + b", " if found[2] else b"") + _REWRITTEN + b")"
