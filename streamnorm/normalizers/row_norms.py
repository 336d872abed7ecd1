"""Rows of unit norm, as scikit-learn's `Normalizer` has them: nothing is learnt."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import pyarrow as pa
from scipy import sparse
from sklearn import preprocessing
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import validate_data

from streamnorm.arrow import (
    as_table,
    is_arrow,
    is_stream,
    known,
    naming_text,
    plain_numbers,
    readable,
    refuse_no_numbers,
    to_batches,
)
from streamnorm.columns import float_type, matrix_of_batch
from streamnorm.errors import DataError
from streamnorm.normalizers._namespaces import Namespace
from streamnorm.normalizers._transformer import FLOATS, StreamTransformer
from streamnorm.plans import Plan, UnitRows

__all__ = ["Normalizer"]


class Normalizer(StreamTransformer):
    """Divide each row by its norm, so that all have the same length: embeddings, counts of words.

    Nothing is learnt of the rows, so there is no state: streams of any length are mapped as they come, and nothing
    can be saved, merged or undone. `transform` works before `fit`, which checks columns and parameters.

    Parameters
    ----------
    norm : {"l1", "l2", "max"}, default="l2"
        Sum of the magnitudes, root of the sum of the squares (length), or greatest magnitude.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.

    Notes
    -----
    Computed in float64 and rounded to the type of the data once; a row of zeros stays so. Rows of all magnitudes that
    float64 has get their norm, where a sum of squares overflows or underflows. A missing value is refused: a row has no
    norm without it.

    Examples
    --------
    >>> import streamnorm as sn
    >>> sn.Normalizer().fit_transform([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    >>> sn.Normalizer(norm="max").transform([[-4.0, 1.0]])
    array([[-1.  ,  0.25]])
    """

    _LEARNT = ("n_features_in_",)
    _namespace = "numpy"
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "norm": [StrOptions({"l1", "l2", "max"})],
        "copy": ["boolean"],
    }

    def __init__(self, norm: str = "l2", *, copy: bool = True) -> None:
        self.norm = norm
        self.copy = copy

    def fit(self, X: Any, y: Any = None) -> Self:  # type: ignore[override]
        """Check columns and parameters; nothing is learnt.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features), or a stream of such batches
        y : None
            Ignored.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used; the object stays as it was.
        """
        super().fit(X, y)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:  # type: ignore[override]
        """Check one more batch, as `fit` does.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features), or a stream of such batches
        y : None
            Ignored.

        Raises
        ------
        ValueError
            If X or a parameter cannot be used, or X has other columns; the object stays as it was.
        """
        super().partial_fit(X, y)
        return self

    def _learn_batch(self, X: Any, sample_weight: Any) -> None:
        first = not self.__sklearn_is_fitted__()
        if is_arrow(X):
            for batch in to_batches(X if isinstance(X, (pa.Table, pa.RecordBatch)) else as_table(X)):
                self._check_names(batch, not self.__sklearn_is_fitted__())
                self._refuse_missing(_matrix_of(batch))
            return
        with naming_text(X):
            X = plain_numbers(X, sparse=True)
            namespace = Namespace.of(X)
            if first:
                self._namespace = namespace.name
            X = validate_data(
                self, namespace.to_numpy(X), reset=first, accept_sparse="csr", dtype="numeric",
                ensure_all_finite=False,
            )  # fmt: skip
            refuse_no_numbers(X)
            X = X.astype(np.float64) if X.dtype.kind in "OSU" else X
        self._refuse_missing(X)

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """Give every row its unit norm.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features)
        copy : bool, optional
            False to allow the result to be written over X, where X is an ndarray of floats.

        Returns
        -------
        Arrow data of the same kind where X is Arrow's (a lazy reader for a reader), with its names and metadata;
        else an ndarray or sparse matrix, or what `set_output` asks for.

        Raises
        ------
        ValueError
            If X has other columns than those of `fit`, a missing value or an infinity.
        """
        self._validate_params()
        X, plan = known(X), UnitRows(self.norm)
        if is_arrow(X):
            return self._map_arrow(X, lambda X: plan, inverse=False)
        if is_stream(X):
            return self._map_stream(X, partial(self.transform, copy=copy), inverse=False)
        with naming_text(X):
            X = plain_numbers(X, sparse=True)
        frame = self._map_frame(X, lambda X: plan)
        if frame is not None:
            return frame
        namespace = Namespace.of(X)
        if self.__sklearn_is_fitted__():
            namespace.refuse_unless(self._namespace, type(self).__name__)
        return namespace.from_numpy(self._map_array(namespace.to_numpy(X), copy, plan))

    def _map_array(self, X: Any, copy: bool | None, plan: UnitRows) -> Any:
        """Map an array of numbers.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_rows, n_columns)
        copy : bool, optional
            Whether X stays as it is.
        plan : UnitRows
        """
        copy = self.copy if copy is None else copy
        options = {"dtype": FLOATS, "ensure_all_finite": False, "copy": False, "force_writeable": not copy}
        with naming_text(X):
            X = validate_data(self, X, reset=False, accept_sparse="csr", **options)
        self._refuse_missing(X)
        if not sparse.issparse(X):
            out = np.empty_like(X) if copy else X
            plan.apply(X, out)
            return out
        out = X.copy() if copy else X
        if not out.has_canonical_format:
            out.sum_duplicates()
        lengths = np.diff(out.indptr)
        for width in np.unique(lengths[lengths > 0]):  # rows with as many stored values are a matrix
            at = out.indptr[:-1][lengths == width, np.newaxis] + np.arange(width)
            rows = out.data[at]
            plan.apply(rows, rows)
            out.data[at] = rows
        return out

    def _check_names(self, batch: pa.RecordBatch | pa.Table, reset: bool) -> None:
        if reset or self.__sklearn_is_fitted__():
            super()._check_names(batch, reset)

    def _map_columns(self, batch: pa.RecordBatch, plan: Plan, inverse: bool) -> pa.RecordBatch:
        """Map every row; names and metadata stay.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        plan : Plan
        inverse : bool
            Not used: there is no way back.
        """
        matrix = _matrix_of(batch)
        self._refuse_missing(matrix)
        plan.apply(matrix, matrix)
        kinds = [pa.from_numpy_dtype(float_type(kind, None)) for kind in batch.schema.types]
        with np.errstate(over="ignore"):
            arrays = [pa.array(matrix[:, i].astype(kind.to_pandas_dtype())) for i, kind in enumerate(kinds)]
        fields = [field.with_type(kind) for field, kind in zip(batch.schema, kinds, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))

    def _refuse_missing(self, X: Any) -> None:
        """Raise DataError for the first value that is no finite number: a row has no norm without it."""
        values = X.data if sparse.issparse(X) else X
        if values.dtype.kind != "f" or np.isfinite(values).all():
            return
        at = int(np.argmin(np.isfinite(values)))
        if sparse.issparse(X):
            row, slot = int(np.searchsorted(X.indptr, at, side="right")) - 1, int(X.indices[at])
        else:
            row, slot = divmod(at, X.shape[1])
        if np.isinf(values.flat[at]):
            raise self._infinite(slot, row)
        raise DataError(
            f"Input X contains NaN: column {self._name_of(slot)!r}, row {row} of the batch is missing, and a row has "
            "no norm without it: drop the row or fill it in."
        )

    def summary_by_name(self) -> NoReturn:
        """Raise DataError: there is nothing to save or to export."""
        raise DataError(
            "a Normalizer learns nothing, so that there is no state to save, and each result needs its whole row: "
            f"make {self!r} where it is used."
        )

    def to_sklearn(self) -> Any:
        """Give the same of scikit-learn, which needs streamnorm no more.

        Returns
        -------
        sklearn.preprocessing.Normalizer
        """
        estimator = preprocessing.Normalizer(**self.get_params())
        for name in ("n_features_in_", "feature_names_in_"):
            if name in self.__dict__:
                setattr(estimator, name, getattr(self, name))
        return estimator

    def _identity(self) -> Any:
        names = self.__dict__.get("feature_names_in_")
        width = self.__dict__.get("n_features_in_")
        return str(self.norm), bool(self.copy), width, None if names is None else list(names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags


def _matrix_of(batch: pa.RecordBatch | pa.Table) -> Any:
    """Give the columns as one matrix of float64 of shape (n_rows, n_columns); raises DataError for no numbers."""
    columns = [readable(column, name) for column, name in zip(batch.columns, batch.schema.names, strict=True)]
    return matrix_of_batch(pa.RecordBatch.from_arrays(columns, names=batch.schema.names), np.float64)
