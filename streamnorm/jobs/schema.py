"""Which columns a job goes by: chosen by the schemas of its files, and found in every one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import PurePath
from typing import Any

import pyarrow as pa

from streamnorm.errors import DataError
from streamnorm.files import naming
from streamnorm.formats import Source
from streamnorm.jobs.work import nothing
from streamnorm.states import State
from streamnorm.tables import Learnt, Table

__all__ = ["REMEMBERED", "check_choices", "check_columns", "nothing_of", "schema_of"]

#: So many files are opened once; of more, what was remembered of each would fill the memory.
REMEMBERED = 64


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
    schema = _filled(schema_of(sources, table.columns or ()), known.table.learnt)
    if _chosen(table, sources[0], schema).key != known.table.learnt.key or table.settings() != known.table.settings():
        raise DataError(
            "the state was fitted with other columns, scalers or settings than those asked for now: ask for none "
            "to go on with its own, or fit all sources again into a new state."
        )


def schema_of(sources: Sequence[Source], named: Collection[str] = ()) -> pa.Schema:
    """Give the first source's schema; columns that hold only nulls there have their type from a later one.

    Text of a CSV file counts as numbers where its column is named, since the parser says best which value is none.
    So do columns of CSV files alone that hold nothing.
    """
    schema = sources[0].schema_to_choose(named)
    for source in sources[1:]:
        if not any(map(pa.types.is_null, schema.types)):
            break
        there = source.schema_to_choose(named)
        schema = pa.schema([_known(item, there) for item in schema], schema.metadata)
        if len(sources) > REMEMBERED:
            source.let_go()
    if not sources[0].typed:
        return pa.schema([item.with_type(pa.float64()) if pa.types.is_null(item.type) else item for item in schema])
    return schema


def _known(item: pa.Field, schema: pa.Schema) -> pa.Field:
    at = schema.get_field_index(item.name)
    return item.with_type(schema.field(at).type) if pa.types.is_null(item.type) and at >= 0 else item


def nothing_of(table: Table, sources: Sequence[Source]) -> Learnt:
    """Choose columns and scalers by the schema of sources, with nothing learnt."""
    return _chosen(table, sources[0], schema_of(sources, table.columns or ()))


def _chosen(table: Table, source: Source, schema: pa.Schema) -> Learnt:
    """Choose columns and scalers, with nothing learnt.

    Parameters
    ----------
    table : Table
    source : Source
    schema : pyarrow.Schema
    """
    with naming(source.path):
        _check_keys(table, source, schema)
        return nothing(table, schema)


def _check_keys(table: Table, source: Source, schema: pa.Schema) -> None:
    """Say of a key that only folders are named after that it is no column.

    Parameters
    ----------
    table : Table
    source : Source
    schema : pyarrow.Schema
    """
    for name in table.key_names:
        folder = next((part for part in PurePath(str(source.path)).parts if part.startswith(f"{name}=")), None)
        if folder and name not in schema.names:
            raise DataError(
                f"there is no column {name!r} to group by: {folder!r} in its path names a folder, and is no column; "
                "write the keys into the files, or group by columns that they have."
            )


def check_columns(source: Source, like: Learnt, by: Any, first: Source) -> None:
    """Find out before anything is read whether a source has all columns.

    Parameters
    ----------
    source : Source
    like : Learnt
        The columns.
    by : str, sequence of str or None
        Key columns.
    first : Source
        The source that columns were chosen by.
    """
    with naming(source.path):
        numeric = Table(None, dict.fromkeys(like.types, "standard"), by=by)
        try:
            numbers = _filled(source.schema_as_numbers(like.types), like)
            _check_keys(numeric, source, numbers)
            numeric.choose(numbers)
            like.check_shapes(numbers)
        except DataError as error:
            beside = "" if source == first else f" (the columns are those of {first.path})"
            raise DataError(f"{error}{beside}") from None


def _filled(schema: pa.Schema, like: Learnt) -> pa.Schema:
    """Give a schema whose columns of nulls alone hold what was learnt from them: numbers, or vectors of these."""
    if not any(map(pa.types.is_null, schema.types)):
        return schema
    kinds = {
        name: pa.list_(pa.float64()) if group.vector else pa.float64() for name, (group, _) in like.columns().items()
    }
    return pa.schema(
        [item.with_type(kinds.get(item.name, item.type)) if pa.types.is_null(item.type) else item for item in schema]
    )
