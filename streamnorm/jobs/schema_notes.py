"""Schemas that differ between the files of one job: their values count as one, and those who listen are told.

What is told goes to the logger ``streamnorm``, which is silent unless it is asked for; on the command line it is a
note. A kind of difference is told once, however many files and columns have it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from streamnorm.errors import amount
from streamnorm.formats import Source
from streamnorm.tables import Table

__all__ = ["Differences", "tell_of_strays"]

_LOG = logging.getLogger("streamnorm")


class _Seen(NamedTuple):
    """Where a kind of difference was seen first, and in how many columns and files."""

    first: str
    columns: set[str]
    files: set[int]


@dataclass
class Differences:
    """What differs from the columns that the job goes by.

    Parameters
    ----------
    types : mapping of str to str
        Their types, in their order.
    origin : Source or None
        The file they are those of; None for those of a state.
    """

    types: Mapping[str, str]
    origin: Source | None = None
    _widths: dict[tuple[str, str], _Seen] = field(default_factory=dict)
    _orders: list[str] = field(default_factory=list)
    _files: int = 0

    def look_at(self, source: Source) -> None:
        """Compare a file's columns with those; text and nulls alone have no types that could differ."""
        self._files += 1
        schema = source.schema
        if [name for name in schema.names if name in self.types] != list(self.types):
            self._orders.append(str(source.path))
        if not (source.typed and (self.origin is None or self.origin.typed)):
            return
        for item in schema:
            kinds = str(item.type), self.types.get(item.name, str(item.type))
            if kinds[0] != kinds[1] and not pa.types.is_null(item.type):
                first = f"{source.path} has column {item.name!r} as {kinds[0]}"
                seen = self._widths.setdefault(kinds, _Seen(first, set(), set()))
                seen.columns.add(item.name)
                seen.files.add(self._files)

    def tell(self) -> None:
        """Say what was seen, a line for each kind."""
        theirs = "the state" if self.origin is None else str(self.origin.path)
        for (_, kind), (first, columns, files) in self._widths.items():
            alike = ""
            if len(columns) * len(files) > 1:
                alike = f" (so it is with {amount(len(columns), 'column')} in {amount(len(files), 'file')})"
            _LOG.info("%s where %s has %s%s: read as numbers all the same", first, theirs, kind, alike)
        if self._orders:
            alike = f" (so it is with {len(self._orders):,} files)" if len(self._orders) > 1 else ""
            _LOG.info("%s has its columns in another order than %s%s: they go by their names",
                      self._orders[0], theirs, alike)  # fmt: skip


def tell_of_strays(source: Source, table: Table, types: Mapping[str, str]) -> None:
    """Say which columns are left alone for single values that are no numbers, and would be normalised else.

    Parameters
    ----------
    source : Source
        The file that columns were chosen by.
    table : Table
        Chooses.
    types : mapping of str to str
        The columns that were chosen.
    """
    strays = source.strays
    if not strays:
        return
    alone = [name for name in table.choose(source.schema_as_numbers(strays))[0] if name not in types]
    if alone:
        row, text = strays[alone[0]]
        others = f" (so are {', '.join(map(repr, alone[1:]))})" if alone[1:] else ""
        _LOG.info(
            "%s: column %r is left alone%s, as row %d has %r where most values are numbers: name what is missing "
            "(--null-values), say how numbers are written (--decimal), or name the column (--columns)",
            source.path, alone[0], others, row, text,
        )  # fmt: skip
