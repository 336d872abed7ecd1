"""State files: written in one step, read with every doubt, and the normalizers that they hold."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamnorm.errors import StateError
from streamnorm.files import replacing, sweep
from streamnorm.rules import canonical
from streamnorm.states.document import from_json, reading, signed, state_from, to_json, unaddable, verified
from streamnorm.states.ordered import HOMES, document_of, normalizer_of
from streamnorm.states.state import State
from streamnorm.tables import Group, Learnt, Table

__all__ = ["load", "save"]

#: A million columns or keys fit; what is larger was not written by this package.
_LARGEST = 1 << 33
#: First bytes, which tell that a file is none before all of it is read.
_LOOKED_AT = 64


def read(path: str | Path) -> State:
    """Read a state file; raises StateError where there is none that can be trusted."""
    return from_json(_text_of(Path(path)), str(path))


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise StateError(f"{path} is no state file: it has {path.stat().st_size} bytes; name another.")
        with path.open("rb") as file:
            if not file.read(_LOOKED_AT).lstrip().startswith(b"{"):
                raise StateError(f"{path} is no state file: it is not JSON; name a file written by fit.")
            file.seek(0)
            return file.read().decode()
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
    sweep([Path(os.path.realpath(path)).parent])
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
        _write_text(signed(document_of(normalizer)), path)
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
        raise unaddable(f"this is a {type(normalizer).__name__}")
    given = normalizer.summary_by_name()
    order = sorted(range(len(given.names)), key=given.names.__getitem__)
    names = tuple(given.names[i] for i in order)
    group = Group(given.rule, names, given.summary.take(order))
    types = MappingProxyType(dict.fromkeys(given.names, "double"))
    table = Table(None).with_learnt(Learnt((group,), types))
    extra = {
        k: canonical(v, default=0) for k, v in normalizer.get_params(deep=False).items() if k not in given.rule.params
    }
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
    from streamnorm.normalizers.named import named

    document = verified(_text_of(Path(path)), str(path))
    if document.get("class") in HOMES:
        with reading(str(path)):
            return normalizer_of(document)
    state = state_from(document, str(path))
    kind = named(state.kind)
    if kind is None:
        raise StateError(f"{path} holds a {state.kind!r}, which this streamnorm does not know: update it.")
    with reading(str(path)):
        return _normalizer_of(state, kind)
