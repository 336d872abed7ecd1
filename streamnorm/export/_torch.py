"""To PyTorch: the state of a BatchNorm1d module, which normalises after ``eval()``."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from streamnorm.export._layers import layer_of
from streamnorm.export._needs import need

__all__ = ["dump_torch", "to_torch"]

#: What `torch.nn.BatchNorm1d` has by default: it is no part of a module's state.
_EPSILON = 1e-5
_HOW = "pip install 'streamnorm[peers]'"


def to_torch(normalizer: Any, *, dtype: str = "float64") -> dict[str, Any]:
    """Give the state of a ``torch.nn.BatchNorm1d`` that maps as `transform` does, up to rounding.

    ``BatchNorm1d(n_columns, dtype=torch.float64)`` takes it by ``load_state_dict`` and normalises a matrix of
    shape (n_rows, n_columns) after ``eval()``, the columns in the order of ``feature_names_in_``. It holds the
    centre and the squared divisor as running mean and variance; for the module's default ``eps`` of 1e-5 the
    weight makes up, whatever epsilon a `BatchNormalizer` has.

    Parameters
    ----------
    normalizer : BatchNormalizer, TableNormalizer, StandardScaler, ...
        Fitted.
    dtype : {"float64", "float32"}, default="float64"
        Of the tensors. A warning names the columns of which float32 loses more than 1e-4 of a standard
        deviation.

    Returns
    -------
    dict of str to torch.Tensor
        weight, bias, running_mean, running_var, num_batches_tracked.

    Raises
    ------
    DataError
        If a column is clipped or mapped through quantiles, or needs numbers beyond `dtype`.
    OutputError
        If PyTorch is not installed.
    """
    layer = layer_of(normalizer, "PyTorch", dtype=dtype, epsilon=_EPSILON)
    torch = need("torch", _HOW)
    arrays = {
        "weight": layer.gamma,
        "bias": layer.beta,
        "running_mean": layer.mean,
        "running_var": layer.variance,
        "num_batches_tracked": np.array(layer.steps, np.int64),
    }
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def dump_torch(state: dict[str, Any]) -> bytes:
    """Give what `to_torch` gave as the content of a file; ``torch.load`` reads it without unpickling code."""
    file = io.BytesIO()
    need("torch", _HOW).save(state, file)
    return file.getvalue()
