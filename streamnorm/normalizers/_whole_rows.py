"""Maps whose results need whole rows: as many columns as they say, and a row with a missing value is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from streamnorm.arrow import is_arrow, is_stream, known, naming_text, plain_numbers
from streamnorm.errors import OverflowedError
from streamnorm.normalizers._matrices import MatrixReader
from streamnorm.normalizers._transformer import PlanOf, StreamTransformer
from streamnorm.plans import Linear, Plan
from streamnorm.summaries import CrossProducts

__all__ = ["WholeRows"]


class WholeRows(MatrixReader, StreamTransformer):
    """What `Whitener` does with its map."""

    if TYPE_CHECKING:
        method: str
        _summary: CrossProducts

        @property
        def _n_results(self) -> int: ...

        @property
        def explained_variance_(self) -> NDArray[np.float64]: ...

        def plan(self) -> Linear: ...

    def _map(self, X: Any, *, inverse: bool) -> Any:
        """Map X, in the container that it came in."""
        check_is_fitted(self)
        few = np.isnan(self.explained_variance_).any()
        self._warn_of_empty(np.full(self.n_features_in_, few), self._summary.counts.values)
        X = known(X)
        if is_arrow(X):
            return self._map_arrow(X, lambda X: self.plan(), inverse)
        if is_stream(X):
            return self._map_stream(X, partial(self._map, inverse=inverse), inverse=inverse)
        with naming_text(X):
            X = plain_numbers(X, sparse=False)
            frame = None if inverse else self._map_frame(X, lambda X: self.plan())
        if frame is not None:
            return frame
        x = self._read(X, reset=False, names=not inverse, width=self._n_results if inverse else None)
        return self._mapped(x, self.plan(), inverse)

    def _mapped(self, x: NDArray[Any], plan: Plan, inverse: bool) -> NDArray[Any]:
        """Map a matrix.

        Parameters
        ----------
        x : ndarray of shape (n_rows, n_columns)
        plan : Plan
        inverse : bool
            Whether to map back.
        """
        self._refuse_infinite(x)
        out = np.empty((len(x), self.n_features_in_ if inverse else self._n_results), x.dtype)
        at = (plan.invert if inverse else plan.apply)(x, out)
        if at >= 0:
            row, slot = divmod(at, x.shape[1])
            raise OverflowedError(slot, row, self._name_of(slot), float(x[row, slot]), out.dtype.name)
        return out

    def _map_batches(
        self, batches: Iterable[pa.RecordBatch], plan_of: PlanOf, inverse: bool
    ) -> Iterator[pa.RecordBatch]:
        """Map batches as they come; what is mapped back has the names that `transform` gave.

        Parameters
        ----------
        batches : iterable of pyarrow.RecordBatch
        plan_of : callable
            Gives the plan; called once something is to be mapped.
        inverse : bool
            Whether to map back.
        """
        if not inverse or self.method == "zca":
            yield from super()._map_batches(batches, plan_of, inverse)
            return
        rows = 0
        for batch in batches:
            try:
                yield self._map_columns(batch, plan_of(batch), inverse)
            except OverflowedError as error:
                raise error.after(rows) from None
            rows += batch.num_rows

    def _map_columns(self, batch: pa.RecordBatch, plan: Plan, inverse: bool) -> pa.RecordBatch:
        """Map rows; metadata stays, and a row with a null is null.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
        plan : Plan
        inverse : bool
            Whether to map back.
        """
        width = self._n_results if inverse else None
        x = self._read(batch, reset=False, names=False, width=width)
        out = self._mapped(x, plan, inverse)
        lost = np.zeros(len(x), bool)
        for column in batch.columns:
            lost |= column.is_null().to_numpy(zero_copy_only=False)
        arrays = [pa.array(column, mask=lost) for column in np.ascontiguousarray(out.T)]
        names = self._columns() or [f"x{i}" for i in range(len(arrays))] if inverse else self.get_feature_names_out()
        kept = batch.schema if len(arrays) == batch.num_columns and list(names) == batch.schema.names else None
        fields = [
            pa.field(name, array.type) if kept is None else kept.field(i).with_type(array.type)
            for i, (name, array) in enumerate(zip(names, arrays, strict=True))
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Give the names of the columns of the result: those of X for "zca"; ``whitener0``, ... for "pca".

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the columns of X, where it had none.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        if self.method == "zca":
            return names
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self._n_results)], dtype=object)
