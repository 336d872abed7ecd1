"""The weights of a batch normalization layer, as Keras and PyTorch hold them. Imports neither."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError

__all__ = ["LayerConversions", "Weights"]

#: Some of gamma and beta, and moving_mean and moving_variance, each of shape (n_features,).
Weights: TypeAlias = dict[str, NDArray[Any]]

_TORCH = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_STEPS = "num_batches_tracked"


class LayerConversions:
    """The methods of `BatchNormalizer` that read and write the weights of other libraries' layers."""

    center: bool
    scale: bool
    n_steps_: int

    def _weights(self, *names: str) -> Weights:
        """Give gamma and beta as named, then the moving statistics."""
        raise NotImplementedError

    def _take(self, weights: Weights, steps: int) -> None:
        """Take the moving statistics."""
        raise NotImplementedError

    def to_keras_weights(self) -> list[NDArray[Any]]:
        """Give what ``layer.set_weights`` takes.

        Returns
        -------
        list of ndarray of shape (n_features,)
            gamma (with `scale`), beta (with `center`), moving mean, moving variance.

        Examples
        --------
        >>> import streamnorm as sn
        >>> sn.BatchNormalizer(center=False).build(1).to_keras_weights()
        [array([1.], dtype=float32), array([0.], dtype=float32), array([1.], dtype=float32)]
        """
        names = [*(["gamma"] if self.scale else []), *(["beta"] if self.center else [])]
        return list(self._weights(*names).values())

    @classmethod
    def from_keras_weights(
        cls, weights: Sequence[Any], axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3, *,
        center: bool = True, scale: bool = True,
    ) -> Self:  # fmt: skip
        """Make one from ``layer.get_weights()``; a layer does not count its steps, so `n_steps_` is 0.

        Parameters
        ----------
        weights : sequence of array-like of shape (n_features,)
            gamma (with `scale`), beta (with `center`), moving mean, moving variance.
        axis, momentum, epsilon, center, scale
            The layer's.

        Raises
        ------
        DataError
            If the weights are too few or too many, not finite, or do not fit each other.
        """
        named = _of_keras(weights, center, scale)
        make: Any = cls
        made: Self = make(
            axis, momentum, epsilon, center=center, scale=scale, gamma=named.get("gamma"),
            beta=named.get("beta"),
        )  # fmt: skip
        made._take(named, 0)
        return made

    @classmethod
    def from_keras(cls, layer: Any) -> Self:
        """Make one from a built ``keras.layers.BatchNormalization``, its parameters and its weights.

        Raises
        ------
        DataError
            If the layer is not built, or uses `renorm`, which is another formula.
        """
        if getattr(layer, "renorm", False):
            raise DataError("a layer with renorm=True uses another formula: convert one without.")
        return cls.from_keras_weights(
            layer.get_weights(), int(np.asarray(layer.axis).item()), layer.momentum, layer.epsilon,
            center=layer.center, scale=layer.scale,
        )  # fmt: skip

    def to_state_dict(self) -> dict[str, NDArray[Any]]:
        """Give a PyTorch module's state as numpy arrays, for ``load_state_dict`` of `torch.from_numpy` of each.

        Returns
        -------
        dict of str to ndarray
            weight and bias (with `center` or `scale`), running_mean, running_var, each of shape
            (n_features,), and num_batches_tracked of shape ().

        Examples
        --------
        >>> import streamnorm as sn
        >>> sn.BatchNormalizer.torch(affine=False).build(1).to_state_dict()
        {'running_mean': array([0.], dtype=float32),
         'running_var': array([1.], dtype=float32),
         'num_batches_tracked': array(0)}
        """
        affine = self.center or self.scale  # PyTorch has both or neither
        return _to_torch(self._weights(*(["gamma", "beta"] if affine else [])), self.n_steps_)

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], momentum: float = 0.1, eps: float = 1e-5) -> Self:
        """Make one from ``module.state_dict()`` of a PyTorch BatchNorm, with its `momentum` and `eps`.

        Parameters
        ----------
        state_dict : mapping of str to tensor or array-like
            With PyTorch's names: weight and bias, or neither; running_mean, running_var,
            num_batches_tracked.
        momentum, eps : float
            The module's.

        Raises
        ------
        DataError
            If a name is missing or unknown, or the tensors are not finite or do not fit each other.
        """
        named, steps = _of_torch(state_dict)
        affine = "gamma" in named or "beta" in named
        make: Any = cls
        made: Self = make.torch(momentum, eps, affine, weight=named.get("gamma"), bias=named.get("beta"))
        made._take(named, steps)
        return made


def _of_keras(weights: Sequence[Any], center: bool, scale: bool) -> Weights:
    """Name the arrays of ``layer.get_weights()``.

    Parameters
    ----------
    weights : sequence of ndarray
        In Keras' order.
    center : bool
        Whether the layer has a beta.
    scale : bool
        Whether the layer has a gamma.

    Raises
    ------
    DataError
        If there are too few or too many, or they do not fit each other.
    """
    names = [*(["gamma"] if scale else []), *(["beta"] if center else []), "moving_mean", "moving_variance"]
    if len(weights) != len(names):
        raise DataError(
            f"a layer with center={center} and scale={scale} has {len(names)} weights "
            f"({', '.join(names)}), got {len(weights)}: build the layer first, or set center and scale alike."
        )
    return _checked({name: _array(value) for name, value in zip(names, weights, strict=True)})


def _of_torch(state_dict: Mapping[str, Any]) -> tuple[Weights, int]:
    """Name the tensors of ``module.state_dict()``, and give the number of batches.

    Raises
    ------
    DataError
        If a name is missing or unknown, or the tensors do not fit each other.
    """
    for name in ("running_mean", "running_var"):
        if name not in state_dict:
            raise DataError(
                f"the state_dict has no {name!r} but {', '.join(map(repr, state_dict)) or 'nothing'}: give that "
                "of one BatchNorm module with track_running_stats=True."
            )
    unknown = set(state_dict) - {*_TORCH, _STEPS}
    if unknown:
        raise DataError(f"the state_dict has {min(unknown)!r}, which is none of {', '.join(_TORCH)}, {_STEPS}.")
    weights = {_TORCH[name]: _array(value) for name, value in state_dict.items() if name != _STEPS}
    return _checked(weights), int(_array(state_dict.get(_STEPS, 0)))


def _to_torch(weights: Weights, steps: int) -> dict[str, NDArray[Any]]:
    """Give weights PyTorch's names."""
    named = {name: weights[ours] for name, ours in _TORCH.items() if ours in weights}
    return {**named, _STEPS: np.array(steps, np.int64)}


def _array(value: Any) -> NDArray[Any]:
    """Copy an array, a tensor or a variable into numpy's memory."""
    for method in ("detach", "cpu"):
        value = getattr(value, method, lambda value=value: value)()
    return np.asarray(value).copy()


def _checked(weights: Weights) -> Weights:
    mean = weights["moving_mean"]
    for name, values in weights.items():
        if values.ndim != 1 or not len(values) or values.shape != mean.shape or values.dtype.kind not in "fiu":
            raise DataError(
                f"{name} must be numbers of shape (n_features,), as moving_mean, which has shape {mean.shape}; "
                f"got {values.dtype} of shape {values.shape}."
            )
        if not np.isfinite(values).all():
            raise DataError(f"{name} has a value that is not finite, at {int(np.argmin(np.isfinite(values)))}.")
    if (weights["moving_variance"] < 0).any():
        raise DataError("moving_variance has a negative value: are the weights in the order of the layer?")
    return weights
