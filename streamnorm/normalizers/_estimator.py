"""The skeleton of every estimator whose states add: summarise the batch, merge, apply the plan.

A subclass names its rule, its parameters and nothing else. Fitted attributes are computed from the
summary when they are asked for: there is one source of truth.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from scipy import sparse
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from streamnorm.arrow import (
    arrays_of_frame,
    as_table,
    is_arrow,
    is_stream,
    known,
    naming_text,
    neighbours,
    plain_numbers,
    refuse_no_numbers,
    to_batches,
)
from streamnorm.columns import (
    block_of_arrays,
    block_of_batches,
    block_of_matrix,
    block_of_sparse,
    place_of_stored,
    row_of_stored,
    slots_of_stored,
)
from streamnorm.errors import InfiniteValueError, OverflowedError
from streamnorm.normalizers._algebra import Algebra
from streamnorm.normalizers._given import FromStatistics
from streamnorm.normalizers._namespaces import Namespace
from streamnorm.normalizers._transformer import FLOATS, StreamTransformer
from streamnorm.normalizers._weights import weights_of
from streamnorm.plans import Plan
from streamnorm.rules import FAMILY, BoundRule, Rule
from streamnorm.summaries import Block, Given

__all__ = ["Normalizer"]

_SPARSE = ("csr", "csc")
#: Values tried at once before they are written over, 512 KiB of float64: they stay in the second cache.
_AT_ONCE = 1 << 16
#: Values of record batches that are learnt from at once, 4 MiB of float64: what a call takes beside is little then.
_ENOUGH = 1 << 19


class Normalizer(FromStatistics, Algebra, StreamTransformer):
    """A scikit-learn transformer that learns batch by batch, exactly.

    Subclasses name a rule of `family.FAMILY` when they are defined::

        class StandardScaler(Normalizer, rule="standard"): ...
    """

    _LEARNT = ("_summary",)
    _rule: ClassVar[Rule]

    def __init_subclass__(cls, rule: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if rule is None:
            return  # a user's subclass has the rule of its parent
        cls._rule = FAMILY[rule]
        for name in cls._rule.attributes:
            setattr(cls, name, _fitted_attribute(name))

    # ---- learning ----

    def _learn_batch(self, X: Any, sample_weight: Any) -> None:
        kind = self._bound.summary
        for block, before in self._blocks(X, sample_weight):
            try:
                if self._skips_infinities:
                    total = kind.of(block, skip_infinite=True)
                    total = self._summary + total if self.__sklearn_is_fitted__() else total
                else:
                    total = self._summary.with_rows(kind, block) if self.__sklearn_is_fitted__() else kind.of(block)
            except InfiniteValueError as error:
                row = row_of_stored(X, error.slot, error.row) if sparse.issparse(X) else error.row
                raise self._infinite(error.slot, row, before) from None
            self._summary = total

    def _begin(self, *, apart: bool = False) -> None:
        """Get ready to learn; `apart` from the object that what is learnt is then added to."""
        super()._begin()
        if apart and self.__sklearn_is_fitted__():
            self._summary = self._bound.summary.empty(self.n_features_in_)

    def _blocks(self, X: Any, sample_weight: Any) -> Iterator[tuple[Block, int]]:
        """Describe X block by block, each with the number of rows before it."""
        first = not self.__sklearn_is_fitted__()
        if not is_arrow(X):
            yield self._block(X, first, sample_weight), 0
            return
        if sample_weight is not None and not isinstance(X, (pa.Table, pa.RecordBatch)):
            X = as_table(X)
        weights, start = weights_of(sample_weight, X, first=first), 0
        for batches in neighbours(to_batches(X), _ENOUGH if weights is None else 0):
            self._check_names(batches[0], not self.__sklearn_is_fitted__())
            rows = sum(map(len, batches))
            own = None if weights is None else weights[start : start + rows]
            yield block_of_batches(batches, own), start
            start += rows

    def _gathered(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Put neighbouring record batches together, as tables: rows of any batches give the same."""
        for arrow, parts in itertools.groupby(batches, lambda part: isinstance(part, pa.RecordBatch)):
            if arrow:
                yield from map(pa.Table.from_batches, neighbours(parts, _ENOUGH))
            else:
                yield from parts

    def _block(self, X: Any, reset: bool, sample_weight: Any) -> Block:
        """Describe X to the kernel.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        reset : bool
            Whether the columns are learnt from X, not compared with those that are known.
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.
        """
        with naming_text(X):
            X = plain_numbers(X, sparse=self._rule.refuses_sparse(self._bound.params) is None)
            arrays = arrays_of_frame(X)
        if arrays is not None:
            with naming_text(X):
                validate_data(self, X, reset=reset, skip_check_array=True)
            return block_of_arrays(arrays, [str(name) for name in X.columns], weights_of(sample_weight, X, first=reset))
        if not self._is_plain(X, reset):
            self._refuse_sparse(X)
            options = {"accept_sparse": _SPARSE, "dtype": "numeric", "ensure_all_finite": False}
            with naming_text(X):
                namespace = Namespace.of(X)
                if reset:
                    self._namespace = namespace.name
                X = validate_data(self, namespace.to_numpy(X), reset=reset, ensure_min_samples=0, **options)
                refuse_no_numbers(X)
                X = X.astype(np.float64) if X.dtype.kind in "OSU" else X
        weights = weights_of(sample_weight, X, first=reset)
        return block_of_sparse(X, weights) if sparse.issparse(X) else block_of_matrix(X, weights)

    def _refuse_sparse(self, X: Any, inverse: bool = False) -> None:
        error = self._rule.refuses_sparse(self._bound.params) if sparse.issparse(X) else None
        if error is not None:
            raise error

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
        """Map X, in the container that it came in.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        copy : bool, optional
            Whether X stays as it is.
        inverse : bool
            Whether to map back.
        """
        check_is_fitted(self)
        bound = self._bound
        self._warn_of_empty(bound.lacking(self._summary), self._summary.counts.values)
        plan = bound.plan(self._summary)
        X = known(X)
        if is_arrow(X):
            return self._map_arrow(X, lambda X: plan, inverse)
        if is_stream(X):
            return self._map_stream(X, partial(self._map, copy=copy, inverse=inverse), inverse=inverse)
        with naming_text(X):
            X = plain_numbers(X, sparse=self._rule.refuses_sparse(self._bound.params) is None)
        frame = None if inverse else self._map_frame(X, lambda X: plan)
        if frame is not None:
            return frame
        namespace = Namespace.of(X)
        namespace.refuse_unless(self.__dict__.get("_namespace", "numpy"), type(self).__name__)
        return namespace.from_numpy(self._map_array(namespace.to_numpy(X), copy, plan, inverse))

    def _map_array(self, X: Any, copy: bool | None, plan: Plan, inverse: bool) -> Any:
        """Map an array of numbers.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        copy : bool, optional
            Whether X stays as it is.
        plan : Plan
        inverse : bool
            Whether to map back.
        """
        self._refuse_sparse(X, inverse)
        copy = getattr(self, "copy", True) if copy is None else copy
        options = {"dtype": FLOATS, "ensure_all_finite": False, "copy": False, "force_writeable": not copy}
        with naming_text(X):
            if inverse:
                X = check_array(X, estimator=self, input_name="X", accept_sparse=_SPARSE, **options)
                self._check_width(X.shape[1])
            else:
                X = validate_data(self, X, reset=False, accept_sparse=_SPARSE, **options)
        function = plan.invert if inverse else plan.apply
        values, slots = (X.data, slots_of_stored(X)) if sparse.issparse(X) else (X, None)
        if copy:
            out = X.copy() if sparse.issparse(X) else np.empty_like(X)
            results = out.data if sparse.issparse(X) else out
            self._refuse_unmapped(function(values, results, slots), values, results, X)
            return out
        step = _AT_ONCE if slots is not None else max(1, _AT_ONCE // X.shape[1])
        for start in range(0, len(values), step):  # nothing is written over before all is known to be right
            part = slice(start, start + step)
            results = np.empty_like(values[part])
            at = function(values[part], results, None if slots is None else slots[part])
            self._refuse_unmapped(at, values[part], results, X, start)
        function(values, values, slots)
        return X

    def _refuse_unmapped(self, at: int, values: Any, results: Any, X: Any, before: int = 0) -> None:
        """Say which row and column of X an infinity is in, or a value whose result is one.

        Parameters
        ----------
        at : int
            Index of the value in C order, -1 where there is none.
        values, results : ndarray of shape (n_rows, n_features) or (n_stored,)
            Those of X that were mapped, and what became of them.
        X : ndarray or sparse matrix
        before : int
            Rows of X, or stored values, before these.
        """
        if at < 0:
            return
        value = values.flat[at]
        if sparse.issparse(X):
            row, slot = place_of_stored(X, at + before)
        else:
            row, slot = divmod(at + before * X.shape[1], X.shape[1])
        if np.isinf(value):
            raise self._infinite(slot, row)
        raise OverflowedError(slot, row, self._name_of(slot), float(value), results.dtype.name)

    # ---- what is known ----

    @property
    def _bound(self) -> BoundRule:
        params = {name: getattr(self, name) for name in self._rule.defaults}
        return BoundRule(self._rule, MappingProxyType(params), given=isinstance(self.__dict__.get("_summary"), Given))

    def _attribute(self, name: str) -> Any:
        if "_summary" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no {name} before it is fitted.")
        return self._bound.attribute(name, self._summary)

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
