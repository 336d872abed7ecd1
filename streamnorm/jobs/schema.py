"""Which columns a job goes by: decided by the schemas of all its files, before anything is learnt.

The files are looked at in the order of their locations, so that the order in which they were named decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm.arrow import index_columns, is_choosable, is_chosen, vector_values, widest
from streamnorm.errors import DataError, listed, nearest
from streamnorm.files import naming
from streamnorm.formats import Source
from streamnorm.jobs.work import nothing
from streamnorm.once import once
from streamnorm.states import State
from streamnorm.tables import Learnt, Table

__all__ = [
    "_REMEMBERED",
    "JobSchema",
    "Seen",
    "check_choices",
    "check_columns",
    "decide",
    "decided",
    "look_at",
    "union_of",
]

#: Largest number of files of which all is remembered that was read to know their columns: of more it would fill the
#: memory, and they are opened again.
_REMEMBERED = 64


@dataclass
class Seen:
    """A schema that files have, told apart by names and types.

    Parameters
    ----------
    source : Source
        The first file that has it, by its location.
    choice : pyarrow.Schema
        What columns are chosen by: as `Source.schema_to_choose` gives it.
    schema : pyarrow.Schema
    files : int
        How many have it.
    """

    source: Source
    choice: pa.Schema
    schema: pa.Schema
    files: int = 0

    @once
    def fields(self) -> dict[str, pa.Field]:
        """What columns are chosen by, by their names; the first of each."""
        return {item.name: item for item in reversed(list(self.choice))}

    def type_of(self, name: str) -> pa.DataType:
        """Give the type that a column is chosen by."""
        return self.fields[name].type


def look_at(sources: Sequence[Source], named: Collection[str] = ()) -> tuple[Seen, ...]:
    """Give the different schemas of files, in the order of the files' locations.

    Parameters
    ----------
    sources : sequence of Source
    named : collection of str
        Columns that the user named: their text counts as numbers, since a parser says best which value is none.
    """
    found: dict[object, Seen] = {}
    for source in sorted(sources, key=lambda source: source.location):
        schema, choice = source.schema, source.schema_to_choose(named)
        kinds = [str(item.type) for part in (schema, choice) for item in part]
        key = (source.typed, tuple(schema.names), tuple(kinds), index_columns(schema))
        found.setdefault(key, Seen(source, choice, schema)).files += 1
        if len(sources) > _REMEMBERED:
            source.let_go()
    return tuple(found.values())


class Conflict(NamedTuple):
    """A column that is numbers in one file and something else in another, and so left alone in all."""

    name: str
    numbers: Seen
    other: Seen

    def __str__(self) -> str:
        kinds = [one.type_of(self.name) for one in (self.other, self.numbers)]
        return (
            f"{self.other.source.path} has column {self.name!r} as {kinds[0]} where {self.numbers.source.path} has "
            f"{kinds[1]}"
        )


def union_of(seen: Sequence[Seen], named: Collection[str] = ()) -> tuple[pa.Schema, dict[str, Conflict]]:
    """Give all columns of files, each with the type that decides whether it is normalised.

    That is the first that is no number, so that what is text in one file is left alone in all; else the first that is
    more than null. Columns of text files alone that hold nothing count as numbers.

    Parameters
    ----------
    seen : sequence of Seen
    named : collection of str
        Columns that the user named: whatever can be normalised is a number there.

    Returns
    -------
    schema : pyarrow.Schema
    conflicts : dict of str to Conflict
    """
    there: dict[str, list[Seen]] = {}
    for one in seen:
        for name in dict.fromkeys(one.choice.names):
            there.setdefault(name, []).append(one)
    fields, conflicts = [], {}
    for name, having in there.items():
        kind, conflict = _kind_of(name, having, is_choosable if name in named else is_chosen)
        fields.append(having[0].fields[name].with_type(kind))
        if conflict:
            conflicts[name] = conflict
    index = sorted({name for one in seen for name in index_columns(one.schema)})
    metadata = {b"pandas": json.dumps({"index_columns": index}).encode()} if index else None
    return pa.schema(fields, metadata), conflicts


def _kind_of(name: str, having: Sequence[Seen], fits: Any) -> tuple[pa.DataType, Conflict | None]:
    """Decide what a column is.

    Parameters
    ----------
    name : str
    having : sequence of Seen
        The schemas that have it.
    fits : callable
        Tells whether a type is normalised.
    """
    kinds = [(one, kind) for one in having if not pa.types.is_null(kind := one.type_of(name))]
    if not kinds:
        return (pa.null() if any(one.source.typed for one in having) else pa.float64()), None
    numbers = [(one, kind) for one, kind in kinds if fits(kind)]
    others = [(one, kind) for one, kind in kinds if not fits(kind)]
    if numbers and others:
        return others[0][1], Conflict(name, numbers[0][0], others[0][0])
    first, kind = kinds[0]
    shapes = [one for one, other in kinds if (vector_values(other) is None) != (vector_values(kind) is None)]
    if numbers and shapes and fits is is_chosen:
        return pa.binary(), Conflict(name, first, shapes[0])  # which is left alone
    return kind, None


@dataclass(frozen=True)
class JobSchema:
    """The columns that a job goes by.

    Parameters
    ----------
    like : Learnt
        Columns and rules, with nothing learnt; with the widest type that each comes as.
    types : mapping of str to str
        The types that the columns were chosen by.
    keys : tuple of str
        Names of columns that rows are grouped by.
    seen : tuple of Seen
        The schemas of its files.
    origins : mapping of str to Seen
        What each column was chosen by; empty where that was done when a state began.
    conflicts : mapping of str to Conflict
        Columns that are left alone for what they are in some files.
    """

    like: Learnt
    types: Mapping[str, str]
    keys: tuple[str, ...]
    seen: tuple[Seen, ...]
    origins: Mapping[str, Seen]
    conflicts: Mapping[str, Conflict]


def decide(table: Table, sources: Sequence[Source]) -> JobSchema:
    """Choose columns and scalers by the schemas of all sources, whatever their order.

    A column of numbers that some lack is normalised where it is. One that is something else in some is left alone in
    all, unless it was named.

    Raises
    ------
    SourceError, DataError
        If a source cannot be read or has none of the columns, or one that was named does not exist or holds no numbers.
    """
    named = table.columns or ()
    seen = look_at(sources, named)
    schema, conflicts = union_of(seen, named)
    asked = _asked(table.columns or {})
    conflicts = _of_default(
        table, seen, schema, {name: found for name, found in conflicts.items() if name not in asked}
    )
    like = _chosen(table, seen, schema)
    return _checked(JobSchema(like, like.types, table.key_names, seen, _origins(like, seen), conflicts), table.by)


def _of_default(
    table: Table, seen: Sequence[Seen], schema: pa.Schema, conflicts: Mapping[str, Conflict]
) -> dict[str, Conflict]:
    """Give the conflicts about columns that would be normalised unasked if they were numbers everywhere.

    Parameters
    ----------
    table : Table
    seen : sequence of Seen
    schema : pyarrow.Schema
        All columns.
    conflicts : mapping of str to Conflict

    Raises
    ------
    DataError
        If nothing is left but them.
    """
    if not conflicts:
        return {}
    as_numbers = [item.with_type(pa.float64()) if item.name in conflicts else item for item in schema]
    with naming(seen[0].source.path):
        chosen = table.choose(pa.schema(as_numbers, schema.metadata))[0]
    meant = {name: conflict for name, conflict in conflicts.items() if name in chosen}
    if len(meant) == len(chosen):
        raise DataError(f"there is no column to normalise: {next(iter(meant.values()))}; make it numbers there too.")
    return meant


def _origins(like: Learnt, seen: Sequence[Seen]) -> dict[str, Seen]:
    """Find the first schema that says of each column what it holds, or else has it."""
    found: dict[str, Seen] = {}
    for name in like.types:
        having = [one for one in seen if name in one.fields]
        found[name] = next((one for one in having if not pa.types.is_null(one.type_of(name))), having[0])
    return found


def decided(known: Table, sources: Sequence[Source]) -> JobSchema:
    """Go on with the columns and scalers of what was learnt before; errors are those of `decide`."""
    like = known.learnt.emptied()
    seen = look_at(sources, like.types)
    return _checked(JobSchema(like, like.types, known.key_names, seen, {}, {}), known.by)


def _checked(job: JobSchema, by: Any) -> JobSchema:
    types: Mapping[str, str] = job.like.types
    for one in job.seen:
        check_columns(one.source, job.like, by)
        passed = job.like.passed_over(one.schema)
        types = widest(types, {item.name: str(item.type) for item in one.schema if item.name not in passed})
    return replace(job, like=replace(job.like, types=MappingProxyType(types)))


def check_choices(known: State, table: Table, sources: Sequence[Source]) -> None:
    """Find out whether columns, scalers and settings asked for are those of the state to be added to.

    Parameters
    ----------
    known : State
        What the state has counted.
    table : Table
        Columns and scalers that are asked for.
    sources : sequence of Source
    """
    learnt, named = known.table.learnt, table.columns or ()
    seen = look_at(sources, named)
    schema = union_of(seen, named)[0]
    has = {*learnt.types, *named, *learnt.dropped, *table.key_names, *learnt.times}
    fields = [item for item in _filled(schema, learnt) if item.name in has]
    there = set(schema.names)
    lacking = [pa.field(name, kind) for name, kind in _kinds(learnt).items() if name not in there]
    chosen = _chosen(table, seen, pa.schema([*fields, *lacking]))
    if chosen.key != learnt.key or table.settings() != known.table.settings():
        raise DataError(
            "the state was fitted with other columns, scalers or settings than those asked for now: ask for none "
            "to go on with its own, or fit all sources again into a new state."
        )


def _chosen(table: Table, seen: Sequence[Seen], schema: pa.Schema) -> Learnt:
    """Choose columns of a schema, and name the file where that goes wrong with what is in one.

    Parameters
    ----------
    table : Table
        Chooses.
    seen : sequence of Seen
    schema : pyarrow.Schema
        All columns.
    """
    for one in seen:
        with naming(one.source.path):
            _check_keys(table.key_names, one.source, one.choice.names)
    wrong = _first_wrong(_asked(table.columns or {}), seen)
    with naming((wrong or seen[0]).source.path):
        return nothing(table, schema)


def _asked(columns: Mapping[str, Any]) -> set[str]:
    """Name the columns that are to be normalised whatever they hold."""
    return {name for name, spec in columns.items() if not (isinstance(spec, str) and spec in ("none", "drop"))}


def _first_wrong(asked: Collection[str], seen: Iterable[Seen]) -> Seen | None:
    """Find the first schema that has something else than numbers in a column that was named."""
    for one in seen:
        kinds = [item.type for item in one.choice if item.name in asked]
        if not all(is_choosable(kind) or pa.types.is_null(kind) for kind in kinds):
            return one
    return None


def _check_keys(keys: Iterable[str], source: Source, names: Sequence[str]) -> None:
    """Say of a key that is not in a file, and above all of one that only folders are named after, that it is no column.

    Parameters
    ----------
    keys : iterable of str
        Names of columns that rows are grouped by.
    source : Source
    names : sequence of str
        The columns that it has.
    """
    for name in keys:
        if name in names:
            continue
        folder = next((part for part in PurePath(str(source.path)).parts if part.startswith(f"{name}=")), None)
        if folder:
            raise DataError(
                f"there is no column {name!r} to group by: {folder!r} in its path names a folder, and is no column; "
                "write the keys into the files, or group by columns that they have."
            )
        raise DataError(f"there is no column {name!r} to group by: {nearest(name, names)}")


def check_columns(source: Source, like: Learnt, by: Any) -> None:
    """Find out before anything is read whether a source has the keys, and numbers in the columns that it has.

    Parameters
    ----------
    source : Source
    like : Learnt
        Columns and rules.
    by : str, sequence of str or None
        Columns that rows are grouped by.

    Raises
    ------
    SourceError, DataError
        If not, or if it has none of the columns.
    """
    with naming(source.path):
        numbers = _filled(source.schema_as_numbers(like.types), like)
        has = set(numbers.names) - like.passed_over(numbers)
        there = [name for name in like.types if name in has]
        table = Table(None, dict.fromkeys(there, "standard"), by=by)
        _check_keys(table.key_names, source, numbers.names)
        for name in like.times:
            if name not in numbers.names:
                raise DataError(f"there is no column {name!r} to weigh rows by: {nearest(name, numbers.names)}")
        if not there:
            raise DataError(
                f"it has none of the columns that are normalised ({listed(map(repr, like.types))}): leave it out."
            )
        table.choose(numbers)
        like.check_shapes(numbers)


def _filled(schema: pa.Schema, like: Learnt) -> pa.Schema:
    """Give a schema whose columns of nulls alone hold what was learnt from them: numbers, or vectors of these."""
    if not any(map(pa.types.is_null, schema.types)):
        return schema
    kinds = _kinds(like)
    return pa.schema(
        [item.with_type(kinds.get(item.name, item.type)) if pa.types.is_null(item.type) else item for item in schema]
    )


def _kinds(like: Learnt) -> dict[str, pa.DataType]:
    """Give a type for each column that what was learnt from it may have had: numbers, or vectors of these."""
    return {
        name: pa.list_(pa.float64()) if group.vector else pa.float64() for name, (group, _) in like.columns().items()
    }
