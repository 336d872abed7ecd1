"""What a table has learnt, as the part of a state file between its parameters and its sources.

How it is laid out is told in `state`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from streamnorm.rules import PLAIN, RULES, BoundRule, Steps
from streamnorm.states.keyed import columns_to_json, keyed_from_json, keys_from_json, keys_to_json
from streamnorm.summaries import pack, unpack
from streamnorm.tables import Group, Keyed, Keys, Learnt, Vector

__all__ = [
    "is_plain",
    "learnt_from_json",
    "learnt_to_json",
    "rule_from_json",
    "rule_to_json",
    "vector_from_json",
    "vector_to_json",
]


def is_plain(learnt: Learnt) -> bool:
    """Tell whether version 1 of the format can say all of it."""
    plain = all(g.vector is None and g.rule.steps == PLAIN and not g.rule.given for g in learnt.groups)
    return plain and not learnt.dropped and learnt.keyed is None


def learnt_to_json(learnt: Learnt, *, packed: bool = False) -> dict[str, Any]:
    """Give the entries of a document.

    Parameters
    ----------
    learnt : Learnt
    packed : bool
        Whether the summaries stand with the rules, in few bytes that are quickly written.
    """
    with_rules = {id(group) for group in learnt.groups if packed and not isinstance(group.summary, Keyed)}
    slots = {
        id(group): columns_to_json(group.summary) if isinstance(group.summary, Keyed) else group.summary.to_json()
        for group in learnt.groups
        if id(group) not in with_rules
    }
    places = {id(group): place for place, group in enumerate(learnt.groups)}

    def column(name: str, place: tuple[Group, int]) -> dict[str, Any]:
        group, slot = place
        entry: dict[str, Any] = {"name": name, "type": learnt.types[name], "rule": places[id(group)]}
        if group.vector is not None:
            entry["vector"] = vector_to_json(group.vector)
        if id(group) not in with_rules:
            entry["summary"] = slots[id(group)][slot] if group.vector is None else slots[id(group)]
        return entry

    columns = [column(name, place) for name, place in learnt.columns().items()]
    return {
        "rules": [
            rule_to_json(group.rule) | ({"summary": pack(group.summary)} if id(group) in with_rules else {})
            for group in learnt.groups
        ],
        **({"keys": keys_to_json(learnt.keyed.keys)} if learnt.keyed is not None else {}),
        "columns": columns,
        **({"dropped": list(learnt.dropped)} if learnt.dropped else {}),
    }


def learnt_from_json(document: Mapping[str, Any]) -> tuple[Learnt, tuple[str, ...]]:
    """Read what `learnt_to_json` gave, and the names of the key columns.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is not that.
    """
    rules = [rule_from_json(rule) for rule in document["rules"]]
    columns = document["columns"]
    names = [column["name"] for column in columns]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError("the names of the columns are no texts, or not different")
    if not all(column["rule"] in range(len(rules)) for column in columns):
        raise ValueError("a column has a rule that is not there")
    keys = keys_from_json(document["keys"]) if "keys" in document else None
    packed = [rule.get("summary") for rule in document["rules"]]
    groups = tuple(_group(i, rule, columns, keys, packed[i]) for i, rule in enumerate(rules))
    for group in groups:
        group.rule.plan(group.summary.overall)  # cannot be made of sums that no rows have
    dropped = tuple(document.get("dropped", ()))
    if not all(isinstance(name, str) for name in dropped) or set(dropped) & set(names):
        raise ValueError("what is dropped is no text, or a column too")
    types = MappingProxyType({column["name"]: str(column["type"]) for column in columns})
    return Learnt(groups, types, dropped), () if keys is None else keys.names


def _group(index: int, rule: BoundRule, columns: Sequence[Mapping[str, Any]], keys: Keys | None, packed: Any) -> Group:
    """Read the columns of one rule.

    Parameters
    ----------
    index : int
        Of the rule.
    rule : BoundRule
    columns : sequence of mapping
        All of the state.
    keys : Keys or None
    packed : mapping or None
        The summary that stands with the rule; None where the columns have theirs.
    """
    own = sorted((c for c in columns if c["rule"] == index), key=lambda c: str(c["name"]))
    names = tuple(column["name"] for column in own)
    if keys is not None and not any("vector" in column for column in own):
        return Group(rule, names, keyed_from_json(keys, rule, [column["summary"] for column in own]))
    if not any("vector" in column for column in own):
        summaries = None if packed else [column["summary"] for column in own]
        return Group(rule, names, _summary(rule, summaries, packed, len(own)))
    (column,) = own
    vector = vector_from_json(column["vector"])
    if keys is None:
        summary = _summary(rule, None if packed else column["summary"], packed, vector.slots)
    else:
        summary = keyed_from_json(keys, rule, column["summary"])
    if len(summary) != vector.slots:
        raise ValueError(f"column {names[0]!r} has {len(summary)} statistics for {vector.slots} elements")
    return Group(rule, names, summary, vector)


def _summary(rule: BoundRule, slots: Any, packed: Any, count: int) -> Any:
    """Read a summary.

    Parameters
    ----------
    rule : BoundRule
    slots : sequence of mapping or None
        As `to_json` wrote it; None where it is packed.
    packed : mapping
    count : int
        How many slots are expected, of a packed one.
    """
    return unpack(rule.summary.empty(count), packed) if slots is None else rule.summary.from_json(slots)


def vector_from_json(data: Mapping[str, Any]) -> Vector:
    """Read the layout of a column of vectors; raises ValueError or KeyError where it is none."""
    vector = Vector(data["width"], data["whole"], data.get("unit", False))
    if vector_to_json(vector) != dict(data) or (vector.unit and not vector.whole):
        raise ValueError(f"no vector is like that: {data!r}"[:200])
    width = vector.width
    if not (width is None or (type(width) is int and width >= 0)) or {type(vector.whole), type(vector.unit)} != {bool}:
        raise ValueError(f"no vector is like that: {data!r}"[:200])
    return vector


def vector_to_json(vector: Vector) -> dict[str, Any]:
    """Write the layout of a column of vectors."""
    return {"width": vector.width, "whole": vector.whole, **({"unit": True} if vector.unit else {})}


def rule_to_json(rule: BoundRule) -> dict[str, Any]:
    """Write a scaler, its parameters and what is done beside scaling."""
    steps = {"steps": rule.steps.to_json()} if rule.steps != PLAIN else {}
    profile = {"profile": True} if rule.profile else {}
    given = {"given": True} if rule.given else {}
    return {"scaler": rule.rule.name, "parameters": rule.plain_params, **steps, **profile, **given}


def rule_from_json(data: Mapping[str, Any]) -> BoundRule:
    """Read what `rule_to_json` gave; raises ValueError or KeyError where it is not that."""
    rule = RULES[data["scaler"]]
    given = data["parameters"]
    params = rule.tuples({n: given.get(n, v) if n in rule.later else given[n] for n, v in rule.defaults.items()})
    profile, given = data.get("profile", False), data.get("given", False)
    if type(profile) is not bool or type(given) is not bool:
        raise ValueError(f"a rule has a profile or not, and was given or learnt, found {profile!r} and {given!r}")
    return BoundRule(rule, MappingProxyType(params), Steps.from_json(data.get("steps", {})), profile, given)
