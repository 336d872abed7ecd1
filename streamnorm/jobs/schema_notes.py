"""Schemas that differ between the files of one job: what was decided is told to those who listen.

What is told goes to the logger ``streamnorm``, which is silent unless it is asked for; on the command line it is a
note. A kind of difference is told once, however many files and columns have it.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import pyarrow as pa

from streamnorm.arrow import index_columns, is_chosen
from streamnorm.errors import amount
from streamnorm.jobs.schema import JobSchema, Seen

__all__ = ["tell_of_differences", "tell_of_lacking"]

_LOG = logging.getLogger("streamnorm")


class _Difference(NamedTuple):
    """One column, or the order of all, of the files that have a schema.

    Parameters
    ----------
    kind : hashable
        Of those that are alike in it one is told.
    column : str
    words : str
        What it is, of the first file.
    outcome : str
        What becomes of it.
    """

    kind: Hashable
    column: str
    words: str
    outcome: str


def tell_of_differences(job: JobSchema) -> None:
    """Say, a line for each kind, where files differ from the columns that a job goes by.

    A column that comes in several widths, in another order, only in some files, or in some as something else.
    """
    first: dict[Hashable, _Difference] = {}
    columns: dict[Hashable, set[str]] = {}
    files: dict[Hashable, dict[int, int]] = {}
    for one in job.seen:
        for found in (*_of_width(job, one), *_of_order(job, one), *_of_presence(job, one), *_of_kind(job, one)):
            first.setdefault(found.kind, found)
            columns.setdefault(found.kind, set()).add(found.column)
            files.setdefault(found.kind, {})[id(one)] = one.files
    for kind, found in first.items():
        alike = _alike(len(columns[kind]) if found.column else 0, sum(files[kind].values()))
        _LOG.info("%s%s: %s", found.words, alike, found.outcome)


def _alike(columns: int, files: int) -> str:
    """Say in how many columns and files a difference is, where it is more than one.

    Parameters
    ----------
    columns : int
        None where it is of no column.
    files : int
    """
    if max(columns, 1) * files < 2:
        return ""
    return (
        f" (so it is with {amount(columns, 'column')} in {amount(files, 'file')})"
        if columns
        else (f" (so it is with {amount(files, 'file')})")
    )


def _of_width(job: JobSchema, one: Seen) -> Iterator[_Difference]:
    """Compare types; text and nulls alone have none that could differ."""
    passed = job.like.passed_over(one.schema)
    for item in one.schema if one.source.typed else ():
        kind, origin = job.types.get(item.name, str(item.type)), job.origins.get(item.name)
        if item.name in passed:
            words = (
                f"{one.source.path} has column {item.name!r} as {item.type} where {_name(origin)} has nothing but nulls"
            )
            yield _Difference(("unknown", str(item.type)), item.name, words, "it is left alone there")
            continue
        if str(item.type) != kind and not pa.types.is_null(item.type) and (origin is None or origin.source.typed):
            words = f"{one.source.path} has column {item.name!r} as {item.type} where {_name(origin)} has {kind}"
            yield _Difference(("width", str(item.type), kind), item.name, words, "read as numbers all the same")


def _name(origin: Seen | None) -> str:
    return "the state" if origin is None else str(origin.source.path)


def _of_order(job: JobSchema, one: Seen) -> Iterator[_Difference]:
    origin = job.seen[0] if job.origins else None
    order = dict.fromkeys(job.types if origin is None else [n for n in origin.schema.names if n in job.types])
    there = dict.fromkeys(name for name in one.schema.names if name in order)
    if list(there) != [name for name in order if name in there]:
        words = f"{one.source.path} has its columns in another order than {_name(origin)}"
        yield _Difference("order", "", words, "they go by their names")


def _of_presence(job: JobSchema, one: Seen) -> Iterator[_Difference]:
    """Name columns that the job has and the file lacks, and numbers that a state was begun without."""
    has, index = set(one.schema.names), index_columns(one.schema)
    for name in job.types:
        if name not in has:
            words = f"{one.source.path} has no column {name!r}, which {_name(job.origins.get(name))} has"
            yield _Difference("lacking", name, words, "it is normalised where it is, and missing elsewhere")
    for item in () if job.origins else one.choice:
        alone = item.name in job.types or item.name in job.like.dropped or item.name in index
        if not alone and item.name not in job.keys and is_chosen(item.type):
            words = f"{one.source.path} has column {item.name!r}, which the state was begun without"
            yield _Difference("new", item.name, words, "it is left alone; fit all again (--overwrite) to have it too")


def _of_kind(job: JobSchema, one: Seen) -> Iterator[_Difference]:
    for name, conflict in job.conflicts.items():
        if one is conflict.other:
            kind = ("kind", str(one.type_of(name)), str(conflict.numbers.type_of(name)))
            yield _Difference(kind, name, str(conflict), "it is left alone in all files")


def tell_of_lacking(lacking: list[tuple[object, list[str]]]) -> None:
    """Say which files lack columns that others are normalised by.

    Parameters
    ----------
    lacking : list of (object, list of str)
        Files, and the names that each lacks; one that lacks none is passed over.
    """
    found = [(path, names) for path, names in lacking if names]
    if found:
        path, names = found[0]
        alike = _alike(len({name for _, some in found for name in some}), len(found))
        _LOG.info("%s has no column %r%s: it is normalised where it is", path, names[0], alike)
