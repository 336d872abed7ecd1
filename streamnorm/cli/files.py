"""The commands over data files: fit, transform, run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamnorm.cli.options import (
    CHOICE_NAMES,
    CHOICES,
    COMMON,
    CSV,
    OUTPUT,
    SOURCES,
    STATE,
    asked,
    counted,
    progress_of,
    say,
    sources_of,
    table_of,
)
from streamnorm.errors import OutputError

if TYPE_CHECKING:
    from streamnorm.normalizers.table import Table
    from streamnorm.sources import Source

__all__ = ["fit", "run", "transform"]


@click.command()
@SOURCES
@click.option("--state", required=True, metavar="STATE", help="The state file to write.")
@click.option("--update", is_flag=True, help="Add to the state what it has not counted yet.")
@click.option("--overwrite", is_flag=True, help="Replace a state that exists.")
@CHOICES
@CSV
@COMMON
def fit(sources: tuple[str, ...], state: str, update: bool, overwrite: bool, threads: int | None, quiet: bool,
        **words: Any) -> None:  # fmt: skip
    """Learn the statistics of SRC and write them to STATE."""
    from streamnorm import state as states
    from streamnorm.jobs import check_choices, fit_state
    from streamnorm.outputs import check_state_path

    exists = Path(state).exists()
    if exists and not (update or overwrite):
        raise OutputError(f"{state} exists: add to it (--update), replace it (--overwrite), or name another.")
    found, table = sources_of(sources, words), table_of(words)
    check_state_path(state, [source.path for source in found])
    known = states.read(state) if update and exists else None
    if known and asked(CHOICE_NAMES):
        check_choices(known, table, found[0])
    with progress_of(found, quiet) as progress:
        result = fit_state(found, table, known=known, threads=threads, progress=progress)
    states.write(result, state)
    if not quiet:
        say(f"{state}: {counted(len(result.table.learnt.types), 'column')}, "
             f"{counted(len(result.sources), 'source')}, {sum(s.rows for s in result.sources):,} rows")  # fmt: skip


@click.command()
@STATE
@SOURCES
@OUTPUT
@click.option("--inverse", is_flag=True, help="Undo the normalisation.")
@CSV
@COMMON
def transform(state: str, sources: tuple[str, ...], output: str, overwrite: bool, inverse: bool,
              threads: int | None, quiet: bool, **words: Any) -> None:  # fmt: skip
    """Write normalised copies of SRC to DST, by the statistics in STATE."""
    from streamnorm import state as states

    _map(states.read(state).table, sources, output, overwrite, inverse, threads, quiet, sources_of(sources, words))


@click.command()
@SOURCES
@OUTPUT
@click.option("--state", metavar="STATE", help="Also write the state file.")
@CHOICES
@CSV
@COMMON
def run(sources: tuple[str, ...], output: str, overwrite: bool, state: str | None, threads: int | None, quiet: bool,
        **words: Any) -> None:  # fmt: skip
    """Learn from SRC, then write normalised copies to DST."""
    from streamnorm import state as states
    from streamnorm.jobs import fit_state
    from streamnorm.outputs import check_state_path, outputs_of

    if state and Path(state).exists() and not overwrite:
        raise OutputError(f"{state} exists: name another, or overwrite it (--overwrite).")
    found = sources_of(sources, words)
    pairs = outputs_of(found, sources, output, overwrite)
    if state:
        check_state_path(state, [path for source, target in pairs for path in (source.path, target)])
    with progress_of(found, quiet) as progress:
        result = fit_state(found, table_of(words), threads=threads, progress=progress, record=state is not None)
    _map(result.table, sources, output, overwrite, False, threads, quiet, found)
    if state:
        states.write(result, state)


def _map(table: Table, sources: tuple[str, ...], output: str, overwrite: bool, inverse: bool, threads: int | None,
         quiet: bool, found: list[Source]) -> None:  # fmt: skip
    from streamnorm.jobs import check_inputs, map_files
    from streamnorm.outputs import outputs_of

    pairs = outputs_of(found, sources, output, overwrite)
    for source in found:
        check_inputs(table, source, inverse)
    with progress_of(found, quiet) as progress:
        map_files(table, pairs, inverse=inverse, threads=threads, progress=progress)
    if not quiet:
        say(f"{output}: {counted(len(pairs), 'file')}, {counted(len(table.learnt.types), 'column')} normalised")
