"""Scalers whose rows weigh by their time: the column of times is split off before rows are learnt from or mapped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.utils._set_output import _get_output_config

from streamnorm.arrow import as_table, is_arrow, is_frame, is_stream, known, label_name, library_of, no_rows
from streamnorm.errors import DataError, nearest
from streamnorm.normalizers._estimator import Normalizer
from streamnorm.normalizers._weights import weights_of
from streamnorm.rules import Decay
from streamnorm.summaries import Block, WideWeights

__all__ = ["TimedNormalizer"]


class TimedNormalizer(Normalizer):
    """A normalizer with the parameters `halflife` and `time`; without them it is as every other.

    What it learns and maps are the other columns: the times are no feature.
    """

    time: str | int | None

    @property
    def _decay(self) -> Decay | None:
        return self._bound.by_time(None).decay

    def _blocks(self, X: Any, sample_weight: Any) -> Iterator[tuple[Block, int]]:
        """Describe X block by block, each with the number of rows before it."""
        decay = self._decay
        if decay is None:
            yield from super()._blocks(X, sample_weight)
            return
        self._refuse_sparse(X)
        if is_arrow(X) and not isinstance(X, (pa.Table, pa.RecordBatch)):
            X = as_table(X)
        given = weights_of(sample_weight, X, first=not self.__sklearn_is_fitted__())
        at = self._place_in(X)
        factors, powers = decay.weights(_column(X, at), given)
        for block, before in super()._blocks(_without(X, at), np.ones(len(powers))):
            own = slice(before, before + block.rows)
            weights = WideWeights(factors[own], powers[own])
            yield dataclasses.replace(block.weighing(None), wide_weights=weights) if block.rows else block, before

    def _map(self, X: Any, copy: bool | None, *, inverse: bool) -> Any:
        """Map X; of Arrow and of arrays the times stay where they are, of the rest they are left out.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        copy : bool or None
            Whether X stays as it is.
        inverse : bool
            Whether to map back.
        """
        X = known(X)
        if self._decay is None or (is_stream(X) and not isinstance(X, pa.RecordBatchReader)) or not self._has_times(X):
            return super()._map(X, copy, inverse=inverse)
        plain = inverse or _get_output_config("transform", self)["dense"] == "default"
        if isinstance(X, pa.RecordBatchReader) and plain:
            schema = self._map(no_rows(X.schema), copy, inverse=inverse).schema
            return pa.RecordBatchReader.from_batches(schema, (self._map(batch, copy, inverse=inverse) for batch in X))
        X = as_table(X) if is_arrow(X) and not isinstance(X, pa.RecordBatch) else X
        at = self._place_in(X)
        result = super()._map(_without(X, at), copy, inverse=inverse)
        if plain and is_arrow(X):
            return result.add_column(at, X.schema.field(at), X.column(at))
        return np.insert(result, at, _matrix(X)[:, at], axis=1) if plain and not is_frame(X) else result

    def _has_times(self, X: Any) -> bool:
        """Tell whether X has the column of times, which what is mapped need not have."""
        names = _names(X)
        if isinstance(self.time, str) and names is not None:
            return self.time in names
        return (len(names) if names is not None else _matrix(X).shape[1]) > self.n_features_in_

    def _place_in(self, X: Any) -> int:
        """Give the number of the column of times; raises DataError where X lacks it."""
        names, time = _names(X), self.time
        if isinstance(time, str):
            if names is None:
                raise DataError(f"X has no names of columns, and so no {time!r}: give time as the number of a column.")
            if names.count(time) != 1:
                raise DataError(f"there is no column {time!r} to weigh rows by: {nearest(time, names)}")
            return names.index(time)
        width = len(names) if names is not None else _matrix(X).shape[1]
        if time is None or not 0 <= time < width:
            raise DataError(f"X has {width} columns, and none of number {time} to weigh rows by: count from 0.")
        return int(time)


def _matrix(X: Any) -> Any:
    """Give an array of two dimensions, for its columns."""
    X = X if hasattr(X, "shape") and hasattr(X, "dtype") else np.asarray(X)
    if len(X.shape) != 2:
        raise DataError(f"X has {len(X.shape)} dimensions where rows and columns are expected: give it two.")
    return X


def _names(X: Any) -> list[str] | None:
    """Name the columns; None of an array, which has no names."""
    if is_arrow(X):
        return list(X.schema.names)
    return [label_name(label) for label in X.columns] if is_frame(X) else None


def _column(X: Any, at: int) -> pa.Array:
    """Give a column as Arrow has it."""
    if is_arrow(X):
        return X.column(at)
    if library_of(X) == "polars":
        return X[:, at].to_arrow()
    try:
        return pa.array(X.iloc[:, at] if is_frame(X) else np.ascontiguousarray(_matrix(X)[:, at]), from_pandas=True)
    except pa.ArrowException as error:
        raise DataError(f"column {at} of X holds no times: {error}; make it timestamps or numbers.") from None


def _without(X: Any, at: int) -> Any:
    """Give X without a column."""
    if isinstance(X, pa.RecordBatch):
        names = X.schema.names
        return X.select([i for i in range(len(names)) if i != at])
    if is_arrow(X):
        return X.remove_column(at)
    if library_of(X) == "polars":
        return X.drop(X.columns[at])
    others = np.delete(np.arange(X.shape[1] if is_frame(X) else _matrix(X).shape[1]), at)
    return X.iloc[:, others] if is_frame(X) else _matrix(X)[:, others]
