"""What the layers of Keras and PyTorch share: batch normalization with the statistics of the data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamnorm.errors import DataError
from streamnorm.export._maps import maps_of, warn_of_float32

__all__ = ["Layer", "layer_of"]

#: Keras' default.
_EPSILON = 1e-3


@dataclass(frozen=True)
class Layer:
    """The numbers of ``gamma (x - mean) / sqrt(variance + epsilon) + beta``, and the names of the columns.

    Parameters
    ----------
    names : list of str
    gamma, beta, mean, variance : ndarray of shape (n_columns,)
    epsilon : float
    steps : int
        Batches learnt from, 0 where it is not batches that were counted.
    """

    names: list[str]
    gamma: NDArray[Any]
    beta: NDArray[Any]
    mean: NDArray[Any]
    variance: NDArray[Any]
    epsilon: float
    steps: int = 0

    def with_epsilon(self, epsilon: float) -> Self:
        """Give the same map with another epsilon, for which gamma makes up."""
        spread = np.sqrt(self.variance + epsilon) / np.sqrt(self.variance + self.epsilon)
        return dataclasses.replace(self, gamma=self.gamma * spread, epsilon=epsilon)

    def rounded(self, dtype: DTypeLike) -> Self:
        """Give the same with its arrays in that precision.

        Raises
        ------
        DataError
            If a number is beyond it.
        """
        with np.errstate(over="ignore"):
            gamma, beta, mean, variance = (
                np.asarray(a, dtype) for a in (self.gamma, self.beta, self.mean, self.variance)
            )
        beyond = np.isinf([gamma, beta, mean, variance]).any(axis=0)
        if beyond.any():
            raise DataError(
                f"column {self.names[int(np.argmax(beyond))]!r} needs numbers beyond {np.dtype(dtype).name}, which a "
                "layer cannot hold: export to onnx or sql."
            )
        return dataclasses.replace(self, gamma=gamma, beta=beta, mean=mean, variance=variance)


def layer_of(normalizer: Any, target: str, *, dtype: str, epsilon: float | None = None) -> Layer:
    """Write a fitted normalizer as a layer: mean and variance are its centre and the square of its divisor.

    Parameters
    ----------
    normalizer : BatchNormalizer, TableNormalizer, StandardScaler, ...
        A `BatchNormalizer` keeps its own moving statistics, gamma and beta.
    target : str
        What the layer is for, in messages.
    dtype : {"float64", "float32"}
    epsilon : float, optional
        Of the layer; by default that of a `BatchNormalizer`, else 1e-3.

    Raises
    ------
    DataError
        If a column is clipped or mapped through quantiles, or needs numbers beyond `dtype`.
    """
    if dtype not in ("float64", "float32"):
        raise DataError(f"a layer computes in float64 or float32, got {dtype!r}: choose one of them.")
    layer = _of_batches(normalizer) if hasattr(normalizer, "moving_variance_") else _of_scaler(normalizer, target)
    if dtype == "float32":
        warn_of_float32(maps_of(normalizer))
    with np.errstate(over="ignore", invalid="ignore"):
        return layer.with_epsilon(layer.epsilon if epsilon is None else epsilon).rounded(dtype)


def _of_batches(normalizer: Any) -> Layer:
    names = list(normalizer.get_feature_names_out())  # raises where columns are not what is kept
    weights = {name: np.asarray(values, np.float64) for name, values in normalizer.to_state_dict().items()}
    gamma, beta = weights.get("weight", np.ones(len(names))), weights.get("bias", np.zeros(len(names)))
    mean, variance = weights["running_mean"], weights["running_var"]
    return Layer(names, gamma, beta, mean, variance, normalizer.epsilon, normalizer.n_steps_)


def _of_scaler(normalizer: Any, target: str) -> Layer:
    columns = maps_of(normalizer)
    for column in columns:
        column.affine(target)
    mean, factor = np.array([column.line() for column in columns]).T
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        variance = factor**-2.0
        gamma = factor * np.sqrt(variance + _EPSILON)
    return Layer([column.target for column in columns], gamma, np.zeros(len(columns)), mean, variance, _EPSILON)
