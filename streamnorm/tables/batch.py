"""The columns of one batch: summarised under a rule, and mapped by what was learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.columns import block_of_arrays, block_of_batches, float_type, map_array, run_of
from streamnorm.errors import InfiniteValueError
from streamnorm.rules import PLAIN, BoundRule
from streamnorm.summaries import Block, Summary, WideWeights
from streamnorm.tables.grouping import Found, Grouped
from streamnorm.tables.keyed import Keyed
from streamnorm.tables.statistics import Group
from streamnorm.tables.vectors import Vector

__all__ = ["map_column", "summarise_chunks", "summarise_columns", "summarise_portions"]

#: Numbers, and how often each occurs: once where that is None.
Counted: TypeAlias = tuple[pa.Array, NDArray[np.int64] | None]


def summarise_columns(
    rule: BoundRule, batch: pa.RecordBatch, names: Sequence[str], vector: Vector | None, grouped: Grouped | None, *,
    skip_infinite: bool, weights: WideWeights | None = None,
) -> Group:  # fmt: skip
    """Summarise columns of a batch under one rule.

    Parameters
    ----------
    rule : BoundRule
    batch : pyarrow.RecordBatch
    names : sequence of str
        Ascending; one where there is a `vector`.
    vector : Vector, optional
        How the one column lies in the slots.
    grouped : Grouped, optional
        The batch's rows by their keys.
    skip_infinite : bool
    weights : WideWeights, optional
        Of the batch's rows.

    Raises
    ------
    DataError
        If a column cannot be summarised so, or holds an infinity that is not to be skipped.
    """
    if vector is not None:
        vector = vector.seen(batch.column(names[0]), names[0])
    group = Group(rule, tuple(names), rule.summary.empty(0), vector)
    if grouped is not None:
        return dataclasses.replace(
            group, summary=_by_key(group, batch, grouped, skip_infinite=skip_infinite, weights=weights)
        )
    try:
        summary = rule.summary.of(_block(rule, batch, names, vector, weights), skip_infinite=skip_infinite)
    except InfiniteValueError as error:
        row = error.row if vector is None else vector.row(error.row)
        raise InfiniteValueError(error.slot, row, group.slot_names[error.slot]) from None
    return dataclasses.replace(group, summary=summary)


def _by_key(group: Group, batch: pa.RecordBatch, grouped: Grouped, **options: Any) -> Keyed:
    """Summarise columns of a batch key by key.

    Parameters
    ----------
    group : Group
        The columns, with nothing learnt.
    batch : pyarrow.RecordBatch
    grouped : Grouped
        The batch's rows by their keys.
    **options
        Those of `Grouped.summarise`.
    """
    steps, names, vector = group.rule.steps, group.names, group.vector
    if vector is None:
        arrays = [steps.read(batch.column(name), name) for name in names]
        return grouped.summarise(group.rule.summary, arrays, names, **options)
    arrays = vector.of_slots(batch.column(names[0]), names[0], steps)
    return grouped.summarise(group.rule.summary, arrays, group.slot_names, in_a_row=vector.in_a_row, **options)


def _block(
    rule: BoundRule, batch: pa.RecordBatch, names: Sequence[str], vector: Vector | None, weights: WideWeights | None
) -> Block:
    """Describe columns of a batch to the kernel.

    Parameters
    ----------
    rule : BoundRule
    batch : pyarrow.RecordBatch
    names : sequence of str
    vector : Vector or None
    weights : WideWeights or None
        Of the batch's rows.
    """
    if vector is not None:
        block = vector.block(batch.column(names[0]), names[0], rule.steps)
        return block if weights is None else dataclasses.replace(block, wide_weights=_of_elements(weights, block.rows))
    if weights is not None:
        block = block_of_arrays([rule.steps.read(batch.column(name), name) for name in names], names)
        return dataclasses.replace(block, wide_weights=weights)
    if rule.steps == PLAIN:
        return block_of_batches([batch.select(names)])
    return block_of_arrays([rule.steps.read(batch.column(name), name) for name in names], names)


def _of_elements(weights: WideWeights, elements: int) -> WideWeights:
    """Give each element of whole vectors the weight of its row."""
    times = elements // max(1, len(weights.powers))
    return WideWeights(np.repeat(weights.factors, times), np.repeat(weights.powers, times))


def summarise_chunks(rule: BoundRule, rows: int, chunks: kernel.Chunks, *, skip_infinite: bool) -> Summary:
    """Summarise columns that the kernel reads from their file by itself.

    Parameters
    ----------
    rule : BoundRule
    rows : int
        Of each.
    chunks : kernel.Chunks
        A slot for each.
    skip_infinite : bool

    Raises
    ------
    NotImplementedError
        If one is not read so.
    DataError
        If one holds an infinity that is not to be skipped; its row is not known.
    """
    summary: Summary = rule.summary.of(Block(len(chunks.records), rows, chunks), skip_infinite=skip_infinite)
    return summary


def summarise_portions(
    rule: BoundRule, name: str, portions: Iterable[tuple[Sequence[Counted], int]], *, skip_infinite: bool
) -> Summary:
    """Summarise a column whose numbers come in portions, in no order.

    Parameters
    ----------
    rule : BoundRule
    name : str
    portions : iterable of (sequence of (pyarrow.Array, ndarray or None), int)
        Arrays without nulls, each with how often its values occur, int64, or None for once; and the number of nulls
        beside.
    skip_infinite : bool

    Raises
    ------
    DataError
        If it cannot be summarised so, or holds an infinity that is not to be skipped; its row is not known.
    """
    total: Any = None
    for arrays, nulls in portions:
        runs = [
            run_of(0, rule.steps.read(array, name), name)._replace(times=times) for array, times in arrays if len(array)
        ]
        block = Block(1, sum(run.length for run in runs), runs, nulls=np.array([nulls]))
        part = rule.summary.of(block, skip_infinite=skip_infinite)
        total = part if total is None else total + part
    summary: Summary = rule.summary.empty(1) if total is None else total
    return summary


def map_column(array: pa.Array, name: str, group: Group, slot: int, found: Found | None, **options: Any) -> pa.Array:
    """Map a column by what was learnt.

    Parameters
    ----------
    array : pyarrow.Array
    name : str
        The column's name, for errors.
    group : Group
    slot : int
        The column's first slot in its group.
    found : Found, optional
        The keys of the rows.
    **options
        Those of `columns.map_array`.
    """
    rule, steps = group.rule, group.rule.steps
    options["dtype"] = steps.type or options["dtype"]
    if group.vector is not None:
        if found is not None:
            return group.vector.map_by_key(array, name, found, rule, group.summary, **options)
        return group.vector.map(array, name, rule.plan(group.summary), steps, **options)
    before = array
    if not options["inverse"] and steps != PLAIN:
        options["dtype"] = float_type(array.type, options["dtype"])
        array = steps.read(array, name)
    if found is not None:
        return found.map_array(array, before, name, rule, group.summary, slot, **options)
    filling = None if options["inverse"] else rule.filling(group.summary)
    if filling is not None:
        array = steps.fill_missing(array, filling[slot, ...])
    return map_array(array, name, rule.plan(group.summary), slot, **options)
