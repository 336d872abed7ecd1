"""A state: a normalizer over tables, and the record of what it has counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from streamnorm.errors import MergeError
from streamnorm.states.keyed import keys_to_json
from streamnorm.states.positions import Positions
from streamnorm.states.tracked import Tracked
from streamnorm.tables import Keys, Learnt, Table

__all__ = ["Counted", "State"]


@dataclass(frozen=True)
class Counted:
    """A source that is in the statistics.

    Parameters
    ----------
    location : str
        Path or URI as it was given.
    size : int
        Bytes.
    rows : int
    fingerprint : str
        Hash of its content.
    digest : str
        Hash of what was learnt from it; empty where that is not known.
    modified : int
        When it was last written to, in nanoseconds since 1970; 0 where that is not known.
    from_footer : int
        How many columns' least and greatest values were told by a Parquet footer and not read, all or some of
        them; not compared, since the values are the same.
    options : tuple of (str, object)
        How a CSV file is written, by the names and values of `CsvOptions`, as far as it is no common one.
    table : Tracked or None
        Where it is a table that changes: its version, and its files.
    without : Keys or None
        Keys whose rows in it were taken out since.
    """

    location: str
    size: int
    rows: int
    fingerprint: str
    digest: str = ""
    modified: int = 0
    from_footer: int = field(default=0, compare=False)
    options: tuple[tuple[str, Any], ...] = field(default=(), compare=False)
    table: Tracked | None = None
    without: Keys | None = field(default=None, compare=False)

    def less(self, keys: Keys) -> Counted:
        """Give the entry of which keys were taken out, beside those that were before."""
        return replace(self, without=keys if self.without is None else self.without.union(keys)[0])

    def left(self, learnt: Learnt) -> Learnt:
        """Give what counts of what was learnt from it."""
        return learnt if self.without is None else learnt.without(self.without)

    @property
    def part_names(self) -> tuple[str, ...]:
        """What its part is called, or each of its parts, where they are kept."""
        if self.table is not None:
            return tuple(part for share in self.table.shares for part in share.parts)
        return (f"{self.fingerprint}-{self.digest}",)

    def to_json(self) -> dict[str, Any]:
        """Give what `Counted` is made of, without what few sources have."""
        content = dict(vars(self))
        content["options"] = dict(self.options)
        content["table"] = self.table and self.table.to_json()
        content["without"] = self.without and keys_to_json(self.without)
        for name in ("from_footer", "options", "table", "without"):
            if not content[name]:
                del content[name]
        return content


@dataclass(frozen=True)
class State:
    """A fitted table and the sources counted in it.

    Parameters
    ----------
    table : Table
    sources : tuple of Counted
    kind : str
        The normalizer's class. One that is no TableNormalizer is kept as a table of one rule.
    parameters : mapping
        Of that class, as far as the rule does not have them.
    positions : Positions
        How far streams were counted in it.
    whole : normalizer, optional
        What maps whole rows, where the table is of its columns alone, to be looked at.
    """

    table: Table
    sources: tuple[Counted, ...] = ()
    kind: str = "TableNormalizer"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    positions: Positions = field(default_factory=Positions)
    whole: Any = None

    def digest(self) -> str:
        """Give a short hash of what was learnt."""
        return str((self.whole or self.table).digest())

    def mapping(self) -> Table:
        """Give the table, to map rows of tables and files by; raises DataError where the normalizer maps others."""
        for group in self.table.learnt.groups:
            group.rule.rule.check_in_tables(self.parameters)
        return self.table

    def emptied(self) -> State:
        """Give a state of the same columns and scalers that has counted nothing."""
        emptied = self.table.with_learnt(self.table.learnt.emptied())
        return replace(self, table=emptied, sources=(), positions=Positions())

    def __add__(self, other: State) -> State:
        twice = {s.location for s in self.sources} & {s.location for s in other.sources}
        if twice:
            raise MergeError(
                f"both states have counted {min(twice)!r}: merging would count it twice; fit one of them without."
            )
        if (self.kind, self.parameters) != (other.kind, other.parameters):
            raise MergeError(f"cannot add a {self.kind} {self.parameters} and a {other.kind} {other.parameters}.")
        sources = sorted((*self.sources, *other.sources), key=lambda s: s.location)
        positions = self.positions + other.positions
        return State(self.table + other.table, tuple(sources), self.kind, self.parameters, positions)
