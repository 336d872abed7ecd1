"""Whole tables: the columns asked for are normalised, every other one passes through untouched.

`Table` needs no scikit-learn, so that jobs over files start without it; `TableNormalizer` is the same as
an estimator.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from streamnorm.errors import DataError, MergeError
from streamnorm.rules import arguments_of
from streamnorm.tables.applying import Applying
from streamnorm.tables.statistics import Group, Learnt

__all__ = ["Group", "Learnt", "Table"]


class Table(Applying):
    """Normalise the numeric columns of tables, batch by batch, and leave the others alone.

    The parameters are those of `TableNormalizer`.
    """

    def __init__(
        self,
        default: Any = "standard",
        columns: Mapping[str, Any] | None = None,
        *,
        exclude: str | Sequence[str] = (),
        by: str | Sequence[str] | None = None,
        unseen: str = "global",
        min_count: int = 1,
        dtype: Any = None,
        suffix: str = "",
        infinite: str = "error",
        vectors: str = "element",
        profile: bool = False,
        missing_columns: str = "error",
        time: str | None = None,
    ) -> None:
        self.default = default
        self.columns = columns
        self.exclude = exclude
        self.by = by
        self.unseen = unseen
        self.min_count = min_count
        self.dtype = dtype
        self.suffix = suffix
        self.infinite = infinite
        self.vectors = vectors
        self.profile = profile
        self.missing_columns = missing_columns
        self.time = time

    @classmethod
    def from_recipe(cls, recipe: str | Path | Mapping[str, Any]) -> Self:
        """Make one that does what a recipe says.

        Parameters
        ----------
        recipe : str, Path or mapping
            A TOML file, or what one holds: parameters of this class, and a table for each column or pattern.

        Raises
        ------
        SourceError
            If the file cannot be read.
        DataError
            If it is no TOML, or says what there is not; the message names the nearest word there is.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from streamnorm import TableNormalizer
        >>> recipe = {"columns": {"price": {"log1p": True, "fill": "mean"}, "id": "none", "note": {"drop": True}}}
        >>> table = pa.table({"id": [1, 2, 3], "price": [0.0, None, 2.0], "note": ["a", "b", "c"]})
        >>> TableNormalizer.from_recipe(recipe).fit(table).transform(table).to_pydict()
        {'id': [1, 2, 3], 'price': [-1.0, 0.0, 1.0]}
        """
        return cls(**arguments_of(recipe, cls))

    # ---- algebra ----

    def _combinable(self, other: Any) -> bool:
        if not isinstance(other, Table):
            return False
        if self.settings() != other.settings():
            raise MergeError(
                f"cannot combine table normalizers with other settings: {self.settings()} and "
                f"{other.settings()}; set them alike."
            )
        return True

    def settings(self) -> dict[str, Any]:
        """Give the parameters that matter to what was learnt and how it is applied."""
        dtype = None if self.dtype is None else np.dtype(self.dtype).name
        keys = self.keyed_by.settings() if self.keyed_by else {}
        return {"dtype": dtype, "suffix": self.suffix, "infinite": self.infinite, **keys}

    def with_learnt(self, learnt: Learnt) -> Self:
        """Give a table normalizer with these parameters that has learnt something else."""
        result = copy.copy(self)
        for of_the_other in ("_warned", "sources_", "positions_"):
            result.__dict__.pop(of_the_other, None)
        return result._set(learnt)

    def without(self, *keys: Any) -> Self:
        """Take out all that was learnt of keys, exactly: the rest is as if their rows had never been.

        Every scaler can do it, since the statistics of a key are kept apart.

        Parameters
        ----------
        *keys : str, int, datetime.date or None; tuple of these
            A value of the column `by`, or a tuple of one for each of its columns.

        Returns
        -------
        A normalizer of the same parameters; this one stays as it is.

        Raises
        ------
        DataError
            If there is no such key, or no keys at all.

        Examples
        --------
        >>> import pyarrow as pa, streamnorm as sn
        >>> table = pa.table({"episode": [0, 0, 17], "x": [1.0, 2.0, 9.0]})
        >>> fitted = sn.TableNormalizer(by="episode").fit(table)
        >>> fitted.without(17) == sn.TableNormalizer(by="episode").fit(table.slice(0, 2))
        True
        """
        keyed = self.learnt.keyed
        if keyed is None:
            raise DataError("there are no keys here: fit with by to have statistics of each.")
        parts = [[*key] if isinstance(key, (tuple, list)) else [key] for key in keys]
        at = [keyed.keys.parse([None if own is None else str(own) for own in part]) for part in parts]
        return self.with_learnt(self.learnt.without(keyed.keys.take(np.unique(np.array(at, np.int64)))))

    def __add__(self, other: Any) -> Self:
        return self.with_learnt(self.learnt + other.learnt) if self._combinable(other) else NotImplemented

    def __radd__(self, other: Any) -> Self:
        return self if isinstance(other, int) and other == 0 else NotImplemented  # where sum() starts

    def __sub__(self, other: Any) -> Self:
        return self.with_learnt(self.learnt - other.learnt) if self._combinable(other) else NotImplemented

    def __eq__(self, other: object) -> bool:
        """Compare settings, columns, scalers and every statistic, exactly."""
        if not isinstance(other, Table):
            return NotImplemented
        mine, theirs = self.__dict__.get("_learnt"), other.__dict__.get("_learnt")
        return self.settings() == other.settings() and mine == theirs

    def __hash__(self) -> int:
        return hash(Table)  # equal objects must hash alike, and they change

    def digest(self) -> str:
        """Give a short hash of settings, columns, scalers and statistics, equal exactly when they are."""
        text = repr((self.settings(), self.learnt.digest()))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
