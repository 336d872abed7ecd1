"""scikit-learn's Pipeline, which can also learn from a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import pyarrow as pa
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from streamnorm.arrow import is_stream, known
from streamnorm.errors import DataError

__all__ = ["StreamingPipeline"]


class StreamingPipeline(Pipeline):  # type: ignore[misc]
    """A Pipeline that adds `partial_fit`: every step learns from each batch, one after the other.

    For each batch, each step learns (`partial_fit`) and passes on what its `transform` then gives; the
    last step learns from that. Early batches are thus scaled by the statistics of few rows. To train on
    fixed statistics, fit the scaler first and put ``scaler.frozen()`` in its place: a frozen step, like one
    of ``"passthrough"``, passes on and does not learn.

    Parameters
    ----------
    steps : list of (str, estimator)
        As for Pipeline. For `partial_fit` every step that learns must have `partial_fit`.
    transform_input, memory, verbose
        As for Pipeline.

    Examples
    --------
    >>> import numpy as np, streamnorm as sn
    >>> from sklearn.linear_model import SGDClassifier
    >>> model = sn.StreamingPipeline([("scale", sn.StandardScaler()), ("learn", SGDClassifier(random_state=0))])
    >>> rng = np.random.default_rng(0)
    >>> for _ in range(20):
    ...     X = rng.normal(1000, 50, size=(100, 2))
    ...     y = X[:, 0] > X[:, 1]
    ...     model = model.partial_fit(X, y, classes=[False, True])
    >>> X = rng.normal(1000, 50, size=(500, 2))
    >>> bool(model.score(X, X[:, 0] > X[:, 1]) > 0.95)
    True
    """

    def partial_fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Learn from one more batch, or from a stream of them.

        Parameters
        ----------
        X : batch of shape (n_samples, n_features), or a stream
            A stream yields batches, or pairs of a batch and its `y` where `y` is None here.
        y : array-like of shape (n_samples,), optional
            Targets of the batch.
        **params
            Passed to `partial_fit` of the last step, for example ``classes``.

        Returns
        -------
        self

        Raises
        ------
        DataError
            If a step cannot learn batch by batch.
        """
        self._check_steps()
        for batch, target in _pairs(X, y):
            self._learn(batch, target, params)
        return self

    def _check_steps(self) -> None:
        for name, step in self.steps:
            if not (_passes(step) or _is_frozen(step) or hasattr(step, "partial_fit")):
                raise DataError(
                    f"step {name!r} ({type(step).__name__}) has no partial_fit: use one that has, or fit it first and "
                    "freeze it (sklearn.frozen.FrozenEstimator)."
                )

    def _learn(self, X: Any, y: Any, params: dict[str, Any]) -> None:
        """Learn step by step, each from what the steps before it give.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        y : ignored
        params : dict
            Metadata routed to the steps.
        """
        *transformers, (_, last) = self.steps
        for _, step in transformers:
            if _passes(step):
                continue
            if not _is_frozen(step):
                step.partial_fit(X, y)
            X = step.transform(X)
        if not _passes(last) and not _is_frozen(last):
            last.partial_fit(_as_table(X), y, **params)


def _passes(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _is_frozen(step: Any) -> bool:
    return isinstance(step, FrozenEstimator)


def _pairs(X: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    X = known(X)
    if not is_stream(X):
        yield X, y
        return
    if y is not None:
        raise DataError("a stream has its targets in itself: let it yield pairs (batch, y).")
    for item in X:
        yield item if isinstance(item, tuple) and len(item) == 2 else (item, None)


def _as_table(X: Any) -> Any:
    """Give scikit-learn's own estimators a record batch as the table they know."""
    return pa.Table.from_batches([X]) if isinstance(X, pa.RecordBatch) else X
