"""Recipes: what becomes of each column, as a TOML file under version control.

::

    default = "standard"            # a scaler, a table like those below, or "none"
    infinite = "skip"               # the parameters of TableNormalizer: exclude, dtype, suffix, vectors, ...

    [columns.fare]                  # a name, or a pattern: [columns."price_*"]
    scaler = "robust"
    quantile_range = [10, 90]       # the scaler's parameters
    clip = [0, 500]                 # and what is done beside: see `Steps`
    log1p = true
    fill = "median"
    type = "float32"

    [columns.tip]
    clip_result = "1%, 99%"         # results are limited to what these quantiles become
    fill = "mean"                   # without a scaler, all else is as in the default

    [columns.id]
    scaler = "none"                 # left alone

    [columns.comment]
    drop = true
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from streamnorm.errors import DataError, SourceError, StreamnormError, nearest
from streamnorm.rules.family import RULES, rule_of
from streamnorm.rules.rule import BoundRule, Rule
from streamnorm.rules.treatment import Steps

__all__ = ["arguments_of"]

_STEPS = tuple(f.name for f in fields(Steps))
_UNSCALED = ("none", "drop")
_TEXTS = ("dtype", "suffix", "infinite", "vectors", "time")


def arguments_of(recipe: str | Path | Mapping[str, Any], make: Callable[..., Any]) -> dict[str, Any]:
    """Give the arguments of a table normalizer that a recipe stands for.

    Parameters
    ----------
    recipe : str, Path or mapping
        A TOML file, or what one holds.
    make : callable
        What takes the arguments.

    Raises
    ------
    SourceError
        If the file cannot be read.
    DataError
        If it is no TOML, or says what there is not; the message names the nearest word there is.
    """
    import tomllib

    if isinstance(recipe, Mapping):
        return _arguments(recipe, make)
    try:
        return _arguments(tomllib.loads(Path(recipe).read_text(encoding="utf-8")), make)
    except FileNotFoundError:
        raise SourceError(f"there is no recipe {recipe}: write one with 'streamnorm init SRC > {recipe}'.") from None
    except OSError as error:
        raise SourceError(f"{recipe} cannot be read: {error.strerror}; name a recipe.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{recipe} is no recipe: {error}; correct it.") from None
    except StreamnormError as error:
        raise DataError(f"{recipe}: {error}") from None


def _arguments(recipe: Mapping[str, Any], make: Callable[..., Any]) -> dict[str, Any]:
    known = list(inspect.signature(make).parameters)
    _refuse_unknown(recipe, known, "the recipe")
    for name in _TEXTS:
        if not isinstance(recipe.get(name, ""), str):
            raise DataError(f"{name} must be text, got {recipe[name]!r}.")
    given, columns = dict(recipe), recipe.get("columns", {})
    if not isinstance(columns, Mapping):
        raise DataError(f"columns must be tables, [columns.NAME], got {columns!r}.")
    usual = _spec(recipe.get("default", "standard"), "default")
    default = _treatment(usual, "default")
    given["default"] = None if default == "none" else default
    given["columns"] = {}
    for name, spec in columns.items():
        own = _spec(spec, f"columns.{name}")
        inherited = {"scaler": "standard"} if default == "none" else usual
        alone = "scaler" in own or "drop" in own
        given["columns"][name] = _treatment(own if alone else {**inherited, **own}, f"columns.{name}")
    return given


def _spec(given: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(given, (str, Mapping)):
        raise DataError(f"[{where}] must be a table or the name of a scaler, got {given!r}.")
    return {"scaler": given} if isinstance(given, str) else given


def _treatment(spec: Mapping[str, Any], where: str) -> BoundRule | str:
    """Read what becomes of a column: a rule, or "none" or "drop"."""
    given = dict(spec)
    scaler, drop = given.pop("scaler", "standard"), given.pop("drop", False)
    if type(drop) is not bool:
        raise DataError(f"[{where}] has drop = {drop!r}: write true or false.")
    unscaled = "drop" if drop else scaler if scaler in _UNSCALED else None
    if unscaled is not None:
        if given or (drop and "scaler" in spec):
            raise DataError(f"[{where}] is not scaled, so {min(given or ['scaler'])!r} means nothing: leave it out.")
        return unscaled
    if scaler not in RULES:
        raise DataError(f"[{where}] has no scaler {scaler!r}: {nearest(str(scaler), [*RULES, 'none'], 'scalers')}")
    defaults = RULES[scaler].defaults
    _refuse_unknown(given, ["scaler", "drop", *_STEPS, *defaults], f"[{where}]")
    try:
        return rule_of(scaler, **{name: _value(name, value, RULES[scaler]) for name, value in given.items()})
    except DataError as error:
        raise DataError(f"[{where}]: {error}") from None


def _value(name: str, value: Any, rule: Rule) -> Any:
    """Check a scaler's parameter against what it is like; those of the steps check themselves.

    Parameters
    ----------
    name : str
        Of the parameter.
    value : object
        From the recipe.
    rule : Rule
        The scaler's.
    """
    if name in _STEPS and not (name in rule.defaults and isinstance(value, bool)):
        return value
    default = rule.like(name)
    if default is None:
        return value  # the rule's own check knows
    if isinstance(default, tuple):
        fits = isinstance(value, list) and len(value) == len(default) and all(map(_is_number, value))
        value = tuple(value) if fits else value
    else:
        fits = _is_number(value) if _is_number(default) else type(value) is type(default)
    if not fits:
        raise DataError(f"{name} must be like {default!r}, got {value!r}.")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise DataError for a name that is not known.

    Parameters
    ----------
    given : iterable of str
    known : iterable of str
    where : str
        Of the recipe, for messages.
    """
    names = list(known)
    for name in given:
        if name not in names:
            raise DataError(f"{where} has no key {name!r}: {nearest(name, names, 'keys')}")
