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
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from streamnorm.formats import ParquetSource, Source, Unit
from streamnorm.kernel import COUNTS
from streamnorm.summaries import Extremes
from streamnorm.tables import Group, Learnt

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
    rest = like.only(like.types.keys() - known)
    part, rows = read(rest) if rest.types else (rest, sum(next(iter(known.values())).counts))
    return (None if part is None else like.of_parts([part, _learnt(like.only(known), known)])), rows


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


def _learnt(like: Learnt, known: Mapping[str, _Told]) -> Learnt:
    """Give what a footer tells of columns as if they had been read."""
    groups = []
    for group in like.groups:
        counts = np.zeros((len(group.names), len(COUNTS)), np.int64)
        counts[:, :2] = [known[name].counts for name in group.names]
        bounds = np.array([known[name].bounds for name in group.names])
        groups.append(dataclasses.replace(group, summary=Extremes.known(counts, bounds)))
    return dataclasses.replace(like, groups=tuple(groups))
