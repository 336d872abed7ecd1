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
what filling needs in the summaries' ``"profile"``; the names of columns that are ``"dropped"``; and statistics
per key: `keys` holds the distinct values of the key columns in ascending order, and the arrays of each column's
`summary` have a slot for each, packed into bytes::

     "keys": {"count": 2, "columns": [{"name": "store", "type": "string", "values": ["a", "b"]}]},

Numbers that must be exact are text. What is between version and checksum for normalizers that depend on the
order of the rows is described in `ordered_states`. Nothing in a state is executed, and no path is taken from one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamnorm.errors import MergeError, StateError
from streamnorm.files.atomic import replacing, sweep
from streamnorm.rules.rule import plain
from streamnorm.states.ordered import HOMES, document_of, normalizer_of
from streamnorm.states.tables import is_plain, learnt_from_json, learnt_to_json
from streamnorm.tables.grouping import By
from streamnorm.tables.statistics import Group, Learnt
from streamnorm.tables.table import Table

__all__ = ["Counted", "State", "load", "save"]

FORMAT = "streamnorm-state"
#: A state is written in the oldest version that can say it.
_FIRST, _SECOND = _VERSIONS = (1, 2)
#: A million columns or keys fit; what is larger was not written by this package.
_LARGEST = 1 << 33
#: What reading raises where a document is signed and yet not what this package writes.
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


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
    """

    location: str
    size: int
    rows: int
    fingerprint: str
    digest: str = ""
    modified: int = 0
    from_footer: int = field(default=0, compare=False)
    options: tuple[tuple[str, Any], ...] = field(default=(), compare=False)

    def to_json(self) -> dict[str, Any]:
        """Give what `Counted` is made of, without what few sources have."""
        content = {**asdict(self), "options": dict(self.options)}
        return {name: value for name, value in content.items() if name not in ("from_footer", "options") or value}


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
    """

    table: Table
    sources: tuple[Counted, ...] = ()
    kind: str = "TableNormalizer"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: State) -> State:
        twice = {s.location for s in self.sources} & {s.location for s in other.sources}
        if twice:
            raise MergeError(
                f"both states have counted {min(twice)!r}: merging would count it twice; fit one of them without."
            )
        if (self.kind, self.parameters) != (other.kind, other.parameters):
            raise MergeError(f"cannot add a {self.kind} {self.parameters} and a {other.kind} {other.parameters}.")
        sources = sorted((*self.sources, *other.sources), key=lambda s: s.location)
        return State(self.table + other.table, tuple(sources), self.kind, self.parameters)


def _checksum(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _signed(content: Mapping[str, Any], version: int = _FIRST) -> str:
    """Write a document as text, with the format in front and the checksum at the end."""
    document: dict[str, Any] = {"format": FORMAT, "version": version, **content}
    document["checksum"] = _checksum(document)
    return json.dumps(document, indent=1) + "\n"


def to_json(state: State) -> str:
    """Write a state as text; equal states with equal records are equal text."""
    learnt = state.table.learnt
    content: dict[str, Any] = {
        "class": state.kind,
        "parameters": {**state.table.settings(), **state.parameters},
        **learnt_to_json(learnt),
        "sources": [source.to_json() for source in state.sources],
    }
    return _signed(content, _FIRST if is_plain(learnt) else _SECOND)


def _verified(text: str, name: str) -> dict[str, Any]:
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
            f"{name} has version {document.get('version')!r}, this streamnorm reads versions {_FIRST} to {_SECOND}: "
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
    return _state_from(_verified(text, name), name)


def _state_from(document: Mapping[str, Any], name: str) -> State:
    if document.get("class") in HOMES:
        raise _unaddable(f"{name} holds a {document['class']}")
    try:
        return _state_of(document)
    except _UNREADABLE as error:
        raise StateError(f"{name} cannot be read: {error!r}; restore a copy or fit again.") from error


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
    sources = tuple(_counted(**source) for source in document["sources"])
    return State(table, sources, str(document["class"]), parameters)


def _check_settings(dtype: Any, suffix: Any, infinite: Any, **by: Any) -> None:
    known = dtype in (None, "float16", "float32", "float64") and infinite in ("error", "skip")
    if not (known and isinstance(suffix, str)):
        raise ValueError(f"no such settings: {(dtype, suffix, infinite)!r}")
    if by:
        By.of(**by)


def _counted(options: Any = None, **given: Any) -> Counted:
    source = Counted(**given, options=_options_of({} if options is None else options))
    numbers = (source.size, source.rows, source.modified, source.from_footer)
    texts = (source.location, source.fingerprint, source.digest)
    whole = all(type(number) is int and 0 <= number < 2**63 for number in numbers)
    if not (whole and all(isinstance(text, str) for text in texts)):
        raise ValueError(f"no source is like that: {source.location!r}"[:200])
    return source


def _options_of(given: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Read how a CSV file is written: text, a number of rows and a list of texts."""
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    texts = {"delimiter", "decimal", "encoding"}
    for name, value in options.items():
        is_text = name in texts and isinstance(value, str)
        is_count = name == "skip_rows" and type(value) is int and 0 <= value < 2**63
        is_list = name == "null_values" and isinstance(value, tuple) and all(isinstance(text, str) for text in value)
        if not (is_text or is_count or is_list):
            raise ValueError(f"no CSV file is written like that: {name!r}"[:200])
    return tuple(sorted(options.items()))


def _unaddable(found: str) -> StateError:
    return StateError(
        f"{found}, which depends on the order of the rows: commands and jobs over files cannot use it; use "
        "streamnorm.load, partial_fit and transform in Python."
    )


def read(path: str | Path) -> State:
    """Read a state file; raises StateError where there is none that can be trusted."""
    return from_json(_text_of(Path(path)), str(path))


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise StateError(f"{path} is no state file: it has {path.stat().st_size} bytes; name another.")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StateError(f"there is no state {path}: fit one with 'streamnorm fit SRC --state {path}'.") from None
    except UnicodeDecodeError:
        raise StateError(f"{path} is no state file: it is not text; name a file written by fit.") from None
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error}; name a file written by fit.") from None


def write(state: State, path: str | Path) -> None:
    """Write a state file in one step: the old one stays until the new one is complete."""
    _write_text(to_json(state), path)


def _write_text(text: str, path: str | Path) -> None:
    sweep([Path(path).parent])
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save(normalizer: Any, path: str | Path) -> None:
    """Write a fitted normalizer to a state file.

    Parameters
    ----------
    normalizer : TableNormalizer, StandardScaler, ...
        Fitted. A scaler without column names gets ``x0``, ``x1``, ...
    path : str or Path

    Examples
    --------
    >>> import tempfile, streamnorm as sn
    >>> from pathlib import Path
    >>> a = sn.StandardScaler().fit([[1.0], [2.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sn.save(a, Path(folder) / "state.json")
    ...     sn.load(Path(folder) / "state.json") == a
    True
    """
    if type(normalizer).__name__ in HOMES:
        _write_text(_signed(document_of(normalizer)), path)
    else:
        write(state_of(normalizer), path)


def state_of(normalizer: Any) -> State:
    """Describe a fitted normalizer as a state; a path is that of one."""
    if isinstance(normalizer, (str, Path)):
        return read(normalizer)
    sources = tuple(getattr(normalizer, "sources_", ()))
    if isinstance(normalizer, Table):
        return State(normalizer, sources)
    if type(normalizer).__name__ in HOMES:
        raise _unaddable(f"this is a {type(normalizer).__name__}")
    given = normalizer.summary_by_name()
    order = sorted(range(len(given.names)), key=given.names.__getitem__)
    names = tuple(given.names[i] for i in order)
    group = Group(given.rule, names, given.summary.take(order))
    types = MappingProxyType(dict.fromkeys(given.names, "double"))
    table = Table(None).with_learnt(Learnt((group,), types))
    extra = {k: plain(v, default=0) for k, v in normalizer.get_params(deep=False).items() if k not in given.rule.params}
    parameters = {**extra, "named": hasattr(normalizer, "feature_names_in_")}
    return State(table, sources, type(normalizer).__name__, parameters)


def _normalizer_of(state: State, kind: Any) -> Any:
    learnt = state.table.learnt
    if issubclass(kind, Table):
        columns = {name: group.rule for name, (group, _) in learnt.columns().items()}
        normalizer = kind(None, columns, **state.table.settings(), profile=state.table.profile).with_learnt(learnt)
    else:
        (group,) = learnt.groups
        slots = [group.names.index(name) for name in learnt.types]
        parameters = dict(state.parameters)
        names = list(learnt.types) if parameters.pop("named") else None
        normalizer = kind(**parameters, **group.rule.params)
        normalizer.restore(group.summary.take(slots), names)
    normalizer.sources_ = state.sources
    return normalizer


def load(path: str | Path) -> Any:
    """Read a normalizer from a state file.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    The normalizer that was saved, of the same class.

    Raises
    ------
    StateError
        If there is no such file, or it is damaged, foreign or of another version.

    Examples
    --------
    >>> import tempfile, streamnorm as sn
    >>> scaler = sn.RobustScaler().fit([[1.0], [2.0], [9.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sn.save(scaler, folder + "/state.json")
    ...     sn.load(folder + "/state.json") == scaler
    True
    """
    from streamnorm.normalizers import estimators, table_normalizer

    document = _verified(_text_of(Path(path)), str(path))
    if document.get("class") in HOMES:
        try:
            return normalizer_of(document)
        except _UNREADABLE as error:
            raise StateError(f"{path} cannot be read: {error!r}; restore a copy or fit again.") from error
    state = _state_from(document, str(path))
    kinds = {name: getattr(home, name) for home in (estimators, table_normalizer) for name in home.__all__}
    kind = kinds.get(state.kind)
    if kind is None:
        raise StateError(f"{path} holds a {state.kind!r}, which this streamnorm does not know: update it.")
    try:
        return _normalizer_of(state, kind)
    except _UNREADABLE as error:
        raise StateError(f"{path} cannot be read: {error!r}; restore a copy or fit again.") from error
