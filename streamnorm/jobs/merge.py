"""The job of merging: states added up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add
from pathlib import Path

from streamnorm.files import place_of, refuse_existing
from streamnorm.jobs.ledger import warn_of_copies
from streamnorm.states import State, holding, read

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
        total = reduce(add, [read(path) for path in states])
        warn_of_copies(total.sources)
        held.write(total)
    return total
