"""Least and greatest values that a file tells without being read.

What a writer has put into a footer is believed here; `verify` reads the values themselves, and so finds out a writer
that was wrong.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from streamnorm.formats import Source, Unit
from streamnorm.kernel import COUNTS
from streamnorm.summaries import Extremes
from streamnorm.tables import Group, Learnt

__all__ = ["told_by_footer"]


def told_by_footer(like: Learnt, source: Source, unit: Unit) -> Learnt:
    """Learn from a unit what needs no reading; of the other columns nothing.

    Parameters
    ----------
    like : Learnt
        Columns and rules, with nothing learnt.
    source : Source
    unit : Unit

    Returns
    -------
    Learnt
        Of the columns that are told of, and no others.
    """
    names = {name for group in like.groups if _is_of_bounds(group) for name in group.names} & set(source.schema.names)
    known = source.bounds(unit, names) if names else {}
    like = like.only(known.keys())
    groups = []
    for group in like.groups:
        counts = np.zeros((len(group.names), len(COUNTS)), np.int64)
        counts[:, :2] = [(known[name].values, known[name].nulls) for name in group.names]
        bounds = np.array([(known[name].least, known[name].greatest) for name in group.names])
        groups.append(dataclasses.replace(group, summary=Extremes.known(counts, bounds)))
    return dataclasses.replace(like, groups=tuple(groups))


def _is_of_bounds(group: Group) -> bool:
    """Tell whether nothing but bounds is kept of these columns, as they stand in the file."""
    changed = group.rule.steps.clip is not None or group.rule.steps.log1p
    return isinstance(group.summary, Extremes) and group.vector is None and not changed
