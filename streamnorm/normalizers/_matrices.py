"""Batches as one matrix of floats, for the normalizers that look at whole rows or at their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from streamnorm import kernel
from streamnorm.arrow import as_table, is_arrow, is_numeric, naming_text, plain_numbers, readable
from streamnorm.columns import matrix_of_batch
from streamnorm.errors import DataError, InfiniteValueError
from streamnorm.normalizers._transformer import FLOATS

__all__ = ["MatrixReader"]


class MatrixReader:
    """What reads a batch as a matrix, and says where an infinity is in it."""

    #: Whether arrays may have more than two dimensions.
    _ALLOW_ND: ClassVar[bool] = False

    if TYPE_CHECKING:
        n_features_in_: int

        def _check_names(self, batch: pa.RecordBatch | pa.Table, reset: bool) -> None: ...

        def _check_width(self, width: int, expected: int | None = None) -> None: ...

        def _is_plain(self, X: Any, reset: bool) -> bool: ...

        def _name_of(self, slot: int) -> Any: ...

    def _features_last(self, x: NDArray[Any]) -> NDArray[Any]:
        """View x with the axis of the features as its last."""
        return x

    def _read(
        self, X: Any, *, reset: bool, names: bool = True, least: int = 1, width: int | None = None
    ) -> NDArray[Any]:
        """Check a batch of at least so many rows and give it as an array of floats.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        reset : bool
            Whether the columns are learnt from X.
        names : bool
            Whether names of columns are compared.
        least : int
            Rows.
        width : int, optional
            Columns of what is no batch like those learnt from.
        """
        if is_arrow(X):
            table = _table(X)
            if names:
                self._check_names(table, reset)
            x = matrix_of_batch(table)
        elif width is None and self._is_plain(X, reset):
            x = X if X.dtype in FLOATS else X.astype(np.float64)
        else:
            options = {"dtype": FLOATS, "ensure_all_finite": False, "allow_nd": self._ALLOW_ND}
            with naming_text(X):
                X = plain_numbers(X, sparse=False)
                if names:
                    validate_data(self, X, reset=reset, skip_check_array=True, ensure_2d=False)
                x = check_array(X, estimator=self, input_name="X", ensure_min_samples=least, **options)
        found = self._features_last(x).shape[-1]
        if reset:
            self.n_features_in_ = found
        self._check_width(found, width)
        return np.asarray(x)

    def _refuse_infinite(self, x: NDArray[Any]) -> None:
        if kernel.first_infinity(x) < 0:
            return
        at = tuple(int(i) for i in np.argwhere(np.isinf(x))[0])
        features = self._features_last(np.arange(x.size).reshape(x.shape))
        slot = int(np.argwhere(features == np.ravel_multi_index(at, x.shape))[0][-1])
        raise self._infinite_at(slot, at[0], f"row {at[0]} of the batch" if x.ndim == 2 else f"index {at} of the batch")

    def _infinite(self, slot: int, row: int, before: int = 0) -> InfiniteValueError:
        """Give the error for an infinity.

        Parameters
        ----------
        slot : int
            The column.
        row : int
            Counted from 0.
        before : int
            Rows of the input before the batch.
        """
        row += before
        return self._infinite_at(slot, row, f"row {row} of the {'input' if before else 'batch'}")

    def _infinite_at(self, slot: int, row: int, place: str) -> InfiniteValueError:
        """Give the error for an infinity at a place that is said in words.

        Parameters
        ----------
        slot : int
            The column.
        row : int
            Counted from 0.
        place : str
            What is said of where it stands.
        """
        name = self._name_of(slot)
        return InfiniteValueError(
            slot, row, name, message=f"Input X contains infinity: column {name!r}, {place}. Replace infinities by "
            "missing values (NaN), which are skipped.",
        )  # fmt: skip


def _table(X: Any) -> pa.Table:
    """Give Arrow data as a table of numbers."""
    table = as_table(X)
    for i, field in enumerate(table.schema):
        if pa.types.is_duration(field.type):
            seconds = pa.chunked_array([readable(chunk, field.name) for chunk in table[i].chunks], pa.float64())
            table = table.set_column(i, field.with_type(pa.float64()), seconds)
        elif not (is_numeric(field.type) or field.type in (pa.bool_(), pa.null())):
            raise DataError(
                f"column {field.name!r} holds {field.type}, not numbers: leave it out, or cast it to a number before."
            )
    return table
