"""What a table normalizer knows: groups of columns under one rule each, and their statistics."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streamnorm.arrow import is_chosen, widest
from streamnorm.errors import DataError, MergeError
from streamnorm.once import once
from streamnorm.rules import PLAIN, BoundRule
from streamnorm.summaries import Summary
from streamnorm.tables.keyed import Keyed
from streamnorm.tables.keys import Keys
from streamnorm.tables.vectors import Vector

__all__ = ["Group", "Learnt"]


@dataclass(frozen=True)
class Group:
    """Columns under one rule, and the summary with a slot for each, in the order of their names.

    A column of vectors is a group of its own, with a slot for each element or one for all.
    """

    rule: BoundRule
    names: tuple[str, ...]
    summary: Summary
    vector: Vector | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal exactly for groups that can be added."""
        layout = () if self.vector is None else (self.vector.whole,)
        return self.rule.key, self.names, *layout

    @property
    def takes_values_as_they_stand(self) -> bool:
        """Whether numbers of its columns go to the summary without a step before."""
        return self.vector is None and self.rule.steps == PLAIN

    @property
    def words(self) -> str:
        """Say what its columns are under, for errors."""
        return f"{self.rule}{' of whole vectors' if self.vector and self.vector.whole else ''}"

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Names of the slots: of the columns, or of a vector's elements."""
        return self.names if self.vector is None else self.vector.slot_names(self.names[0])

    def column(self, slot: int) -> str:
        """Name the column that a slot belongs to."""
        return self.names[slot if self.vector is None else 0]

    def __add__(self, other: Group) -> Group:
        mine, theirs = self._alike(other)
        return dataclasses.replace(mine, summary=mine.summary + theirs.summary)

    def __sub__(self, other: Group) -> Group:
        mine, theirs = self._alike(other)
        return dataclasses.replace(mine, summary=mine.summary - theirs.summary)

    def _alike(self, other: Group) -> tuple[Group, Group]:
        """Give both with the width that one of them may not know yet."""
        if self.vector is None or other.vector is None or self.vector == other.vector:
            return self, other
        if self.vector.width is None:
            return self._widened(other.vector), other
        if other.vector.width is None:
            return self, other._widened(self.vector)
        raise MergeError(
            f"column {self.names[0]!r} holds vectors of {self.vector.width} numbers in one and of "
            f"{other.vector.width} in the other."
        )

    def _widened(self, vector: Vector) -> Group:
        """Count the nulls for every element, in the slots that there turn out to be."""
        summary = self.summary
        if vector.whole and not vector.unit:
            summary = functools.reduce(operator.add, [summary] * (vector.width or 1))
        return dataclasses.replace(self, vector=vector, summary=summary.take([0] * vector.slots))

    def attribute(self, attribute: str) -> Any:
        """Compute a fitted attribute of all its columns."""
        return self.rule.attribute(attribute, self.summary.overall)

    def only(self, names: Collection[str]) -> Group:
        """Keep some of its columns."""
        kept = [i for i, name in enumerate(self.names) if name in names]
        if len(kept) == len(self.names):
            return self
        return dataclasses.replace(self, names=tuple(self.names[i] for i in kept), summary=self.summary.take(kept))

    def of_parts(self, found: Mapping[str, Group]) -> Group:
        """Put together these columns from the groups that they are found in."""
        parts = list({id(found[name]): found[name] for name in self.names}.values())
        if len(parts) == 1:
            return parts[0]
        summary = parts[0].summary.joined(*(part.summary for part in parts[1:]))
        at = {name: i for i, name in enumerate(name for part in parts for name in part.names)}
        order = [at[name] for name in self.names]
        return dataclasses.replace(self, summary=summary if order == sorted(order) else summary.take(order))

    def emptied(self) -> Group:
        """Give the same columns under the same rule with nothing learnt."""
        if isinstance(self.summary, Keyed):
            return dataclasses.replace(self, summary=self.summary.emptied())
        return dataclasses.replace(self, summary=self.rule.summary.empty(len(self.slot_names)))


@dataclass(frozen=True)
class Learnt:
    """What a table normalizer knows: groups of columns, in the order of their rules.

    Parameters
    ----------
    groups : tuple of Group
    types : mapping of str to str
        Arrow types of the columns, the widest that they came as, in the table's order. They are not compared:
        the same numbers may come as int32 and as int64.
    dropped : tuple of str
        Columns that are left out of the result.
    """

    groups: tuple[Group, ...]
    types: Mapping[str, str] = field(compare=False)
    dropped: tuple[str, ...] = ()

    def __reduce__(self) -> Any:  # a read-only mapping cannot be pickled
        return _learnt, (self.groups, dict(self.types), self.dropped)

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal exactly for those that can be added."""
        groups = tuple(group.key for group in self.groups)
        return (groups, self.dropped) if self.dropped else (groups,)

    def _combine(self, other: Learnt, verb: str) -> Iterator[tuple[Group, Group]]:
        if self.key != other.key:
            raise MergeError(f"cannot {verb} tables with other columns or scalers: {self._difference(other)}.")
        return zip(self.groups, other.groups, strict=True)

    def _difference(self, other: Learnt) -> str:
        """Say what keeps two from being added: the first column that is in one alone, or has another rule."""
        mine, theirs = self.columns(), other.columns()
        alone = [name for name in (*mine, *theirs) if (name in mine) != (name in theirs)]
        if alone:
            return f"column {alone[0]!r} is in one of them only"
        for name in mine:
            one, two = (found[name][0].words for found in (mine, theirs))
            if one != two:
                return f"column {name!r} has {one} in one and {two} in the other"
        return f"one drops {list(self.dropped)} and the other {list(other.dropped)}"

    def _beside(self, other: Learnt) -> Learnt:
        """Give this without the columns that nothing is known of and the other has not: they are left alone there."""
        alone = self.unknown - other.types.keys()
        return self.only(self.types.keys() - alone) if alone else self

    def __add__(self, other: Learnt) -> Learnt:
        mine, theirs = self._beside(other), other._beside(self)
        groups = tuple(a + b for a, b in mine._combine(theirs, "add"))
        return Learnt(groups, MappingProxyType(widest(mine.types, theirs.types)), self.dropped)

    def __sub__(self, other: Learnt) -> Learnt:
        groups = tuple(a - b for a, b in self._combine(other, "subtract"))
        return Learnt(groups, self.types, self.dropped)

    @once
    def unknown(self) -> frozenset[str]:
        """Columns that nothing but nulls without a type were seen of: they may turn out to hold something else."""
        return frozenset(name for name, kind in self.types.items() if kind == "null")

    def passed_over(self, schema: pa.Schema) -> frozenset[str]:
        """Name the columns of a schema that are left alone there: they hold no numbers, and never did."""
        return frozenset(
            item.name
            for item in (schema if self.unknown else ())
            if item.name in self.unknown and not (is_chosen(item.type) or pa.types.is_null(item.type))
        )

    def renamed(self, names: Mapping[str, str]) -> Learnt:
        """Give the same columns and scalers, some by other names, with nothing learnt."""
        groups = [
            dataclasses.replace(group, names=tuple(sorted(names.get(name, name) for name in group.names)))
            for group in self.emptied().groups
        ]
        groups.sort(key=lambda group: (group.rule.key, group.names if group.vector else ()))
        types = {names.get(name, name): kind for name, kind in self.types.items()}
        return Learnt(tuple(groups), MappingProxyType(types), tuple(names.get(name, name) for name in self.dropped))

    def without(self, keys: Keys) -> Learnt:
        """Leave keys out, as if their rows had never been."""
        groups = (
            dataclasses.replace(group, summary=group.summary.without(keys))
            if isinstance(group.summary, Keyed)
            else group
            for group in self.groups
        )
        return dataclasses.replace(self, groups=tuple(groups))

    def emptied(self) -> Learnt:
        """Give the same columns and scalers with nothing learnt."""
        return dataclasses.replace(self, groups=tuple(group.emptied() for group in self.groups))

    def columns(self) -> dict[str, tuple[Group, int]]:
        """Find each column's group and first slot, in the table's order."""
        found = {name: (group, i) for group in self.groups for i, name in enumerate(group.names)}
        return {name: found[name] for name in self.types}

    def only(self, names: Collection[str]) -> Learnt:
        """Keep what is known of some columns, without statistics per key."""
        groups = tuple(group.only(names) for group in self.groups if not set(group.names).isdisjoint(names))
        types = {name: kind for name, kind in self.types.items() if name in names}
        return Learnt(groups, MappingProxyType(types), self.dropped)

    def of_groups(self, positions: Collection[int]) -> Learnt:
        """Keep the groups at some positions."""
        groups = tuple(group for i, group in enumerate(self.groups) if i in positions)
        names = {name for group in groups for name in group.names}
        types = {name: kind for name, kind in self.types.items() if name in names}
        return Learnt(groups, MappingProxyType(types), self.dropped)

    def of_parts(self, parts: Iterable[Learnt]) -> Learnt:
        """Put together what was learnt of these columns in parts, each of some of the columns."""
        found = {name: group for part in parts for group in part.groups for name in group.names}
        return dataclasses.replace(self, groups=tuple(group.of_parts(found) for group in self.groups))

    def where(self) -> dict[str, tuple[Group, int]]:
        """Find the group and slot of each column and each element of a vector, in the table's order."""
        found = {}
        for name, (group, slot) in self.columns().items():
            slots = enumerate(group.slot_names) if group.vector else [(slot, name)]
            found.update({own: (group, i) for i, own in slots})
        return found

    @property
    def times(self) -> tuple[str, ...]:
        """Names of the columns that tell when rows were, by which they weigh."""
        return tuple(sorted({str(group.rule.decay.time) for group in self.groups if group.rule.decay is not None}))

    @property
    def keyed(self) -> Keyed | None:
        """The statistics per key of one group, whose keys are those of all; None where there are no keys."""
        return next((group.summary for group in self.groups if isinstance(group.summary, Keyed)), None)

    @property
    def rows_of_keys(self) -> NDArray[np.int64]:
        """How many rows each key has, shape (n_keys,); none where there are no keys."""
        for group in self.groups:
            if isinstance(group.summary, Keyed):
                return group.summary.rows // (group.vector.in_a_row if group.vector else 1)
        return np.empty(0, np.int64)

    def check_shapes(self, schema: pa.Schema) -> None:
        """Raise DataError where a schema has vectors for single numbers, or the other way round."""
        groups = self.columns()
        for name, kind in zip(schema.names, schema.types, strict=True):
            if name not in groups:
                continue
            group, _ = groups[name]
            if (Vector.of(kind, whole=False) is None) != (group.vector is None):
                wanted = "single numbers" if group.vector is None else "vectors"
                raise DataError(f"column {name!r} holds {kind} where {wanted} were expected: leave it out.")

    def digest(self) -> str:
        """Give a short hash of rules, names and statistics, equal exactly when they are."""
        text = repr([*((*g.key, g.summary.digest()) for g in self.groups), *([self.dropped] if self.dropped else [])])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _learnt(groups: tuple[Group, ...], types: dict[str, str], dropped: tuple[str, ...]) -> Learnt:
    """Make what was learnt of what can be pickled.

    Parameters
    ----------
    groups : tuple of Group
    types : dict of str to str
    dropped : tuple of str
    """
    return Learnt(groups, MappingProxyType(types), dropped)
