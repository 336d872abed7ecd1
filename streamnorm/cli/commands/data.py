"""The commands over data files: init, fit, transform, run."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamnorm.cli.messages import counted, say
from streamnorm.cli.options import (
    CHOICE_NAMES,
    CHOICES,
    COMMON,
    CSV,
    OUTPUT,
    SOURCES,
    STATE,
    asked,
    sources_of,
    table_of,
)
from streamnorm.cli.progress import progress_of
from streamnorm.cli.stdout import piped
from streamnorm.errors import OutputError

if TYPE_CHECKING:
    from streamnorm.jobs import Journal
    from streamnorm.tables import Table


__all__ = ["fit", "init", "run", "transform"]


@click.command()
@SOURCES
@click.option("--state", required=True, metavar="STATE", help="The state file to write.")
@click.option("--update", is_flag=True, help="Add to the state what it has not counted yet.")
@click.option("--rebuild", is_flag=True, help="Count all of SRC again, with the columns and scalers of the state.")
@click.option("--keep-parts", is_flag=True, help="Keep what each file gave, to forget it without its old bytes.")
@click.option("--overwrite", is_flag=True, help="Replace a state that exists.")
@CHOICES
@CSV
@COMMON
def fit(sources: tuple[str, ...], state: str, update: bool, rebuild: bool, keep_parts: bool, overwrite: bool,
        threads: int | None, quiet: bool, **words: Any) -> None:  # fmt: skip
    """Learn the statistics of SRC and write them to STATE.

    Memory grows neither with the rows nor with the columns: of wide Parquet row groups a few columns are read at a
    time.
    """
    from streamnorm.jobs import count, record_of

    if update + rebuild + overwrite > 1:
        raise click.UsageError("only one of --update, --rebuild and --overwrite can be meant.")
    if Path(state).exists() and not (update or rebuild or overwrite):
        raise OutputError(f"{state} exists: add to it (--update), replace it (--overwrite), or name another.")
    known = () if overwrite else record_of(state)
    found, table = sources_of(sources, words, known), table_of(words)
    with progress_of(found, quiet) as progress:
        result = count(Path(state), sources, found, table, asked=asked(CHOICE_NAMES), update=update, rebuild=rebuild,
                       keep_parts=keep_parts, threads=threads, progress=progress)  # fmt: skip
    if not quiet:
        before = {source.location for source in known}
        new = [source for source in result.sources if source.location not in before]
        added = f"{counted(len(new), 'new source')}, {counted(sum(s.rows for s in new), 'row')}; in all "
        say(f"{state}: {added if update and known else ''}{counted(len(result.table.learnt.types), 'column')}, "
             f"{counted(len(result.sources), 'source')}, {sum(s.rows for s in result.sources):,} rows")  # fmt: skip


@click.command()
@STATE
@SOURCES
@OUTPUT
@click.option("--inverse", is_flag=True, help="Undo the normalisation.")
@CSV
@COMMON
def transform(state: str, sources: tuple[str, ...], output: str, overwrite: bool, resume: bool, inverse: bool,
              threads: int | None, quiet: bool, **words: Any) -> None:  # fmt: skip
    """Write normalised copies of SRC to DST, by the statistics in STATE.

    Memory grows neither with the rows nor with the columns: those of wide Parquet row groups wait in a temporary file
    (in TMPDIR), as large as a row group for each thread.
    """
    from streamnorm.jobs import Journal, outputs_of
    from streamnorm.states import read

    known = read(state)
    found = sources_of(sources, words, known.sources)
    with piped(output, found, resume) as target:
        journal = Journal(Path(target), outputs_of(found, sources, target, overwrite or resume))
        _write(known.table, journal, output, quiet, inverse=inverse, threads=threads, overwrite=overwrite,
               resume=resume)  # fmt: skip


@click.command()
@SOURCES
@OUTPUT
@click.option("--state", metavar="STATE", help="Also write the state file.")
@CHOICES
@CSV
@COMMON
def run(sources: tuple[str, ...], output: str, overwrite: bool, resume: bool, state: str | None, threads: int | None,
        quiet: bool, **words: Any) -> None:  # fmt: skip
    """Learn from SRC, then write normalised copies to DST.

    Memory grows neither with the rows nor with the columns: those of wide Parquet row groups wait in a temporary file
    (in TMPDIR), as large as a row group for each thread.
    """
    from streamnorm.jobs import Journal, check_state_path, fit_state, outputs_of
    from streamnorm.states import holding

    if state and Path(state).exists() and not (overwrite or resume):
        raise OutputError(f"{state} exists: name another, or overwrite it (--overwrite).")
    found = sources_of(sources, words)
    with piped(output, found, resume) as target, ExitStack() as stack:
        journal = Journal(Path(target), outputs_of(found, sources, target, overwrite or resume))
        if state:
            check_state_path(state, [*(pair[0].path for pair in journal.pairs), *(path for _, path in journal.pairs)])
        held = stack.enter_context(holding(state)) if state else None
        with progress_of(found, quiet) as progress:
            result = fit_state(found, table_of(words), threads=threads, progress=progress, record=state is not None)
        if held and held.exists and not overwrite and held.read() != result:
            raise OutputError(f"{state} exists and is not what {output} was begun with: overwrite it (--overwrite).")
        last = partial(held.write, result) if held else None
        _write(result.table, journal, output, quiet, threads=threads, overwrite=overwrite, resume=resume, last=last)


def _write(table: Table, journal: Journal, output: str, quiet: bool, **choices: Any) -> None:
    from streamnorm.jobs import write_outputs

    with progress_of([source for source, _ in journal.pairs], quiet) as progress:
        write_outputs(table, journal, progress=progress, **choices)
    if not quiet:
        say(f"{output}: {counted(len(journal.pairs), 'file')}, {counted(len(table.learnt.types), 'column')} normalised")


@click.command()
@SOURCES
@CSV
@COMMON
def init(sources: tuple[str, ...], threads: int | None, quiet: bool, **words: Any) -> None:
    """Look at SRC and print a recipe to edit, for --recipe: what would become of each column, and why."""
    from streamnorm.jobs import recipe_for

    found = sources_of(sources, words)
    with progress_of(found, quiet) as progress:
        click.echo(recipe_for(found, threads=threads, progress=progress), nl=False)
