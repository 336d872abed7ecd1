"""Columns that are learnt from without their rows: by the pages of a file, where it has some.

What cannot be learnt so is read as batches instead, whole: a column that is written in another way, and one that holds
what must be told of with its row.
"""

from __future__ import annotations

import dataclasses

from streamnorm.errors import DataError
from streamnorm.formats import Hashing, Lying, NotByPagesError, Source, Unit
from streamnorm.tables import Group, Learnt, Table, summarise_chunks, summarise_portions

__all__ = ["learnt_by_pages"]


def learnt_by_pages(
    table: Table, like: Learnt, source: Source, unit: Unit, hashing: Hashing | None = None
) -> tuple[Learnt, int]:
    """Learn from those columns of a unit that are read by pages.

    Parameters
    ----------
    table : Table
        Its settings count.
    like : Learnt
        Columns and rules, with nothing learnt.
    source : Source
    unit : Unit
    hashing : Hashing, optional
        What gets the bytes that the kernel reads.

    Returns
    -------
    learnt : Learnt
        Of the columns that were, and no others.
    rows : int
        Of the unit; 0 where there are no such columns.

    Raises
    ------
    SourceError
        If a column is damaged.
    """
    groups = [group for group in like.groups if group.vector is None and group.rule.decay is None]
    found: dict[str, Group] = {}
    rows = 0
    for group in groups:
        with source.chunks(unit, group.names if group.takes_values_as_they_stand else (), hashing) as lying:
            learnt = lying and _learnt_at_once(table, group, lying)
        if lying and learnt:
            found |= dict.fromkeys(learnt.names, learnt)
            rows = lying.rows
    where = {name: group.rule for group in groups for name in group.names if name not in found}
    for name, number, portions in source.portions(unit, where) if where else ():
        try:
            summary = summarise_portions(where[name], name, portions, skip_infinite=table.infinite == "skip")
        except (NotByPagesError, DataError):
            continue
        found[name], rows = Group(where[name], (name,), summary), number
    rest = like.only(found)
    return dataclasses.replace(rest, groups=tuple(group.of_parts(found) for group in rest.groups)), rows


def _learnt_at_once(table: Table, group: Group, lying: Lying) -> Group | None:
    """Learn from columns that the kernel reads by itself; None where one of them has to be read in another way.

    Parameters
    ----------
    table : Table
        Its settings count.
    group : Group
        The columns, perhaps among others.
    lying : Lying
    """
    try:
        summary = summarise_chunks(group.rule, lying.rows, lying.chunks, skip_infinite=table.infinite == "skip")
    except (NotImplementedError, DataError):
        return None
    order = sorted(range(len(lying.names)), key=lying.names.__getitem__)
    return Group(group.rule, tuple(sorted(lying.names)), summary.take(order) if order != sorted(order) else summary)
