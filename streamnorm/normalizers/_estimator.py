"""The skeleton of every scikit-learn estimator here: summarise the batch, merge, apply the plan.

A subclass names its rule, its parameters and nothing else. Fitted attributes are computed from the
summary when they are asked for: there is one source of truth.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from streamnorm.columns import (
    block_of_arrays,
    block_of_batch,
    block_of_matrix,
    block_of_sparse,
    check_finite,
    infinity_message,
    is_arrow,
    is_stream,
    map_array,
    matrix_of_batch,
    to_batches,
)
from streamnorm.errors import DataError, InfiniteValueError
from streamnorm.normalizers._algebra import Algebra
from streamnorm.normalizers._frames import arrays_of_frame
from streamnorm.normalizers._namespaces import Namespace, weights_of
from streamnorm.normalizers.family import FAMILY, BoundRule, Rule
from streamnorm.plans import Plan
from streamnorm.summaries import Block

__all__ = ["Normalizer"]

_FLOATS = [np.float64, np.float32, np.float16]
_SPARSE = ("csr", "csc")


class Normalizer(Algebra, CallbackSupportMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer that learns batch by batch, exactly.

    Subclasses name a rule of `family.FAMILY` when they are defined::

        class StandardScaler(Normalizer, rule="standard"): ...
    """

    _rule: ClassVar[Rule]

    def __init_subclass__(cls, rule: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._rule = FAMILY[rule]
        for name in cls._rule.attributes:
            setattr(cls, name, _fitted_attribute(name))

    # ---- learning ----

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Forget what was learnt and learn from X.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features), or a stream of such batches
            Missing values are skipped; infinities are refused.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights of the rows; a row of weight 0 is as if it were not there.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, the weights or a parameter cannot be used; the object stays as it was.
        """
        with self._unless_it_fails():
            for name in ("_summary", "n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
            self.partial_fit(X, y, sample_weight)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one more batch, or from a stream of them.

        The result depends on all rows seen, and neither on their order nor on the batches they came in.
        Parameters, result and errors are those of `fit`.
        """
        with self._unless_it_fails():
            if "_summary" not in self.__dict__:
                self._validate_params()
            if "_skl_callbacks" in self.__dict__ or hasattr(self, "_parent_callback_ctx"):
                self._learn_with_callbacks(X, y, sample_weight)
            else:
                self._learn(X, sample_weight)
        return self

    def _learn(self, X: Any, sample_weight: Any) -> None:
        total = self.__dict__.get("_summary")
        kind = self._bound.summary
        for block in self._blocks(X, total is None, sample_weight):
            try:
                part = kind.of(block)
            except InfiniteValueError as error:
                message = infinity_message(self._name_of(error.slot), error.row)
                raise InfiniteValueError(error.slot, error.row, message) from None
            total = part if total is None else total + part
        if total is None:
            raise DataError("the stream gave no batch, so that there are no columns to learn from.")
        self._summary = total

    @with_callbacks  # type: ignore[untyped-decorator]
    def _learn_with_callbacks(self, X: Any, y: Any, sample_weight: Any) -> None:
        context = self._init_callback_context()
        about = {"estimator": self, "X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        context.call_on_fit_task_begin(**about)
        self._learn(X, sample_weight)
        context.call_on_fit_task_end(**about, reconstruction_attributes={})

    def _blocks(self, X: Any, reset: bool, sample_weight: Any) -> Iterator[Block]:
        if is_stream(X):
            if sample_weight is not None:
                raise DataError("sample_weight needs a batch, not a stream: call partial_fit for each batch.")
            for batch in X.to_batches() if hasattr(X, "get_fragments") else X:
                for block in self._blocks(batch, reset, None):
                    yield block
                    reset = False
        elif is_arrow(X):
            start = 0
            for batch in to_batches(X):
                self._check_names(batch, reset)
                weights = None
                if sample_weight is not None:
                    weights = np.asarray(sample_weight)[start : start + len(batch)]
                    weights = weights_of(weights, batch)
                yield block_of_batch(batch, weights)
                reset, start = False, start + len(batch)
            if sample_weight is not None and start != len(sample_weight):
                raise DataError(f"sample_weight has {len(sample_weight)} values for {start} rows.")
        else:
            yield self._block(X, reset, sample_weight)

    def _block(self, X: Any, reset: bool, sample_weight: Any) -> Block:
        arrays = arrays_of_frame(X)
        if arrays is not None:
            validate_data(self, X, reset=reset, skip_check_array=True)
            return block_of_arrays(arrays, [str(name) for name in X.columns], weights_of(sample_weight, X))
        if not (type(X) is np.ndarray and self._is_plain(X, reset)):
            self._refuse_sparse(X)
            namespace = Namespace.of(X)
            if reset:
                self._namespace = namespace.name
            options = {"reset": reset, "accept_sparse": _SPARSE, "dtype": "numeric", "ensure_all_finite": False}
            X = validate_data(self, namespace.to_numpy(X), **options)
        weights = weights_of(sample_weight, X)
        return block_of_sparse(X, weights) if sparse.issparse(X) else block_of_matrix(X, weights)

    def _refuse_sparse(self, X: Any, inverse: bool = False) -> None:
        error = self._rule.refuses_sparse(self._bound.params) if sparse.issparse(X) else None
        if error is not None:
            raise error

    def _is_plain(self, X: NDArray[Any], reset: bool) -> bool:
        """Tell whether X is a matrix like those before it, so that nothing is left to validate."""
        return (
            not reset
            and X.ndim == 2
            and X.dtype.kind in "fiu"
            and X.shape[0] > 0
            and X.shape[1] == self.n_features_in_
            and "feature_names_in_" not in self.__dict__
        )

    def _check_names(self, batch: pa.RecordBatch | pa.Table, reset: bool) -> None:
        known, names = self.__dict__.get("feature_names_in_"), batch.schema.names
        if reset and names:
            # What validate_data does for a data frame, without wrapping an Arrow table as one.
            self.feature_names_in_, self.n_features_in_ = np.array(names, object), len(names)
        elif known is None or known.tolist() != names:
            table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
            validate_data(self, table, reset=reset, skip_check_array=True)

    @contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Put the object back as it was if an error leaves the block."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    # ---- applying ----

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """Normalise X.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features)
        copy : bool, optional
            False to allow the result to be written over X, where X is an ndarray of floats.

        Returns
        -------
        Arrow data of the same kind where X is Arrow's (a lazy reader for a reader), with its names, nulls
        and metadata; else an ndarray, or what `set_output` asks for.

        Raises
        ------
        ValueError
            If X has other columns than those learnt from, or an infinity.
        """
        return self._map(X, copy, inverse=False)

    def inverse_transform(self, X: Any, copy: bool | None = None) -> Any:
        """Undo `transform`, up to rounding; parameters, result and errors are the same."""
        return self._map(X, copy, inverse=True)

    def _map(self, X: Any, copy: bool | None, *, inverse: bool) -> Any:
        check_is_fitted(self)
        self._warn_of_empty()
        plan = self._bound.plan(self._summary)
        if is_arrow(X):
            return self._map_arrow(X, plan, inverse)
        namespace = Namespace.of(X)
        if namespace.name != self.__dict__.get("_namespace", "numpy") and Namespace.matters():
            raise DataError(
                f"Inputs passed to {type(self).__name__}.transform() must use the same namespace and the same device "
                f"as those passed to fit(): {self.__dict__.get('_namespace', 'numpy')}, not {namespace.name}."
            )
        return namespace.from_numpy(self._map_array(namespace.to_numpy(X), copy, plan, inverse))

    def _map_array(self, X: Any, copy: bool | None, plan: Plan, inverse: bool) -> Any:
        self._refuse_sparse(X, inverse)
        copy = getattr(self, "copy", True) if copy is None else copy
        options = {"dtype": _FLOATS, "ensure_all_finite": False, "copy": copy, "force_writeable": True}
        if inverse:
            X = check_array(X, estimator=self, input_name="X", accept_sparse="csr", **options)
            self._check_width(X)
        else:
            X = validate_data(self, X, reset=False, accept_sparse="csr", **options)
        function = plan.invert if inverse else plan.apply
        if sparse.issparse(X):
            self._refuse_infinite(X.data, X.indices)
            function(X.data, X.data, X.indices)
        else:
            self._refuse_infinite(X)
            function(X, X)
        return X

    def _check_width(self, X: Any) -> None:
        if X.shape[1] != self.n_features_in_:
            raise DataError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input."
            )

    def _map_arrow(self, X: Any, plan: Plan, inverse: bool) -> Any:
        if not inverse and _get_output_config("transform", self)["dense"] != "default":
            batches = list(to_batches(X))
            return np.concatenate([matrix_of_batch(self._map_batch(b, plan, inverse)) for b in batches])
        if isinstance(X, pa.RecordBatch):
            return self._map_batch(X, plan, inverse)
        if isinstance(X, pa.RecordBatchReader):
            schema = self._map_batch(next(to_batches(X.schema.empty_table())), plan, inverse).schema
            return pa.RecordBatchReader.from_batches(schema, (self._map_batch(b, plan, inverse) for b in X))
        return pa.Table.from_batches([self._map_batch(batch, plan, inverse) for batch in to_batches(X)])

    def _map_batch(self, batch: pa.RecordBatch, plan: Plan, inverse: bool) -> pa.RecordBatch:
        self._check_names(batch, reset=False)
        arrays = [
            map_array(array, name, plan, i, inverse=inverse)
            for i, (array, name) in enumerate(zip(batch.columns, batch.schema.names, strict=True))
        ]
        fields = [f.with_type(array.type) for f, array in zip(batch.schema, arrays, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))

    def _refuse_infinite(self, X: NDArray[Any], columns: NDArray[np.intp] | None = None) -> None:
        at = check_finite(X.reshape(-1))
        if at >= 0:
            row, slot = divmod(at, X.shape[1]) if columns is None else (at, int(columns[at]))
            raise InfiniteValueError(slot, row, infinity_message(self._name_of(slot), row))

    def _warn_of_empty(self) -> None:
        empty = np.flatnonzero(self._summary.counts.values == 0)
        if len(empty) and not self.__dict__.get("_warned"):
            self._warned = True
            names = ", ".join(str(self._name_of(int(i))) for i in empty[:10])
            warnings.warn(
                f"{type(self).__name__} has seen no value of column {names}: its statistics are NaN, and so "
                "is what it gives there.",
                stacklevel=4,
            )

    def _name_of(self, slot: int) -> Any:
        names = self.__dict__.get("feature_names_in_")
        return slot if names is None else names[slot]

    # ---- what is known ----

    @property
    def _bound(self) -> BoundRule:
        params = {name: getattr(self, name) for name in self._rule.defaults}
        return BoundRule(self._rule, MappingProxyType(params))

    def _attribute(self, name: str) -> Any:
        if "_summary" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted.")
        return self._bound.attribute(name, self._summary)

    def __sklearn_is_fitted__(self) -> bool:
        return "_summary" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = self._rule.refuses_sparse(self._bound.params) is None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags


def _fitted_attribute(name: str) -> property:
    def compute(self: Normalizer) -> Any:
        return self._attribute(name)

    return property(compute)
