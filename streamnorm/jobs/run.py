"""The job of a run: learn from files, then write their normalised copies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from streamnorm.errors import OutputError
from streamnorm.files import place_of, refuse_existing
from streamnorm.formats import Source
from streamnorm.jobs.effort import Effort, Progress
from streamnorm.jobs.journal import journal_of
from streamnorm.jobs.outputs import check_state_path, outputs_of
from streamnorm.jobs.reading import fit_state
from streamnorm.jobs.transform import write_outputs
from streamnorm.states import Held, State, holding
from streamnorm.tables import Table

__all__ = ["run"]

#: Called with the sources of one pass over them; surrounds the pass, and gives who is told how far it is.
Watch = Callable[[Iterable[Source]], AbstractContextManager[Progress | None]]


def run(
    found: Sequence[Source],
    given: Any,
    output: str | Path,
    table: Table,
    *,
    state: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    threads: int | None = None,
    watch: Watch | None = None,
) -> State:
    """Fit a table normalizer to sources, and write their normalised copies.

    The state is written when all copies are there; until then a stopped run can be gone on with.

    Parameters
    ----------
    found : sequence of Source
    given : str, Path or sequence of these
        What the sources were found by, which decides where their copies go.
    output : str or Path
        A file for one file, else a folder that gets the layout of the input.
    table : Table
        Chooses columns and scalers.
    state : str or Path, optional
        Where to write the state file.
    overwrite : bool
        Whether outputs and a state that exist may be replaced.
    resume : bool
        Whether to go on from where an earlier run was stopped.
    threads : int, optional
        By default one for each processor.
    watch : callable, optional
        Surrounds each of the two passes.

    Returns
    -------
    State
        What was learnt.

    Raises
    ------
    SourceError, DataError, StateError, OutputError
        If a file cannot be read or changes, a column does not fit, or an output or the state may not be written.
    """
    if state and not (overwrite or resume):
        refuse_existing(place_of(state), "name another, or overwrite it (--overwrite)")
    watch = watch or (lambda sources: nullcontext())
    journal = journal_of(place_of(output), outputs_of(found, given, output, overwrite or resume))
    with ExitStack() as stack:
        held = None
        if state:
            check_state_path(state, [*(pair[0].path for pair in journal.pairs), *(path for _, path in journal.pairs)])
            held = stack.enter_context(holding(state))
        with watch(found) as progress:
            result = fit_state(found, table, effort=Effort(threads, progress), record=state is not None, strict=True)
        if held:
            _check_same(held, result, output, overwrite)
        with watch([source for source, _ in journal.pairs]) as progress:
            write_outputs(
                result.table, journal, overwrite=overwrite, resume=resume, effort=Effort(threads, progress),
                last=partial(held.write, result) if held else None,
            )  # fmt: skip
    return result


def _check_same(held: Held, result: State, output: str | Path, overwrite: bool) -> None:
    """Raise OutputError where the state of a stopped run is not what this one has learnt.

    Parameters
    ----------
    held : Held
        The state file.
    result : State
        What this run has learnt.
    output : str or Path
        As the user named it.
    overwrite : bool
    """
    if held.exists and not overwrite and held.read() != result:
        raise OutputError(f"{held.path} exists and is not what {output} was begun with: overwrite it (--overwrite).")
