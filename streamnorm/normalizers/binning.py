"""Bins in the place of numbers, as scikit-learn's `KBinsDiscretizer` has them."""

from __future__ import annotations

import warnings
from itertools import pairwise
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_array, check_is_fitted

from streamnorm.arrow import is_arrow, is_stream, known
from streamnorm.errors import DataError
from streamnorm.normalizers._estimator import Normalizer

__all__ = ["KBinsDiscretizer"]


class KBinsDiscretizer(Normalizer, rule="kbins"):
    """Put numbers into bins, at quantiles or at equal distances, and give the number of the bin, or a column for each.

    Parameters
    ----------
    n_bins : int or array-like of shape (n_features,), default=5
        Bins of each column, at least 2.
    encode : {"onehot", "onehot-dense", "ordinal"}, default="onehot"
        What a value becomes: a 1 in the column of its bin, sparse or dense, or the number of its bin.
    strategy : {"quantile", "uniform"}, default="quantile"
        Whether bins hold equally many values, or have equal widths. scikit-learn's "kmeans" is refused.
    quantile_method : {"averaged_inverted_cdf", "inverted_cdf", "linear"}, default="averaged_inverted_cdf"
        How a quantile between two values is told, by `numpy.percentile`'s names.
    dtype : {np.float32, np.float64}, optional
        Type of the result; by default float32 for float32 and float64 for the rest.
    subsample : int or None, default=200_000
        As in scikit-learn; every row counts here, whatever it is.
    random_state : None
        Nothing is drawn here; kept so that scikit-learn's parameters can be given.
    max_bins : int, default=4096
        Bins of the histogram that the edges are taken from; see `RobustScaler`. Not those of `n_bins`.

    Attributes
    ----------
    bin_edges_ : ndarray of ndarray of shape (n_features,)
        Edges of each column's bins, one more than bins; -inf and inf of a constant.
    n_bins_ : ndarray of int of shape (n_features,)
        Bins of each column. Edges at most 4 eps of the column's magnitude apart are one (scikit-learn: 1e-8).

    Notes
    -----
    Missing values stay missing; of one-hot columns all are 0 there. The state keeps the histogram, so that all
    parameters but `max_bins` could be others for it, and does not know the order of the rows. In a table each column
    becomes the numbers of its bins.

    Examples
    --------
    >>> import streamnorm as sn
    >>> one = sn.KBinsDiscretizer(3, encode="ordinal").fit([[0.0], [1.0], [2.0], [3.0], [100.0], [101.0]])
    >>> one.bin_edges_[0].tolist(), one.transform([[-5.0], [2.0], [500.0]]).tolist()
    ([0.0, 1.5, 51.5, 101.0], [[0.0], [1.0], [2.0]])
    >>> one.inverse_transform([[1.0]])
    array([[26.5]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_bins": [Interval(Integral, 2, None, closed="left"), "array-like"],
        "encode": [StrOptions({"onehot", "onehot-dense", "ordinal"})],
        "strategy": [StrOptions({"quantile", "uniform", "kmeans"})],
        "quantile_method": [StrOptions({"averaged_inverted_cdf", "inverted_cdf", "linear"})],
        "dtype": [Options(type, {np.float64, np.float32}), StrOptions({"float64", "float32"}), None],
        "subsample": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "max_bins": [Interval(Integral, 2, 65536, closed="both")],
    }

    def __init__(
        self,
        n_bins: Any = 5,
        *,
        encode: str = "onehot",
        strategy: str = "quantile",
        quantile_method: str = "averaged_inverted_cdf",
        dtype: Any = None,
        subsample: int | None = 200_000,
        random_state: Any = None,
        max_bins: int = 4096,
    ) -> None:
        self.n_bins = n_bins
        self.encode = encode
        self.strategy = strategy
        self.quantile_method = quantile_method
        self.dtype = dtype
        self.subsample = subsample
        self.random_state = random_state
        self.max_bins = max_bins

    # ---- learning ----

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Forget what was learnt and learn from X; as the other scalers' `fit`, with scikit-learn's warnings.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        y : ignored
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.
        """
        super().fit(X, y, sample_weight)
        wanted = np.broadcast_to(np.asarray(self.n_bins), self.n_features_in_)
        for i, (edges, number) in enumerate(zip(self.bin_edges_, wanted.tolist(), strict=True)):
            if np.isinf(edges).any():
                warnings.warn(f"Feature {i} is constant and will be replaced with 0.", stacklevel=2)
            elif 0 < len(edges) <= number:
                warnings.warn(
                    f"Bins whose width are too small in feature {i} are removed. Consider decreasing the number of "
                    "bins.",
                    stacklevel=2,
                )
        return self

    def _learn_batch(self, X: Any, sample_weight: Any) -> None:
        if self.strategy == "quantile" and self.quantile_method == "linear" and sample_weight is not None:
            raise DataError(
                "When fitting with strategy='quantile' and sample weights, quantile_method should either be set to "
                f"'averaged_inverted_cdf' or 'inverted_cdf', got quantile_method='{self.quantile_method}' instead."
            )
        super()._learn_batch(X, sample_weight)
        if not isinstance(self.n_bins, Integral):
            self._check_n_bins()

    def _check_n_bins(self) -> None:
        given = np.asarray(self.n_bins, np.float64)
        if given.shape != (self.n_features_in_,):
            raise DataError("n_bins must be a scalar or array of shape (n_features,).")
        bad = np.flatnonzero((given < 2) | (given != np.floor(given)))
        if len(bad):
            raise DataError(
                f"KBinsDiscretizer received an invalid number of bins at indices {', '.join(map(str, bad))}. Number of "
                "bins must be at least 2, and must be an int."
            )

    # ---- applying ----

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """Give the bins of values.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features)
        copy : bool, optional
            Whether X stays as it is, which it does.

        Returns
        -------
        For numbers of bins (`encode="ordinal"`) as the other scalers; else a sparse or dense matrix with a column for
        each bin, of Arrow data a table.
        """
        if self.encode == "ordinal":
            return self._as_asked(self._map(X, True, inverse=False), X)
        check_is_fitted(self)
        X = known(X)
        if is_stream(X) or isinstance(X, pa.RecordBatchReader):
            raise DataError(f"encode={self.encode!r} takes no stream: give its batches one by one, or take 'ordinal'.")
        numbers = self._ordinal().transform(X)
        if is_arrow(X):
            matrix = np.stack([column.to_numpy(zero_copy_only=False) for column in _columns(numbers)], axis=1)
            dense = self._onehot(matrix).toarray()
            return pa.table(dict(zip(self.get_feature_names_out(), dense.T, strict=True)))
        onehot = self._onehot(self._as_asked(numbers, X))
        return onehot if self.encode == "onehot" else onehot.toarray()

    def _as_asked(self, numbers: Any, X: Any) -> Any:
        """Give numbers of bins in the type that was asked for, or the input's where that is a float."""
        if not isinstance(numbers, np.ndarray):
            return numbers
        kept = self.dtype is not None or getattr(X, "dtype", None) in (np.float32, np.float64)
        return numbers.astype(self.dtype or numbers.dtype if kept else _wide(numbers), copy=False)

    def _ordinal(self) -> Self:
        """Give the same with `encode="ordinal"`, whatever output is set."""
        given = {**self.get_params(deep=False), "encode": "ordinal", "dtype": None}
        twin: Self = type(self)(**given).restore(self._summary, self.__dict__.get("feature_names_in_"))
        twin.__dict__.update({k: v for k, v in self.__dict__.items() if k in ("_namespace", "n_features_in_")})
        twin.set_output(transform="default")
        return twin

    def _onehot(self, numbers: NDArray[Any]) -> Any:
        """Give a column for each bin, sparse."""
        rows, slots = np.nonzero(~np.isnan(numbers))
        first = np.concatenate([[0], np.cumsum(self.n_bins_)])
        places = first[slots] + numbers[rows, slots].astype(np.int64)
        ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(numbers)))])
        return sparse.csr_matrix(
            (np.ones(len(rows), numbers.dtype), places, ends), shape=(len(numbers), int(first[-1]))
        )

    def inverse_transform(self, X: Any, copy: bool | None = None) -> Any:
        """Give the middles of bins.

        Parameters
        ----------
        X : array-like, sparse or Arrow data
            As `transform` gives it.
        copy : bool, optional
            Whether X stays as it is, which it does.
        """
        check_is_fitted(self)
        if self.encode == "ordinal":
            return self._map(X, True, inverse=True)
        if is_arrow(known(X)):
            X = np.stack([column.to_numpy() for column in _columns(X)], axis=1)
        X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
        first = np.concatenate([[0], np.cumsum(self.n_bins_)])
        if X.shape[1] != first[-1]:
            raise DataError(f"Incorrect number of features. Expecting {first[-1]}, received {X.shape[1]}.")
        dense = X.toarray() if sparse.issparse(X) else X
        numbers = np.full((len(dense), len(self.n_bins_)), np.nan, dense.dtype)
        for i, (start, stop) in enumerate(pairwise(first.tolist())):
            there = (dense[:, start:stop] != 0).any(axis=1)
            if there.any():
                numbers[there, i] = dense[there, start:stop].argmax(axis=1)
        return self._ordinal().inverse_transform(numbers)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the columns of the result: those of the input, or ``NAME_0.0`` and so on for each bin.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the columns; by default those that were seen.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        if self.encode == "ordinal":
            return np.asarray(names)
        pairs = zip(names, self.n_bins_.tolist(), strict=True)
        return np.array([f"{name}_{float(i)}" for name, number in pairs for i in range(number)], object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = self.encode == "ordinal"
        return tags

    # ---- leaving ----

    def summary_by_name(self) -> Any:
        """Give rule, names and summary; raises DataError where `n_bins` has a number for each column."""
        if not isinstance(self.n_bins, Integral):
            raise DataError("n_bins that differ by column stand in no state: give one number, or keep it by pickle.")
        return super().summary_by_name()

    def to_sklearn(self) -> Any:
        """Give a fitted estimator of scikit-learn with the same edges.

        Returns
        -------
        sklearn.preprocessing.KBinsDiscretizer
        """
        from sklearn.preprocessing import KBinsDiscretizer as Theirs
        from sklearn.preprocessing import OneHotEncoder

        check_is_fitted(self)
        given = {name: value for name, value in self.get_params().items() if name != "max_bins"}
        estimator = Theirs(**{**given, "dtype": None if self.dtype is None else np.dtype(self.dtype).type})
        for name in ("n_features_in_", "feature_names_in_", "bin_edges_", "n_bins_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        if self.encode != "ordinal":
            encoder = OneHotEncoder(
                categories=[np.arange(i) for i in self.n_bins_], sparse_output=self.encode == "onehot"
            )
            estimator._encoder = encoder.fit(np.zeros((1, len(self.n_bins_))))
        return estimator


def _columns(table: Any) -> list[Any]:
    return list(table.columns)


def _wide(numbers: NDArray[Any]) -> Any:
    return np.float64 if numbers.dtype == np.float16 else numbers.dtype
