"""What the normalizers share whose statistics depend on the order of the data.

They read, map, compare and refuse like every other normalizer here; what they do not have is a merge. An
order has no addition that is commutative, so `+` and `-` say why instead of giving something near it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, ClassVar, NoReturn, Self, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from streamnorm.columns import (
    check_finite,
    is_arrow,
    is_stream,
    map_array,
    matrix_of_batch,
    to_batches,
)
from streamnorm.errors import DataError, InfiniteValueError, MergeError
from streamnorm.numbers import is_numeric
from streamnorm.plans import Plan

__all__ = ["OrderedNormalizer", "PlanOf", "frozen_array"]

#: Gives the plan for a batch. Most ignore the batch; training mode does not.
PlanOf: TypeAlias = Callable[[NDArray[Any]], Plan]

_FLOATS = [np.float64, np.float32, np.float16]


class OrderedNormalizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer whose state is a function of the sequence of rows or batches.

    Subclasses say how a batch changes the state (`_learn`), what the state is (`_state`), and which
    attributes hold it (`_LEARNT`).
    """

    #: Every attribute that learning sets.
    _LEARNT: ClassVar[tuple[str, ...]]
    #: The end of the sentence "... cannot be added or taken from each other: ".
    _NO_MERGE: ClassVar[str]
    #: Whether arrays may have more than two dimensions.
    _ALLOW_ND: ClassVar[bool] = False

    def _learn(self, x: NDArray[Any]) -> None:
        """Learn from a checked batch; statistics are replaced, never written to."""
        raise NotImplementedError

    def _state(self) -> tuple[Any, ...]:
        """Give everything learnt, as arrays and numbers."""
        raise NotImplementedError

    def _features_last(self, x: NDArray[Any]) -> NDArray[Any]:
        """View x with the axis of the features as its last."""
        return x

    def _source(self, x: NDArray[Any]) -> NDArray[Any]:
        """View x as plans read it."""
        return self._features_last(x)

    # ---- learning ----

    def fit(self, X: Any, y: Any = None) -> Self:
        """Forget what was learnt and learn from X, as `partial_fit` does.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features), or a stream of such batches
            Missing values are skipped; infinities are refused.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X or a parameter cannot be used; the object stays as it was.
        """
        with self._unless_it_fails():
            for name in (*self._LEARNT, "n_features_in_", "feature_names_in_", "_warned"):
                self.__dict__.pop(name, None)
            return self.partial_fit(X, y)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the next batch, or from each batch of a stream in its order.

        Parameters, result and errors are those of `fit`.
        """
        with self._unless_it_fails():
            self._validate_params()
            for x in self._batches(X):
                self._learn(x)
            if not self._is_learnt():
                raise DataError("the stream gave no batch, so that there are no columns to learn from.")
        return self

    def _is_learnt(self) -> bool:
        return self._LEARNT[0] in self.__dict__

    def _batches(self, X: Any) -> Iterator[NDArray[Any]]:
        if is_stream(X):
            for part in X.to_batches() if hasattr(X, "get_fragments") else X:
                yield from self._batches(part)
        else:
            yield self._read(X, reset=not self._is_learnt())

    def _read(self, X: Any, *, reset: bool, names: bool = True) -> NDArray[Any]:
        """Check a batch and give it as an array of floats."""
        table = _table(X) if is_arrow(X) else None
        if names:
            validate_data(self, X if table is None else table, reset=reset, skip_check_array=True, ensure_2d=False)
        if table is None:
            options = {"dtype": _FLOATS, "ensure_all_finite": False, "allow_nd": self._ALLOW_ND}
            x = check_array(X, estimator=self, input_name="X", **options)
        else:
            x = matrix_of_batch(table)
        width = self._features_last(x).shape[-1]
        if reset:
            self.n_features_in_ = width
        elif width != self.n_features_in_:
            raise DataError(
                f"X has {width} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                "features as input."
            )
        self._refuse_infinite(x)
        return np.asarray(x)

    def _refuse_infinite(self, x: NDArray[Any]) -> None:
        if check_finite(x.reshape(-1)) < 0:
            return
        at = tuple(int(i) for i in np.argwhere(np.isinf(x))[0])
        features = self._features_last(np.arange(x.size).reshape(x.shape))
        slot = int(np.argwhere(features == np.ravel_multi_index(at, x.shape))[0][-1])
        place = f"row {at[0]} of the batch" if x.ndim == 2 else f"index {at} of the batch"
        raise InfiniteValueError(
            slot, at[0],
            f"Input X contains infinity: column {self._name_of(slot)!r}, {place}. Replace infinities by "
            "missing values (NaN), which are skipped.",
        )  # fmt: skip

    def _name_of(self, slot: int) -> Any:
        names = self.__dict__.get("feature_names_in_")
        return slot if names is None else names[slot]

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

    def _map(self, X: Any, plan_of: PlanOf, *, inverse: bool = False) -> Any:
        """Apply or invert the plan for X; Arrow data are answered in Arrow, a reader by a lazy one."""
        check_is_fitted(self)
        plain = inverse or _get_output_config("transform", self)["dense"] == "default"
        if isinstance(X, pa.RecordBatchReader):
            if plain:
                batches = (self._map(batch, plan_of, inverse=inverse) for batch in X)
                first = self._map(next(to_batches(X.schema.empty_table())), plan_of, inverse=inverse)
                return pa.RecordBatchReader.from_batches(first.schema, batches)
            X = X.read_all()
        x = self._read(X, reset=False, names=not inverse)
        plan = plan_of(x)
        if is_arrow(X) and plain:
            if isinstance(X, pa.RecordBatch):
                return _map_batch(X, plan, inverse)
            return pa.Table.from_batches([_map_batch(batch, plan, inverse) for batch in to_batches(X)])
        out = np.empty_like(x)
        (plan.invert if inverse else plan.apply)(self._source(x), self._features_last(out))
        return out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags

    def frozen(self) -> Any:
        """Give this fitted normalizer wrapped so that a Pipeline's `fit` leaves it as it is.

        Returns
        -------
        sklearn.frozen.FrozenEstimator
        """
        from sklearn.frozen import FrozenEstimator

        return FrozenEstimator(self)

    # ---- comparing, and refusing to merge ----

    def _refuse_merge(self, other: Any) -> NoReturn:
        name = type(self).__name__
        raise MergeError(
            f"states of {name} cannot be added or taken from each other: {self._NO_MERGE} Show one {name} "
            "all batches in their order, or use StandardScaler, whose states add exactly."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = _refuse_merge

    def __eq__(self, other: object) -> bool:
        """Compare class, parameters, column names and everything learnt, exactly."""
        if type(self) is not type(other):
            return NotImplemented
        return self._identity() == other._identity()  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        return hash(type(self))  # equal objects must hash alike, and they change

    def _identity(self) -> Any:
        params = sorted(self.get_params(deep=False).items())
        names = self.__dict__.get("feature_names_in_", ())
        state = self._state() if self._is_learnt() else None
        return _exact((type(self).__name__, [(key, _parameter(value)) for key, value in params], list(names), state))

    def digest(self) -> str:
        """Give a short hash of class, parameters, column names and state, equal exactly when they are."""
        return hashlib.sha256(repr(self._identity()).encode()).hexdigest()[:16]


def frozen_array(values: NDArray[Any]) -> NDArray[Any]:
    """Forbid writing to an array, so that a fitted attribute cannot be changed by accident."""
    values.flags.writeable = False
    return values


def _parameter(value: Any) -> Any:
    """Give numbers as float and array-likes as lists, so that 1 and 1.0 are one value of a parameter."""
    if value is None or isinstance(value, (str, bool)):
        return value
    return float(value) if isinstance(value, Real) else np.asarray(value, np.float64).tolist()


def _exact(value: Any) -> Any:
    """Give what compares and prints by every bit: arrays by type, shape and little-endian bytes."""
    if isinstance(value, np.ndarray):
        data = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        return value.dtype.name, value.shape, data
    if isinstance(value, (list, tuple)):
        return tuple(_exact(item) for item in value)
    return value


def _table(X: Any) -> pa.Table:
    """Give Arrow data as a table of numbers."""
    table = X if isinstance(X, pa.Table) else pa.Table.from_batches(list(to_batches(X)))
    for field in table.schema:
        if not (is_numeric(field.type) or field.type in (pa.bool_(), pa.null())):
            raise DataError(
                f"column {field.name!r} holds {field.type}, not numbers: leave it out, or cast it to a number before."
            )
    return table


def _map_batch(batch: pa.RecordBatch, plan: Plan, inverse: bool) -> pa.RecordBatch:
    """Map every column; names, nulls and metadata stay."""
    arrays = [
        map_array(array, name, plan, i, inverse=inverse)
        for i, (array, name) in enumerate(zip(batch.columns, batch.schema.names, strict=True))
    ]
    fields = [field.with_type(array.type) for field, array in zip(batch.schema, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields, batch.schema.metadata))
