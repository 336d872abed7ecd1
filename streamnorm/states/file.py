"""State files: written in one step, read with every doubt, and the normalizers that they hold."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamnorm.errors import StateError
from streamnorm.files import Target, place_of, replace
from streamnorm.rules import canonical
from streamnorm.states.document import (
    from_json,
    positions_from,
    reading,
    record_in,
    signed,
    state_from,
    to_json,
    unaddable,
    verified,
)
from streamnorm.states.ordered import HOMES, document_of, normalizer_of
from streamnorm.states.positions import Positions
from streamnorm.states.state import Counted, State
from streamnorm.tables import Group, Learnt, Table

__all__ = ["dumps", "load", "loads", "read", "record_of", "save", "state_of", "write"]

#: A million columns or keys fit; what is larger was not written by this package.
_LARGEST = 1 << 33
#: First bytes, which tell that a file is none before all of it is read.
_LOOKED_AT = 1 << 12


def read(path: str | Target) -> State:
    """Read a state file; raises StateError where there is none that can be trusted."""
    place = place_of(path)
    return from_json(text_of(place), str(place))


def record_of(state: str | Target) -> tuple[Counted, ...]:
    """Give the record of a state; nothing where there is none that can be read, which whoever uses it will say."""
    try:
        return record_in(text_of(place_of(state)))
    except StateError:
        return ()


def text_of(path: Target) -> str:
    """Read the text of a state file; raises StateError where there is none."""
    try:
        if path.stat().st_size > _LARGEST:
            raise StateError(f"{path} is no state file: it has {path.stat().st_size} bytes; name another.")
        with path.open("rb") as file:
            if not file.read(_LOOKED_AT).lstrip().startswith(b"{"):
                raise StateError(f"{path} is no state file: it is not JSON; name a file written by fit.")
            file.seek(0)
            return bytes(file.read()).decode()
    except FileNotFoundError:
        raise StateError(f"there is no state {path}: fit one with 'streamnorm fit SRC --state {path}'.") from None
    except UnicodeDecodeError:
        raise StateError(f"{path} is no state file: it is not text; name a file written by fit.") from None
    except OSError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise StateError(f"{path} cannot be read: {reason}; name a file written by fit.") from None


def write(state: State, path: str | Target) -> None:
    """Write a state file in one step: the old one stays until the new one is complete."""
    write_text(to_json(state), path)


def write_text(text: str, path: str | Target) -> None:
    """Write the text of a state file in one step."""
    replace(place_of(path), text)


def save(normalizer: Any, path: str | Path) -> None:
    """Write a fitted normalizer to a state file.

    Parameters
    ----------
    normalizer : TableNormalizer, StandardScaler, ...
        Fitted. A scaler without column names gets ``x0``, ``x1``, ...
    path : str or Path
        Or a URI of an object store, such as ``s3://bucket/state.json``.

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
    write_text(dumps(normalizer), path)


def dumps(normalizer: Any) -> str:
    """Give what `save` would write, for those who keep states elsewhere than in files.

    Parameters
    ----------
    normalizer : TableNormalizer, StandardScaler, ...
        Fitted.

    Returns
    -------
    str
        ASCII.

    Examples
    --------
    >>> import streamnorm as sn
    >>> a = sn.StandardScaler().fit([[1.0], [2.0]])
    >>> sn.loads(sn.dumps(a)) == a
    True
    """
    _check_class(type(normalizer))
    if type(normalizer).__name__ in HOMES:
        return signed(document_of(normalizer), positions_of(normalizer))
    return to_json(state_of(normalizer))


def positions_of(normalizer: Any) -> Positions:
    """Give how far streams were counted in a normalizer."""
    return getattr(normalizer, "positions_", Positions())


def _check_class(kind: type) -> None:
    """Raise StateError for a class of the user's, which a state could not be read as."""
    parents = [base for base in kind.__mro__ if base.__module__.startswith("streamnorm.")]
    if parents and parents[0] is not kind:
        raise StateError(
            f"a state names classes of streamnorm alone, and {kind.__name__} is one of your own: keep it by pickle, or "
            f"fit a {parents[0].__name__}."
        )


def state_of(normalizer: Any) -> State:
    """Describe a fitted normalizer as a state; a path is that of one."""
    if isinstance(normalizer, (str, Path)):
        return read(normalizer)
    sources, positions = tuple(getattr(normalizer, "sources_", ())), positions_of(normalizer)
    if isinstance(normalizer, Table):
        return State(normalizer, sources, positions=positions)
    if type(normalizer).__name__ in HOMES:
        raise unaddable("this is a", type(normalizer).__name__)
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
    return State(table, sources, type(normalizer).__name__, parameters, positions)


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
        if "dtype" in kind._get_param_names():  # it stands where a table's does
            parameters["dtype"] = state.table.settings()["dtype"]
        normalizer = kind(**parameters, **group.rule.params)
        normalizer.restore(group.summary.take(slots), names)
    normalizer.sources_, normalizer.positions_ = state.sources, state.positions
    return normalizer


def load(path: str | Path) -> Any:
    """Read a normalizer from a state file.

    Parameters
    ----------
    path : str or Path
        Or a URI of an object store, such as ``s3://bucket/state.json``.

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
    place = place_of(path)
    return loaded(text_of(place), str(place))


def loads(data: str | bytes) -> Any:
    """Read a normalizer from what `dumps` gave, or from the bytes of a state file.

    Parameters
    ----------
    data : str or bytes

    Returns
    -------
    The normalizer, of the class that it was.

    Raises
    ------
    StateError
        If it is no state, or damaged, foreign or of another version.

    Examples
    --------
    >>> import streamnorm as sn
    >>> a = sn.RobustScaler().fit([[1.0], [2.0], [9.0]])
    >>> sn.loads(sn.dumps(a).encode()) == a
    True
    """
    try:
        text = data if isinstance(data, str) else bytes(data).decode()
    except UnicodeDecodeError:
        raise StateError(
            "this is no state: it is not text; give what dumps gave, or the bytes of a state file."
        ) from None
    return loaded(text, "what was given")


def loaded(text: str, name: str, table: Any = None) -> Any:
    """Make a normalizer of the text of a state.

    Parameters
    ----------
    text : str
    name : str
        What messages call it.
    table : type of Table, optional
        What a TableNormalizer becomes; `Table` needs no scikit-learn.
    """
    document = verified(text, name)
    if document.get("class") in HOMES:
        with reading(name):
            normalizer = normalizer_of(document)
            normalizer.positions_ = positions_from(document)
            return normalizer
    state = state_from(document, name)
    kind = table if state.kind == "TableNormalizer" else None
    with reading(name):
        return _normalizer_of(state, kind or _named(state.kind, name))


def _named(kind: str, name: str) -> Any:
    from streamnorm.normalizers.named import named

    found = named(kind)
    if found is None:
        raise StateError(f"{name} holds a {kind!r}, which this streamnorm does not know: update it.")
    return found
