"""The scalers, as scikit-learn knows them: the same names, parameters, defaults and attributes."""

from __future__ import annotations

import dataclasses
import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions

from streamnorm.errors import DataError
from streamnorm.normalizers._estimator import Normalizer
from streamnorm.normalizers._timed import TimedNormalizer
from streamnorm.summaries import Block

__all__ = ["MaxAbsScaler", "MinMaxScaler", "QuantileTransformer", "RobustScaler", "StandardScaler"]


class StandardScaler(TimedNormalizer, rule="standard"):
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
    halflife : str, timedelta, int or float, optional
        If given, rows weigh by their time t: each ``2 ** (t / halflife)``, half as much as a row that is later by
        `halflife`. A duration (``"7d"``, ``"12h"``, ``"30min"``; units w, d, h, min, s, ms, us, ns), or a
        number in the unit of times that are numbers. `ddof` is 0 then.
    time : str or int, optional
        The column that the times are in: its name, or its number where columns have none. It is no feature: `transform`
        leaves it as it is in Arrow data and arrays, and out of the results of data frames. A row without a time is an
        error.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Exact mean, rounded to float64 once. NaN where there was no value.
    var_ : ndarray of shape (n_features,)
        Exact variance with `ddof`, rounded once. None without `with_std`.
    scale_ : ndarray of shape (n_features,)
        Correctly rounded standard deviation, 1 where it is at most 4 eps |mean|. None without `with_std`.
    n_samples_seen_ : int or ndarray of shape (n_features,)
        Values seen, or the sum of their weights. With a halflife values are counted: only ratios of weights matter.

    Notes
    -----
    The sums of x and x^2 are kept as integers, so that the state depends on the rows alone: not on their
    order, the batches or the machines they came from (Neal 2015; Demmel and Nguyen 2013).

    That holds with a halflife, too, since a weight depends on the row's own time and on no other row (*forward decay*,
    Cormode et al. 2009): such states merge, forget and know no order, where `AdaptiveStandardScaler`, which ages rows
    by those that follow, cannot. The mean is that of pandas' ``ewm(halflife=halflife, times=times).mean()`` after the
    latest row. Nothing is ever rounded away: each sum has a bit for each half-life between the oldest and the newest
    row, of which there may be a million, and a few hundred beside.

    Examples
    --------
    >>> import streamnorm as sn
    >>> scaler = sn.StandardScaler(ddof=1).partial_fit([[1.0, 2.0]]).partial_fit([[5.0, 4.0]])
    >>> scaler.mean_
    array([3., 3.])
    >>> scaler.transform([[1.0, 2.0], [5.0, 4.0]]).round(4)
    array([[-0.7071, -0.7071],
           [ 0.7071,  0.7071]])

    A day counts twice as much as the one before it:

    >>> import pyarrow as pa, datetime
    >>> days = [datetime.date(2026, 1, day) for day in (1, 2)]
    >>> scaler = sn.StandardScaler(halflife="1d", time="day").fit(pa.table({"day": days, "x": [0.0, 3.0]}))
    >>> scaler.mean_, scaler.transform(pa.table({"day": days, "x": [2.0, 3.0]})).column("day")[0].as_py()
    (array([2.]), datetime.date(2026, 1, 1))

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
        "halflife": "no_validation",  # the rule's own check knows durations
        "time": [str, Integral, None],
    }

    def __init__(
        self,
        *,
        copy: bool = True,
        with_mean: bool = True,
        with_std: bool = True,
        ddof: float = 0,
        halflife: Any = None,
        time: str | int | None = None,
    ) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std
        self.ddof = ddof
        self.halflife = halflife
        self.time = time


class MinMaxScaler(Normalizer, rule="minmax"):
    """Map the range of each column to `feature_range`: ``x * scale_ + min_``.

    Parameters
    ----------
    feature_range : (float, float), default=(0, 1)
        What the two ends of the range become.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    clip : bool, default=False
        Whether values outside the range are mapped to its ends.
    quantile_range : (float, float), optional
        The quantiles that are the ends of the range, in percent; by default the least and the greatest value. With
        (1, 99) one outlier no longer presses the rest together.
    max_bins : int, default=4096
        Bins of the histogram that the quantiles are taken from; see `RobustScaler`. Without `quantile_range` there
        is none.

    Attributes
    ----------
    data_min_, data_max_, data_range_ : ndarray of shape (n_features,)
        Both ends of the range, and their distance. NaN where there was no value.
    quantile_error_ : ndarray of shape (2, n_features)
        Bound on the error of both ends, in the data's unit; None without `quantile_range`.
    scale_ : ndarray of shape (n_features,)
        ``(high - low) / data_range_``, of a range of 1 where it is at most 4 eps of the values.
    min_ : ndarray of shape (n_features,)
        ``low - data_min_ * scale_``.
    n_samples_seen_ : int
        Rows seen.

    Notes
    -----
    Such scalers can be added and never taken from each other: a minimum does not tell what it was before. With
    `quantile_range` they can be taken from each other too.

    Examples
    --------
    >>> import streamnorm as sn
    >>> sn.MinMaxScaler().fit_transform([[-1.0], [0.0], [3.0]])
    array([[0.  ],
           [0.25],
           [1.  ]])
    >>> (sn.MinMaxScaler().fit([[1.0]]) + sn.MinMaxScaler().fit([[9.0]])).data_range_
    array([8.])
    >>> sn.MinMaxScaler(quantile_range=(0, 75), clip=True).fit_transform([[1.0], [2.0], [3.0], [5.0], [1000.0]])
    array([[0.  ],
           [0.25],
           [0.5 ],
           [1.  ],
           [1.  ]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "feature_range": [tuple],
        "copy": ["boolean"],
        "clip": ["boolean"],
        "quantile_range": [tuple, None],
        "max_bins": [Interval(Integral, 2, 65536, closed="both")],
    }

    def __init__(
        self,
        feature_range: tuple[float, float] = (0, 1),
        *,
        copy: bool = True,
        clip: bool = False,
        quantile_range: tuple[float, float] | None = None,
        max_bins: int = 4096,
    ) -> None:
        self.feature_range = feature_range
        self.copy = copy
        self.clip = clip
        self.quantile_range = quantile_range
        self.max_bins = max_bins


class MaxAbsScaler(Normalizer, rule="maxabs"):
    """Divide by the greatest magnitude of each column, which keeps zeros: ``x / scale_``.

    Parameters
    ----------
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    clip : bool, default=False
        Whether values beyond the greatest magnitude seen become -1 or 1.

    Attributes
    ----------
    max_abs_ : ndarray of shape (n_features,)
        Greatest magnitude seen. NaN where there was no value.
    scale_ : ndarray of shape (n_features,)
        The same, 1 where it is 0.
    n_samples_seen_ : int
        Rows seen.

    Examples
    --------
    >>> import streamnorm as sn
    >>> sn.MaxAbsScaler().fit_transform([[-4.0], [0.0], [2.0]])
    array([[-1. ],
           [ 0. ],
           [ 0.5]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {"copy": ["boolean"], "clip": ["boolean"]}

    def __init__(self, *, copy: bool = True, clip: bool = False) -> None:
        self.copy = copy
        self.clip = clip


class RobustScaler(Normalizer, rule="robust"):
    """Subtract the median and divide by a range of quantiles: ``(x - center_) / scale_``.

    Parameters
    ----------
    with_centering : bool, default=True
        Whether to subtract the median.
    with_scaling : bool, default=True
        Whether to divide by the range between the quantiles.
    quantile_range : (float, float), default=(25.0, 75.0)
        The quantiles, in percent.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    unit_variance : bool, default=False
        Whether to scale so that normal data would get variance 1.
    max_bins : int, default=4096
        Bins of the histogram that the quantiles are taken from. Up to so many distinct values of a column
        its quantiles are exact; beyond, `quantile_error_` says how far off they may be.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Median of each column. None without centering.
    scale_ : ndarray of shape (n_features,)
        Distance of the two quantiles, 1 where it is at most 4 eps of them. None without scaling.
    quantile_error_ : ndarray of shape (3, n_features)
        Bound on the error of the lower quantile, the median and the upper quantile, in the data's unit.

    Examples
    --------
    >>> import streamnorm as sn
    >>> sn.RobustScaler().fit_transform([[1.0], [2.0], [3.0], [4.0], [1000.0]])
    array([[ -1. ],
           [ -0.5],
           [  0. ],
           [  0.5],
           [498.5]])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "with_centering": ["boolean"],
        "with_scaling": ["boolean"],
        "quantile_range": [tuple],
        "copy": ["boolean"],
        "unit_variance": ["boolean"],
        "max_bins": [Interval(Integral, 2, 65536, closed="both")],
    }

    def __init__(
        self,
        *,
        with_centering: bool = True,
        with_scaling: bool = True,
        quantile_range: tuple[float, float] = (25.0, 75.0),
        copy: bool = True,
        unit_variance: bool = False,
        max_bins: int = 4096,
    ) -> None:
        self.with_centering = with_centering
        self.with_scaling = with_scaling
        self.quantile_range = quantile_range
        self.copy = copy
        self.unit_variance = unit_variance
        self.max_bins = max_bins


class QuantileTransformer(Normalizer, rule="quantile"):
    """Map each column to a uniform or normal variable, through its own quantiles.

    Parameters
    ----------
    n_quantiles : int, default=1000
        Points of each map; no more than there are rows, each as often as its weight says.
    output_distribution : {"uniform", "normal"}, default="uniform"
        What the values become.
    ignore_implicit_zeros : bool, default=False
        Whether what a sparse matrix does not store is left out of the quantiles.
    subsample : int or None, default=10_000
        As in scikit-learn, at least `n_quantiles`. Every row counts here, whatever it is.
    random_state : None
        Nothing is drawn here; kept so that scikit-learn's parameters can be given.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    max_bins : int, default=4096
        Bins of the histogram that the quantiles are taken from; see `RobustScaler`.

    Attributes
    ----------
    n_quantiles_ : int
        Points of each map.
    quantiles_ : ndarray of shape (n_quantiles_, n_features)
        Values of each column.
    references_ : ndarray of shape (n_quantiles_,)
        What they are mapped to, from 0 to 1.

    Examples
    --------
    >>> import streamnorm as sn
    >>> sn.QuantileTransformer(n_quantiles=3).fit_transform([[1.0], [10.0], [1000.0]]).ravel().tolist()
    [0.0, 0.5, 1.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_quantiles": [Interval(Integral, 1, None, closed="left")],
        "output_distribution": [StrOptions({"uniform", "normal"})],
        "ignore_implicit_zeros": ["boolean"],
        "subsample": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "copy": ["boolean"],
        "max_bins": [Interval(Integral, 2, 65536, closed="both")],
    }

    def __init__(
        self,
        *,
        n_quantiles: int = 1000,
        output_distribution: str = "uniform",
        ignore_implicit_zeros: bool = False,
        subsample: int | None = 10_000,
        random_state: Any = None,
        copy: bool = True,
        max_bins: int = 4096,
    ) -> None:
        self.n_quantiles = n_quantiles
        self.output_distribution = output_distribution
        self.ignore_implicit_zeros = ignore_implicit_zeros
        self.subsample = subsample
        self.random_state = random_state
        self.copy = copy
        self.max_bins = max_bins

    def _validate_params(self) -> None:
        super()._validate_params()
        if self.subsample is not None and self.n_quantiles > self.subsample:
            raise DataError(
                "The number of quantiles cannot be greater than the number of samples used. Got "
                f"{self.n_quantiles} quantiles and {self.subsample} samples."
            )

    def _block(self, X: Any, reset: bool, sample_weight: Any) -> Block:
        """Describe X to the kernel.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        reset : bool
            Whether the columns are learnt from X, not compared with those that are known.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.
        """
        block = super()._block(X, reset, sample_weight)
        if self.ignore_implicit_zeros and not sparse.issparse(X):
            warnings.warn(
                "'ignore_implicit_zeros' takes effect only with sparse matrix. This parameter has no effect.",
                stacklevel=6,
            )
        return dataclasses.replace(block, zeros=None, zero_weight=None) if self.ignore_implicit_zeros else block

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Forget what was learnt and learn from X; as the other scalers' `fit`.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        y : ignored
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.
        """
        super().fit(X, y, sample_weight)
        if self.n_quantiles > self.n_quantiles_:
            warnings.warn(
                f"n_quantiles ({self.n_quantiles}) is greater than the total number of samples ({self.n_quantiles_}). "
                "n_quantiles is set to n_samples.",
                stacklevel=2,
            )
        return self

    def _refuse_sparse(self, X: Any, inverse: bool = False) -> None:
        super()._refuse_sparse(X, inverse)
        if sparse.issparse(X) and not inverse and not self.ignore_implicit_zeros and X.tocsr().data.min(initial=0) < 0:
            raise DataError("QuantileTransformer only accepts non-negative sparse matrices.")
