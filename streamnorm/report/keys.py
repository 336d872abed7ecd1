"""What is shown of statistics per key: those of all rows or of one key, and which keys moved."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import StateError, amount
from streamnorm.report.words import number, printable
from streamnorm.states import State
from streamnorm.summaries import Moments, part
from streamnorm.tables import Group, Keyed, Keys, Learnt

__all__ = ["KeyChanges", "Moved", "about_keys", "changes_of", "keys_to_json", "of_all", "of_key"]

#: Largest number of keys that are named; the others are counted.
_NAMED = 3


def of_all(learnt: Learnt) -> Learnt:
    """Give the statistics of all rows, whatever they were grouped by."""
    groups = (dataclasses.replace(group, summary=group.summary.overall) for group in learnt.groups)
    return dataclasses.replace(learnt, groups=tuple(groups))


def of_key(state: State, words: Sequence[str]) -> State:
    """Give the statistics of one key as a state without keys; its words are those of `Keys.parse`.

    Raises
    ------
    StateError
        If the state has no keys.
    DataError
        If it does not have this one.
    """
    keyed, table = state.table.learnt.keyed, state.table
    if keyed is None:
        raise StateError("this state has no keys: it was fitted without --by.")
    key = keyed.keys.take(np.array([keyed.keys.parse(words)]))
    groups = tuple(_group_of_key(group, key) for group in table.learnt.groups)
    learnt = dataclasses.replace(table.learnt, groups=groups)
    table = type(table)(dtype=table.dtype, suffix=table.suffix, infinite=table.infinite, profile=table.profile)
    return dataclasses.replace(state, table=table.with_learnt(learnt))


def _group_of_key(group: Group, key: Keys) -> Group:
    if not isinstance(group.summary, Keyed):
        return group
    (place,) = group.summary.keys.find(key.columns).tolist()
    return dataclasses.replace(group, summary=group.summary.of_key(place))


def keys_to_json(learnt: Learnt) -> dict[str, Any]:
    """Say how many keys there are, as an entry of a document; nothing where there are none."""
    keyed = learnt.keyed
    if keyed is None:
        return {}
    rows = learnt.rows_of_keys
    return {
        "keys": {
            "columns": list(keyed.keys.names),
            "count": len(rows),
            "rows": {"least": int(rows.min()), "median": float(np.median(rows)), "most": int(rows.max())}
            if len(rows)
            else None,
        }
    }


def about_keys(learnt: Learnt) -> str:
    """Say how many keys there are, and how many rows they have, for people; nothing where there are none."""
    keyed = learnt.keyed
    if keyed is None:
        return ""
    names, rows = ", ".join(map(printable, keyed.keys.names)), learnt.rows_of_keys
    if not len(rows):
        return f"by {names}: no key"
    examples = ", ".join(printable(keyed.keys.words(int(i))) for i in np.argsort(-rows, kind="stable")[:_NAMED])
    return (
        f"by {names}: {amount(len(rows), 'key')} of {rows.min():,} to {rows.max():,} rows, "
        f"median {np.median(rows):,.0f}; "
        f"most in {examples}"
    )


@dataclass(frozen=True)
class Moved:
    """A key whose mean moved.

    Parameters
    ----------
    key, column : str
    shift : float
        Difference of the key's means, in its first standard deviations (``ddof=0``).
    """

    key: str
    column: str
    shift: float


@dataclass(frozen=True)
class KeyChanges:
    """How the keys of two states differ.

    Parameters
    ----------
    common, gone, new : int
        Keys of both states, of the first alone, of the second alone.
    moved : list of Moved
        Of the common keys those whose shift chance explains least, the least first: the shift as a multiple of
        ``sqrt(1/n + 1/m)`` for keys of n and m values.
    """

    common: int
    gone: int
    new: int
    moved: list[Moved]

    def to_json(self) -> dict[str, Any]:
        """Give everything; a shift beyond float64, which JSON does not know, as none."""
        document = dataclasses.asdict(self)
        for moved in document["moved"]:
            moved["shift"] = moved["shift"] if math.isfinite(moved["shift"]) else None
        return document

    def counted(self) -> str:
        """Say how many keys there are."""
        return f"{amount(self.common, 'key')} in both, {self.gone:,} gone, {self.new:,} new"

    def lines(self) -> list[str]:
        """Say it in words."""
        said = [self.counted()]
        if self.moved:
            said.append("moved most: " + ", ".join(_words(moved) for moved in self.moved))
        return said


def _words(moved: Moved) -> str:
    return f"{printable(moved.column)} of {printable(moved.key)} by {number(moved.shift, 3)} sd"


def changes_of(before: State, after: State, named: int = _NAMED) -> KeyChanges | None:
    """Compare the keys of two states; None where they do not have keys in the same columns.

    Parameters
    ----------
    before, after : State
    named : int, default=3
        How many of the keys that moved to name.
    """
    old, new = before.table.learnt.keyed, after.table.learnt.keyed
    if old is None or new is None or old.keys.names != new.keys.names:
        return None
    at = old.keys.find(new.keys.columns)
    common = int((at >= 0).sum())
    moved: list[tuple[float, Moved]] = []
    where = before.table.learnt.where()
    for name, (group, slot) in after.table.learnt.where().items():
        if name in where:
            moved += _moved(name, _column(*where[name]), _column(group, slot), named)
    moved.sort(key=lambda pair: -pair[0])
    return KeyChanges(common, len(old.keys) - common, len(new.keys) - common, [m for _, m in moved[:named]])


def _column(group: Group, slot: int) -> tuple[Keys, Moments | None]:
    if not isinstance(group.summary, Keyed):
        raise StateError("a state has columns with keys and columns without: fit again.")
    return group.summary.keys, part(group.summary.columns[slot], Moments)


def _moved(
    name: str, before: tuple[Keys, Moments | None], after: tuple[Keys, Moments | None], named: int
) -> list[tuple[float, Moved]]:
    """Find the keys whose mean of a column moved most, with how far that is from chance.

    Parameters
    ----------
    name : str
        The column, for messages.
    before : (Keys, Moments or None)
    after : (Keys, Moments or None)
    named : int
        Keys to name.
    """
    (keys, old), (others, new) = before, after
    if old is None or new is None:
        return []
    at = keys.find(others.columns)
    mine, theirs = at[at >= 0], np.flatnonzero(at >= 0)
    with np.errstate(over="ignore"):
        shift = _divided(new.mean()[theirs] - old.mean()[mine], old.std()[mine])
    n, m = old.counts.values[mine], new.counts.values[theirs]
    distance = np.nan_to_num(np.abs(shift) / np.sqrt(_divided(np.ones(len(n)), n) + _divided(np.ones(len(m)), m)))
    most = np.argsort(-distance, kind="stable")[:named]
    return [
        (float(distance[i]), Moved(keys.words(int(mine[i])), name, float(shift[i])))
        for i in most.tolist()
        if distance[i] > 0
    ]


def _divided(a: NDArray[np.float64], b: NDArray[Any]) -> NDArray[np.float64]:
    quotient = np.full(len(a), np.nan)
    np.divide(a, b, out=quotient, where=b > 0)
    return quotient
