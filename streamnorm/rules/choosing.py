"""Which columns of a table are normalised and how, by names and patterns."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from streamnorm.arrow import held, index_columns, is_choosable, is_chosen
from streamnorm.errors import DataError, nearest
from streamnorm.rules.family import rule_of
from streamnorm.rules.rule import BoundRule

__all__ = ["choose", "named"]

_UNSCALED = ("none", "drop")


def choose(
    schema: pa.Schema,
    default: Any,
    columns: Mapping[str, Any],
    exclude: str | Iterable[str],
    keys: Sequence[str] = (),
    time: str | None = None,
) -> tuple[dict[str, BoundRule], tuple[str, ...]]:
    """Choose the columns to normalise, and those to drop, for tables of a schema.

    Parameters
    ----------
    schema : pyarrow.Schema
    default : str, estimator or None
        For columns that are normalised unless they are excluded.
    columns : mapping of str to (str or estimator)
        By name, or by pattern (``price_*``); ``"none"`` leaves a column alone and ``"drop"`` drops it. A
        name counts before a pattern, and an earlier pattern before a later one.
    exclude : str or iterable of str
        Names and patterns.
    keys : sequence of str
        Columns that rows are grouped by; they are left alone.
    time : str, optional
        The column that tells when a row was, for scalers with a halflife that name none; it is left alone too.

    Returns
    -------
    rules : dict of str to BoundRule
    dropped : tuple of str

    Raises
    ------
    DataError
        If a column that was named does not exist, is there twice or holds no numbers.
    """
    there = set(schema.names)
    exact = {name: spec for name, spec in columns.items() if name in there}
    usual = None if default in (None, "none") else rule_of(default).by_time(time)
    times = _times(schema, [spec for spec in (usual, *columns.values()) if spec not in (None, *_UNSCALED)], time)
    _check_beside(keys, "group", columns, schema.names)
    _check_beside(sorted(times), "weigh rows", columns, schema.names)
    asked = dict(reversed(list(_matches(schema, columns)))) | exact
    asked |= {name: "drop" if asked.get(name) == "drop" else "none" for name in times} | dict.fromkeys(keys, "none")
    left = {*dict(_matches(schema, dict.fromkeys([exclude] if isinstance(exclude, str) else exclude)))}
    left |= index_columns(schema)
    rules, dropped = {}, []
    for item in schema:
        spec, blank = asked.get(item.name), pa.types.is_null(item.type)  # numbers may follow
        if spec == "drop":
            dropped.append(item.name)
        elif spec is not None and spec != "none":
            if blank or is_choosable(item.type):
                rules[item.name] = rule_of(spec).by_time(time)
            elif item.name in exact:
                remedy = "subtract a start first" if pa.types.is_temporal(item.type) else "name another one"
                raise DataError(f"column {item.name!r} holds {held(item)}, not numbers: {remedy}.")
        elif item.name not in asked and item.name not in left and usual is not None and (blank or is_chosen(item.type)):
            rules[item.name] = usual
    count = Counter(schema.names)
    for name in (*rules, *dropped):
        if count[name] > 1:
            raise DataError(f"there are {count[name]} columns {name!r}: rename all but one.")
    if not rules:
        unsplit = any(set(name) & set(";|\t") for name in schema.names)  # a line of CSV, read as one name
        delimiter = ", or give the delimiter (--delimiter)" if unsplit else ""
        raise DataError(f"there is no column to normalise: name some that hold numbers{delimiter}.")
    return rules, tuple(dropped)


def _check_beside(names: Iterable[str], use: str, columns: Mapping[str, Any], there: Sequence[str]) -> None:
    """Raise DataError for a column of keys or times that does not exist, or that is to be normalised too.

    Parameters
    ----------
    names : iterable of str
    use : {"group", "weigh rows"}
        What they are for.
    columns : mapping of str to (str or estimator)
        What is to be normalised.
    there : sequence of str
        The columns there are.
    """
    unscaled = ("none",) if use == "group" else _UNSCALED
    for name in names:
        if name not in there:
            raise DataError(f"there is no column {name!r} to {use} by: {nearest(name, there)}")
        if columns.get(name, "none") not in unscaled:
            words = "grouped by" if use == "group" else "weigh rows"
            raise DataError(f"column {name!r} cannot be normalised and {words}: ask for one of the two.")


def _times(schema: pa.Schema, specs: Iterable[Any], time: str | None) -> set[str]:
    """Name the columns that tell when rows were.

    Parameters
    ----------
    schema : pyarrow.Schema
    specs : iterable of (str or estimator)
        All scalers that are asked for.
    time : str or None
        The column meant where a scaler names none.
    """
    decays = [decay for spec in specs if (decay := rule_of(spec).by_time(time).decay) is not None]
    if time is not None and not decays:
        raise DataError("time says when rows were, and means nothing without a scaler that has a halflife.")
    for decay in decays:
        if not isinstance(decay.time, str):
            raise DataError(f"time must be the name of a column in a table, got {decay.time!r}.")
    return {str(decay.time) for decay in decays}


def named(names: Iterable[str], columns: Mapping[str, Any]) -> set[str]:
    """Name those columns that are asked for by name or pattern.

    Parameters
    ----------
    names : iterable of str
    columns : mapping of str to (str or estimator)
    """
    return {name for name in names if any(fnmatch.fnmatchcase(name, meant) or name == meant for meant in columns)}


def _matches(schema: pa.Schema, columns: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Yield each column that is meant, with what is asked for it."""
    there = set(schema.names)
    for name, spec in columns.items():
        meant = [name] if name in there else [known for known in schema.names if fnmatch.fnmatchcase(known, name)]
        if not meant:
            raise DataError(f"there is no column {name!r}: {nearest(name, schema.names)}")
        yield from ((known, spec) for known in meant)
