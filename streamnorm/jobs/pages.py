"""Columns that are learnt from without their rows: by the pages of a file, where it has some.

What cannot be learnt so is read as batches instead, whole: a column that is written in another way, and one that holds
what must be told of with its row.
"""

from __future__ import annotations

import dataclasses

from streamnorm.errors import DataError
from streamnorm.formats import NotByPagesError, Source, Unit
from streamnorm.tables import Group, Learnt, Table, summarise_portions

__all__ = ["learnt_by_pages"]


def learnt_by_pages(table: Table, like: Learnt, source: Source, unit: Unit) -> tuple[Learnt, int]:
    """Learn from those columns of a unit that are read by pages.

    Parameters
    ----------
    table : Table
        Its settings count.
    like : Learnt
        Columns and rules, with nothing learnt.
    source : Source
    unit : Unit

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
    where = {
        name: group
        for group in like.groups
        if group.vector is None and group.rule.decay is None
        for name in group.names
    }
    found: dict[str, Group] = {}
    rows = 0
    for name, number, portions in source.portions(unit, where):
        rule = where[name].rule
        try:
            summary = summarise_portions(rule, name, portions, skip_infinite=table.infinite == "skip")
        except (NotByPagesError, DataError):
            continue
        found[name], rows = Group(rule, (name,), summary), number
    rest = like.only(found)
    return dataclasses.replace(rest, groups=tuple(group.of_parts(found) for group in rest.groups)), rows
