"""What users give, told apart: Arrow data, data frames, arrays, sparse matrices, and streams of these.

What exports Arrow data is not thereby a table, and what can be iterated over is not thereby a stream: `known` is the
one place that decides. The guide has the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import pyarrow as pa

from streamnorm.errors import DataError

__all__ = ["is_arrow", "is_at_hand", "is_frame", "is_sparse", "is_stream", "known", "library_of", "parts_of"]


def library_of(X: Any) -> str:
    """Name the package that the class of X is of."""
    return type(X).__module__.partition(".")[0]


def known(X: Any) -> Any:
    """Give X as what the rest of the package knows: the same numbers in a container that is told apart.

    Returns
    -------
    Arrow data (Table, RecordBatch, RecordBatchReader or what exports one), a frame of pandas or Polars, a sparse
    matrix, an array or nested list, or a stream, for which `is_stream` holds. Masked values become NaN; datasets of
    pyarrow become a reader, those of Hugging Face a table or a stream of tables.

    Raises
    ------
    DataError
        If X is none of these: says what it is and what to do.
    """
    if type(X) is np.ndarray or isinstance(X, (pa.Table, pa.RecordBatch, pa.RecordBatchReader)):
        return X
    convert = _BY_LIBRARY.get(library_of(X))
    if convert is not None:
        return convert(X)
    if X is None or isinstance(X, (str, bytes, bytearray, Mapping, Set, complex, float, int)):
        table = "pa.table(X)" if isinstance(X, Mapping) else "rows and columns"
        scalar = "Expected 2D array, got scalar array instead: " if isinstance(X, (complex, float, int)) else ""
        raise DataError(f"{scalar}X is a {type(X).__name__}, which is no table: give {table}.")
    return X


def _of_numpy(X: Any) -> Any:
    if isinstance(X, np.ma.MaskedArray):
        if not np.ma.is_masked(X):
            return X.data
        if X.dtype.kind in "biu":
            X = X.astype(np.float64)
        if X.dtype.kind not in "fO":
            raise DataError(f"X is a masked array of {X.dtype}, not of numbers: leave it out.")
        return X.filled(np.nan)
    if isinstance(X, np.generic):
        raise DataError(
            f"Expected 2D array, got scalar array instead: X is a {type(X).__name__}: give rows and columns."
        )
    return np.asarray(X) if isinstance(X, np.matrix) else X


def _of_pandas(X: Any) -> Any:
    if getattr(X, "ndim", 0) != 2:
        remedy = "X.to_frame()" if hasattr(X, "to_frame") else "a DataFrame"
        raise DataError(f"X is a pandas {type(X).__name__}, one column and no table: give {remedy}.")
    return X


def _of_polars(X: Any) -> Any:
    if type(X).__name__ == "LazyFrame":
        raise DataError(
            "X is a polars LazyFrame, which has no rows yet: call its collect() and give what that returns."
        )
    if not hasattr(X, "columns"):
        raise DataError(f"X is a polars {type(X).__name__}, one column and no table: give X.to_frame().")
    for name, kind in X.schema.items():
        if str(kind) in ("Int128", "UInt128"):
            raise DataError(f"column {name!r} holds {kind}, which Arrow cannot: cast it to Int64 or Float64 before.")
    return X


def _of_pyarrow(X: Any) -> Any:
    if isinstance(X, (pa.Array, pa.ChunkedArray)) and not pa.types.is_struct(X.type):
        raise DataError(f"X is one column of {X.type} without a name: give a table, as pa.table({{'x': X}}) is.")
    if hasattr(X, "get_fragments"):
        return X.scanner().to_reader()
    if isinstance(X, pa.ChunkedArray):
        return pa.Table.from_struct_array(X)
    if isinstance(X, pa.StructArray):
        return pa.RecordBatch.from_struct_array(X)
    raise DataError(f"X is a {type(X).__name__} of pyarrow, which is no table: give a Table, batch, reader or dataset.")


def _of_dask(X: Any) -> Any:
    if hasattr(X, "map_blocks") and hasattr(X, "__array__"):
        return np.asarray(X)
    remedy = "use sn.dask.fit and sn.dask.transform, or give X.compute()"
    raise DataError(f"X is a Dask {type(X).__name__}, which need not fit in memory: {remedy}.")


def _of_xarray(X: Any) -> Any:
    if type(X).__name__ == "DataArray":
        return known(X.data)
    raise DataError(
        f"X is an xarray {type(X).__name__}, which is no table: give X.to_dataframe(), or one of its arrays."
    )


def _of_datasets(X: Any) -> Any:
    if isinstance(X, Mapping):
        raise DataError(f"X is a {type(X).__name__} of several splits: give one of {', '.join(map(str, X))}.")
    if not hasattr(X, "with_format"):
        raise DataError(f"X is a {type(X).__name__} of datasets, one column and no table: give X.source, its dataset.")
    if hasattr(X, "__len__"):
        return X.with_format("arrow")[:]
    plain = X.with_format(None)  # of some types the library cannot make arrays, frames or tensors row by row
    return (_table_of_columns(batch, X.features) for batch in plain.iter(batch_size=_ROWS))


def _table_of_columns(columns: Mapping[str, Any], features: Any) -> pa.Table:
    """Give a batch of a Hugging Face `IterableDataset`, whose features may not be known, as a table."""
    try:
        return pa.Table.from_pydict(dict(columns), features and features.arrow_schema)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError(f"columns {', '.join(columns)} are no table: {error}; select those of numbers.") from None


def _of_torch(X: Any) -> Any:
    return X.detach() if getattr(X, "requires_grad", False) else X


def _as_it_is(X: Any) -> Any:
    return X


#: Rows of a batch that is asked of a Hugging Face `IterableDataset`.
_ROWS = 1 << 13
_BY_LIBRARY = {
    "numpy": _of_numpy,
    "pandas": _of_pandas,
    "polars": _of_polars,
    "pyarrow": _of_pyarrow,
    "dask": _of_dask,
    "xarray": _of_xarray,
    "datasets": _of_datasets,
    "torch": _of_torch,
    "scipy": _as_it_is,
}


def is_arrow(X: Any) -> bool:
    """Tell whether X is answered in Arrow: Arrow's own, or what exports it and is neither a data frame nor an array."""
    if isinstance(X, (pa.Table, pa.RecordBatch, pa.RecordBatchReader)):
        return True
    exports = hasattr(X, "__arrow_c_stream__") or hasattr(X, "__arrow_c_array__")
    return exports and not is_frame(X) and not (hasattr(X, "__array__") and hasattr(X, "shape"))


def is_frame(X: Any) -> bool:
    """Tell whether X is a data frame of pandas or Polars."""
    return library_of(X) in ("pandas", "polars") and hasattr(X, "columns")


def is_sparse(X: Any) -> bool:
    """Tell whether X is a sparse matrix or array of scipy."""
    scipy = sys.modules.get("scipy.sparse")
    return scipy is not None and bool(scipy.issparse(X))


def is_at_hand(X: Any) -> bool:
    """Tell whether the rows of X are in memory, so that reading them runs no code of somebody else's."""
    arrays = isinstance(X, (np.ndarray, list, tuple)) or hasattr(X, "__array_namespace__") or library_of(X) == "torch"
    tables = isinstance(X, (pa.Table, pa.RecordBatch)) or is_frame(X) or is_sparse(X)
    return (arrays or tables) and not is_stream(X)


def is_stream(X: Any) -> bool:
    """Tell whether X yields batches: a reader, an iterator, any other iterable that is no array, a list of batches."""
    if isinstance(X, (pa.RecordBatchReader, Iterator)):
        return True
    if isinstance(X, (list, tuple)):
        return len(X) > 0 and _is_batch(X[0])
    if isinstance(X, np.ndarray) or is_arrow(X) or is_frame(X) or is_sparse(X) or hasattr(X, "__array__"):
        return False
    return isinstance(X, Iterable) and not hasattr(X, "__getitem__")


def _is_batch(item: Any) -> bool:
    """Tell whether an item of a list is a batch of rows rather than a row."""
    return is_arrow(item) or is_frame(item) or is_sparse(item) or getattr(item, "ndim", 0) == 2


def parts_of(stream: Iterable[Any]) -> Iterator[Any]:
    """Give the batches of a stream, for which `is_stream` holds, one by one.

    A pair of batch and targets, as the `DataLoader` of PyTorch yields, is its batch.
    """
    for part in stream:
        if isinstance(part, (list, tuple)) and len(part) in (1, 2) and getattr(part[0], "ndim", 0) == 2:
            pair = len(part) == 1 or getattr(part[1], "shape", ())[1:] != part[0].shape[1:]
            yield part[0] if pair else part
        else:
            yield part
