"""Power transforms by maximum likelihood, as scikit-learn's `PowerTransformer` has them."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn import preprocessing
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from streamnorm.errors import DataError
from streamnorm.normalizers._estimator import Normalizer

__all__ = ["PowerTransformer"]

#: Largest mean of what scikit-learn computes, in deviations: beyond, its results lose more than half of their digits.
_FAR = 2.0**26


class PowerTransformer(Normalizer, rule="power"):
    """Make skewed columns as normal as a power can, then give them mean 0 and variance 1.

    ``log(1 + |x|)`` is stretched by a power of its own for each column, `lambdas_`, under which normal data would be
    most likely.

    Parameters
    ----------
    method : {"yeo-johnson", "box-cox"}, default="yeo-johnson"
        Yeo-Johnson's takes all numbers, Box-Cox's those above 0.
    standardize : bool, default=True
        Whether the results get mean 0 and variance 1.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    max_bins : int, default=4096
        Bins of the histogram that the likelihood is taken from. Up to so many distinct values of a column it is that of
        the values; beyond, `lambda_errors_` says how far off the power may be.

    Attributes
    ----------
    lambdas_ : ndarray of shape (n_features,)
        Powers of the greatest likelihood; 1, which changes nothing but mean and variance, for a constant.
    lambda_errors_ : ndarray of shape (n_features,)
        How far, to first order, values elsewhere in their bins could move each power; 0 where the bins are values.

    Notes
    -----
    Powers depend on the rows alone, not on their order, batches or the machine, bit for bit. Where all values of a
    column have one sign they are computed from a middle on, so that columns far from 0 keep their digits, and do not
    overflow. Missing values are skipped.

    Examples
    --------
    >>> import streamnorm as sn
    >>> one = sn.PowerTransformer().fit([[1.0], [2.0], [4.0], [16.0]])
    >>> one.lambdas_.round(4), one.lambda_errors_
    (array([-0.5779]), array([0.]))
    >>> one.transform([[1.0], [16.0]]).round(4)
    array([[-1.2695],
           [ 1.4407]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "method": [StrOptions({"yeo-johnson", "box-cox"})],
        "standardize": ["boolean"],
        "copy": ["boolean"],
        "max_bins": [Interval(Integral, 2, 65536, closed="both")],
    }

    def __init__(
        self, method: str = "yeo-johnson", *, standardize: bool = True, copy: bool = True, max_bins: int = 4096
    ) -> None:
        self.method = method
        self.standardize = standardize
        self.copy = copy
        self.max_bins = max_bins

    def _learn_batch(self, X: Any, sample_weight: Any) -> None:
        super()._learn_batch(X, sample_weight)
        if self.method != "box-cox":
            return
        for slot in np.flatnonzero(self._summary.bins.sizes):
            least = float(self._summary.intervals(int(slot))[0][0])
            if least <= 0:
                raise self._not_positive(int(slot), least)

    def _refuse_unmapped(self, at: int, values: Any, results: Any, X: Any, before: int = 0) -> None:
        """Say which value Box-Cox's transform cannot take, or as the other scalers.

        Parameters
        ----------
        at : int
            Index of the value in C order, -1 where there is none.
        values, results : ndarray of shape (n_rows, n_features)
            Those of X that were mapped, and what became of them.
        X : ndarray
        before : int
            Rows of X before these.
        """
        if at >= 0 and self.method == "box-cox" and -np.inf < values.flat[at] <= 0:
            raise self._not_positive(at % X.shape[1], float(values.flat[at]))
        super()._refuse_unmapped(at, values, results, X, before)

    def _not_positive(self, slot: int, value: float) -> DataError:
        return DataError(
            f"The Box-Cox transformation can only be applied to strictly positive data: column {self._name_of(slot)!r} "
            f"holds {value!r}; take method='yeo-johnson', or leave it out."
        )

    def to_sklearn(self) -> Any:
        """Give a fitted estimator of scikit-learn with the same numbers, to rounding.

        Returns
        -------
        sklearn.preprocessing.PowerTransformer

        Raises
        ------
        DataError
            If scikit-learn's way to the results would lose more than half of their digits, or overflow.
        """
        check_is_fitted(self)
        known = {name: value for name, value in self.get_params().items() if name != "max_bins"}
        estimator = preprocessing.PowerTransformer(**known)
        for name in ("n_features_in_", "feature_names_in_", "lambdas_"):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        if self.standardize:
            estimator._scaler = self._scaler_of_sklearn()
        return estimator

    def _scaler_of_sklearn(self) -> Any:
        plan: Any = self._bound.plan(self._summary)
        mean, scale = plan.of_results()
        with np.errstate(all="ignore"):
            far = ~(np.isfinite(mean) & np.isfinite(scale) & (scale > 0) & (np.abs(mean) <= _FAR * scale))
        lost = np.flatnonzero(far & ~np.isnan(self.lambdas_))
        if len(lost):
            raise DataError(
                f"column {self._name_of(int(lost[0]))!r} lies so far from 0 that scikit-learn's power transform loses "
                "its digits: subtract a number near its least value before the fit."
            )
        scaler = preprocessing.StandardScaler(copy=False).set_output(transform="default")
        scaler.mean_, scaler.scale_, scaler.var_ = mean, scale, scale * scale
        scaler.n_features_in_ = self.n_features_in_
        scaler.n_samples_seen_ = int(self._summary.counts.rows.max(initial=0))
        return scaler
