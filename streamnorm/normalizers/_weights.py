"""Weights of rows, as summaries take them."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from streamnorm.errors import DataError, NoWeightError
from streamnorm.normalizers._namespaces import Namespace

__all__ = ["weights_of"]


def weights_of(sample_weight: Any, X: Any, *, first: bool) -> NDArray[np.float64] | None:
    """Check the weights of the rows of X; ValueError where one is negative, NaN or infinite.

    Those of the first batch may not all be 0, since there would be nothing to learn from.

    Parameters
    ----------
    sample_weight : array-like of shape (n_rows,), optional
        Weights of the rows.
    X : array-like, frame or Arrow data of shape (n_rows, n_columns)
    first : bool
        Whether nothing was learnt before.
    """
    if sample_weight is None:
        return None
    rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if rows == 0 and np.shape(sample_weight) == (0,):
        return None
    given = Namespace.of(sample_weight).to_numpy(sample_weight)
    weights = _numbers(np.full(rows, given) if isinstance(given, Number) else given)
    if weights.shape != (rows,):
        raise DataError(
            f"sample_weight.shape == {weights.shape}, expected {(rows,)}: Sample weights must be 1D array or scalar, "
            "one for each row."
        )
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise DataError(f"Negative values in data passed to `sample_weight`: row {row:,} has {weights[row]:g}.")
    if first and not weights.any():
        raise NoWeightError(
            "Sample weights must contain at least one non-zero number: there would be nothing to learn from."
        )
    return weights


def _numbers(weights: Any) -> NDArray[np.float64]:
    try:
        checked = check_array(weights, ensure_2d=False, dtype=np.float64, order="C", input_name="sample_weight")
    except ValueError as error:
        if "weight" in str(error):
            raise
        raise DataError(f"sample_weight must be numbers: {error}.") from None
    return np.ascontiguousarray(checked)
