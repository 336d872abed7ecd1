"""What fitted scalers can do with each other: add, take away, compare; and how they leave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn import preprocessing
from sklearn.utils.validation import check_is_fitted

from streamnorm.errors import MergeError
from streamnorm.rules import BoundRule, Rule, canonical
from streamnorm.summaries import GIVEN
from streamnorm.tables import Group

__all__ = ["Addable", "Algebra"]


class Addable:
    """A fitted estimator whose statistics are the summary in ``_summary``, which adds and may forget."""

    _summary: Any
    n_features_in_: int

    if TYPE_CHECKING:

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

    def _compared_params(self) -> dict[str, Any]:
        """Give the parameters as they are compared: equal values of other types are alike."""
        return {name: canonical(value, default=0) for name, value in self.get_params(deep=False).items()}

    def _key(self) -> Any:
        """Give what must be equal of two that are added."""
        return sorted(self._compared_params().items())

    def _refuse_given(self) -> None:
        """Raise MergeError where the statistics were given and not learnt."""

    def _columns(self) -> list[str]:
        names = self.__dict__.get("feature_names_in_")
        return [] if names is None else list(names)

    def _combinable(self, other: Any, verb: str) -> None:
        if type(self) is not type(other):
            raise MergeError(f"cannot {verb} {type(self).__name__} and {type(other).__name__}: fit both alike.")
        for scaler in (self, other):
            check_is_fitted(scaler)
            scaler._refuse_given()
        if self._key() != other._key():
            raise MergeError(f"cannot {verb} scalers with other parameters: {self!r} and {other!r}; set them alike.")
        if self.n_features_in_ != other.n_features_in_ or self._columns() != other._columns():
            raise MergeError(
                f"cannot {verb} scalers of other columns: {self._columns() or self.n_features_in_} and "
                f"{other._columns() or other.n_features_in_}."
            )

    def _with(self, summary: Any) -> Self:
        result = type(self)(**self.get_params(deep=False))
        result.__dict__.update(self.__dict__)
        for of_this_alone in ("sources_", "positions_"):
            result.__dict__.pop(of_this_alone, None)
        result._summary = summary
        return result

    def __add__(self, other: Any) -> Self:
        if not isinstance(other, Addable):
            return NotImplemented
        self._combinable(other, "add")
        return self._with(self._summary + other._summary)

    def __radd__(self, other: Any) -> Self:
        if isinstance(other, int) and other == 0:  # where sum() starts
            return self
        return NotImplemented

    def __sub__(self, other: Any) -> Self:
        if not isinstance(other, Addable):
            return NotImplemented
        self._combinable(other, "subtract")
        return self._with(self._summary - other._summary)

    def _identity(self) -> Sequence[Any]:
        params = repr(sorted(self._compared_params().items()))
        return type(self), params, self._columns(), self.__dict__.get("_summary")

    def digest(self) -> str:
        """Give a short hash of class, parameters, column names and statistics, equal exactly when they are.

        Examples
        --------
        >>> import streamnorm as sn
        >>> a = sn.StandardScaler().fit([[1.0], [2.0], [3.0]])
        >>> b = sn.StandardScaler().fit([[3.0], [1.0]]).partial_fit([[2.0]])
        >>> a.digest() == b.digest()
        True
        """
        kind, params, columns, summary = self._identity()
        text = repr((kind.__name__, params, columns, summary and summary.digest()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _add_what_was_learnt(self, apart: Self, before: Mapping[str, Any]) -> None:
        """Add what was learnt apart to what is known by now; in exact sums the order does not count.

        Parameters
        ----------
        apart : Normalizer
        before : mapping of str to object
            Attributes of this object when the other one began.
        """
        self._combinable(apart, "add")
        self._summary = self._summary + apart._summary


class Algebra(Addable):
    """The same of an estimator that has a rule."""

    _rule: ClassVar[Rule]

    if TYPE_CHECKING:

        @property
        def _bound(self) -> BoundRule: ...

    def _compared_params(self) -> dict[str, Any]:
        own = self._rule.defaults
        others = {k: canonical(v, default=0) for k, v in self.get_params(deep=False).items() if k not in own}
        return others | self._bound.plain_params

    def _key(self) -> Any:
        return self._bound.key

    def _refuse_given(self) -> None:
        if self._bound.given:
            raise MergeError(GIVEN)

    def summary_by_name(self) -> Group:
        """Give the rule, the columns' names (``x0``, ``x1``, ... without) and their summary."""
        check_is_fitted(self)
        names = self._columns() or [f"x{i}" for i in range(self.n_features_in_)]
        return Group(self._bound, tuple(names), self._summary)

    def restore(self, summary: Any, names: Sequence[str] | None) -> Self:
        """Take what `summary_by_name` gave as one's own; `names` is None where there were none."""
        self._summary = summary
        self.n_features_in_ = len(summary)
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        return self

    def to_sklearn(self) -> Any:
        """Give a fitted estimator of scikit-learn with the same numbers, which needs streamnorm no more.

        Returns
        -------
        sklearn.preprocessing.StandardScaler, MinMaxScaler, ...
        """
        check_is_fitted(self)
        kind = getattr(preprocessing, self._rule.estimator)
        known = kind().get_params()
        estimator = kind(**{name: value for name, value in self.get_params().items() if name in known})
        for name in ("n_features_in_", "feature_names_in_", *self._rule.attributes):
            if hasattr(self, name):
                setattr(estimator, name, getattr(self, name))
        return estimator
