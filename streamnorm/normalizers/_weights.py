"""Weights of rows, as summaries take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight

from streamnorm.errors import DataError
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
    rows = np.empty((X.shape[0] if hasattr(X, "shape") else len(X), 0))
    if rows.shape[0] == 0 and np.shape(sample_weight) == (0,):
        return None
    try:
        weights = _check_sample_weight(
            Namespace.of(sample_weight).to_numpy(sample_weight),
            rows,
            dtype=np.float64,
            ensure_non_negative=True,
            allow_all_zero_weights=not first,
        )
    except ValueError as error:
        if "weight" in str(error):
            raise
        raise DataError(f"sample_weight must be numbers: {error}.") from None
    return np.ascontiguousarray(weights)
