"""Least and greatest values from Parquet footers, where these tell exactly what reading the column would.

That is so for integers and decimals whose footer has both bounds and the number of nulls. Never for floats:
their bounds say nothing of NaN and infinities, which are counted. What a writer has put into a footer is
believed here; `verify` reads the values themselves, and so finds out a writer that was wrong.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from streamnorm.kernel import COUNTS
from streamnorm.normalizers.learnt import Group, Learnt
from streamnorm.sources import ParquetSource, Source, Unit
from streamnorm.summaries import Extremes

__all__ = ["learn"]

#: Least and greatest of no values.
_NONE = (math.inf, -math.inf)


class _Told(NamedTuple):
    """What a footer tells of a column: how many values and nulls there are, and the bounds of the values."""

    counts: tuple[int, int]
    bounds: tuple[float, float]


def learn(
    like: Learnt,
    source: Source,
    unit: Unit,
    read: Callable[[Learnt], tuple[Learnt | None, int]],
    told: set[str],
) -> tuple[Learnt | None, int]:
    """Summarise one unit of a source, as far as possible from the footer; also give the number of its rows.

    Parameters
    ----------
    like : Learnt
        Columns and rules, with nothing learnt.
    source, unit
        What is summarised.
    read : callable
        Summarises the unit by its values, for some of the columns.
    told : set of str
        Gets the names of the columns that the footer told all of.
    """
    known = _told(like, source, unit)
    if not known:
        return read(like)
    told.update(known)
    rest = _without(like, known)
    part, rows = read(rest) if rest.types else (rest, sum(next(iter(known.values())).counts))
    return (None if part is None else _joined(like, known, part)), rows


def _told(like: Learnt, source: Source, unit: Unit) -> dict[str, _Told]:
    names = {name for group in like.groups if _is_of_bounds(group) for name in group.names}
    if not (names and isinstance(source, ParquetSource)):
        return {}
    schema, group = source.metadata.schema, source.metadata.row_group(unit.number)
    paths = [schema.column(i).path for i in range(len(schema))]
    times = Counter(paths)
    asked = {
        name: i
        for i, name in enumerate(paths)
        if name in names and times[name] == 1 and _is_exact(source.schema.field(name).type)
    }
    if not asked:
        return {}
    source.check_columns([unit.number], list(asked))
    found = {
        name: _told_of(group.column(i), group.num_rows, schema.column(i).max_definition_level)
        for name, i in asked.items()
    }
    return {name: told for name, told in found.items() if told is not None}


def _is_of_bounds(group: Group) -> bool:
    """Tell whether nothing but bounds is kept of these columns, as they stand in the file."""
    changed = group.rule.steps.clip is not None or group.rule.steps.log1p
    return isinstance(group.summary, Extremes) and group.vector is None and not changed


def _is_exact(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _told_of(chunk: Any, rows: int, levels: int) -> _Told | None:
    found = chunk.statistics if chunk.is_stats_set and chunk.num_values == rows else None
    if rows == 0:
        return _Told((0, 0), _NONE)
    if found is None or not (found.has_null_count or levels == 0):
        return None
    nulls = found.null_count if levels else 0
    if nulls == rows:
        return _Told((0, rows), _NONE)
    if not (found.has_min_max and 0 <= nulls < rows):
        return None
    least, greatest = float(found.min), float(found.max)
    return _Told((rows - nulls, nulls), (least, greatest)) if least <= greatest else None


def _without(like: Learnt, known: Mapping[str, _Told]) -> Learnt:
    """Leave out the columns that are known."""
    groups = []
    for group in like.groups:
        slots = [i for i, name in enumerate(group.names) if name not in known]
        if len(slots) == len(group.names):
            groups.append(group)
        elif slots:
            names = tuple(group.names[i] for i in slots)
            groups.append(dataclasses.replace(group, names=names, summary=group.summary.take(slots)))
    types = {name: kind for name, kind in like.types.items() if name not in known}
    return dataclasses.replace(like, groups=tuple(groups), types=MappingProxyType(types))


def _joined(like: Learnt, known: Mapping[str, _Told], part: Learnt) -> Learnt:
    """Put what was read and what was known into the places that both have in the whole."""
    read = {name: group for group in part.groups for name in group.names}
    groups = []
    for group in like.groups:
        if known.keys().isdisjoint(group.names):
            groups.append(read[group.names[0]])
            continue
        size = len(group.names)
        counts, bounds = np.zeros((size, len(COUNTS)), np.int64), np.empty((size, 2))
        here = [i for i, name in enumerate(group.names) if name not in known]
        for i in set(range(size)).difference(here):
            counts[i, :2], bounds[i] = known[group.names[i]]
        if here:
            own: Any = read[group.names[here[0]]].summary
            counts[here], bounds[here] = own.counts.table, np.column_stack([own.least.array, own.greatest.array])
        groups.append(dataclasses.replace(group, summary=Extremes.known(counts, bounds)))
    return dataclasses.replace(like, groups=tuple(groups))
