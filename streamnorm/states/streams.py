"""A state that follows streams: statistics, and how far they go, replaced in one step."""

from __future__ import annotations

import copy
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamnorm.arrow import is_frame, no_rows, schema_of
from streamnorm.errors import DataError
from streamnorm.files import Target
from streamnorm.rules import canonical
from streamnorm.states.file import dumps, loaded, positions_of, text_of
from streamnorm.states.holding import Held, holding, name_held
from streamnorm.states.positions import Range
from streamnorm.tables import Learnt, Table

__all__ = ["Following", "following"]


class Following:
    """A state that is held by this process: what `following` gives.

    Batches may come from several threads.

    Parameters
    ----------
    held : Held
        The state file.
    normalizer : normalizer
        That of the state, or what it begins with.
    asked : Table, optional
        Whose columns and scalers must be those of the state.

    Attributes
    ----------
    normalizer : TableNormalizer, StandardScaler, ...
        What was learnt so far; not for learning, which `add` does.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, streamnorm as sn
    >>> def messages(start, end):
    ...     return pa.table({"x": [float(i) for i in range(start, end)]})
    >>> with tempfile.TemporaryDirectory() as folder, sn.following(folder + "/state.json") as state:
    ...     start = state.position("topic/0")
    ...     assert state.add(messages(start, start + 3), {"topic/0": (start, start + 3)})
    ...     assert not state.add(messages(0, 2), {"topic/0": (0, 2)})  # delivered again
    ...     state.transform(messages(0, 3))["x"].to_pylist(), state.save(every=10), state.positions
    ([-1.224744871391589, 0.0, 1.224744871391589], False, {'topic/0': ((0, 3),)})
    """

    def __init__(self, held: Held, normalizer: Any, asked: Table | None = None) -> None:
        self.normalizer = normalizer
        self._held, self._asked = held, asked
        self._positions = positions_of(normalizer)
        self._saved = copy.copy(normalizer) if held.exists else None
        self._changed = False
        self._since = time.monotonic()
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """What tells this state from others: its URI, or this machine's name and the path of the file without links."""
        path = self._held.path
        return f"{platform.node()}:{path.resolve()}" if isinstance(path, Path) else str(path)

    @property
    def positions(self) -> dict[str, tuple[Range, ...]]:
        """The ranges of positions that were counted of each stream."""
        return {name: position.ranges for name, position in self._positions.streams.items()}

    def position(self, name: str, default: int = 0) -> int:
        """Give the position to go on from in a stream: the first that was not counted, after those that were.

        Parameters
        ----------
        name : str
            Of the stream.
        default : int, default=0
            Where nothing was counted of it.
        """
        found = self._positions.of(name).next
        return default if found is None else found

    def mark(self, name: str, default: Any = None) -> Any:
        """Give what `add` was told that the source needs to go on at `position`; else the default."""
        found = self._positions.of(name).mark
        return default if found is None else found

    def uncounted(self, name: str, start: int, end: int) -> list[Range]:
        """Give what was not counted of a range, piece by piece where ranges of several states were merged.

        Parameters
        ----------
        name : str
            Of the stream.
        start, end : int
            The first position of the range, and the first behind it.
        """
        return list(self._positions.of(name).pieces(start, end))

    def add(
        self,
        X: Any,
        ranges: Mapping[str, Range],
        *,
        apart: Mapping[str, Mapping[str, int]] | None = None,
        marks: Mapping[str, Any] | None = None,
        gaps: bool = False,
    ) -> bool:
        """Learn from a batch, unless it was counted before.

        Parameters
        ----------
        X : what `partial_fit` takes, or None where nothing is to be learnt
            A fitted `TableNormalizer`, of what a cluster has learnt of the batch, is added to that of the state.
        ranges : mapping of str to (int, int)
            The positions in each stream that the batch stands for, from the first to below the second.
        apart : mapping of str to mapping of str to int, optional
            How many messages of each stream were passed over, by what they are ("tombstone"); `streamnorm show` tells.
        marks : mapping of str to object, optional
            What each source needs to go on behind its range, as JSON holds it; `mark` gives it.
        gaps : bool, default=False
            Whether ranges may begin behind gaps, where other states count what lies between.

        Returns
        -------
        bool
            True when it was counted; False when all of its ranges were counted before, and nothing changed.

        Raises
        ------
        DataError
            If a range was counted in part, or does not begin where one that was counted ends, or the batch cannot be
            learnt from. Nothing changed then.
        """
        with self._lock:
            positions = self._positions.counting(ranges, apart, marks, gaps=gaps)
            if positions is None:
                return False
            if isinstance(X, Table):
                self.normalizer = self.normalizer + X if self.normalizer.__sklearn_is_fitted__() else X
            elif X is not None:
                self.check(X)
                self.normalizer.partial_fit(X)
            self._positions = positions
            self._changed = True
            return True

    def check(self, X: Any) -> None:
        """Raise DataError where the state has other columns or scalers than what was asked for has in a batch."""
        if self._asked is not None:
            first = X[0] if isinstance(X, (list, tuple)) and X else X
            schema = schema_of(first) if is_frame(first) else getattr(first, "schema", None)
            if isinstance(schema, pa.Schema):
                _check_columns(self._asked, self.normalizer.learnt, schema, self._held.path)
                self._asked = None

    def transform(self, X: Any, *, saved: bool = False) -> Any:
        """Normalise a batch.

        Parameters
        ----------
        X : what the normalizer's `transform` takes
        saved : bool, default=False
            Whether by the statistics as they were when the state was saved last, so that what is delivered again after
            a crash becomes the same; else as they are now.

        Raises
        ------
        DataError
            If nothing was learnt, or saved, yet, or the batch does not fit.
        """
        normalizer = self._saved if saved else self.normalizer
        if normalizer is None:
            raise DataError(f"{self._held.path} was not saved yet: save it, or use the statistics as they are now.")
        return normalizer.transform(X)

    def save(self, *, every: float = 0.0) -> bool:
        """Replace the state file: statistics and positions in one step.

        Parameters
        ----------
        every : float, default=0
            Seconds that must have passed since it was saved last, or opened.

        Returns
        -------
        bool
            Whether it was written; not so before its time, and where nothing was learnt since.

        Raises
        ------
        StateError, OutputError
            If another process wrote a state there meanwhile, or it cannot be written; what is there stays.
        """
        with self._lock:
            if not self.is_due(every):
                return False
            self.normalizer.positions_ = self._positions
            self._held.write_text(dumps(self.normalizer))
            self._saved = copy.copy(self.normalizer)
            self._changed = False
            self._since = time.monotonic()
            return True

    def is_due(self, every: float = 0.0) -> bool:
        """Tell whether `save` would write: outputs that are to be there before are to be flushed then."""
        in_time = time.monotonic() - self._since >= every
        return bool(self._changed and in_time and self.normalizer.__sklearn_is_fitted__())


@contextmanager
def following(path: str | Path, normalizer: Any = None) -> Iterator[Following]:
    """Hold a state that learns from streams, each message once, whatever is delivered again.

    The state remembers the positions that it has counted. It is saved when the block ends well; after an error what
    was saved last stays, and what came later is to be delivered again.

    Parameters
    ----------
    path : str or Path
        The state file; it need not be there.
    normalizer : TableNormalizer, StandardScaler, ..., optional
        What the state begins with, by default ``TableNormalizer()``; it is not changed itself. A state that is there
        must be of the same class, columns and parameters; without, it goes on with its own.

    Yields
    ------
    Following
        `position`, `add`, `transform` and `save`.

    Raises
    ------
    StateError
        If another process holds the state, or it cannot be read.
    DataError
        If the state was fitted otherwise than is asked for now.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, streamnorm as sn
    >>> batch = pa.table({"x": [1.0, 3.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for _ in range(2):  # the second time, what was counted is delivered again
    ...         with sn.following(folder + "/state.json") as state:
    ...             print(state.position("topic/0"), state.add(batch, {"topic/0": (0, 2)}))
    ...     sn.load(folder + "/state.json") == sn.TableNormalizer().fit(batch)
    0 True
    2 False
    True
    """
    with name_held(path), holding(path) as held:
        if held.exists:
            known = loaded(
                text_of(held.path), str(held.path), Table if type(normalizer) in (type(None), Table) else None
            )
            _check_no_table(known, held.path)
            state = Following(held, known, _asked(normalizer, known, held.path))
        else:
            state = Following(held, Table() if normalizer is None else copy.deepcopy(normalizer))
        yield state
        state.save()


def _check_no_table(known: Any, path: Target) -> None:
    """Raise DataError where a state follows a table, which says what it has counted."""
    table = next((source.location for source in getattr(known, "sources_", ()) if source.table is not None), None)
    if table is not None:
        raise DataError(f"{path} follows the table {table}, and counts nothing else: begin another state.")


def _asked(given: Any, known: Any, path: Target) -> Table | None:
    """Compare what is asked for with what a state holds, as far as that can be before a batch is seen.

    Parameters
    ----------
    given : normalizer or None
    known : normalizer
        That of the state.
    path : Path or Remote
        The state file.

    Returns
    -------
    Table or None
        What is to be compared with the schema of a batch.
    """
    if given is None:
        return None
    if isinstance(given, Table) and isinstance(known, Table):
        if given.settings() != known.settings():
            raise _other(path)
        return given
    if type(given) is not type(known) or _parameters(given) != _parameters(known):
        raise _other(path)
    return None


def _parameters(normalizer: Any) -> str:
    params = normalizer.get_params(deep=False)
    return repr(sorted((name, canonical(value, default=0)) for name, value in params.items()))


def _other(path: Target) -> DataError:
    return DataError(
        f"{path} was fitted with another class, other columns, scalers or settings than those asked for now: ask for "
        "none to go on with its own, or name another state."
    )


def _check_columns(asked: Table, learnt: Learnt, schema: pa.Schema, path: Target) -> None:
    """Raise DataError where a normalizer would choose other columns or scalers than a state has.

    Parameters
    ----------
    asked : Table
    learnt : Learnt
        Of the state.
    schema : pyarrow.Schema
        Of a batch.
    path : Path or Remote
        The state file.
    """
    nulls = {item.name for item in schema if pa.types.is_null(item.type)}
    chosen = asked.summarise(no_rows(schema))
    mine, theirs = _kinds(chosen), _kinds(learnt)
    differ = any(mine.get(name) != kind for name, kind in theirs.items() if name in schema.names and name not in nulls)
    if differ or chosen.dropped != learnt.dropped:
        raise _other(path)


def _kinds(learnt: Learnt) -> dict[str, Any]:
    """Give what is equal, by column, where columns are learnt from alike."""
    return {name: (g.rule.key, g.vector and g.vector.whole) for name, (g, _) in learnt.columns().items()}
