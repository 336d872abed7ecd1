"""A standard scaler that forgets: mean and deviation with weights that halve every so many rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from streamnorm.normalizers._ordered import OrderedNormalizer, frozen_array
from streamnorm.plans import Affine, Step

__all__ = ["AdaptiveStandardScaler"]

Floats = NDArray[np.float64]

#: Rows of a block. Blocks begin at multiples of this many rows of the stream, wherever batches begin.
_ROWS = 512
#: Columns summarised in one go, 512 KiB of them: enough to make up for numpy's cost of a call.
_BESIDE = 128
#: Numbers are kept in units of a quarter of X's: differences of any two float64 values stay finite.
_UNIT = 0.25
#: Times the magnitude of the mean: a standard deviation up to this is rounding noise. 4 eps of float64.
_CONSTANT = 2.0**-50


class AdaptiveStandardScaler(OrderedNormalizer):
    """Standardise by a mean and deviation that follow the stream: ``z = (x - mean_) / scale_``.

    The weight of a value halves every `halflife` later values of its column::

        w_i  = 2 ** (-age_i / halflife)        age_i: values of the column after the i-th
        mean = sum(w_i x_i) / sum(w_i)
        var  = sum(w_i (x_i - mean)^2) / sum(w_i)

    These are ``ewm(halflife=halflife, adjust=True, ignore_na=True)`` of pandas with ``mean()`` and
    ``var(bias=True)``, after the last row.

    Decay is counted in rows, and sums are formed in blocks of 512 rows of the *stream*, so that the state
    depends on the rows and their order alone: bit for bit the same, in whatever batches they arrive. It
    depends on their order by definition, and therefore has no `+` and no `-`.

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
        Values seen, each counted as 1; an array where the columns differ.

    Notes
    -----
    A block is summed about its latest value and the blocks are combined as by Chan, Golub and LeVeque
    (*Algorithms for computing the sample variance*, 1983). The mean is kept as an unevaluated sum of two
    float64 (Knuth's two-sum): with one, a column that settles on a constant would never quite reach it.
    The standard deviation is combined instead of the variance, so that squares do not overflow; numbers are
    halved twice before, which costs those below 2^-1020 their last two bits.

    Up to 511 of the latest rows are part of the state as they came, until their block is full. Rows without
    any value are not counted.

    Examples
    --------
    >>> import streamnorm as sn
    >>> scaler = sn.AdaptiveStandardScaler(halflife=1).partial_fit([[0.0]]).partial_fit([[3.0]])
    >>> scaler.mean_, scaler.var_                     # weights 1/3 and 2/3
    (array([2.]), array([2.]))
    >>> scaler == sn.AdaptiveStandardScaler(halflife=1).fit([[0.0], [3.0]])
    True
    >>> scaler + scaler  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streamnorm.errors.MergeError: states of AdaptiveStandardScaler cannot be added or ...
    """

    _LEARNT: ClassVar[tuple[str, ...]] = (
        "_blocks", "_rows", "mean_", "var_", "scale_", "n_samples_seen_",
    )  # fmt: skip
    _NO_MERGE: ClassVar[str] = (
        "each row's weight depends on how many rows came after it, which two separate states do not know."
    )
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "halflife": [Interval(Real, 0, None, closed="neither")],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
    }

    _blocks: _Decayed
    _rows: Floats
    mean_: Any
    scale_: Any

    def __init__(self, halflife: float, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.halflife = halflife
        self.with_mean = with_mean
        self.with_std = with_std

    def _learn(self, x: NDArray[Any]) -> None:
        rows = x.astype(np.float64)
        missing = np.isnan(rows)
        if missing.any():
            rows[missing] = np.nan  # one NaN, so that equal states are equal bytes
            rows = rows[~missing.all(axis=1)]
        weights = _weights(self.halflife)
        state = self.__dict__.get("_blocks") or _Decayed.empty(x.shape[1])
        if self._is_learnt():
            rows = np.concatenate([self._rows, rows])
        whole = len(rows) // _ROWS * _ROWS
        for block in _blocks_of(rows[:whole], weights):
            state = state.then(block, weights)
        self._blocks, self._rows = state, frozen_array(rows[whole:].copy())
        self._present(state.then(_Decayed.of(self._rows, weights), weights))

    def _present(self, now: _Decayed) -> None:
        """Set the fitted attributes."""
        none = now.seen == 0
        mean = np.where(none, np.nan, now.mean / _UNIT)
        std = np.where(none, np.nan, now.std / _UNIT)
        with np.errstate(over="ignore", under="ignore"):  # the variance may be beyond float64
            var = std * std
        scale = np.where(std <= _CONSTANT * np.abs(mean), 1.0, std)
        self.mean_ = frozen_array(mean) if self.with_mean or self.with_std else None
        self.var_ = frozen_array(var) if self.with_std else None
        self.scale_ = frozen_array(scale) if self.with_std else None
        same = len(now.seen) > 0 and (now.seen == now.seen[0]).all()
        self.n_samples_seen_ = int(now.seen[0]) if same else frozen_array(now.seen)

    def _state(self) -> tuple[Any, ...]:
        b = self._blocks
        return b.seen, b.weight, b.mean, b.rest, b.std, self._rows

    def _plan(self, x: NDArray[Any]) -> Affine:
        steps = []
        if self.with_mean:
            steps.append(Step(np.subtract, self.mean_))
        if self.with_std:
            steps.append(Step(np.divide, self.scale_))
        return Affine(tuple(steps))

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
        self._warn_of_empty()
        return self._map(X, self._plan)

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`, up to rounding; parameters, result and errors are the same."""
        return self._map(X, self._plan, inverse=True)

    def _warn_of_empty(self) -> None:
        empty = np.flatnonzero(np.broadcast_to(self.n_samples_seen_, self.n_features_in_) == 0)
        if len(empty) and not self.__dict__.get("_warned"):
            self._warned = True
            names = ", ".join(str(self._name_of(int(i))) for i in empty[:10])
            warnings.warn(
                f"AdaptiveStandardScaler has seen no value of column {names}: its statistics are NaN, and "
                "so is what it gives there.",
                stacklevel=4,
            )

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
            if name in self.__dict__:
                setattr(scaler, name, self.__dict__[name])
        return scaler


@dataclass(frozen=True)
class _Decayed:
    """Weighted statistics of the rows so far, as of the last of them; one slot a column.

    Means and standard deviations are in units of `_UNIT`; the mean is ``mean + rest``.
    """

    seen: NDArray[np.int64]
    weight: Floats
    mean: Floats
    rest: Floats
    std: Floats

    @classmethod
    def empty(cls, slots: int) -> _Decayed:
        """No rows."""
        return cls(np.zeros(slots, np.int64), *(np.zeros(slots) for _ in range(4)))

    @classmethod
    def of(cls, rows: Floats, weights: Floats) -> _Decayed:
        """Summarise up to `_ROWS` rows of shape (n_rows, n_slots); weights by age, at least n_rows + 1.

        Every operation is elementwise or a `_sum`, so that a column's bits depend on nothing beside it.
        """
        n, slots = rows.shape
        if n == 0:
            return cls.empty(slots)
        x = rows * _UNIT
        valid = ~np.isnan(x)
        if valid.all():
            w = weights[n - 1 :: -1, np.newaxis]
            pivot = x[-1]
            seen = np.full(slots, n)
            x = x - pivot
        else:
            ages = np.cumsum(valid[::-1], axis=0)[::-1] - valid
            w = np.where(valid, weights[ages], 0.0)
            seen = valid.sum(axis=0)
            latest = x[n - 1 - np.argmax(valid[::-1], axis=0), np.arange(slots)]
            pivot = np.where(seen > 0, latest, 0.0)
            x = np.where(valid, x - pivot, 0.0)
        weight = _sum(w)
        share = w / np.where(weight > 0, weight, 1.0)
        shift = _sum(share * x)
        x -= shift
        # A power of two near the greatest deviation: no square overflows, none that matters underflows.
        unit = np.ldexp(0.5, np.frexp(np.abs(x).max(axis=0))[1])
        x /= unit
        std = unit * np.sqrt(_sum(share * x * x))
        mean, rest = _two_sum(pivot, shift)
        return cls(seen.astype(np.int64), np.broadcast_to(weight, (slots,)).copy(), mean, rest, std)

    def slots(self, which: slice) -> _Decayed:
        """Keep some of the columns."""
        return _Decayed(self.seen[which], self.weight[which], self.mean[which], self.rest[which], self.std[which])

    def then(self, block: _Decayed, weights: Floats) -> _Decayed:
        """Let a block of at most `_ROWS` rows follow."""
        old = self.weight * weights[block.seen]
        weight = old + block.weight
        safe = np.where(weight > 0, weight, 1.0)
        p, q = old / safe, block.weight / safe
        delta = (block.mean - self.mean) + (block.rest - self.rest)
        mean, low = _two_sum(self.mean, q * delta)
        mean, rest = _two_sum(mean, low + self.rest)
        within = np.hypot(np.sqrt(p) * self.std, np.sqrt(q) * block.std)
        std = np.hypot(within, np.sqrt(p * q) * np.abs(delta))
        return _Decayed(self.seen + block.seen, weight, mean, rest, std)


def _blocks_of(rows: Floats, weights: Floats) -> Iterator[_Decayed]:
    """Summarise whole blocks, many at once: the columns of one block beside those of the next."""
    slots = rows.shape[1]
    many = max(1, _BESIDE // max(1, slots))
    for start in range(0, len(rows), many * _ROWS):
        part = rows[start : start + many * _ROWS].reshape(-1, _ROWS, slots)
        beside = np.ascontiguousarray(part.transpose(1, 0, 2)).reshape(_ROWS, -1)
        blocks = _Decayed.of(beside, weights)
        for i in range(len(part)):
            yield blocks.slots(slice(i * slots, (i + 1) * slots))


def _weights(halflife: float) -> Floats:
    """Weight by age, from 0 to `_ROWS` values."""
    return np.exp2(-np.arange(_ROWS + 1) / halflife)


def _sum(x: Floats) -> Floats:
    """Sum over the first axis, in an order that depends on its length alone.

    `numpy.sum` takes another order for one column than for several.
    """
    while len(x) > 1:
        half = len(x) // 2
        pairs = x[:half] + x[half : 2 * half]
        if len(x) % 2:
            pairs[0] += x[-1]
        x = pairs
    return np.asarray(x[0])


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Give the rounded sum and its rounding error, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
