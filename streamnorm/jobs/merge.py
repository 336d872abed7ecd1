"""The job of merging: states added up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add
from pathlib import Path

from streamnorm.errors import MergeError
from streamnorm.files import place_of, refuse_existing
from streamnorm.jobs.ledger import warn_of_copies
from streamnorm.states import State, holding, looked_at

__all__ = ["merge"]


def merge(states: Iterable[str | Path], output: str | Path, *, overwrite: bool = False) -> State:
    """Add states up: the same as fitting all their sources at once, bit for bit.

    Parameters
    ----------
    states : iterable of str or Path
        State files.
    output : str or Path
        The state file to write.
    overwrite : bool
        Whether it may replace one that exists.

    Returns
    -------
    State
        What was written.

    Raises
    ------
    StateError, MergeError, OutputError
        If a state cannot be read or added to the others, or the output may not be written.
    """
    if not overwrite:
        refuse_existing(place_of(output), "name another, or overwrite it (--overwrite)")
    with holding(output) as held:
        parts = [looked_at(path) for path in states]
        total = _of_rows(parts) if any(part.whole is not None for part in parts) else reduce(add, parts)
        warn_of_copies(total.sources)
        held.write(total)
    return total


def _of_rows(parts: list[State]) -> State:
    """Add up states of normalizers that map whole rows; raises MergeError where one of them is another."""
    kinds = sorted({part.kind for part in parts})
    if len(kinds) > 1:
        raise MergeError(f"cannot add {' and '.join(kinds)}: merge states of one class.")
    total = reduce(add, [part.whole for part in parts])
    total.positions_ = reduce(add, [part.positions for part in parts])
    return looked_at(total)
