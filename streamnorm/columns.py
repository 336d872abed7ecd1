"""Between containers and numbers: what summaries read and plans write, as Arrow or numpy memory.

Nothing is copied on the way in where a buffer can be read in place; on the way out a column is written
once, into fresh memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm import kernel
from streamnorm.arrow import readable
from streamnorm.errors import InfiniteValueError, OverflowedError
from streamnorm.plans import Plan
from streamnorm.summaries import Block, Moments

__all__ = [
    "Weights",
    "block_of_arrays",
    "block_of_batches",
    "block_of_groups",
    "block_of_matrix",
    "block_of_sparse",
    "map_array",
    "matrix_of_batch",
    "place_of_stored",
    "raise_at_fault",
    "row_of_stored",
    "run_of",
    "slots_of_stored",
    "values_of",
]

Weights: TypeAlias = NDArray[np.float64] | None
#: The kernel's name and the width in bytes of an Arrow type, by the type's number, which is quick to find.
_ARROW_CODES = {
    kind.id: (code, kind.bit_width // 8)
    for kind, code in [
        (pa.int8(), "b"), (pa.uint8(), "B"), (pa.int16(), "h"), (pa.uint16(), "H"), (pa.int32(), "i"),
        (pa.uint32(), "I"), (pa.int64(), "q"), (pa.uint64(), "Q"), (pa.float32(), "f"), (pa.float64(), "d"),
    ]
}  # fmt: skip


def block_of_matrix(X: NDArray[Any], weights: Weights = None) -> Block:
    """Describe a matrix of numbers of shape (n_rows, n_columns) to the kernel."""
    if X.dtype == np.bool_:
        X = X.view(np.uint8)
    elif X.dtype == np.float16:
        X = X.astype(np.float32)
    elif X.dtype.char not in "bBhHiIlLqQfd":
        X = X.astype(np.float64)
    if min(X.strides) < 0 or not (X.flags.c_contiguous or X.flags.f_contiguous) or not X.dtype.isnative:
        X = np.ascontiguousarray(X, X.dtype.newbyteorder("="))
    rows, columns = X.shape
    code = {("i", 8): "q", ("u", 8): "Q"}.get((X.dtype.kind, X.dtype.itemsize), X.dtype.char)
    code = {("i", 4): "i", ("u", 4): "I"}.get((X.dtype.kind, X.dtype.itemsize), code)
    run = kernel.Run(0, columns, code, X, 0, X.strides[0], X.strides[1], rows, None, 0, weights)
    return Block(columns, rows, [run] if columns else [])


def block_of_sparse(X: Any, weights: Weights = None) -> Block:
    """Describe a scipy sparse matrix or array to the kernel; only what is stored is read.

    Parameters
    ----------
    X : scipy sparse matrix or array of shape (n_rows, n_columns)
    weights : ndarray of shape (n_rows,), optional
    """
    X = _canonical(X)
    rows, columns = X.shape
    stored = np.diff(X.indptr).astype(np.int64)

    def runs(values: NDArray[Any], own: Weights) -> list[kernel.Run]:
        whole = block_of_matrix(values.reshape(-1, 1)).runs[0]
        width = whole.values.itemsize
        return [
            whole._replace(
                slot=i, offset=width * start, length=stop - start, weights=None if own is None else own[start:stop]
            )
            for i, (start, stop) in enumerate(itertools.pairwise(X.indptr.tolist()))
        ]  # fmt: skip

    if weights is None:
        return Block(columns, rows, runs(X.data, None), rows - stored)
    own = weights[X.indices]
    present = np.bincount(np.repeat(np.arange(columns), stored), own != 0, columns).astype(np.int64)
    total = Moments.of(block_of_matrix(weights[:, None])).total
    everywhere = total.take([0] * columns)
    zero_weight = everywhere - Moments.of(Block(columns, rows, runs(own, None))).total
    return Block(columns, rows, runs(X.data, own), np.count_nonzero(weights) - present, zero_weight)


def row_of_stored(X: Any, slot: int, at: int) -> int:
    """Give the row of what the kernel found at a place among a column's stored values, in `block_of_sparse`.

    Parameters
    ----------
    X : scipy sparse matrix or array
    slot : int
        The column.
    at : int
        Place among the stored values of the column.
    """
    X = _canonical(X)
    return int(X.indices[X.indptr[slot] + at])


def slots_of_stored(X: Any) -> NDArray[np.intp]:
    """Give the column of each value that a CSR or CSC matrix stores, shape (n_stored,)."""
    if X.format == "csr":
        return np.asarray(X.indices)
    return np.repeat(np.arange(X.shape[1]), np.diff(X.indptr))


def place_of_stored(X: Any, at: int) -> tuple[int, int]:
    """Give row and column of a value that a CSR or CSC matrix stores."""
    along, across = int(np.searchsorted(X.indptr, at, side="right")) - 1, int(X.indices[at])
    return (along, across) if X.format == "csr" else (across, along)


def _canonical(X: Any) -> Any:
    """Give a sparse matrix by columns, each place once and in the order of the rows."""
    X = X.tocsc()
    if not X.has_canonical_format:
        X = X.copy()  # what the caller has stays as it is
        X.sum_duplicates()
    return X


def block_of_arrays(arrays: Sequence[pa.Array], names: Sequence[str], weights: Weights = None) -> Block:
    """Describe Arrow arrays, one a column, to the kernel.

    Parameters
    ----------
    arrays : sequence of pyarrow.Array of shape (n_rows,)
    names : sequence of str
        Columns.
    weights : ndarray of shape (n_rows,), optional

    Raises
    ------
    DataError
        If a column does not hold numbers.
    """
    rows = len(arrays[0]) if arrays else 0
    runs = [run_of(i, array, name, weights) for i, (array, name) in enumerate(zip(arrays, names, strict=True))]
    return Block(len(arrays), rows, runs)


def block_of_groups(array: pa.Array, name: str, bounds: NDArray[np.int64]) -> Block:
    """Describe one column to the kernel whose rows are sorted by group: a slot for each.

    Parameters
    ----------
    array : pyarrow.Array of shape (n_rows,)
    name : str
    bounds : ndarray of shape (n_groups + 1,)
        Where the rows of each group begin and end.

    Raises
    ------
    DataError
        If the column does not hold numbers.
    """
    return Block(len(bounds) - 1, len(array), kernel.Segments(run_of(0, array, name), bounds))


def block_of_batches(batches: Sequence[pa.RecordBatch], weights: Weights = None) -> Block:
    """Describe record batches of one schema to the kernel, which reads columns of plain numbers by itself.

    Parameters
    ----------
    batches : sequence of pyarrow.RecordBatch
        At least one; a row of one follows the last of the one before.
    weights : ndarray of shape (n_rows,), optional
        Of a single batch.

    Raises
    ------
    DataError
        If a column does not hold numbers.
    """
    schemas, arrays = zip(*(batch.__arrow_c_array__() for batch in batches), strict=True)
    columns, rows = batches[0].num_columns, sum(map(len, batches))
    if weights is None and kernel.plain(schemas[0]):
        return Block(columns, rows, kernel.Exported(schemas[0], arrays))
    blocks = [block_of_arrays(batch.columns, batch.schema.names, weights) for batch in batches]
    return Block(columns, rows, [run for block in blocks for run in block.runs])


def run_of(slot: int, array: pa.Array, name: str, weights: Weights = None) -> kernel.Run:
    """Describe an Arrow array of numbers to the kernel as one slot.

    Parameters
    ----------
    slot : int
        The number that the column goes by.
    array : pyarrow.Array of shape (n_rows,)
    name : str
        The column, for messages.
    weights : ndarray of shape (n_rows,), optional
    """
    array = readable(array, name)
    validity, values = array.buffers()
    code, width = _ARROW_CODES[array.type.id]
    return kernel.Run(
        slot, 1, code, values if values is not None else b"",
        array.offset * width, width, 0, len(array),
        validity if array.null_count else None, array.offset, weights,
    )  # fmt: skip


def values_of(array: pa.Array) -> NDArray[Any]:
    """View the values of a primitive array; those under a null are whatever lies there."""
    dtype = np.dtype(array.type.to_pandas_dtype())
    buffer = array.buffers()[1]
    if len(array) == 0 or buffer is None:
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, len(array), array.offset * dtype.itemsize)


def float_type(kind: pa.DataType, dtype: Any) -> np.dtype[Any]:
    """Give the output's type: that asked for, else float32 and float16 as they are and float64 for the rest."""
    if dtype is not None:
        given: np.dtype[Any] = np.dtype(dtype)
        return given
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    name = {pa.float32(): "f4", pa.float16(): "f2"}.get(values, "f8")
    return np.dtype(name)


def map_array(
    array: pa.Array, name: str, plan: Plan, column: int | NDArray[np.intp], *,
    dtype: Any = None, inverse: bool = False, skip_infinite: bool = False,
) -> pa.Array:  # fmt: skip
    """Apply a plan to one Arrow array; its nulls stay null.

    Parameters
    ----------
    array : pyarrow.Array of shape (n_rows,)
        Numbers.
    name : str
        The column's name, for errors.
    plan : Plan
    column : int or ndarray of shape (n_rows,)
        The plan's column, or that of each row.
    dtype : numpy dtype, optional
        Of the output; by default float32 for float32 and float64 for the rest.
    inverse : bool
        Whether to map back.
    skip_infinite : bool
        Whether infinities are mapped like other values.

    Raises
    ------
    DataError
        If the column holds no numbers.
    InfiniteValueError
        If it holds an infinity that is not to be skipped.
    OverflowedError
        If the result of a finite value is beyond the output's type.
    """
    out_type = float_type(array.type, dtype)
    numbers = readable(array, name)
    values = values_of(numbers)
    buffer = pa.allocate_buffer(len(values) * out_type.itemsize)  # Arrow's memory is used again, NumPy's paged in anew
    out = np.frombuffer(buffer, out_type)
    row = (plan.invert if inverse else plan.apply)(values, out, column)
    if row >= 0 and (numbers.null_count or skip_infinite):
        row = _row_at_fault(numbers, values, out, skip_infinite)
    if row >= 0:
        slot = column if isinstance(column, int) else 0
        if np.isinf(values[row]):
            raise InfiniteValueError(slot, row, name)
        raise OverflowedError(slot, row, name, values[row].item(), out_type.name)
    validity = numbers.is_valid().buffers()[1] if numbers.null_count else None
    return pa.Array.from_buffers(pa.from_numpy_dtype(out_type), len(values), [validity, buffer])


def _row_at_fault(array: pa.Array, values: NDArray[Any], out: NDArray[Any], skip_infinite: bool) -> int:
    """Give the first row with an infinity that is not to be skipped, or with a result that became one; or -1.

    Parameters
    ----------
    array : pyarrow.Array
        Tells which rows are null.
    values, out : ndarray of shape (n_rows,)
        What was mapped, and to what.
    skip_infinite : bool
        Whether infinities are mapped like other values.
    """
    infinite = np.isinf(values)
    bad = np.isinf(out) & ~infinite if skip_infinite else np.isinf(out) | infinite
    if array.null_count:
        bad &= np.asarray(array.is_valid())  # what lies under a null may be anything
    return int(np.argmax(bad)) if bad.any() else -1


def raise_at_fault(x: NDArray[Any], out: NDArray[Any], names: Sequence[str], *, skip_infinite: bool) -> None:
    """Raise for the first value of a matrix that is infinite, or whose result is.

    Parameters
    ----------
    x, out : ndarray of shape (n_rows, n_columns)
        What was mapped, and to what.
    names : sequence of str
        Of the columns.
    skip_infinite : bool
        Whether infinities are mapped like other values.

    Raises
    ------
    InfiniteValueError, OverflowedError
    """
    infinite = np.isinf(x)
    bad = np.isinf(out) & ~infinite if skip_infinite else np.isinf(out) | infinite
    if bad.any():
        row, slot = (int(i) for i in np.argwhere(bad)[0])
        if infinite[row, slot]:
            raise InfiniteValueError(slot, row, names[slot])
        raise OverflowedError(slot, row, names[slot], x[row, slot].item(), out.dtype.name)


def matrix_of_batch(batch: pa.RecordBatch | pa.Table, dtype: Any = None) -> NDArray[Any]:
    """Give the columns as one matrix of shape (n_rows, n_columns), nulls as NaN."""
    kinds = [float_type(kind, dtype) for kind in batch.schema.types]
    matrix = np.empty((batch.num_rows, batch.num_columns), np.result_type(*kinds) if kinds else np.float64)
    for i, column in enumerate(batch.columns):
        copy_allowed = {} if isinstance(column, pa.ChunkedArray) else {"zero_copy_only": False}
        matrix[:, i] = column.to_numpy(**copy_allowed)
    return matrix
