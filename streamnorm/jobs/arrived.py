"""The job of copying what has arrived: outputs that are not there yet, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamnorm.files import place_of
from streamnorm.formats import Source
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.journal import journal_of
from streamnorm.jobs.outputs import outputs_of
from streamnorm.jobs.transform import write_outputs
from streamnorm.tables import Table

__all__ = ["copy_missing"]


def copy_missing(
    table: Table, found: Sequence[Source], given: str | Path, output: str | Path, effort: Effort | None = None
) -> int:
    """Write the normalised copies that are not there; those that are stay, by whatever statistics they were made.

    Parameters
    ----------
    table : Table
        Fitted.
    found : sequence of Source
    given : str or Path
        What the sources were found by.
    output : str or Path
        The folder of the copies.
    effort : Effort, optional

    Returns
    -------
    int
        How many were written.
    """
    pairs = outputs_of(found, [given], output, overwrite=True)
    missing = [(source, target) for source, target in pairs if not target.exists()]
    if missing:
        write_outputs(table, journal_of(place_of(output), missing), effort=effort)
    return len(missing)
