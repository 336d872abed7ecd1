"""Columns of text files that are read as numbers until a value is none.

What such a column is, is decided by all its values in all files: the same for any order of these, and of their rows.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import pyarrow as pa

from streamnorm.arrow import widest
from streamnorm.errors import DataError
from streamnorm.formats import Seen, Source, no_number
from streamnorm.tables import Learnt, Table

__all__ = ["open_columns", "settled", "settled_columns", "types_seen"]

_LOG = logging.getLogger("streamnorm")


class Left(NamedTuple):
    """A column that is left alone for its values.

    Parameters
    ----------
    name : str
    source : Source
        The first file with a value that is no number, or a code.
    there : Seen
        What that file has in the column.
    everywhere : Seen
        What all files have in it.
    """

    name: str
    source: Source
    there: Seen
    everywhere: Seen

    @property
    def reason(self) -> str:
        """The first value that made it so, in words."""
        first = self.there.first_other or self.there.first_code
        assert first is not None
        if self.there.first_other is None:
            return f"row {first.row} has {first.text[:40]!r}, which begins with a zero as codes do"
        beside = " where most values are numbers" if self.everywhere.seems_numeric else ""
        return f"row {first.row} has {first.text[:40]!r}{beside}"


def open_columns(table: Table, like: Learnt) -> frozenset[str]:
    """Name the columns that were not asked for by name: those that may turn out to hold something else."""
    return frozenset(like.types.keys() - (table.columns or {}).keys())


def settled(table: Table, total: Learnt, sources: Iterable[Source]) -> Learnt:
    """Give what was learnt of those columns that hold numbers in all files, and their types.

    Parameters
    ----------
    table : Table
        Chooses columns.
    total : Learnt
        Of the columns that were chosen before the files were read.
    sources : iterable of Source
        All of which has been read.

    Raises
    ------
    DataError
        If no column is left.
    """
    sources = sorted(sources, key=lambda source: source.location)
    if all(source.typed for source in sources):
        return total
    learnt = total.only(settled_columns(table, total, sources, added=False, strict=False))
    return dataclasses.replace(learnt, types=MappingProxyType(types_seen(learnt.types, sources, None)))


def settled_columns(
    table: Table, like: Learnt, sources: Sequence[Source], *, added: bool, strict: bool
) -> frozenset[str]:
    """Name the columns that hold numbers in all files, and say which are left alone for single values.

    Parameters
    ----------
    table : Table
        Chooses columns.
    like : Learnt
        The columns that were chosen by what was known before the files were read.
    sources : sequence of Source
        All of which has been read, in their order.
    added : bool
        Whether they are added to a state, whose columns are settled.
    strict : bool
        Whether a column in doubt is an error, and not left alone.

    Raises
    ------
    DataError
        If one is, or no column is left.
    """
    _tell_of_padding(sources)
    _tell_of_headers(sources)
    if added:
        if strict:
            _check_codes(sources, open_columns(table, like))
        return frozenset(like.types)
    left = _columns_left(sources, _doubtful(table, like, sources))
    if strict:
        _check_mostly_numbers(left)
    names = frozenset(like.types.keys() - {column.name for column in left})
    if not names:
        first = next(column for column in left if column.name in like.types)
        raise DataError(
            f"{first.source.path}: there is no column to normalise: column {first.name!r} is left alone, as "
            f"{first.reason}; name some that hold numbers (--columns)."
        )
    _tell_of_left(left)
    return names


def _doubtful(table: Table, like: Learnt, sources: Sequence[Source]) -> frozenset[str]:
    """Name the columns that their values decide of: the open ones, and those of text that would be chosen else.

    Parameters
    ----------
    table : Table
    like : Learnt
    sources : sequence of Source
    """
    kinds: dict[str, pa.DataType] = {}
    for source in sources:
        texts = source.seen_columns()
        as_numbers = source.schema_as_numbers(texts)
        kinds |= {item.name: item.type for item in as_numbers if source.typed or item.name not in kinds}
    chosen = table.choose(pa.schema(list(kinds.items())))[0]
    return (open_columns(table, like) | chosen.keys()) - (table.columns or {}).keys()


def _columns_left(sources: Iterable[Source], names: Collection[str]) -> list[Left]:
    """Find the columns in doubt that turned out to hold no numbers.

    Parameters
    ----------
    sources : iterable of Source
        All of which has been read, in their order.
    names : collection of str
        The columns in doubt.
    """
    found: dict[str, Left] = {}
    for source in sources:
        for name, seen in source.seen_columns().items():
            if name in found:
                found[name] = found[name]._replace(everywhere=found[name].everywhere + seen)
            elif name in names and not seen.is_number:
                found[name] = Left(name, source, seen, seen)
    return list(found.values())


def _check_mostly_numbers(left: Iterable[Left]) -> None:
    """Raise DataError for the first column that holds mostly numbers, and values that are none."""
    for column in left:
        if column.everywhere.is_mostly_numbers and column.there.first_other is not None:
            raise DataError(f"{column.source.path}: {no_number(column.name, column.there.first_other)}")


def _check_codes(sources: Iterable[Source], names: Collection[str]) -> None:
    """Raise DataError for the first code in a column that was not named.

    Parameters
    ----------
    sources : iterable of Source
    names : collection of str
        The columns that were not named.
    """
    for source in sources:
        for name, seen in source.seen_columns().items():
            if name in names and seen.first_code is not None:
                raise DataError(
                    f"{source.path}: column {name!r}, row {seen.first_code.row}: expected a number, found "
                    f"{seen.first_code.text[:40]!r}, which begins with a zero as codes do; name the state's columns "
                    "(--columns) if it is one, or fit all files again without the column (--exclude)."
                )


def _tell_of_left(left: Sequence[Left]) -> None:
    """Say which columns are left alone for single values, and would be normalised else: a line for each kind."""
    told = [column for column in left if column.everywhere.seems_numeric]
    for codes in (False, True):
        alike = [column for column in told if (column.there.first_other is None) == codes]
        if not alike:
            continue
        others = f" (so are {', '.join(repr(column.name) for column in alike[1:])})" if alike[1:] else ""
        remedy = "name what is missing (--null-values), say how numbers are written (--decimal, --thousands), or "
        _LOG.info(
            "%s: column %r is left alone%s, as %s: %sname the column (--columns)",
            alike[0].source.path, alike[0].name, others, alike[0].reason, "" if codes else remedy,
        )  # fmt: skip


def _tell_of_padding(sources: Iterable[Source]) -> None:
    """Say which files have rows with empty fields behind those of the header."""
    padded = [(source, *source.padded_rows()) for source in sources]
    some = [(source, rows, first) for source, rows, first in padded if rows]
    if some:
        source, rows, first = some[0]
        alike = f" (so it is with {len(some):,} files)" if len(some) > 1 else ""
        _LOG.info(
            "%s: %d rows, the first of them row %d, have empty fields beyond the last column%s: they stay as they are",
            source.path, rows, first, alike,
        )  # fmt: skip


def _tell_of_headers(sources: Iterable[Source]) -> None:
    """Say which file has a line of names that seems to be one of the rows."""
    odd = next((source for source in sources if source.has_numbers_as_names), None)
    if odd is not None:
        _LOG.info("%s: all names of columns are numbers: say so if the first line is a row (--no-header)", odd.path)


def types_seen(types: Mapping[str, str], sources: Iterable[Source], learnt: Mapping[str, str] | None) -> dict[str, str]:
    """Give the widest type of each column, which the values of all text files decide.

    Parameters
    ----------
    types : mapping of str to str
        The columns, in their order.
    sources : iterable of Source
        All of which has been read.
    learnt : mapping of str to str or None
        Types in a state that is added to.
    """
    found = dict.fromkeys(types, "null") if learnt is None else dict(learnt)
    for source in sources:
        if source.typed:
            kinds = {item.name: str(item.type) for item in source.schema}
        else:
            seen = {name: column for name, column in source.seen_columns().items() if column.values}
            kinds = {name: "int64" if column.is_whole else "double" for name, column in seen.items()}
        found = widest(found, kinds)
    return {name: "double" if kind == "null" else kind for name, kind in found.items()}
