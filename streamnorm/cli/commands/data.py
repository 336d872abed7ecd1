"""The commands over data files: init, fit, transform, run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from streamnorm.cli.messages import say
from streamnorm.cli.options import (
    CHOICE_NAMES,
    CHOICES,
    COMMON,
    CSV,
    OUTPUT,
    SOURCES,
    STATE,
    VERSION_OF_TABLE,
    asked,
    sources_of,
    table_named,
    table_of,
)
from streamnorm.cli.progress import progress_of
from streamnorm.cli.stdout import piped
from streamnorm.errors import amount

if TYPE_CHECKING:
    from streamnorm import jobs
    from streamnorm.inputs import ChangingTable
    from streamnorm.states import State

__all__ = ["fit", "init", "run", "transform"]


@click.command()
@SOURCES
@click.option("--state", required=True, metavar="STATE", help="The state file to write.")
@click.option("--update", is_flag=True, help="Add to the state what it has not counted yet.")
@click.option("--rebuild", is_flag=True, help="Count all of SRC again, with the columns and scalers of the state.")
@click.option("--keep-parts", is_flag=True, help="Keep what each file gave, to forget it without its old bytes.")
@click.option("--overwrite", is_flag=True, help="Replace a state that exists.")
@VERSION_OF_TABLE
@CHOICES
@CSV
@COMMON
def fit(sources: tuple[str, ...], state: str, update: bool, rebuild: bool, keep_parts: bool, overwrite: bool,
        version: int | None, as_of: str | None, threads: int | None, quiet: bool, **words: Any) -> None:  # fmt: skip
    """Learn the statistics of SRC and write them to STATE.

    The folder of a Delta table, or iceberg:CATALOG/NAMESPACE.TABLE, alone, is followed: --update adds what has become
    active since and takes out what no longer is, so that the state is that of the current version.

    Memory grows neither with the rows nor with the columns: of wide Parquet row groups a few columns are read at a
    time.
    """
    from streamnorm import jobs
    from streamnorm.states import record_of

    if update + rebuild + overwrite > 1:
        raise click.UsageError("only one of --update, --rebuild and --overwrite can be meant.")
    how: jobs.How = "rebuild" if rebuild else "add" if update else "new"
    if not overwrite:
        jobs.check_new_state(state, how, "add to it (--update), replace it (--overwrite), or name another")
    lake = table_named(sources)
    jobs.check_version_of_table(lake, version, as_of)
    if lake is not None:
        _follow(lake, state, how, (version, as_of), words, threads, quiet)
        return
    known = () if overwrite else record_of(state)
    found, table = sources_of(sources, words, known), table_of(words)
    with progress_of(found, quiet) as progress:
        result = jobs.count(state, sources, found, table, how=how, chosen=asked(CHOICE_NAMES),
                            keep_parts=keep_parts, effort=jobs.Effort(threads, progress))  # fmt: skip
    if not quiet:
        rows = sum(source.rows for source in result.sources)
        new, new_rows = len(result.sources) - len(known), rows - sum(source.rows for source in known)
        added = f"{amount(new, 'new source')}, {amount(new_rows, 'row')}; in all "
        say(f"{state}: {added if update and known else ''}{amount(len(result.table.learnt.types), 'column')}, "
            f"{amount(len(result.sources), 'source')}, {rows:,} rows")  # fmt: skip


def _follow(lake: ChangingTable, state: str, how: jobs.How, at: tuple[int | None, str | None], words: dict[str, Any],
            threads: int | None, quiet: bool) -> None:  # fmt: skip
    """Fit a state to a version of a table, and say what was done.

    Parameters
    ----------
    lake : ChangingTable
    state : str
    how : {"new", "add", "rebuild"}
    at : tuple of (int or None, str or None)
        The version, or the time, that is asked for.
    words : dict
        The options.
    threads : int or None
    quiet : bool
    """
    from streamnorm import jobs

    (version, as_of), table = at, table_of(words)
    with progress_of([], quiet) as progress:
        done = jobs.follow(state, lake, table, how=how, chosen=asked(CHOICE_NAMES), version=version, as_of=as_of,
                           effort=jobs.Effort(threads, progress))  # fmt: skip
    (source,) = done.state.sources
    if not quiet and source.table is not None:
        now, found = f"version {source.table.version}", done.difference
        if done.before is not None:
            now = (f"version {done.before} -> {source.table.version}: {amount(found.added, 'file')} added, "
                   f"{found.taken_out:,} taken out, {found.moved:,} only rearranged; in all")  # fmt: skip
        say(f"{state}: {now}{',' if done.before is None else ''} "
            f"{amount(len(done.state.table.learnt.types), 'column')}, {amount(source.table.files, 'file')}, "
            f"{amount(source.rows, 'row')}")  # fmt: skip


@click.command()
@STATE
@SOURCES
@OUTPUT
@VERSION_OF_TABLE
@click.option("--update", is_flag=True, help="Of a table: keep DST as a Delta table that mirrors it.")
@click.option("--inverse", is_flag=True, help="Undo the normalisation.")
@CSV
@COMMON
def transform(state: str, sources: tuple[str, ...], output: str, overwrite: bool, resume: bool, inverse: bool,
              update: bool, version: int | None, as_of: str | None, threads: int | None, quiet: bool,
              **words: Any) -> None:  # fmt: skip
    """Write normalised copies of SRC to DST, by the statistics in STATE.

    Of a table that changes the rows of one version are written, as files that hold all its columns.

    Memory grows neither with the rows nor with the columns: those of wide Parquet row groups wait in a temporary file
    (in TMPDIR), as large as a row group for each thread.
    """
    from streamnorm import jobs
    from streamnorm.states import read

    known, lake = read(state), table_named(sources)
    table = known.mapping()
    jobs.check_version_of_table(lake, version, as_of)
    if update:
        mirrored = jobs.check_mirror(lake, inverse or overwrite or resume)
        with progress_of([], quiet) as progress:
            done = jobs.mirror(table, mirrored, output, version=version, as_of=as_of,
                               effort=jobs.Effort(threads, progress))  # fmt: skip
        if not quiet:
            say(f"{output}: version {done.version} mirrored: {amount(done.added, 'file')} added, "
                f"{done.removed:,} taken out; in all {amount(len(done.paths), 'file')}")  # fmt: skip
        return
    if lake is None:
        found = sources_of(sources, words, known.sources)
    else:
        found, sources = jobs.files_to_copy(lake.snapshot(version, as_of)), (lake.location,)
    with piped(output, found, resume) as target, progress_of(found, quiet) as progress:
        jobs.transform_sources(table, found, sources, target, inverse=inverse, overwrite=overwrite,
                               resume=resume, effort=jobs.Effort(threads, progress))  # fmt: skip
        _tell(output, len(found), known, quiet, "brought back" if inverse else "normalised")


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
    from streamnorm import jobs

    lake = table_named(sources)
    if lake is not None and state:
        raise click.UsageError(
            f"a state follows a table: fit it (streamnorm fit {lake.location} --state {state}), then transform."
        )
    if lake is None:
        found = sources_of(sources, words)
    else:
        found, sources = jobs.files_to_copy(lake.snapshot()), (lake.location,)
    with piped(output, found, resume) as target:
        result = jobs.run(found, sources, target, table_of(words), state=state, overwrite=overwrite, resume=resume,
                          threads=threads, watch=partial(progress_of, quiet=quiet))  # fmt: skip
        _tell(output, len(found), result, quiet, "normalised")


def _tell(output: str, files: int, state: State, quiet: bool, done: str) -> None:
    """Say what was written.

    Parameters
    ----------
    output : str
        As it was given.
    files : int
    state : State
        What they were normalised by.
    quiet : bool
    done : str
        What became of the columns.
    """
    if not quiet:
        say(f"{output}: {amount(files, 'file')}, {amount(len(state.table.learnt.types), 'column')} {done}")


@click.command()
@SOURCES
@CSV
@COMMON
def init(sources: tuple[str, ...], threads: int | None, quiet: bool, **words: Any) -> None:
    """Look at SRC and print a recipe to edit, for --recipe: what would become of each column, and why."""
    from streamnorm import jobs

    lake = table_named(sources)
    found = sources_of(sources, words) if lake is None else lake.snapshot().sources
    with progress_of(found, quiet) as progress:
        click.echo(jobs.recipe_for(found, threads=threads, progress=progress), nl=False)
