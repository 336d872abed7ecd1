"""Normalizers that map whole rows, as states of their columns to be looked at."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamnorm.files import place_of
from streamnorm.rules import FAMILY, BoundRule
from streamnorm.states.document import from_json, verified
from streamnorm.states.file import loaded, positions_of, state_of, text_of
from streamnorm.states.state import State
from streamnorm.tables import Group, Learnt, Table

__all__ = ["looked_at"]


def looked_at(given: Any) -> State:
    """Give a state to look at: of a Whitener, the exact moments of its columns, and itself.

    Parameters
    ----------
    given : normalizer, str or Path
        Fitted, or its state file.

    Raises
    ------
    StateError
        If there is no state that can be trusted, or none that can be looked at.
    """
    if hasattr(given, "cross_products"):
        return _of_columns(given)
    if not isinstance(given, (str, Path)):
        return state_of(given)
    place = place_of(given)
    text = text_of(place)
    if verified(text, str(place))["class"] == "Whitener":
        return _of_columns(loaded(text, str(place)))
    return from_json(text, str(place))


def _of_columns(normalizer: Any) -> State:
    """Describe the columns of a Whitener, each with the exact moments that it has learnt of it."""
    summary = normalizer.cross_products()
    rule = dataclasses.replace(FAMILY["standard"], name="whitener")
    params = MappingProxyType({**rule.defaults, "ddof": 1})
    known = getattr(normalizer, "feature_names_in_", None)
    names = [f"x{i}" for i in range(len(summary))] if known is None else list(known)
    order = sorted(range(len(names)), key=names.__getitem__)
    group = Group(BoundRule(rule, params), tuple(names[i] for i in order), summary.moments().take(order))
    types = MappingProxyType(dict.fromkeys(names, "double"))
    table = Table(None).with_learnt(Learnt((group,), types))
    parameters = normalizer.get_params(deep=False)
    return State(table, (), type(normalizer).__name__, parameters, positions_of(normalizer), normalizer)
