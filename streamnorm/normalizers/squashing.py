"""Robust scaling with a soft bound, as skrub's `SquashingScaler` has it."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, NoReturn

from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from streamnorm.errors import DataError
from streamnorm.normalizers._estimator import Normalizer

__all__ = ["SquashingScaler"]


class SquashingScaler(Normalizer, rule="squashing"):
    """Scale as `RobustScaler`, then bend outliers towards a bound: ``z / sqrt(1 + (z / max_absolute_value)^2)``.

    ``z = (x - center_) / scale_``. The middle of a column stays about as it is, and no outlier passes the bound.

    Parameters
    ----------
    max_absolute_value : float, default=3.0
        The bound of the results, either way.
    quantile_range : (float, float), default=(25.0, 75.0)
        The quantiles whose distance is the scale, in percent.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    max_bins : int, default=4096
        Bins of the histogram that the quantiles are taken from; see `RobustScaler`.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Median of each column.
    scale_ : ndarray of shape (n_features,)
        Distance of the two quantiles; where that is at most 4 eps of them half the distance of the least and the
        greatest value; 1 where that is, too.
    robust_cols_, minmax_cols_, zero_cols_ : ndarray of bool of shape (n_features,)
        Which columns have the first, the second and the third. The last are constant, and become 0.
    quantile_error_ : ndarray of shape (3, n_features)
        Bound on the error of the lower quantile, the median and the upper quantile, in the data's unit.

    Notes
    -----
    The formula is that of *Better by default: strong pre-tuned MLPs and boosted trees on tabular data* (Holzmüller et
    al. 2024), the names are skrub's. Infinities are counted, not learnt from, and become the bound of their sign, in
    files and tables with ``infinite="skip"``. Missing values stay. On the way back a bound becomes an infinity, and
    what lies near it has lost digits.

    Examples
    --------
    >>> import streamnorm as sn
    >>> sn.SquashingScaler().fit_transform([[float("inf")], [float("-inf")], [3.0], [-1.0], [float("nan")], [2.0]])
    array([[ 3.        ],
           [-3.        ],
           [ 0.49319696],
           [-1.34164079],
           [        nan],
           [ 0.        ]])

    A column whose quantiles are equal has the distance of its ends:

    >>> sn.SquashingScaler().fit_transform([[0.0], [1.0], [1.0], [1.0], [2.0]]).ravel().round(4).tolist()
    [-0.9487, 0.0, 0.0, 0.0, 0.9487]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "max_absolute_value": [Interval(Real, 0, None, closed="neither")],
        "quantile_range": [tuple],
        "copy": ["boolean"],
        "max_bins": [Interval(Integral, 2, 65536, closed="both")],
    }
    _skips_infinities = True

    def __init__(
        self,
        max_absolute_value: float = 3.0,
        quantile_range: tuple[float, float] = (25.0, 75.0),
        *,
        copy: bool = True,
        max_bins: int = 4096,
    ) -> None:
        self.max_absolute_value = max_absolute_value
        self.quantile_range = quantile_range
        self.copy = copy
        self.max_bins = max_bins

    def _refuse_unmapped(self, at: int, values: Any, results: Any, X: Any, before: int = 0) -> None:
        """Refuse nothing: an infinity becomes a bound, and no result is beyond it.

        Parameters
        ----------
        at : int
        values, results : ndarray
        X : ndarray
        before : int
        """

    def to_sklearn(self) -> NoReturn:
        """Raise DataError: scikit-learn has no such scaler."""
        check_is_fitted(self)
        raise DataError("scikit-learn has no SquashingScaler: export to onnx or sql, or take a RobustScaler.")
