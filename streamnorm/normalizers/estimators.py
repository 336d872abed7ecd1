"""The scalers, as scikit-learn knows them: the same names, parameters, defaults and attributes."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from streamnorm.normalizers._estimator import Normalizer

__all__ = ["MinMaxScaler", "StandardScaler"]


class StandardScaler(Normalizer, rule="standard"):
    """Subtract the mean and divide by the standard deviation: ``z = (x - mean) / std``.

    Parameters
    ----------
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.
    ddof : float, default=0
        Taken from the number of values in the variance's divisor: 0 for that of the population, as
        scikit-learn, 1 for the unbiased one of a sample, as pandas.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Exact mean, rounded to float64 once. NaN where there was no value.
    var_ : ndarray of shape (n_features,)
        Exact variance with `ddof`, rounded once. None without `with_std`.
    scale_ : ndarray of shape (n_features,)
        Correctly rounded standard deviation, 1 where it is at most 4 eps |mean|. None without `with_std`.
    n_samples_seen_ : int or ndarray of shape (n_features,)
        Values seen, or the sum of their weights.

    Notes
    -----
    The sums of x and x^2 are kept as integers, so that the state depends on the rows alone: not on their
    order, the batches or the machines they came from (Neal 2015; Demmel and Nguyen 2013).

    Examples
    --------
    >>> import streamnorm as sn
    >>> scaler = sn.StandardScaler(ddof=1).partial_fit([[1.0, 2.0]]).partial_fit([[5.0, 4.0]])
    >>> scaler.mean_
    array([3., 3.])
    >>> scaler.transform([[1.0, 2.0], [5.0, 4.0]]).round(4)
    array([[-0.7071, -0.7071],
           [ 0.7071,  0.7071]])

    Constant columns are scaled by 1, and missing values are skipped:

    >>> sn.StandardScaler().fit_transform([[7.0], [float("nan")], [7.0]])
    array([[ 0.],
           [nan],
           [ 0.]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "copy": ["boolean"],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
        "ddof": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self, *, copy: bool = True, with_mean: bool = True, with_std: bool = True, ddof: float = 0
    ) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std
        self.ddof = ddof


class MinMaxScaler(Normalizer, rule="minmax"):
    """Map the range of each column to `feature_range`: ``x * scale_ + min_``.

    Parameters
    ----------
    feature_range : (float, float), default=(0, 1)
        What the least and the greatest value become.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    clip : bool, default=False
        Whether values outside the range seen are mapped to its ends.

    Attributes
    ----------
    data_min_, data_max_, data_range_ : ndarray of shape (n_features,)
        Least and greatest value seen, and their distance. NaN where there was no value.
    scale_ : ndarray of shape (n_features,)
        ``(high - low) / data_range_``, of a range of 1 where it is at most 4 eps of the values.
    min_ : ndarray of shape (n_features,)
        ``low - data_min_ * scale_``.
    n_samples_seen_ : int
        Rows seen.

    Notes
    -----
    Such scalers can be added and never taken from each other: a minimum does not tell what it was before.

    Examples
    --------
    >>> import streamnorm as sn
    >>> sn.MinMaxScaler().fit_transform([[-1.0], [0.0], [3.0]])
    array([[0.  ],
           [0.25],
           [1.  ]])
    >>> (sn.MinMaxScaler().fit([[1.0]]) + sn.MinMaxScaler().fit([[9.0]])).data_range_
    array([8.])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "feature_range": [tuple],
        "copy": ["boolean"],
        "clip": ["boolean"],
    }

    def __init__(
        self, feature_range: tuple[float, float] = (0, 1), *, copy: bool = True, clip: bool = False
    ) -> None:
        self.feature_range = feature_range
        self.copy = copy
        self.clip = clip
