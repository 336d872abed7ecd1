"""Least and greatest values that a footer tells exactly as reading the column would.

That is so for integers and decimals whose footer has both bounds and the number of nulls. Never for floats: their
bounds say nothing of NaN and infinities, which are counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import pyarrow as pa

from streamnorm.formats.source import Bounds

__all__ = ["bounds_of"]


def bounds_of(
    schema: pa.Schema, metadata: Any, group: int, names: Collection[str], check: Callable[[Collection[str]], None]
) -> dict[str, Bounds]:
    """Give the bounds of those columns of a row group of which the footer tells them.

    Parameters
    ----------
    schema : pyarrow.Schema
    metadata : pyarrow.parquet.FileMetaData
    group : int
        Number of the row group.
    names : collection of str
        Columns that are asked for.
    check : callable
        Raises where asking the footer for these columns would end the process.
    """
    paths = [metadata.schema.column(i).path for i in range(len(metadata.schema))]
    times = Counter(paths)
    asked = {
        name: i
        for i, name in enumerate(paths)
        if name in names and times[name] == 1 and _is_exact(schema.field(name).type)
    }
    if not asked:
        return {}
    check(list(asked))
    row_group = metadata.row_group(group)
    found = {
        name: _bounds_of_chunk(row_group.column(i), row_group.num_rows, metadata.schema.column(i).max_definition_level)
        for name, i in asked.items()
    }
    return {name: bounds for name, bounds in found.items() if bounds is not None}


def _is_exact(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _bounds_of_chunk(chunk: Any, rows: int, levels: int) -> Bounds | None:
    """Read a column chunk's statistics; `levels` is the greatest definition level, 0 where nothing can be null.

    Parameters
    ----------
    chunk : pyarrow.parquet.ColumnChunkMetaData
    rows : int
        Of the row group.
    levels : int
        The greatest definition level.
    """
    found = chunk.statistics if chunk.is_stats_set and chunk.num_values == rows else None
    if rows == 0:
        return Bounds(0, 0, math.inf, -math.inf)
    if found is None or not (found.has_null_count or levels == 0):
        return None
    nulls = found.null_count if levels else 0
    if nulls == rows:
        return Bounds(0, rows, math.inf, -math.inf)
    if not (found.has_min_max and 0 <= nulls < rows):
        return None
    least, greatest = float(found.min), float(found.max)
    return Bounds(rows - nulls, nulls, least, greatest) if least <= greatest else None
