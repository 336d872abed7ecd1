"""Columns made uncorrelated, of variance 1: by exact covariances, so that the map depends on the rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from streamnorm.arrow import as_table, is_arrow, to_batches
from streamnorm.errors import DataError, InfiniteValueError
from streamnorm.normalizers._algebra import Addable
from streamnorm.normalizers._ordered import Record, frozen_array
from streamnorm.normalizers._weights import weights_of
from streamnorm.normalizers._whole_rows import WholeRows
from streamnorm.plans import Linear
from streamnorm.rules import DDOF, METHODS, Whitening
from streamnorm.summaries import CrossProducts, pack, unpack

__all__ = ["Whitener"]


class Whitener(Addable, WholeRows):
    """Make columns uncorrelated, each of mean 0 and variance 1: ``y = whitening_ @ (x - mean_)``.

    Parameters
    ----------
    method : {"zca", "pca"}, default="zca"
        "zca" gives columns as near to the standardised ones as uncorrelated ones can be: ``whitening_`` is the
        symmetric root ``V D^(-1/2) V'`` of the inverse covariance ``V D V'``. "pca" gives the principal components,
        ``D^(-1/2) V'``, as scikit-learn's ``PCA(whiten=True)`` does, up to signs.
    n_components : int, optional
        Components that are kept, those of the greatest variance; by default as many as there are columns. "pca" gives
        one column for each; "zca" gives all columns, without what lies along the others.
    regularization : float, default=0.0
        Added to the variance of each component before its root is divided by, in squares of the data's unit: it keeps
        noise in components of little variance from being blown up.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Exact mean, rounded to float64 once.
    covariance_ : ndarray of shape (n_features, n_features)
        Exact covariance, rounded once, with ``n - 1`` in the divisor, as scikit-learn's `PCA` and `numpy.cov`.
    correlation_ : ndarray of shape (n_features, n_features)
        Correctly rounded; NaN in row and column of a constant.
    components_ : ndarray of shape (n_components_, n_features)
        Directions of the components, the greatest variance first, of length 1; the entry of the greatest magnitude is
        positive, the first of such entries.
    explained_variance_ : ndarray of shape (n_components_,)
        Variance of each component, 0 where it is rounding noise.
    explained_variance_ratio_ : ndarray of shape (n_components_,)
        Its share of the variance of all columns.
    whitening_ : ndarray of shape (n_features, n_features), or (n_components_, n_features) for "pca"
        The matrix that `transform` multiplies by.
    n_components_ : int
        Components that are kept.
    n_samples_seen_ : int or float
        Rows without a missing value, or the sum of their weights.
    n_samples_left_out_ : int
        Rows with a missing value, which nothing was learnt from.

    Notes
    -----
    The sums of all ``x_i x_j`` are kept as integers, so that the state depends on the rows alone: not on their order,
    the batches or the machines they came from. Such states add and forget, bit for bit. Up to 128 columns, the fitted
    attributes are the same bits on any machine; beyond, and in the results of `transform`, to rounding. What
    `transform` gives for a row does not depend on the rows it comes with.

    A row with a missing value is left out whole, since a product needs both of its columns, and `transform` makes all
    of it missing. A component without variance becomes 0: of a constant column, or of one that is a sum of others.
    `inverse_transform` gives rows back as far as the components tell them. Integers beyond 2^53 are taken as the
    nearest float64.

    Kessy, Lewin and Strimmer, *Optimal whitening and decorrelation*, 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import streamnorm as sn
    >>> X = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 6.0], [6.0, 7.0]])
    >>> one = sn.Whitener().fit(X)
    >>> one.covariance_.round(4)
    array([[4.6667, 5.3333],
           [5.3333, 8.6667]])
    >>> np.cov(one.transform(X).T).round(4) + 0.0
    array([[1., 0.],
           [0., 1.]])
    >>> sn.Whitener().fit(X[:1]) + sn.Whitener().fit(X[1:]) == one
    True
    """

    _LEARNT = ("_summary",)
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "method": [StrOptions(set(METHODS))],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "regularization": [Interval(Real, 0, None, closed="left")],
    }

    _summary: CrossProducts

    def __init__(self, method: str = "zca", *, n_components: int | None = None, regularization: float = 0.0) -> None:
        self.method = method
        self.n_components = n_components
        self.regularization = regularization

    # ---- learning ----

    def _begin(self, *, apart: bool = False) -> None:
        """Get ready to learn; `apart` from the object that what is learnt is then added to."""
        super()._begin()
        if apart and self.__sklearn_is_fitted__():
            self._summary = CrossProducts.empty(self.n_features_in_)

    def _learn_batch(self, X: Any, sample_weight: Any) -> None:
        first = not self.__sklearn_is_fitted__()
        if not is_arrow(X):
            x = self._read(X, reset=first, least=0)
            self._learn_rows(x, weights_of(sample_weight, x, first=first), 0)
            return
        X, start = X if isinstance(X, (pa.Table, pa.RecordBatch)) else as_table(X), 0
        weights = weights_of(sample_weight, X, first=first)
        for batch in to_batches(X):
            x = self._read(batch, reset=not self.__sklearn_is_fitted__())
            self._learn_rows(x, None if weights is None else weights[start : start + len(x)], start)
            start += len(x)

    def _learn_rows(self, x: NDArray[Any], weights: NDArray[np.float64] | None, before: int) -> None:
        """Learn from a matrix.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_features)
        weights : ndarray of shape (n_rows,), optional
        before : int
            Rows of the batch before these.
        """
        if self.n_components is not None and self.n_components > x.shape[1]:
            raise DataError(f"n_components={self.n_components} must be at most {x.shape[1]}, the number of columns.")
        try:
            learnt = CrossProducts.of_matrix(x, weights)
        except InfiniteValueError as error:
            raise self._infinite(error.slot, error.row, before) from None
        self._summary = self._summary + learnt if self.__sklearn_is_fitted__() else learnt

    # ---- what is known ----

    @property
    def _learnt(self) -> CrossProducts:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} has learnt nothing yet.")
        return self._summary

    def cross_products(self) -> CrossProducts:
        """Give the exact sums that everything is computed from."""
        check_is_fitted(self)
        return self._summary

    @property
    def _whitening(self) -> Whitening:
        key = (self.method, self.n_components, float(self.regularization))
        summary = self._learnt
        return summary.cached(("whitening", *key), lambda: Whitening.of(summary, *key))

    @property
    def mean_(self) -> NDArray[np.float64]:
        """Mean of each column, shape (n_features,)."""
        return frozen_array(self._learnt.mean())

    @property
    def covariance_(self) -> NDArray[np.float64]:
        """Covariances with ``n - 1`` in the divisor, shape (n_features, n_features)."""
        summary = self._learnt
        return summary.cached("covariance", lambda: frozen_array(summary.covariance(DDOF)))

    @property
    def correlation_(self) -> NDArray[np.float64]:
        """Correlations, shape (n_features, n_features)."""
        summary = self._learnt
        return summary.cached("correlation", lambda: frozen_array(summary.correlation()))

    @property
    def components_(self) -> NDArray[np.float64]:
        """Directions of the components, shape (n_components_, n_features)."""
        return frozen_array(self._whitening.components)

    @property
    def explained_variance_(self) -> NDArray[np.float64]:
        """Variance of each component, shape (n_components_,)."""
        return frozen_array(self._whitening.variances)

    @property
    def explained_variance_ratio_(self) -> NDArray[np.float64]:
        """Share of each component in the variance of all columns, shape (n_components_,)."""
        return frozen_array(self._whitening.ratios)

    @property
    def whitening_(self) -> NDArray[np.float64]:
        """The matrix that `transform` multiplies by, shape (n_results, n_features)."""
        return frozen_array(self._whitening.matrix)

    @property
    def n_components_(self) -> int:
        """Components that are kept."""
        width = len(self._learnt)
        return width if self.n_components is None else min(int(self.n_components), width)

    @property
    def _n_results(self) -> int:
        """Columns of what `transform` gives."""
        return self.n_components_ if self.method == "pca" else self.n_features_in_

    @property
    def n_samples_seen_(self) -> int | float:
        """Rows without a missing value, or the sum of their weights."""
        return self._learnt.samples()

    @property
    def n_samples_left_out_(self) -> int:
        """Rows with a missing value."""
        return self._learnt.left_out

    def record(self) -> Record:
        """Give everything learnt as what JSON holds, exactly."""
        check_is_fitted(self)
        return [{} for _ in range(self.n_features_in_)], pack(self._summary)

    def restore(self, record: Record, names: Sequence[str] | None) -> Self:
        """Take what `record` gave as one's own; `names` is None where there were none."""
        with self._unless_it_fails():
            self._validate_params()
            self.n_features_in_ = len(record[0])
            if names is not None:
                self.feature_names_in_ = np.asarray(names, dtype=object)
            self._summary = unpack(CrossProducts.empty(self.n_features_in_), record[1])
        return self

    # ---- applying ----

    def plan(self) -> Linear:
        """Give the map that `transform` applies."""
        check_is_fitted(self)
        return self._whitening.plan

    def transform(self, X: Any) -> Any:
        """Whiten X by the statistics learnt so far.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features)

        Returns
        -------
        Arrow data of the same kind where X is Arrow's (a lazy reader for a reader), with its metadata, and its names
        for "zca"; else an ndarray of shape (n_samples, len(whitening_)), or what `set_output` asks for. A row with a
        missing value is missing.

        Raises
        ------
        ValueError
            If X has other columns than those learnt from, or an infinity.
        """
        return self._map(X, inverse=False)

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`, up to rounding and to what the components do not tell.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, len(whitening_))

        Returns
        -------
        As `transform`, of shape (n_samples, n_features).

        Raises
        ------
        ValueError
            If X has other columns than `transform` gives, or an infinity.
        """
        return self._map(X, inverse=True)

    # ---- beside others ----

    def summary_by_name(self) -> NoReturn:
        """Raise DataError: it is no map of single columns, which is what is exported."""
        raise DataError(
            f"each result of a {type(self).__name__} needs its whole row, which is no map of single columns: use "
            "whitening_ and mean_, or to_sklearn() where method is 'pca'."
        )

    def to_sklearn(self) -> Any:
        """Give a fitted estimator of scikit-learn with the same numbers, which needs streamnorm no more.

        Returns
        -------
        sklearn.decomposition.PCA

        Raises
        ------
        DataError
            If scikit-learn has no such map: it has no "zca" and no `regularization`, and divides by the root of a
            variance of 0.
        """
        from sklearn.decomposition import PCA

        check_is_fitted(self)
        if self.method != "pca" or self.regularization or not (self.explained_variance_ > 0).all():
            raise DataError(
                "scikit-learn whitens by PCA alone, without regularization and of components that vary: use "
                "method='pca' with fewer n_components, or whitening_ and mean_."
            )
        estimator = PCA(n_components=self.n_components, whiten=True)
        deviations = np.sqrt(self.explained_variance_ * max(0, self.n_samples_seen_ - 1))
        rest = self.covariance_.trace() - self.explained_variance_.sum()
        left = self.n_features_in_ - self.n_components_
        learnt = {
            "mean_": self.mean_, "components_": self.components_, "explained_variance_": self.explained_variance_,
            "explained_variance_ratio_": self.explained_variance_ratio_, "singular_values_": deviations,
            "noise_variance_": rest / left if left else 0.0, "n_components_": self.n_components_,
            "n_samples_": self.n_samples_seen_, "n_features_in_": self.n_features_in_,
        }  # fmt: skip
        for name, value in learnt.items():
            setattr(estimator, name, np.array(value) if isinstance(value, np.ndarray) else value)
        if hasattr(self, "feature_names_in_"):
            estimator.feature_names_in_ = self.feature_names_in_
        return estimator

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags
