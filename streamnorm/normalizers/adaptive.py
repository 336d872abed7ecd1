"""A standard scaler that forgets: mean and deviation with weights that halve every so many rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from streamnorm.errors import DataError
from streamnorm.normalizers._decay import DecayedRows
from streamnorm.normalizers._ordered import OrderedNormalizer, Record, frozen_array
from streamnorm.plans import Affine
from streamnorm.summaries import CONSTANT

__all__ = ["AdaptiveStandardScaler"]

#: Weights are between this and its inverse, so that no sum of them overflows.
_LEAST_WEIGHT = 2.0**-512


class AdaptiveStandardScaler(OrderedNormalizer):
    """Standardise by a mean and deviation that follow the stream: ``z = (x - mean_) / scale_``.

    The weight of a value halves every `halflife` later values of its column::

        w_i  = s_i 2 ** (-age_i / halflife)    s_i: its sample_weight, 1 without
                                               age_i: values of the column after the i-th
        mean = sum(w_i x_i) / sum(w_i)
        var  = sum(w_i (x_i - mean)^2) / sum(w_i)

    These are ``ewm(halflife=halflife, adjust=True, ignore_na=True)`` of pandas with ``mean()`` and
    ``var(bias=True)``, after the last row, where no weights are given.

    Decay is counted in rows, and sums are formed in blocks of 512 rows of the *stream*, so that the state
    depends on the rows and their order alone: bit for bit the same, in whatever batches they arrive. It
    depends on their order by definition, and therefore has no `+` and no `-`; where rows have a time,
    ``StandardScaler(halflife="7d", time="ts")`` has both, and does not mind late rows. A row of any positive weight
    ages those before it by one; one of weight 0 is as if it were not there. Only the ratios of the weights
    matter: they may be from 2^-512 to 2^512.

    Parameters
    ----------
    halflife : float
        Rows after which a weight has halved, greater than 0. Missing values do not age a column.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,)
        Weighted mean, NaN where there was no value. None without `with_mean` and `with_std`.
    var_ : ndarray of shape (n_features,)
        Weighted (biased) variance. None without `with_std`.
    scale_ : ndarray of shape (n_features,)
        Weighted standard deviation, 1 where it is at most 4 eps |mean_|. None without `with_std`.
    n_samples_seen_ : int or ndarray of shape (n_features,)
        Values seen, each counted as 1 whatever its weight; an array where the columns differ.

    Notes
    -----
    A block is summed about its latest value and the blocks are combined as by Chan, Golub and LeVeque
    (*Algorithms for computing the sample variance*, 1983). The mean is kept as an unevaluated sum of two
    float64 (Knuth's two-sum): with one, a column that settles on a constant would never quite reach it.
    The standard deviation is combined instead of the variance, so that squares do not overflow; numbers are
    halved twice before, which costs those below 2^-1020 their last two bits.

    Up to 511 of the latest rows are part of the state as they came, until their block is full. Rows without
    any value are not counted. The fitted attributes are computed when they are asked for.

    Examples
    --------
    >>> import streamnorm as sn
    >>> scaler = sn.AdaptiveStandardScaler(halflife=1).partial_fit([[0.0]]).partial_fit([[3.0]])
    >>> scaler.mean_, scaler.var_                     # weights 1/3 and 2/3
    (array([2.]), array([2.]))
    >>> scaler == sn.AdaptiveStandardScaler(halflife=1).fit([[0.0], [3.0]])
    True
    >>> sn.AdaptiveStandardScaler(halflife=1).fit([[0.0], [3.0]], sample_weight=[4, 1]).mean_   # 2/3 and 1/3
    array([1.])
    >>> scaler + scaler  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streamnorm.errors.MergeError: states of AdaptiveStandardScaler cannot be added or ...
    """

    _LEARNT = ("_rows",)
    _NO_MERGE: ClassVar[str] = (
        "each row's weight depends on how many rows came after it, which two separate states do not know."
    )
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "halflife": [Interval(Real, 0, None, closed="neither")],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
    }

    _rows: DecayedRows

    def __init__(self, halflife: float, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.halflife = halflife
        self.with_mean = with_mean
        self.with_std = with_std

    def _step(self, x: NDArray[Any], weights: NDArray[np.float64] | None) -> None:
        known = self.__dict__.get("_rows") or DecayedRows.empty(float(self.halflife), x.shape[1])
        if known.halflife != self.halflife:
            self._validate_params()
            known = dataclasses.replace(known, halflife=float(self.halflife))
        rows, given = x.astype(np.float64), np.ones(len(x)) if weights is None else _checked(weights)
        missing = np.isnan(rows)
        if missing.any():
            rows[missing] = np.nan  # one NaN, so that equal states are equal bytes
            there = ~missing.all(axis=1)
            rows, given = rows[there], given[there]
        self._rows = known.then(rows, given)

    # ---- what is known ----

    @property
    def mean_(self) -> Any:
        """Weighted mean, shape (n_features,)."""
        return self._learnt.mean if self.with_mean or self.with_std else None

    @property
    def var_(self) -> Any:
        """Weighted variance, shape (n_features,)."""
        with np.errstate(over="ignore", under="ignore"):  # it may be beyond float64
            return frozen_array(self._learnt.std**2) if self.with_std else None

    @property
    def scale_(self) -> Any:
        """Weighted standard deviation, 1 for constant columns, shape (n_features,)."""
        rows = self._learnt
        scale = np.where(rows.std <= CONSTANT * np.abs(rows.mean), 1.0, rows.std)
        return frozen_array(scale) if self.with_std else None

    @property
    def n_samples_seen_(self) -> Any:
        """Values seen: one number where all columns have the same."""
        seen = self._learnt.seen
        return int(seen[0]) if len(seen) and (seen == seen[0]).all() else seen

    @property
    def _learnt(self) -> DecayedRows:
        if not self.__sklearn_is_fitted__():
            raise AttributeError(f"this {type(self).__name__} has learnt nothing yet.")
        return self._rows

    def _state(self) -> tuple[Any, ...]:
        return self._rows.state()

    def record(self) -> Record:
        """Give everything learnt as what JSON holds, exactly."""
        check_is_fitted(self)
        return self._rows.record()

    def _restore(self, slots: Sequence[dict[str, Any]], common: dict[str, Any]) -> None:
        self._rows = DecayedRows.of_record(slots, common)

    # ---- applying ----

    def plan(self) -> Affine:
        """Give the map that `transform` applies."""
        check_is_fitted(self)
        return Affine.centred(self.mean_ if self.with_mean else None, self.scale_)

    def transform(self, X: Any) -> Any:
        """Normalise X by the statistics learnt so far; never learns.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features)

        Returns
        -------
        Arrow data of the same kind where X is Arrow's (a lazy reader for a reader), with its names, nulls
        and metadata; else an ndarray, or what `set_output` asks for.

        Raises
        ------
        ValueError
            If X has other columns than those learnt from, or an infinity.
        """
        check_is_fitted(self)
        self._warn_of_empty(self._rows.seen == 0, self._rows.seen)
        return self._map(X, lambda X: self.plan())

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`, up to rounding; parameters, result and errors are the same."""
        return self._map(X, lambda X: self.plan(), inverse=True)

    def to_sklearn(self) -> Any:
        """Give a plain fitted scikit-learn scaler with the same numbers, which no longer adapts.

        Returns
        -------
        sklearn.preprocessing.StandardScaler
        """
        from sklearn.preprocessing import StandardScaler

        check_is_fitted(self)
        scaler = StandardScaler(with_mean=self.with_mean, with_std=self.with_std)
        for name in ("mean_", "var_", "scale_", "n_samples_seen_", "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(scaler, name, getattr(self, name))
        return scaler


def _checked(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    wrong = (weights > 1 / _LEAST_WEIGHT) | ((weights < _LEAST_WEIGHT) & (weights > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"sample_weight of row {row} is {weights[row]:g}, beyond 2**-512 to 2**512: multiply all weights by a "
            "constant, since only their ratios matter."
        )
    return weights
