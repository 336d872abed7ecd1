"""What a table normalizer does to single values of a column, without the rows that they stand in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow as pa

from streamnorm.tables.batch import map_column
from streamnorm.tables.table import Table

__all__ = ["by_value"]


def by_value(table: Table, name: str, *, inverse: bool = False) -> Callable[[pa.Array], pa.Array] | None:
    """Give the map of a column's single values; None where a result takes more: a key, a vector, a null.

    Parameters
    ----------
    table : Table
    name : str
        The column that is read when mapping.
    inverse : bool
        Whether to map back.
    """
    group, slot = table.learnt.columns()[table.inputs(inverse)[name] if inverse else name]
    if table.keyed_by or group.vector or (group.rule.steps.fill != "keep" and not inverse):
        return None
    return partial(
        map_column, name=name, group=group, slot=slot, found=None, dtype=table.dtype, inverse=inverse,
        skip_infinite=table.infinite == "skip",
    )  # fmt: skip
