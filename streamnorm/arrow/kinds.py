"""Types of columns that came as several: the widest, whatever the order they came in."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["widest"]

#: Families of types, each from narrow to wide. Columns that came as types of two families hold float64.
_FAMILIES = (
    ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    ("halffloat", "float", "double"),
)


def widest(mine: Mapping[str, str], theirs: Mapping[str, str]) -> dict[str, str]:
    """Give for each column of `mine` the wider of its two types, as Arrow writes them.

    Examples
    --------
    >>> widest({"a": "int32", "b": "float", "c": "null"}, {"a": "int8", "b": "int8", "c": "float"})
    {'a': 'int32', 'b': 'double', 'c': 'float'}
    """
    return {name: _wider(kind, theirs.get(name, kind)) for name, kind in mine.items()}


def _wider(a: str, b: str) -> str:
    if b in (a, "null"):
        return a
    if a == "null":
        return b
    if _family(a) != _family(b):
        return "double"
    return max(a, b, key=_rank)


def _family(kind: str) -> str:
    """Name the family of a type: its narrowest, or what stands before its parameters."""
    named = next((family[0] for family in _FAMILIES if kind in family), None)
    return named or kind.partition("<")[0].partition("[")[0].partition("(")[0]


def _rank(kind: str) -> tuple[int, str]:
    return next((family.index(kind) for family in _FAMILIES if kind in family), 0), kind
