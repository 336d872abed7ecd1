"""Data frames of pandas and Polars: the columns concerned are read and replaced, and all else stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm.arrow import as_pandas, batch_of, label_name, library_of, numbers_of
from streamnorm.columns import float_type, raise_at_fault
from streamnorm.rules import PLAIN
from streamnorm.tables.statistics import Group

__all__ = ["map_frame", "names_of"]

#: Maps columns of a record batch, which are named with what the result of each is called.
Mapper = Callable[[pa.RecordBatch, Mapping[str, str]], pa.RecordBatch]


def names_of(frame: Any) -> list[str]:
    """Give the names of a frame's columns, whatever kind of labels they are."""
    return list(frame.columns) if library_of(frame) == "polars" else [label_name(label) for label in frame.columns]


def map_frame(
    frame: Any, inputs: Mapping[str, str], gone: set[str], where: Mapping[str, tuple[Group, int]], mapper: Mapper,
    *, keys: tuple[str, ...], dtype: Any, inverse: bool, skip_infinite: bool,
) -> Any:  # fmt: skip
    """Map columns of a frame.

    Parameters
    ----------
    frame : pandas.DataFrame or polars.DataFrame
    inputs : mapping of str to str
        The columns that are read, and what the result of each is called.
    gone : set of str
        Columns that are left out of the result.
    where : mapping of str to (Group, int)
        The group and slot of each column that was learnt from.
    mapper : callable
        Maps columns of a record batch, for those that need Arrow.
    keys : tuple of str
        Columns that rows are grouped by.
    dtype : numpy dtype, optional
        Of the result.
    inverse, skip_infinite : bool

    Returns
    -------
    The same kind of frame: its index, the labels and the columns that are not mapped are those of the input.
    """
    if library_of(frame) == "polars":
        import polars

        mapped = mapper(batch_of(frame, [*inputs, *keys]), inputs)
        new: Any = polars.from_arrow(mapped.select(list(inputs.values())))
        return frame.with_columns(new.get_columns()).drop([name for name in gone if name in frame.columns])
    at = {name: i for i, name in reversed(list(enumerate(names_of(frame))))}
    results: dict[str, Any] = {}
    options = {"dtype": dtype, "inverse": inverse, "skip_infinite": skip_infinite}
    parts = [] if keys else list(_matrices(frame, inputs, at, where, inverse))
    matrices = [(names, _map_matrix(frame, names, at, group, slots, **options)) for names, group, slots in parts]
    done = {name for names, _ in matrices for name in names}
    rest = [name for name in inputs if name not in done]
    if rest:
        mapped = mapper(batch_of(frame, [*rest, *keys]), {name: inputs[name] for name in rest})
        for name in rest:
            results[name] = _as_given(mapped.column(inputs[name]), frame.iloc[:, at[name]])
    return _assembled(frame, inputs, gone, at, matrices, results)


def _matrices(
    frame: Any, inputs: Mapping[str, str], at: Mapping[str, int], where: Mapping[str, tuple[Group, int]], inverse: bool
) -> list[tuple[list[str], Group, list[int]]]:
    """Put together the columns of plain numbers under one rule and of one type; with each its slot in the group.

    Parameters
    ----------
    frame : pandas.DataFrame
    inputs : mapping of str to str
    at : mapping of str to int
        Places of the columns in the frame.
    where : mapping of str to (Group, int)
    inverse : bool
    """
    kinds = frame.dtypes.to_numpy()
    found: dict[Any, tuple[list[str], Group, list[int]]] = {}
    for name, target in inputs.items():
        group, slot = where[target if inverse else name]
        kind = kinds[at[name]]
        plain = group.vector is None and group.rule.steps == PLAIN
        if plain and isinstance(kind, np.dtype) and kind.kind in "iuf":
            names, _, slots = found.setdefault((id(group), kind), ([], group, []))
            names.append(name)
            slots.append(slot)
    return list(found.values())


def _map_matrix(
    frame: Any, names: list[str], at: Mapping[str, int], group: Group, slots: list[int], *,
    dtype: Any, inverse: bool, skip_infinite: bool,
) -> NDArray[Any]:  # fmt: skip
    """Map columns of one type under one rule together.

    Parameters
    ----------
    frame : pandas.DataFrame
    names : list of str
    at : mapping of str to int
        Places of the columns in the frame.
    group : Group
    slots : list of int
        Of the columns in the group.
    dtype : numpy dtype, optional
    inverse, skip_infinite : bool

    Raises
    ------
    InfiniteValueError, OverflowedError
    """
    x = numbers_of(frame, [at[name] for name in names])
    if len(x) < len(names):
        x = np.ascontiguousarray(x)  # wide: row by row is quicker
    out = np.empty_like(x, float_type(pa.from_numpy_dtype(x.dtype), dtype))
    plan = group.rule.plan(group.summary).take(np.array(slots))
    first = (plan.invert if inverse else plan.apply)(x, out)
    if first >= 0:
        raise_at_fault(x, out, names, skip_infinite=skip_infinite)
    return out


def _assembled(
    frame: Any, inputs: Mapping[str, str], gone: set[str], at: Mapping[str, int],
    matrices: list[tuple[list[str], NDArray[Any]]], results: Mapping[str, Any],
) -> Any:  # fmt: skip
    """Put mapped columns in their places, one block a type, and new ones at the end.

    Parameters
    ----------
    frame : pandas.DataFrame
    inputs : mapping of str to str
    gone : set of str
    at : mapping of str to int
    matrices : list of (list of str, ndarray of shape (n_rows, n_columns))
        Names of columns that were read, and their results.
    results : mapping of str to array
        The same of single columns.
    """
    import pandas

    new = [target for target in inputs.values() if target not in at]
    place = {**at, **{target: len(frame.columns) + i for i, target in enumerate(new)}}
    replaced = {place[target] for target in inputs.values()}
    kept = [
        i for i in range(len(frame.columns)) if i not in replaced and i not in {at[name] for name in gone & at.keys()}
    ]
    parts = [frame.iloc[:, kept].set_axis(kept, axis=1)]
    for names, matrix in matrices:
        parts.append(pandas.DataFrame(matrix, frame.index, [place[inputs[name]] for name in names], copy=False))
    if results:
        columns = {place[inputs[name]]: values for name, values in results.items()}
        parts.append(pandas.DataFrame(columns, frame.index))
    parts = [part for part in parts if part.shape[1] or type(part) is not pandas.DataFrame] or parts[:1]
    joined = pandas.concat(parts, axis=1) if len(parts) > 1 else parts[0]
    order = np.argsort(joined.columns.to_numpy(np.int64), kind="stable")
    left = joined.columns.to_numpy(np.int64)[order]
    joined = joined.iloc[:, order]
    joined.columns = _labels(frame.columns, left, new)
    joined.attrs = frame.attrs
    return joined


def _labels(columns: Any, left: NDArray[np.int64], new: list[str]) -> Any:
    """Give the labels of the result.

    Parameters
    ----------
    columns : pandas.Index
        Labels of the input.
    left : ndarray of shape (n_columns,)
        Which of these stay, and behind them which of the new ones.
    new : list of str
        Names of the columns that are new.
    """
    import pandas

    if not new:
        return columns.take(left)
    if columns.nlevels > 1:
        tuples = [(name, *[""] * (columns.nlevels - 1)) for name in new]
        more: Any = pandas.MultiIndex.from_tuples(tuples, names=columns.names)
    else:
        more = pandas.Index(new, name=columns.name)
    return columns.append(more).take(left)


def _as_given(column: pa.Array, given: Any) -> Any:
    """Give a mapped column as the kind of array of pandas that it came as; a sparse one stays sparse."""
    import pandas

    if not isinstance(given.dtype, pandas.SparseDtype):
        return as_pandas(pa.chunked_array([column]), given.dtype)
    values = column.to_numpy(zero_copy_only=False)
    stored = given.array.sp_index.indices
    gap = np.setdiff1d(np.arange(min(len(values), len(stored) + 1)), stored)  # the first row that is not stored
    fill = values[gap[0]] if len(gap) else values.dtype.type(np.nan)
    return pandas.arrays.SparseArray(values, fill_value=fill)
