"""The state file: a normalizer and the record of what it has counted, as JSON with a checksum.

Layout of version 1::

    {"format": "streamnorm-state", "version": 1,
     "class": "TableNormalizer", "parameters": {...},
     "rules": [{"scaler": "standard", "parameters": {...}}],
     "columns": [{"name": ..., "type": ..., "rule": 0, "summary": {...}}],
     "sources": [{"location": ..., "size": ..., "rows": ..., "fingerprint": ...,
                  "digest": ..., "modified": ..., "from_footer": ..., "options": {"decimal": ","}}],
     "checksum": "sha256 of all the rest"}

A rule whose columns have a profile says ``"profile": true``, and their summaries hold it under
``"profile"``: moments and histogram, without what the scaler needs anyway.

Version 2 has also columns of vectors: ``"vector": {"width": 768, "whole": false}``, and as their summary a
list with one for each element; in rules, what a recipe does beside scaling: ``"steps": {"log1p": true}``, and
what filling needs in the summaries' ``"profile"``; ``"given": true`` of a rule whose statistics were given and not
learnt, which stand in its columns' summaries under ``"given"``; the names of columns that are ``"dropped"``; and
statistics per key: `keys` holds the distinct values of the key columns in ascending order, and the arrays of each
column's `summary` have a slot for each, packed into bytes::

     "keys": {"count": 2, "columns": [{"name": "store", "type": "string", "values": ["a", "b"]}]},

The `summary` of a column of vectors is then a list of such, one for each element. A source out of which keys were
taken has them under ``"without"``, written as `keys` are.

Version 3 is that of states which have counted streams, and is written without spaces, in one line: how far is told
by stream (`positions`), and the summaries of all columns under a rule, but for those per key, stand with the rule,
packed into bytes::

     "rules": [{"scaler": ..., "parameters": {...}, "summary": {...}}],
     "positions": {"topic/0": {"ranges": [[0, 1200]], "apart": {"tombstones": 3}, "mark": ...}},

Version 4 has also tables that change, each as one source: ``"table": {"id": ..., "version": 41, "columns": {"price":
"price"}, "files": [...], "rows": [...], "parts": [...]}``, with the name, the rows and the part of each file, and under
``"together"`` such lists for files that came in the place of others, and are known by the parts of those.

Version 5 has scalers whose rows weigh by their time: ``"parameters": {..., "halflife": "7d", "time": "ts"}``. Their
sums are in units of the weight of 1970, or of the time 0, and so may have any power of two. It says all that others do.

Numbers that must be exact are text. What is between version and checksum for normalizers that depend on the
order of the rows is described in `ordered_states`. Nothing in a state is executed, and no path is taken from one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from streamnorm.errors import StateError
from streamnorm.states.keyed import keys_from_json
from streamnorm.states.ordered import HOMES, WHY, document_of
from streamnorm.states.positions import Positions
from streamnorm.states.state import Counted, State
from streamnorm.states.tables import is_plain, learnt_from_json, learnt_to_json
from streamnorm.states.tracked import Tracked
from streamnorm.tables import By, Table

__all__ = [
    "from_json", "positions_from", "reading", "record_in", "signed", "state_from", "to_json", "unaddable", "verified",
]  # fmt: skip

FORMAT = "streamnorm-state"
#: A state is written in the oldest version that can say it.
_FIRST, _SECOND, _THIRD = 1, 2, 3
#: The first that has tables that change.
_TABLES = 4
#: The first that has weights that decay, with or without streams and tables.
_DECAY = 5
_VERSIONS = (_FIRST, _SECOND, _THIRD, _TABLES, _DECAY)


def _compact(document: Mapping[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(document: Mapping[str, Any]) -> str:
    return _hash(_compact(document))


def signed(content: Mapping[str, Any], positions: Positions | None = None, version: int = _FIRST) -> str:
    """Write a document as text, with the format in front and the checksum at the end.

    Parameters
    ----------
    content : mapping
    positions : Positions, optional
        How far streams were counted: where they were, in one line, as states that are often replaced are.
    version : int
        Of a state that has counted none.
    """
    document: dict[str, Any] = {"format": FORMAT, "version": version, **content}
    if positions:
        version = version if version == _DECAY else _THIRD
        text = _compact({**document, "version": version, "positions": positions.to_json()})
        return f'{text[:-1]},"checksum":"{_hash(text)}"}}\n'
    document["checksum"] = _checksum(document)
    return _indented(document) + "\n"


#: Between what a record of the sources holds, as `json.dumps` does with an indent of 1.
_FLAT = json.JSONEncoder(separators=(",\n   ", ": "))


def _indented(document: Mapping[str, Any]) -> str:
    """Write a document as `json.dumps` does with an indent of 1, which takes ten times as long: sources may be many."""
    sources = document.get("sources", [])
    if not sources or any(isinstance(value, dict) for source in sources for value in source.values()):
        return json.dumps(document, indent=1)
    before, place, after = json.dumps({**document, "sources": []}, indent=1).partition('\n "sources": []')
    records = _FLAT.encode(sources)[2:-2].replace("},\n   {", "\n  },\n  {\n   ")  # no text holds an end of a line
    return f"{before}{place[:-1]}\n  {{\n   {records}\n  }}\n ]{after}"


def to_json(state: State) -> str:
    """Write a state as text; equal states with equal records are equal text."""
    if state.whole is not None:
        return signed(document_of(state.whole), state.positions)
    learnt = state.table.learnt
    content: dict[str, Any] = {
        "class": state.kind,
        "parameters": {**state.table.settings(), **state.parameters},
        **learnt_to_json(learnt, packed=bool(state.positions)),
        "sources": [source.to_json() for source in state.sources],
    }
    tables = any(source.table for source in state.sources)
    version = _DECAY if learnt.times else _TABLES if tables else _FIRST if is_plain(learnt) else _SECOND
    return signed(content, state.positions, version)


def verified(text: str, name: str) -> dict[str, Any]:
    """Read what `_signed` wrote.

    Raises
    ------
    StateError
        If it is no state, of another version, or damaged.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"{name} is no state file: it is not JSON ({error}); fit again.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise StateError(f"{name} is no state file: expected the format {FORMAT!r}; name a file written by fit.")
    if document.get("version") not in _VERSIONS:
        raise StateError(
            f"{name} has version {document.get('version')!r}, this streamnorm reads versions {_FIRST} to {_DECAY}: "
            "use the streamnorm that wrote it, or fit again."
        )
    if document.pop("checksum", None) != _checksum(document):
        raise StateError(f"{name} is damaged: its checksum does not match; restore a copy or fit again.")
    if not isinstance(document.get("class"), str):
        raise StateError(f"{name} cannot be read: its class is no text; restore a copy or fit again.")
    return document


def from_json(text: str, name: str = "state") -> State:
    """Read what `to_json` wrote.

    Raises
    ------
    StateError
        If it is no state, of another version, damaged, or of a normalizer whose states do not add.
    """
    return state_from(verified(text, name), name)


def record_in(text: str) -> tuple[Counted, ...]:
    """Read the record of a state without its statistics; nothing where that cannot be.

    Whether it is to be trusted is not asked, so that nothing may be counted by it.
    """
    try:
        return tuple(_source_from(**source) for source in json.loads(text)["sources"])
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return ()


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Say of a document that is signed, and yet not what this package writes, that it cannot be read."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise StateError(f"{name} cannot be read: {error!r}; restore a copy or fit again.") from error


def state_from(document: Mapping[str, Any], name: str) -> State:
    """Make a state of a document that was verified; raises StateError where it is none."""
    if document.get("class") in HOMES:
        raise unaddable(f"{name} holds a", document["class"])
    with reading(name):
        return _state_of(document)


def _state_of(document: Mapping[str, Any]) -> State:
    learnt, keys = learnt_from_json(document)
    parameters = dict(document["parameters"])
    settings = {name: parameters.pop(name) for name in Table(by=keys or None).settings()}
    if document["class"] == "TableNormalizer" and parameters:
        raise ValueError(f"there is no parameter {min(parameters)!r}")
    _check_settings(**settings)
    if tuple(settings.get("by", ())) != keys:
        raise ValueError("the keys are those of other columns")
    profile = any(group.rule.profile for group in learnt.groups)
    table = Table(None, dict.fromkeys(learnt.types, None), **settings, profile=profile).with_learnt(learnt)
    sources = tuple(_source_from(**source) for source in document["sources"])
    return State(table, sources, str(document["class"]), parameters, positions_from(document))


def positions_from(document: Mapping[str, Any]) -> Positions:
    """Read how far streams were counted; raises ValueError, KeyError or TypeError where that is not told well."""
    if document["version"] != _DECAY and ("positions" in document) != (document["version"] == _THIRD):
        raise ValueError(f"a state of version {document['version']} has positions, or one of version {_THIRD} has none")
    return Positions.from_json(document.get("positions", {}))


def _check_settings(dtype: Any, suffix: Any, infinite: Any, **by: Any) -> None:
    """Raise ValueError for settings that no table has.

    Parameters
    ----------
    dtype : object
    suffix : object
    infinite : object
    by : object
        Key columns and what belongs to them.
    """
    known = dtype in (None, "float16", "float32", "float64") and infinite in ("error", "skip")
    if not (known and isinstance(suffix, str)):
        raise ValueError(f"no such settings: {(dtype, suffix, infinite)!r}")
    if by:
        By.of(**by)


def _source_from(options: Any = None, table: Any = None, **given: Any) -> Counted:
    tracked = None if table is None else Tracked.from_json(table)
    if given.get("without") is not None:
        given["without"] = keys_from_json(given["without"])
    source = Counted(**given, options=() if options is None else _options_of(options), table=tracked)
    numbers = (source.size, source.rows, source.modified, source.from_footer)
    texts = (source.location, source.fingerprint, source.digest)
    whole = all(type(number) is int and 0 <= number < 2**63 for number in numbers)
    if not (whole and all(isinstance(text, str) for text in texts)):
        raise ValueError(f"no source is like that: {source.location!r}"[:200])
    return source


def _options_of(given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Read how a CSV file is written: text, a number of rows, a list of texts, and whether there is no header."""
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    texts = {"delimiter", "decimal", "encoding", "thousands", "comment"}
    for name, value in options.items():
        is_text = name in texts and isinstance(value, str)
        is_count = name == "skip_rows" and type(value) is int and 0 <= value < 2**63
        is_list = name == "null_values" and isinstance(value, tuple) and all(isinstance(text, str) for text in value)
        is_flag = name == "no_header" and value is True
        if not (is_text or is_count or is_list or is_flag):
            raise ValueError(f"no CSV file is written like that: {name!r}"[:200])
    return tuple(sorted(options.items()))


def unaddable(found: str, kind: str) -> StateError:
    """Give the error for a normalizer that is no table of rules.

    Parameters
    ----------
    found : str
        What was found, as far as the name of the class.
    kind : str
        The class, of `HOMES`.
    """
    return StateError(
        f"{found} {kind}, {WHY[kind]} cannot use it; use streamnorm.load, partial_fit and transform in Python."
    )
