"""Arrow's lists and tensors of one length as the numbers in them, and numbers as lists of the kind that came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from streamnorm.arrow import booleans, integers, null_of, vector_values
from streamnorm.arrow import compute as pc
from streamnorm.errors import DataError

__all__ = ["as_given", "elements_of", "hidden", "lists_of", "of_one_level", "storage_of", "values_in"]


def storage_of(kind: pa.DataType) -> pa.DataType:
    """Give the type that the values of an extension are stored as; any other type as it is."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def of_one_level(lists: pa.Array, name: str) -> pa.Array:
    """Give lists of lists, all as long, as lists of all their numbers; other lists as they are.

    Raises
    ------
    DataError
        If two of them differ in length.
    """
    while vector_values(lists.type.value_type) is not None:
        valid = lists.is_valid()
        rows, inner = lists.filter(valid), pc.list_flatten(lists)
        lengths = {pc.count_distinct(pc.list_value_length(level), mode="all").as_py() for level in (rows, inner)}
        if inner.null_count or lengths - {0, 1}:
            raise DataError(f"column {name!r} holds arrays of several shapes, or with gaps: give all one shape.")
        width = len(pc.list_flatten(inner)) // max(1, len(rows))
        flat = pa.FixedSizeListArray.from_arrays(pc.list_flatten(inner), width) if len(rows) else None
        places = np.cumsum(np.asarray(valid)) - 1
        lists = (
            pa.nulls(len(lists), pa.list_(vector_values(inner.type), width))
            if flat is None
            else flat.take(pc.if_else(valid, pa.array(places), None))
        )
    return lists


def _nested(values: pa.Array, valid: pa.Array, kind: pa.DataType, shape: Sequence[int]) -> pa.Array:
    """Put numbers into lists of lists of a shape.

    Parameters
    ----------
    values : pyarrow.Array of shape (n_rows * product of shape,)
    valid : pyarrow.BooleanArray of shape (n_rows,)
    kind : pyarrow.DataType
        Of the lists, but for their numbers.
    shape : sequence of int
    """
    for size in reversed(shape[1:]):
        values = pa.FixedSizeListArray.from_arrays(values, size)
    lists = pa.FixedSizeListArray.from_arrays(values, shape[0], mask=pc.invert(valid))
    return lists.cast(kind)


def values_in(lists: pa.FixedSizeListArray) -> pa.Array:
    """Give the values of all rows, those under a null too."""
    width = lists.type.list_size
    return lists.values.slice(lists.offset * width, len(lists) * width)


def elements_of(values: pa.Array, width: int) -> list[pa.Array]:
    """Take numbers that lie vector after vector apart, by their place in the vector."""
    if width == 1:
        return [values]
    return [values.take(integers(np.arange(i, len(values), width))) for i in range(width)]


def lists_of(values: pa.Array, like: pa.FixedSizeListArray, valid: pa.BooleanArray) -> pa.FixedSizeListArray:
    """Put numbers that lie vector after vector into lists.

    Parameters
    ----------
    values : pyarrow.Array of shape (n_rows * width,)
    like : pyarrow.FixedSizeListArray of shape (n_rows,)
        Lists of the same size.
    valid : pyarrow.BooleanArray of shape (n_rows,)
        Which of them are not null.
    """
    kind = pa.list_(like.type.value_field.with_type(values.type), like.type.list_size)
    validity = None if valid.true_count == len(valid) else valid.buffers()[1]
    return pa.FixedSizeListArray.from_buffers(kind, len(like), [validity], children=[values])


def hidden(values: pa.Array, lists: pa.FixedSizeListArray) -> pa.Array:
    """Make the values of a null vector nulls: what lies there is nobody's."""
    if not lists.null_count:
        return values
    mask = booleans(np.repeat(np.asarray(lists.is_valid()), lists.type.list_size))
    return pc.if_else(mask, values, null_of(values.type))


def as_given(result: pa.FixedSizeListArray, kind: pa.DataType) -> pa.Array:
    """Give lists the kind of list or tensor that they came as."""
    values = result.type.value_type
    if isinstance(kind, pa.FixedShapeTensorType):
        own = pa.fixed_shape_tensor(values, kind.shape, kind.dim_names, kind.permutation)
        return pa.ExtensionArray.from_storage(own, result.cast(own.storage_type))
    if pa.types.is_fixed_size_list(kind) or pa.types.is_null(kind):
        return result
    if isinstance(kind, pa.BaseExtensionType):
        levels, own = [], kind.storage_type
        while vector_values(own) is not None:
            levels.append(own)
            own = own.value_type
        shape = getattr(kind, "shape", None) or (result.type.list_size,)
        for level in reversed(levels):
            make = pa.large_list if pa.types.is_large_list(level) else pa.list_
            values = pa.list_(values, level.list_size) if pa.types.is_fixed_size_list(level) else make(values)
        lists = _nested(result.values, result.is_valid(), values, shape)
        return pa.ExtensionArray.from_storage(kind, lists) if lists.type == kind.storage_type else lists
    make = pa.large_list if pa.types.is_large_list(kind) else pa.list_
    return result.cast(make(kind.value_field.with_type(values)))
