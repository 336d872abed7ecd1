"""One data file of a table that changes: its columns under the table's names, and its rows without those deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from streamnorm.arrow import booleans, integers
from streamnorm.errors import SourceError
from streamnorm.formats import Bounds, Hashing, Lying, ParquetSource, Portion, Source, Unit
from streamnorm.once import once

__all__ = ["NoFiles", "TableColumn", "TableFile", "log_path"]

#: Rows of a batch of columns that stand in no file.
_ROWS = 1 << 16
_FIELD_ID = b"PARQUET:field_id"
#: What a key ends with where rows of the file are deleted.
_MARK = re.compile(r"#[0-9a-f]{16}$")


def log_path(key: str) -> str:
    """Give the path by which a table's log knows a file, from what tells it from all others."""
    return _MARK.sub("", key)


@dataclass(frozen=True)
class TableColumn:
    """A column of a table.

    Parameters
    ----------
    field : pyarrow.Field
        With its name in the table.
    identity : str
        What stays when it is renamed, and is another for another column of its name.
    stored : str or int
        What it is called in data files, or the id of its field there.
    names : tuple of str
        What it may be called in files whose fields have no ids.
    """

    field: pa.Field
    identity: str
    stored: str | int
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the table."""
        return str(self.field.name)


@dataclass(frozen=True)
class TableFile(Source):
    """A data file of one version of a table.

    Parameters
    ----------
    key : str
        Tells it from all other files of the table, and from itself with other rows deleted.
    columns : tuple of TableColumn
        Of the table.
    constants : mapping of str to pyarrow.Array
        Columns whose value is the table's and not the file's, with one element each.
    deleted : callable or None
        Gives the rows that are deleted, ascending.
    told_rows : int or None
        How many rows the table says that it has, without those deleted.
    listed_size : int
        Its bytes, as the table says.
    defaults : mapping of str to pyarrow.Array
        Values of columns that the file lacks, with one element each; else they are null.
    is_widened : bool
        Whether numbers are read in the types of the table, where those of the file are narrower.
    """

    key: str = ""
    columns: tuple[TableColumn, ...] = ()
    constants: Mapping[str, pa.Array] = field(default_factory=dict, compare=False)
    deleted: Callable[[], NDArray[np.int64]] | None = field(default=None, compare=False)
    told_rows: int | None = field(default=None, compare=False)
    listed_size: int = field(default=0, compare=False)
    defaults: Mapping[str, pa.Array] = field(default_factory=dict, compare=False)
    is_widened: bool = field(default=False, compare=False)

    @property
    def log_path(self) -> str:
        """The path by which the table's log knows it, whatever rows are deleted."""
        return log_path(self.key)

    @once
    def _file(self) -> ParquetSource:
        return ParquetSource(self.path, self.relative, self.options)

    @once
    def gone(self) -> NDArray[np.int64] | None:
        """Rows that are deleted, ascending."""
        return None if self.deleted is None else self.deleted()

    @once
    def _stored(self) -> dict[str, str]:
        """Give what the columns that the file has are called in it."""
        there = self._file.schema
        by_id = {int(item.metadata[_FIELD_ID]): item.name for item in there if _FIELD_ID in (item.metadata or {})}
        names = set(there.names)
        found = {}
        for column in self.columns:
            stored: str | None = column.stored if isinstance(column.stored, str) else by_id.get(column.stored)
            if not by_id:
                stored = next((name for name in (str(column.stored), *column.names) if name in names), None)
            if column.name not in self.constants and stored in names:
                found[column.name] = str(stored)
        return found

    @once
    def schema(self) -> pa.Schema:
        """Names of the table's columns, with the types that they have in the file, if they are in it."""
        there, stored = self._file.schema, self._stored
        kinds = {name: there.field(other).type for name, other in stored.items()}
        others = {**self.defaults, **self.constants}
        kinds = {name: value.type for name, value in others.items()} | kinds
        if self.is_widened:
            kinds |= self._wider
        return pa.schema([_plain(column.field, kinds.get(column.name)) for column in self.columns])

    @once
    def _wider(self) -> dict[str, pa.DataType]:
        """Give the types of the table for numbers whose types in the file are narrower."""
        there, kinds = self._file.schema, {column.name: column.field.type for column in self.columns}
        stored = {name: there.field(other).type for name, other in self._stored.items()}
        return {name: kinds[name] for name, kind in stored.items() if _is_wider(kinds[name], kind)}

    @property
    def is_plain(self) -> bool:
        """Whether the file holds all that the table has of it, as the table has it."""
        names, found = [column.name for column in self.columns], self._file.schema.names
        return (
            self.deleted is None and [*self._stored] == names == [*self._stored.values()] == found and not self._wider
        )

    def as_plain(self) -> Source:
        """Give the file itself, where it holds all that the table has of it and as the table has it."""
        return self._file if self.is_plain else self.widened()

    def widened(self) -> TableFile:
        """Give the file with its numbers in the types of the table."""
        return replace(self, is_widened=True)

    def units(self) -> Iterator[Unit]:
        """Yield the row groups, each with its share of the file."""
        self.check_rows()
        return self._file.units()

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group, without the rows that are deleted.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
            By default all.
        beside : sequence of str
            Columns that are read too.
        """
        names = self._all_names() if columns is None else [*columns, *beside]
        schema = pa.schema([self.schema.field(name) for name in names])
        stored = [self._stored[name] for name in names if name in self._stored]
        first = self._file.rows_before(unit)
        for batch in self._file.read(unit, stored) if stored else self._without_columns(unit):
            kept = self._kept(batch, first)
            arrays = [self._array(name, kept) for name in names]
            first += batch.num_rows
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _all_names(self) -> list[str]:
        """Give the names of all columns; raises SourceError where fields inside of one are called otherwise here."""
        for column in self.columns:
            kind = self.schema.field(column.name).type
            inside = pa.types.is_nested(kind) and _names_in(kind) != _names_in(column.field.type)
            if inside and column.stored != column.name:
                raise SourceError(
                    f"{self.path} has other names inside of column {column.name!r} than the table, and cannot be "
                    "copied: write the table without column mapping first."
                )
        return [column.name for column in self.columns]

    def _without_columns(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        """Yield as many rows as a row group has, of a column that nobody asks for."""
        rows = self._file.metadata.row_group(unit.number).num_rows
        for start in range(0, rows, _ROWS):
            yield pa.RecordBatch.from_arrays([pa.nulls(min(_ROWS, rows - start))], [""])

    def _kept(self, batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
        """Leave out the rows that are deleted."""
        if self.gone is None:
            return batch
        low, high = np.searchsorted(self.gone, [first, first + batch.num_rows])
        if low == high:
            return batch
        kept = np.ones(batch.num_rows, bool)
        kept[self.gone[low:high] - first] = False
        return batch.filter(booleans(kept))

    def _array(self, name: str, batch: pa.RecordBatch) -> pa.Array:
        if name in self._stored:
            array = batch.column(self._stored[name])
            return array.cast(self.schema.field(name).type) if self.is_widened and name in self._wider else array
        constant = self.constants.get(name, self.defaults.get(name))
        if constant is not None:
            return constant.take(integers(np.zeros(batch.num_rows, np.int64)))
        return pa.nulls(batch.num_rows, self.schema.field(name).type)

    def bounds(self, unit: Unit, names: Collection[str]) -> Mapping[str, Bounds]:
        """Give least and greatest values that the footer tells exactly, where no row is deleted."""
        if self.deleted is not None:
            return {}
        asked = {self._stored[name]: name for name in names if name in self._stored}
        return {asked[stored]: found for stored, found in self._file.bounds(unit, asked).items()}

    @contextmanager
    def chunks(self, unit: Unit, names: Collection[str], hashing: Hashing | None = None) -> Iterator[Lying | None]:
        """Tell where columns lie that the kernel reads by itself, where no row is deleted.

        Parameters
        ----------
        unit : Unit
        names : collection of str
        hashing : Hashing, optional
            What gets the bytes that the kernel reads.
        """
        found = () if self.deleted is not None else names
        asked = {self._stored[name]: name for name in found if name in self._stored}
        with self._file.chunks(unit, asked, hashing) as lying:
            yield lying and lying._replace(names=[asked[stored] for stored in lying.names])

    def portions(self, unit: Unit, names: Collection[str]) -> Iterator[tuple[str, int, Iterator[Portion]]]:
        """Yield columns that are read by their pages, where no row is deleted."""
        if self.deleted is None:
            asked = {self._stored[name]: name for name in names if name in self._stored}
            for stored, rows, portions in self._file.portions(unit, asked):
                yield asked[stored], rows, portions

    def slices(self, unit: Unit, columns: Sequence[str] | None = None) -> list[list[str]]:
        """Cut columns of a row group, by default all, into those whose pages may be in memory at once."""
        names = self.schema.names if columns is None else list(columns)
        asked = {self._stored[name]: name for name in names if name in self._stored}
        found = [[asked[stored] for stored in part] for part in self._file.slices(unit, list(asked)) if part] or [[]]
        found[0] += [name for name in names if name not in self._stored]
        return found

    def rows_before(self, unit: Unit) -> int:
        """How many rows that are not deleted come before a row group."""
        before = self._file.rows_before(unit)
        return before - (0 if self.gone is None else int(np.searchsorted(self.gone, before)))

    def check_rows(self) -> None:
        """Raise SourceError where a row that is not there is deleted."""
        rows = self._file.metadata.num_rows
        if self.gone is not None and len(self.gone) and int(self.gone[-1]) >= rows:
            raise SourceError(
                f"{self.path} has {rows} rows, and the table deletes row {int(self.gone[-1]) + 1} of it: restore the "
                "file or the table."
            )

    def let_go(self) -> None:
        """Drop the footer."""
        self._file.let_go()
        self.__dict__.pop("_stored", None)
        self.__dict__.pop("schema", None)

    def fingerprint(self) -> str:
        """Hash the key: data files are never written to."""
        return xxhash.xxh3_128_hexdigest(self.key.encode())


def _is_wider(kind: pa.DataType, other: pa.DataType) -> bool:
    """Tell whether a type of numbers holds all of another one, and more."""
    if pa.types.is_decimal(kind) and pa.types.is_decimal(other):
        return bool(kind.scale == other.scale and kind.precision > other.precision)
    alike = any(test(kind) and test(other) for test in (pa.types.is_signed_integer, pa.types.is_floating))
    return alike and bool(kind.bit_width > other.bit_width)


def _names_in(kind: pa.DataType) -> list[str]:
    """Name the fields of structs inside of a type."""
    fields = [kind.field(i) for i in range(kind.num_fields)]
    own = [item.name for item in fields] if pa.types.is_struct(kind) else []
    return [*own, *(name for item in fields for name in _names_in(item.type))]


def _plain(item: pa.Field, kind: pa.DataType | None) -> pa.Field:
    return pa.field(item.name, item.type if kind is None else kind, item.nullable)


class NoFiles(Source):
    """What columns are chosen by where a table has no files."""

    def __init__(self, path: Any, schema: pa.Schema, options: Any) -> None:
        super().__init__(path, path, options)
        self.__dict__["_schema"] = schema

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the table's columns."""
        found: pa.Schema = self.__dict__["_schema"]
        return found

    def units(self) -> Iterator[Unit]:
        """Yield nothing."""
        yield from ()

    def read(
        self, unit: Unit, columns: Sequence[str] | None = None, beside: Sequence[str] = ()
    ) -> Iterator[pa.RecordBatch]:
        """Yield nothing.

        Parameters
        ----------
        unit : Unit
        columns : sequence of str, optional
        beside : sequence of str
        """
        yield from ()
