"""Keras' `BatchNormalization` and PyTorch's `BatchNorm`, as an estimator that needs neither."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from streamnorm.arrow import is_arrow
from streamnorm.columns import block_of_matrix
from streamnorm.errors import DataError
from streamnorm.normalizers._layer_weights import LayerConversions, Weights
from streamnorm.normalizers._ordered import OrderedNormalizer, Record, floats_of_text, frozen_array
from streamnorm.plans import Affine, Step
from streamnorm.summaries import Moments

__all__ = ["BatchNormalizer"]


class BatchNormalizer(LayerConversions, OrderedNormalizer):
    """Normalise by moving statistics of batches: ``y = gamma (x - mean) / sqrt(variance + epsilon) + beta``.

    Formula, names and defaults are those of ``keras.layers.BatchNormalization``; `torch` gives those of
    ``torch.nn.BatchNorm1d`` to ``3d``. Which mean and variance (`ddof` 0) go into the formula:

    - ``transform(X)``: the moving ones, as the layer does in inference;
    - ``transform(X, training=True)``: those of X itself, as the layer does in training.

    Only `partial_fit` learns. It is one training step::

        moving = moving * momentum + batch * (1 - momentum)

    from a moving mean of 0 and a moving variance of 1. After n steps their weight is still
    ``momentum ** n``: with the default momentum it takes 69 steps to halve, so that `fit`, a single step,
    normalises hardly at all. For the statistics of the data use `StandardScaler`.

    With `sample_weight` the batch's statistics are weighted, as if each row were there so many times; weights of 0
    and 1 are Keras' ``mask``. What a step weighs against those before is `momentum`, whatever the sum of weights.

    Parameters
    ----------
    axis : int, default=-1
        The axis that is kept: each index along it has its own statistics, over all other axes.
    momentum : float, default=0.99
        Share of the old moving statistics that a step keeps, from 0 to 1.
    epsilon : float, default=1e-3
        Added to the variance, in the square of X's unit.
    center, scale : bool, default=True
        Whether there are `beta` and `gamma`.
    gamma, beta : float or array-like of shape (n_features,), optional
        Factor and offset of the result; 1 and 0 by default. They are set, not learnt.
    moving_variance : {"biased", "unbiased"}, default="biased"
        Whether a step takes the batch's variance with `ddof` 0, as Keras, or 1, as PyTorch.

    Attributes
    ----------
    moving_mean_, moving_variance_ : ndarray of shape (n_features,)
        Of float32 while all data and weights were, else float64.
    n_steps_ : int
        Batches learnt from.
    n_features_in_ : int
        Length of the kept axis.

    Notes
    -----
    Missing values (NaN) are skipped by the statistics and stay in the output; a column without a value
    keeps its moving statistics in that step. A batch's mean and variance are exact and rounded once. Keras
    takes the variance as ``E[x^2] - E[x]^2``, which in float32 has no correct digit left once the mean is
    some thousand standard deviations.

    An object that has learnt nothing is not fitted, and `transform` raises `NotFittedError`; the untrained
    layer, which divides by ``sqrt(1 + epsilon)``, is what `build` gives.

    Source: Ioffe and Szegedy, *Batch normalization*, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> import streamnorm as sn
    >>> X = np.array([[1.0, 2.0], [5.0, 4.0]])
    >>> layer = sn.BatchNormalizer().build(n_features=2)
    >>> layer.transform(X)                              # inference, before training
    array([[0.99950037, 1.99900075],
           [4.99750187, 3.9980015 ]])
    >>> layer.transform(X, training=True).round(4)      # the batch's own statistics
    array([[-0.9999, -0.9995],
           [ 0.9999,  0.9995]])
    >>> layer.partial_fit(X).moving_mean_               # 0 * 0.99 + 3 * 0.01
    array([0.03, 0.03])

    The same rows in another cut are other batches, so there is nothing to add:

    >>> layer + layer  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    streamnorm.errors.MergeError: states of BatchNormalizer cannot be added or ...
    """

    _LEARNT = ("moving_mean_", "moving_variance_", "n_steps_")
    _NO_MERGE: ClassVar[str] = (
        "a moving average depends on the order of the batches, and on where one ends and the next begins."
    )
    _ALLOW_ND: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "axis": [Integral],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "center": ["boolean"],
        "scale": ["boolean"],
        "gamma": [None, Real, "array-like"],
        "beta": [None, Real, "array-like"],
        "moving_variance": [StrOptions({"biased", "unbiased"})],
    }

    moving_mean_: NDArray[Any]
    moving_variance_: NDArray[Any]
    n_steps_: int

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, *,
        center: bool = True, scale: bool = True, gamma: ArrayLike | None = None,
        beta: ArrayLike | None = None, moving_variance: str = "biased",
    ) -> None:  # fmt: skip
        self.axis = axis
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.gamma = gamma
        self.beta = beta
        self.moving_variance = moving_variance

    @classmethod
    def torch(
        cls, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True, *,
        weight: ArrayLike | None = None, bias: ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Make one with PyTorch's names and defaults, kept axis 1 and unbiased moving variance.

        Parameters
        ----------
        momentum : float, default=0.1
            Share of the *new* statistics in a step: PyTorch counts the other way round.
        eps : float, default=1e-5
            Added to the variance.
        affine : bool, default=True
            Whether there are `weight` and `bias`.
        weight, bias : float or array-like of shape (n_features,), optional
            Factor and offset of the result; 1 and 0 by default.

        Raises
        ------
        DataError
            If `momentum` is None, PyTorch's plain average over all batches, which is not supported.

        Examples
        --------
        >>> import streamnorm as sn
        >>> sn.BatchNormalizer.torch()
        BatchNormalizer(axis=1, epsilon=1e-05, momentum=0.9, moving_variance='unbiased')
        """
        if momentum is None:
            raise DataError("momentum=None, an average over all batches, is not supported: give a number.")
        return cls(
            1, 1.0 - momentum, eps, center=affine, scale=affine, gamma=weight, beta=bias,
            moving_variance="unbiased",
        )  # fmt: skip

    # ---- learning ----

    def build(self, n_features: int) -> Self:
        """Make it the untrained layer: moving mean 0, moving variance 1, no steps.

        Afterwards it is fitted, and `transform` works as the layer does in inference.

        Parameters
        ----------
        n_features : int
            Length of the kept axis.

        Raises
        ------
        ValueError
            If a parameter cannot be used; the object stays as it was.
        """
        with self._unless_it_fails():
            self._validate_params()
            if n_features < 1:
                raise DataError(f"n_features must be at least 1, got {n_features!r}.")
            # float32 holds 0 and 1 exactly, and makes room for float64 with the first such batch.
            self._set(np.zeros(n_features, np.float32), np.ones(n_features, np.float32), 0)
        return self

    def _set(self, mean: NDArray[Any], variance: NDArray[Any], steps: int) -> None:
        """Set what is learnt, after checking gamma and beta against it.

        Parameters
        ----------
        mean : ndarray of shape (n_features,)
        variance : ndarray of shape (n_features,)
        steps : int
            Training steps.
        """
        self.n_features_in_ = len(mean)
        self.moving_mean_, self.moving_variance_ = frozen_array(mean), frozen_array(variance)
        self.n_steps_ = steps
        for name, wanted in (("gamma", "scale"), ("beta", "center")):
            if getattr(self, name) is not None and not getattr(self, wanted):
                raise DataError(f"{name} is given although {wanted}=False: leave one of them out.")
            self._weight(name)

    def _weight(self, name: str) -> NDArray[Any]:
        """Give gamma or beta with one value a feature."""
        value = getattr(self, name)
        weight = np.asarray((1.0 if name == "gamma" else 0.0) if value is None else value, np.float64)
        if weight.shape not in ((), (self.n_features_in_,)) or not np.isfinite(weight).all():
            raise DataError(
                f"{name} must be a finite number or {self.n_features_in_} of them, one a feature; got {value!r}."
            )
        return np.broadcast_to(weight, self.n_features_in_)

    def _features_last(self, x: NDArray[Any]) -> NDArray[Any]:
        if not -x.ndim <= self.axis < x.ndim:
            raise DataError(f"axis={self.axis} is out of bounds for X with {x.ndim} dimensions.")
        return np.moveaxis(x, self.axis, -1)

    def _check_names(self, batch: Any, reset: bool) -> None:
        if self.axis not in (-1, 1):
            raise DataError(f"axis={self.axis} does not keep the columns of a table: give an array.")
        super()._check_names(batch, reset)

    def _moments(self, x: NDArray[Any], weights: NDArray[np.float64] | None = None) -> Moments:
        rows = self._features_last(x).reshape(-1, self.n_features_in_)
        if weights is not None:
            if self.axis in (0, -x.ndim):
                raise DataError(f"axis={self.axis} keeps the rows, so that they have no sample_weight: leave it out.")
            weights = np.repeat(weights, len(rows) // max(1, len(weights)))
        return Moments.of(block_of_matrix(rows, weights))

    def _step(self, x: NDArray[Any], weights: NDArray[np.float64] | None) -> None:
        if not self.__sklearn_is_fitted__():
            self.build(self.n_features_in_)
        batch = self._moments(x, weights)
        counts = batch.counts.values
        if not counts.any():
            return
        ddof = 1 if self.moving_variance == "unbiased" else 0
        few = (counts > 0) & (batch.samples() <= ddof)
        if few.any():
            raise DataError(
                f"the unbiased variance of column {self._name_of(int(np.argmax(few)))!r} needs more than 1 sample: "
                "give larger batches or moving_variance='biased'."
            )
        work = np.result_type(self.moving_mean_, x.dtype)
        stepped = []
        for old, new in ((self.moving_mean_, batch.mean()), (self.moving_variance_, batch.var(ddof))):
            with np.errstate(over="ignore"):
                rounded = np.where(counts > 0, new, 0.0).astype(work)
            if not np.isfinite(rounded).all():
                slot = int(np.argmin(np.isfinite(rounded)))
                raise DataError(
                    f"the variance of column {self._name_of(slot)!r} is beyond {work.name}: divide the "
                    "column by a constant before."
                )
            moving = old.astype(work)
            stepped.append(np.where(counts > 0, moving * self.momentum + rounded * (1.0 - self.momentum), moving))
        self._set(stepped[0], stepped[1], self.n_steps_ + 1)

    def _state(self) -> tuple[Any, ...]:
        return self.moving_mean_, self.moving_variance_, self.n_steps_

    def record(self) -> Record:
        """Give everything learnt as what JSON holds, exactly."""
        check_is_fitted(self)
        pairs = zip(self.moving_mean_.tolist(), self.moving_variance_.tolist(), strict=True)
        slots = [{"mean": repr(mean), "variance": repr(variance)} for mean, variance in pairs]
        return slots, {"steps": self.n_steps_, "dtype": self.moving_mean_.dtype.name}

    def _restore(self, slots: Sequence[dict[str, Any]], common: dict[str, Any]) -> None:
        steps, dtype = common["steps"], common["dtype"]
        if dtype not in ("float32", "float64") or type(steps) is not int or not 0 <= steps < 2**63:
            raise ValueError(f"no steps or no floats: {steps!r}, {dtype!r}")
        mean, variance = (floats_of_text([slot[name] for slot in slots]) for name in ("mean", "variance"))
        if (variance < 0).any() or max(np.abs(mean).max(), variance.max()) > np.finfo(dtype).max:
            raise ValueError(f"a variance is negative, or a number beyond {dtype}")
        self._set(mean.astype(dtype), variance.astype(dtype), steps)

    # ---- applying ----

    def transform(self, X: Any, training: bool = False) -> Any:
        """Normalise X; never learns.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features), or an array of more dimensions
        training : bool, default=False
            Whether to use the mean and variance of X itself instead of the moving ones.

        Returns
        -------
        Arrow data of the same kind where X is Arrow's (a lazy reader for a reader), with its names, nulls
        and metadata; else an ndarray of X's shape, or what `set_output` asks for. float32 and float16
        stay; they are computed in float64 and rounded once.

        Raises
        ------
        NotFittedError
            If there was neither `partial_fit` nor `build`.
        ValueError
            If the kept axis has another length than the one learnt from, or X an infinity.
        """
        return self._map(X, self._plan_of_batch if training else lambda X: self.plan())

    def inverse_transform(self, X: Any) -> Any:
        """Undo ``transform(X)``, up to rounding.

        Raises
        ------
        ValueError
            As `transform`, and where a gamma is 0: its column is lost.
        """
        check_is_fitted(self)
        self._refuse_zero_gamma()
        return self._map(X, lambda X: self.plan(), inverse=True)

    def _refuse_zero_gamma(self) -> None:
        lost = np.flatnonzero(self._weight("gamma") == 0)
        if len(lost):
            raise DataError(f"gamma of column {self._name_of(int(lost[0]))!r} is 0: there is no way back.")

    def plan(self) -> Affine:
        """Give the map that ``transform(X)`` applies."""
        check_is_fitted(self)
        return self._plan(self.moving_mean_, self.moving_variance_)

    def _plan_of_batch(self, X: Any) -> Affine:
        x = self._read(X, reset=False) if is_arrow(X) else X
        self._refuse_infinite(x)
        batch = self._moments(x)
        none = batch.counts.values == 0  # nothing to normalise there, and nothing to warn of
        return self._plan(np.where(none, 0.0, batch.mean()), np.where(none, 1.0, batch.var()))

    def _plan(self, mean: NDArray[Any], variance: NDArray[Any]) -> Affine:
        spread = variance.astype(np.float64) + self.epsilon
        if not (spread > 0).all():
            slot = int(np.argmin(spread > 0))
            raise DataError(
                f"the variance of column {self._name_of(slot)!r} plus epsilon is {spread[slot]:g}, not "
                "greater than 0: use a greater epsilon."
            )
        steps = [
            Step(np.subtract, mean.astype(np.float64)),
            Step(np.multiply, self._weight("gamma") / np.sqrt(spread)),
        ]
        if self.center:
            steps.append(Step(np.add, self._weight("beta")))
        return Affine(tuple(steps))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Give the names of the columns, as scikit-learn does, where columns are what is kept."""
        if self.axis not in (-1, 1):
            raise DataError(f"axis={self.axis} does not keep the columns, so their names are not known.")
        return super().get_feature_names_out(input_features)

    # ---- from and to others ----

    def to_sklearn(self) -> Any:
        """Give a plain fitted scikit-learn scaler that maps as inference does.

        ``gamma (x - mean) / s + beta`` is ``(x - (mean - beta s / gamma)) / (s / gamma)``.

        Returns
        -------
        sklearn.preprocessing.StandardScaler
            `var_` is the square of `scale_`, `n_samples_seen_` the number of steps.

        Raises
        ------
        DataError
            If a gamma is 0, or the columns are not what is kept.
        """
        from sklearn.preprocessing import StandardScaler

        check_is_fitted(self)
        self._refuse_zero_gamma()
        self.get_feature_names_out()
        scaler = StandardScaler()
        scaler.scale_ = np.sqrt(self.moving_variance_.astype(np.float64) + self.epsilon) / self._weight("gamma")
        scaler.mean_ = self.moving_mean_ - self._weight("beta") * scaler.scale_
        scaler.var_, scaler.n_samples_seen_ = scaler.scale_**2, self.n_steps_
        for name in ("n_features_in_", "feature_names_in_"):
            if name in self.__dict__:
                setattr(scaler, name, self.__dict__[name])
        return scaler

    def _weights(self, *names: str) -> Weights:
        """Give gamma and beta as named, and the moving statistics, in the latter's precision."""
        check_is_fitted(self)
        kind = self.moving_mean_.dtype
        weights = {name: self._weight(name).astype(kind) for name in names}
        moving = {"moving_mean": self.moving_mean_, "moving_variance": self.moving_variance_}
        return weights | {name: values.copy() for name, values in moving.items()}

    def _take(self, weights: Weights, steps: int) -> None:
        """Take the moving statistics; what is of integers becomes float64."""
        self._validate_params()
        mean, variance = weights["moving_mean"], weights["moving_variance"]
        kind = np.result_type(np.float32, mean, variance)
        self._set(mean.astype(kind), variance.astype(kind), steps)
