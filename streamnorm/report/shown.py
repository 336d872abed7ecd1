"""States as they are looked at: a table, a comparison, a page."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamnorm.errors import OutputError
from streamnorm.files import place_of, refuse_existing, replacing
from streamnorm.report.drift import Drift, drifts_of
from streamnorm.report.figures import to_json
from streamnorm.report.keys import of_key
from streamnorm.report.page import fragment, page
from streamnorm.report.text import show_table
from streamnorm.states import State, looked_at

__all__ = ["Shown", "diff", "show", "write"]


@dataclass(frozen=True, repr=False)
class Shown:
    """A state, shown as text, in a notebook or as JSON."""

    state: State

    def __repr__(self) -> str:
        return show_table(self.state, shutil.get_terminal_size().columns)

    def _repr_html_(self) -> str:
        return fragment(self.state)

    def to_json(self) -> str:
        """Give everything as JSON, as ``streamnorm show --json`` does; what does not exist is null."""
        return to_json(self.state)


def _words(key: Any) -> tuple[str, ...]:
    """Give a key as the command is told it: a word for each column, and none where no key was named."""
    parts = key if isinstance(key, (tuple, list)) else () if key is None else (key,)
    return tuple("null" if part is None else str(part) for part in parts)


def _as_state(given: Any, key: Any = ()) -> State:
    if not isinstance(given, State):
        given = looked_at(given)
    return of_key(given, words) if (words := _words(key)) else given


def show(given: Any, *, key: Any = ()) -> Shown:
    """Show what a normalizer has learnt.

    Parameters
    ----------
    given : normalizer, str or Path
        Fitted, or its state file.
    key : str, int, datetime.date or tuple of these, optional
        Of statistics per key, the one to show, a tuple of one for each column of `by`; those of all rows without.

    Returns
    -------
    Shown
        A table as text and in notebooks; ``to_json`` has every number.

    Examples
    --------
    >>> import pyarrow as pa, streamnorm as sn
    >>> sn.report.show(sn.TableNormalizer("minmax").fit(pa.table({"x": [1, 2, 5, None]})))  # doctest: +ELLIPSIS
    column  type   scaler  rows  missing %  min  max
    x       int64  minmax     4         25    1    5
    <BLANKLINE>
    no file on record; digest ...
    """
    return Shown(_as_state(given, key))


def diff(before: Any, after: Any, *, key: Any = ()) -> list[Drift]:
    """Compare two normalizers column by column, the worst drift first.

    Parameters
    ----------
    before, after : normalizer, str or Path
        Fitted, or their state files.
    key : str, int, datetime.date or tuple of these, optional
        Of statistics per key, the one to compare; those of all rows without.

    Returns
    -------
    list of Drift
        With `psi`, `verdict`, `shift` and `ratio`; `streamnorm.report.drift` defines them.

    Examples
    --------
    >>> import pyarrow as pa, streamnorm as sn
    >>> before, after = (pa.table({"x": range(start, start + 1000)}) for start in (0, 500))
    >>> (drift,) = sn.report.diff(*(sn.TableNormalizer(profile=True).fit(table) for table in (before, after)))
    >>> drift.verdict, round(drift.shift, 2)
    ('major', 1.73)
    """
    return drifts_of(_as_state(before, key), _as_state(after, key))


def write(before: Any, after: Any = None, *, output: str | Path, overwrite: bool = False, key: Any = ()) -> None:
    """Write a report of one normalizer, or of the drift between two, as one HTML file that needs nothing else.

    Parameters
    ----------
    before : normalizer, str or Path
        Fitted, or its state file.
    after : normalizer, str or Path, optional
        Compared with the first.
    output : str or Path
        The file to write.
    overwrite : bool, default=False
        Whether it may replace one that exists.
    key : str, int, datetime.date or tuple of these, optional
        Of statistics per key, the one to show, a tuple of one for each column of `by`; those of all rows without.

    Raises
    ------
    StateError
        If a state cannot be read.
    OutputError
        If the file exists and may not be replaced, is one of the states, or cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile, pyarrow as pa, streamnorm as sn
    >>> normalizer = sn.TableNormalizer(profile=True).fit(pa.table({"x": [1.0, 2.0, 4.0]}))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sn.report.write(normalizer, output=folder + "/report.html")
    ...     pathlib.Path(folder, "report.html").read_text().startswith("<!doctype html>")
    True
    """
    path = place_of(output)
    inputs = [place_of(given) for given in (before, after) if isinstance(given, (str, Path))]
    if path.resolve() in {other.resolve() for other in inputs}:
        raise OutputError(f"{path} is a state: choose another name for the report.")
    if not overwrite:
        refuse_existing(path, "choose another name, or overwrite it (--overwrite)")
    states = [_as_state(given) for given in (before, after) if given is not None]
    names = [str(place_of(g)) if isinstance(g, (str, Path)) else n for g, n in ((before, "before"), (after, "after"))]
    text = page(states[0], states[1] if len(states) > 1 else None, (names[0], names[1]), _words(key))
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
