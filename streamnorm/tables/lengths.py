"""Vectors that are divided by their lengths: which have one, and that they are counted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from streamnorm.arrow import compute as pc
from streamnorm.columns import values_of
from streamnorm.errors import DataError, InfiniteValueError

__all__ = ["check_lengths", "counted"]


def counted(values: pa.Array, lists: pa.FixedSizeListArray, name: str) -> pa.Array:
    """Give a number for each vector, and a null for each null; errors are those of `check_lengths`.

    Parameters
    ----------
    values : pyarrow.Array
        Of all vectors.
    lists : pyarrow.FixedSizeListArray
    name : str
        The column, for messages.
    """
    check_lengths(values, lists, name)
    return pc.if_else(lists.is_valid(), pa.scalar(0, pa.int8()), pa.scalar(None, pa.int8()))


def check_lengths(values: pa.Array, lists: pa.FixedSizeListArray, name: str, *, inverse: bool = False) -> None:
    """Raise DataError for a vector that has no length, and for the way back.

    Parameters
    ----------
    values : pyarrow.Array
        Of all vectors.
    lists : pyarrow.FixedSizeListArray
    name : str
        The column, for messages.
    inverse : bool
        Whether to map back.
    """
    if inverse:
        raise DataError(
            f"column {name!r} holds vectors that were divided by their lengths, which are not known afterwards: leave "
            "it out of the table (missing_columns='skip')."
        )
    if not values.null_count and (not pa.types.is_floating(values.type) or np.isfinite(values_of(values)).all()):
        return
    there = np.repeat(np.asarray(lists.is_valid()), lists.type.list_size)
    missing = np.asarray(pc.is_null(values, nan_is_null=True)) & there
    if missing.any():
        row = int(np.argmax(missing)) // lists.type.list_size
        raise DataError(
            f"column {name!r}, row {row} of the batch: a number of the vector is missing, and it has no length without "
            "it: fill it in, or make the whole vector a null."
        )
    if pa.types.is_floating(values.type):
        infinite = np.asarray(pc.fill_null(pc.is_inf(values), False)) & there
        if infinite.any():
            raise InfiniteValueError(0, int(np.argmax(infinite)) // lists.type.list_size, name)
