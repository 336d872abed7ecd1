"""What a table normalizer does to single values of a column, without the rows that they stand in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm.plans import Affine
from streamnorm.rules import PLAIN
from streamnorm.tables.batch import map_column
from streamnorm.tables.table import Table

__all__ = ["ByValue", "by_value"]


@dataclass(frozen=True)
class ByValue:
    """The map of a column's single values.

    Parameters
    ----------
    function : callable
        Maps an array.
    arithmetic : (str, ndarray of shape (n_operations,)), optional
        The same as operations of ``+-*/`` and an operand for each, in float64, where it is no more than that and an
        infinity among values or results is an error.
    """

    function: Callable[[pa.Array], pa.Array]
    arithmetic: tuple[str, NDArray[np.float64]] | None

    def __call__(self, array: pa.Array) -> pa.Array:
        """Map an array without nulls."""
        return self.function(array)


def by_value(table: Table, name: str, *, inverse: bool = False) -> ByValue | None:
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
    steps = group.rule.steps
    if table.keyed_by or group.vector or (steps.fill != "keep" and not inverse):
        return None
    function = partial(
        map_column, name=name, group=group, slot=slot, found=None, dtype=table.dtype, inverse=inverse,
        skip_infinite=table.infinite == "skip",
    )  # fmt: skip
    plan, arithmetic = group.rule.plan(group.summary), None
    if type(plan) is Affine and table.infinite != "skip" and (inverse or steps == PLAIN):
        arithmetic = plan.arithmetic(slot, inverse)
    return ByValue(function, arithmetic)
