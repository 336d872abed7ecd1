"""What every estimator here does, whatever it learns: all of a batch or nothing of it, and Arrow for Arrow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import validate_data

from streamnorm.arrow import (
    as_output,
    as_table,
    is_arrow,
    naming_text,
    no_rows,
    table_with_nulls,
    to_batches,
)
from streamnorm.columns import map_array, matrix_of_batch
from streamnorm.errors import DataError, InfiniteValueError, OverflowedError, listed
from streamnorm.normalizers._learner import Learner, batches_in
from streamnorm.plans import Plan

__all__ = ["FLOATS", "PlanOf", "StreamTransformer"]

#: Gives the plan for X. Most ignore X; a layer in training mode does not.
PlanOf: TypeAlias = Callable[[Any], Plan]

#: What arrays are mapped in; all else becomes the first.
FLOATS = [np.float64, np.float32, np.float16]


class StreamTransformer(Learner, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer that learns batch by batch.

    Subclasses say how a batch is learnt from (`_learn_batch`) and which attributes that sets (`_LEARNT`).
    """

    #: Whether infinities are counted and mapped, not refused.
    _skips_infinities: ClassVar[bool] = False

    # ---- checking ----

    def _is_plain(self, X: Any, reset: bool) -> bool:
        """Tell whether X is a matrix like those before it, so that nothing is left to validate."""
        return (
            type(X) is np.ndarray
            and not reset
            and X.ndim == 2
            and X.dtype.kind in "fiu"
            and X.shape[0] > 0
            and X.shape[1] == self.n_features_in_
            and "feature_names_in_" not in self.__dict__
        )

    def _check_width(self, width: int, expected: int | None = None) -> None:
        expected = self.n_features_in_ if expected is None else expected
        if width != expected:
            raise DataError(
                f"X has {width} features, but {type(self).__name__} is expecting {expected} features as input."
            )

    def _check_names(self, batch: pa.RecordBatch | pa.Table, reset: bool) -> None:
        known, names = self.__dict__.get("feature_names_in_"), batch.schema.names
        if reset and names:
            # What validate_data does for a data frame, without wrapping an Arrow table as one.
            self.feature_names_in_, self.n_features_in_ = np.array(names, object), len(names)
        elif known is None or known.tolist() != names:
            table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            with naming_text(table):
                validate_data(self, table, reset=reset, skip_check_array=True)

    def _infinite(self, slot: int, row: int, before: int = 0) -> InfiniteValueError:
        """Say where an infinity is, in a batch that so many rows of the input come before.

        Parameters
        ----------
        slot : int
            The column.
        row : int
            Counted from 0.
        before : int
            Rows of the input before the batch.
        """
        return InfiniteValueError(slot, row, self._name_of(slot)).after(before)

    def _name_of(self, slot: int) -> Any:
        names = self.__dict__.get("feature_names_in_")
        return slot if names is None else names[slot]

    def _warn_of_empty(self, lacking: NDArray[np.bool_], seen: NDArray[Any]) -> None:
        """Warn, once, of columns of which too few values were seen for their statistics."""
        if lacking.any() and not self.__dict__.get("_warned"):
            self._warned = True
            few = "no value, or no more than ddof," if seen[lacking].any() else "no value"
            names = listed(self._name_of(int(i)) for i in np.flatnonzero(lacking))
            warnings.warn(
                f"{type(self).__name__} has seen {few} of column {names}: its statistics are NaN, and so "
                "is what it gives there.",
                stacklevel=4,
            )

    # ---- applying ----

    def _map_arrow(self, X: Any, plan_of: PlanOf, inverse: bool) -> Any:
        """Map Arrow data: tables to tables, batches to batches, readers to lazy readers.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        plan_of : callable
            Gives the plan; called once something is to be mapped.
        inverse : bool
            Whether to map back.
        """
        output = "default" if inverse else _get_output_config("transform", self)["dense"]
        plain = output == "default"
        if isinstance(X, pa.RecordBatchReader) and plain:
            schema = self._map_arrow(no_rows(X.schema), plan_of, inverse).schema
            return pa.RecordBatchReader.from_batches(schema, self._map_batches(X, plan_of, inverse))
        if not isinstance(X, (pa.Table, pa.RecordBatch)):
            X = as_table(X)
        plan = plan_of(X)
        batches = list(self._map_batches(to_batches(X), lambda X: plan, inverse))
        if output == "polars":
            return as_output(pa.Table.from_batches(batches), output, X)
        if not plain:
            return np.concatenate([matrix_of_batch(batch) for batch in batches])
        return batches[0] if isinstance(X, pa.RecordBatch) else pa.Table.from_batches(batches)

    def _map_stream(self, X: Any, mapped: Callable[[Any], Any], *, inverse: bool) -> Any:
        """Map the batches of a stream that is no reader, one by one as they are asked for.

        Parameters
        ----------
        X : stream
        mapped : callable
            Maps one batch.
        inverse : bool
            Whether to map back.
        """
        output = "default" if inverse else _get_output_config("transform", self)["dense"]
        if output == "default":
            return self._map_parts(X, mapped)
        parts = list(batches_in(X))
        if parts and all(map(is_arrow, parts)):
            return mapped(pa.concat_tables([as_table(part) for part in parts]))
        with naming_text(X):
            return np.concatenate([np.asarray(mapped(part)) for part in parts])

    def _map_parts(self, X: Any, mapped: Callable[[Any], Any]) -> Iterator[Any]:
        rows = 0
        for part in batches_in(X):
            try:
                result = mapped(part)
            except InfiniteValueError as error:
                raise self._infinite(error.slot, error.row, rows) from None
            except OverflowedError as error:
                raise error.after(rows) from None
            yield result
            rows += part.shape[0] if hasattr(part, "shape") else len(part)

    def _map_frame(self, X: Any, plan_of: PlanOf) -> Any:
        """Map a data frame whose nulls `set_output` lets stay nulls; None where X is anything else."""
        output = _get_output_config("transform", self)["dense"]
        table = None if type(X) is np.ndarray or output == "default" else table_with_nulls(X, output)
        if table is None:
            return None
        with naming_text(X):
            validate_data(self, X, reset=False, skip_check_array=True)
        plan = plan_of(table)
        batches = [self._map_columns(batch, plan, inverse=False) for batch in to_batches(table)]
        return as_output(pa.Table.from_batches(batches), output, X)

    def _map_batches(
        self, batches: Iterable[pa.RecordBatch], plan_of: PlanOf, inverse: bool
    ) -> Iterator[pa.RecordBatch]:
        """Map batches as they come.

        Parameters
        ----------
        batches : iterable of pyarrow.RecordBatch
        plan_of : callable
            Gives the plan; called once something is to be mapped.
        inverse : bool
            Whether to map back.
        """
        rows = 0
        for batch in batches:
            self._check_names(batch, reset=False)
            plan = plan_of(batch)
            try:
                mapped = self._map_columns(batch, plan, inverse)
            except InfiniteValueError as error:
                raise self._infinite(error.slot, error.row, rows) from None
            except OverflowedError as error:
                raise error.after(rows) from None
            yield mapped
            rows += batch.num_rows

    def _map_columns(self, batch: pa.RecordBatch, plan: Plan, inverse: bool) -> pa.RecordBatch:
        """Map every column; names, nulls and metadata stay.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        plan : Plan
        inverse : bool
            Whether to map back.
        """
        arrays = [
            map_array(array, name, plan, i, inverse=inverse, skip_infinite=self._skips_infinities)
            for i, (array, name) in enumerate(zip(batch.columns, batch.schema.names, strict=True))
        ]
        fields = [f.with_type(array.type) for f, array in zip(batch.schema, arrays, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))

    # ---- beside others ----

    def frozen(self) -> Any:
        """Give this fitted normalizer wrapped so that a Pipeline's `fit` leaves it as it is.

        Returns
        -------
        sklearn.frozen.FrozenEstimator
        """
        from sklearn.frozen import FrozenEstimator

        return FrozenEstimator(self)

    def __hash__(self) -> int:
        return hash(type(self))  # equal objects must hash alike, and they change

    def __eq__(self, other: object) -> bool:
        """Compare class, parameters, column names and everything learnt, exactly."""
        if type(self) is not type(other):
            return NotImplemented
        return bool(self._identity() == other._identity())

    def _identity(self) -> Any:
        """Give what is equal exactly for equal objects."""
        raise NotImplementedError
