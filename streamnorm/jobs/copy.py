"""One mapped copy of a file: what is read, what it becomes, and the batches of each part of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from streamnorm.arrow import is_chosen
from streamnorm.errors import DataError, listed
from streamnorm.files import Target, naming
from streamnorm.formats import Editor, Format, Source, Unit, format_for
from streamnorm.jobs.work import map_batch, mapped_schema, reading, worker_table
from streamnorm.tables import Table

__all__ = ["Copy", "UnitDone"]


class UnitDone(NamedTuple):
    """The end of a unit: the bytes of input that it stood for, and its rows."""

    size: int
    rows: int


@dataclass(frozen=True)
class Copy:
    """One mapped copy of a source."""

    table: Table
    source: Source
    target: Target
    inverse: bool

    @classmethod
    def of(cls, table: Table, source: Source, target: Target, inverse: bool) -> Copy:
        """Make the copy of what a source has of the columns.

        Parameters
        ----------
        table : Table
        source : Source
        target : Path or Remote
        inverse : bool
        """
        inputs = table.inputs(inverse)
        with naming(source.path):
            has = set(source.schema.names)
            numbers = has - _without_numbers(table, source, inverse)
            there = {name: other for name, other in inputs.items() if name in numbers}
            if inputs and has.isdisjoint(inputs):
                raise DataError(
                    f"it has none of the columns that are normalised ({listed(map(repr, inputs))}): leave it out."
                )
        if len(there) < len(inputs):
            table = worker_table(table, table.learnt.only(set(there.values() if inverse else there)))
        return cls(table, source, target, inverse)

    @property
    def schema(self) -> pa.Schema:
        """The output's schema."""
        with naming(self.source.path):
            to_map = self.source.schema_to_map(self.table.inputs(self.inverse).keys())
            return mapped_schema(self.table, to_map, inverse=self.inverse)

    @property
    def format(self) -> Format:
        """The output's format."""
        return format_for(self.target, self.source)

    @property
    def editor(self) -> Editor | None:
        """What changes the source's parts where they stand, where the output is of the same format."""
        if not isinstance(self.source, self.format.source):
            return None
        targets, names = self.table.inputs(self.inverse), set(self.schema.names)
        dropped = [name for name in self.source.schema.names if name and name not in names]
        return self.source.editor(targets, dropped, self.table.key_names)

    def map_unit(
        self, editor: Editor | None, unit: Unit
    ) -> Generator[pa.RecordBatch | bytes | memoryview | UnitDone, None, None]:
        """Yield the mapped batches of one unit, or what the editor makes of it, ready to be written, and its end."""
        source, names, rows = self.source, list(self.table.inputs(self.inverse)), 0
        prepare, before = self.format.prepare, partial(source.rows_before, unit)
        with reading(source):
            if editor is not None:
                batch, found = editor.read(unit)
                mapped = map_batch(self.table, batch, inverse=self.inverse, rows_before=before)
                yield editor.write(mapped, found)
                yield UnitDone(unit.size, batch.num_rows)
                return
            for batch in source.read_to_map(unit, names):
                mapped = map_batch(self.table, batch, inverse=self.inverse, rows=rows, rows_before=before)
                rows += batch.num_rows
                ready = [prepare(mapped, source.options.decimal)]
                del batch, mapped
                yield handed_over(ready)
            yield UnitDone(unit.size, rows)


def _without_numbers(table: Table, source: Source, inverse: bool) -> set[str]:
    """Name the columns to be left as they are: only nulls were seen of them, and no numbers are in the source either.

    Parameters
    ----------
    table : Table
    source : Source
    inverse : bool
    """
    unknown = table.learnt.unknown if source.typed else ()
    names = {name for name, other in table.inputs(inverse).items() if (other if inverse else name) in unknown}
    return {item.name for item in source.schema if item.name in names and not is_chosen(item.type)} if names else set()


def handed_over(ready: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Take the batch out of a list of one, so that its maker holds on to nothing while it waits to be written.

    A batch that a paused generator still names stays in memory until the generator goes on, which may be long after
    another file's batch was written.
    """
    return ready.pop()
