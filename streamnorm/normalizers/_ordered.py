"""What the normalizers share whose statistics depend on the order of the data.

They read, map, compare and refuse like every other normalizer here; what they do not have is a merge. An
order has no addition that is commutative, so `+` and `-` say why instead of giving something near it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar, NoReturn, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from streamnorm.arrow import (
    is_arrow,
    is_stream,
    known,
    naming_text,
    plain_numbers,
)
from streamnorm.errors import MergeError, OverflowedError
from streamnorm.normalizers._matrices import MatrixReader
from streamnorm.normalizers._transformer import PlanOf, StreamTransformer
from streamnorm.normalizers._weights import weights_of

__all__ = ["OrderedNormalizer", "Record", "floats_of_text", "frozen_array"]

#: What was learnt, for JSON: an object a feature, and one for all of them.
Record: TypeAlias = tuple[list[dict[str, Any]], dict[str, Any]]


class OrderedNormalizer(MatrixReader, StreamTransformer):
    """A transformer whose state is a function of the sequence of rows or batches.

    Subclasses say how a batch changes the state (`_step`), what the state is (`_state`), and how it is
    written down (`record`, `restore`).
    """

    #: The end of the sentence "... cannot be added or taken from each other: ".
    _NO_MERGE: ClassVar[str]

    def _step(self, x: NDArray[Any], weights: NDArray[np.float64] | None) -> None:
        """Learn from a checked batch; statistics are replaced, never written to."""
        raise NotImplementedError

    def _state(self) -> tuple[Any, ...]:
        """Give everything learnt, as arrays and numbers."""
        raise NotImplementedError

    def record(self) -> Record:
        """Give everything learnt as what JSON holds, exactly."""
        raise NotImplementedError

    def _restore(self, slots: Sequence[dict[str, Any]], common: dict[str, Any]) -> None:
        """Learn what `record` gave; ValueError, KeyError or TypeError where it is not that."""
        raise NotImplementedError

    def restore(self, record: Record, names: Sequence[str] | None) -> Self:
        """Take what `record` gave as one's own; `names` is None where there were none."""
        with self._unless_it_fails():
            self._validate_params()
            self.n_features_in_ = len(record[0])
            if names is not None:
                self.feature_names_in_ = np.asarray(names, dtype=object)
            self._restore(*record)
        return self

    # ---- learning ----

    def _learn_batch(self, X: Any, sample_weight: Any) -> None:
        first = not self.__sklearn_is_fitted__()
        x = self._read(X, reset=first, least=0)
        weights = weights_of(sample_weight, x, first=first)
        if weights is not None and not weights.all():
            x = np.where(weights.reshape(-1, *[1] * (x.ndim - 1)) > 0, x, np.nan)  # as if they were missing
        self._refuse_infinite(x)
        self._step(x, weights)

    # ---- applying ----

    def _map(self, X: Any, plan_of: PlanOf, *, inverse: bool = False) -> Any:
        """Apply or invert the plan for X; Arrow data are answered in Arrow, a reader by a lazy one.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        plan_of : callable
            Gives the plan; called once something is to be mapped.
        inverse : bool
            Whether to map back.
        """
        check_is_fitted(self)
        X = known(X)
        if is_arrow(X):
            return self._map_arrow(X, plan_of, inverse)
        if is_stream(X):
            return self._map_stream(X, lambda part: self._map(part, plan_of, inverse=inverse), inverse=inverse)
        with naming_text(X):
            X = plain_numbers(X, sparse=False)
            frame = None if inverse else self._map_frame(X, plan_of)
        if frame is not None:
            return frame
        x = self._read(X, reset=False, names=not inverse)
        self._refuse_infinite(x)
        plan, out = plan_of(x), np.empty_like(x)
        source, results = self._features_last(x), self._features_last(out)
        at = (plan.invert if inverse else plan.apply)(source, results)
        if at >= 0:
            row, slot = at // max(1, source.size // len(x)), at % source.shape[-1]
            raise OverflowedError(slot, row, self._name_of(slot), float(source.flat[at]), out.dtype.name)
        return out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32", "float16"]
        return tags

    # ---- comparing, and refusing to merge ----

    def _refuse_merge(self, other: Any) -> NoReturn:
        name = type(self).__name__
        raise MergeError(
            f"states of {name} cannot be added or taken from each other: {self._NO_MERGE} Show one {name} "
            "all batches in their order, or use StandardScaler, whose states add exactly."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = _refuse_merge

    def _identity(self) -> Any:
        params = sorted(self.get_params(deep=False).items())
        names = self.__dict__.get("feature_names_in_", ())
        state = self._state() if self.__sklearn_is_fitted__() else None
        return _exact((type(self).__name__, [(key, _parameter(value)) for key, value in params], list(names), state))

    def digest(self) -> str:
        """Give a short hash of class, parameters, column names and state, equal exactly when they are."""
        return hashlib.sha256(repr(self._identity()).encode()).hexdigest()[:16]


def frozen_array(values: NDArray[Any]) -> NDArray[Any]:
    """Forbid writing to an array, so that a fitted attribute cannot be changed by accident."""
    values.flags.writeable = False
    return values


def floats_of_text(texts: Sequence[str]) -> NDArray[np.float64]:
    """Read finite floats that `repr` wrote; ValueError or TypeError where they are not that."""
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a float is no text")
    values = np.array([float(text) for text in texts], np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a float is not finite")
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
