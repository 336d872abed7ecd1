"""The commands over state files: merge, forget, verify."""

from __future__ import annotations

from typing import Any

import click

from streamnorm.cli.messages import say
from streamnorm.cli.options import COMMON, CSV, SOURCES, STATE, csv_options, sources_of, table_named
from streamnorm.cli.progress import progress_of
from streamnorm.errors import amount

__all__ = ["forget", "merge", "verify"]


@click.command()
@click.argument("states", metavar="STATE...", nargs=-1, required=True)
@click.option("--output", required=True, metavar="STATE", help="The state file to write.")
@click.option("--overwrite", is_flag=True, help="Replace a state that exists.")
def merge(states: tuple[str, ...], output: str, overwrite: bool) -> None:
    """Add states up: the same as fitting all their sources at once, bit for bit."""
    from streamnorm import jobs

    jobs.merge(states, output, overwrite=overwrite)


@click.command()
@STATE
@click.argument("sources", metavar="[SRC...]", nargs=-1)
@click.option(
    "--key", metavar="KEY", multiple=True,
    help="Instead of SRC, all rows of a key; once for each column of --by, and again for more keys.",
)  # fmt: skip
@CSV
@COMMON
def forget(
    state: str, sources: tuple[str, ...], key: tuple[str, ...], threads: int | None, quiet: bool, **words: Any
) -> None:
    """Take SRC, or all rows of a key, out of STATE, exactly.

    Files that are as they were are read again; others are taken out by their parts (fit --keep-parts). A key needs
    neither.
    """
    from streamnorm import jobs
    from streamnorm.states import read

    if bool(sources) == bool(key):
        raise click.UsageError("Name the sources to forget, or a key (--key), one of the two.")
    if key:
        keys = jobs.forget_keys(state, key)
        if not quiet:
            say(f"{state}: forgot {amount(keys, 'key')}")
        return
    named = jobs.Named(sources)
    options = csv_options(words, [entry for entry in read(state).sources if named.covers(entry.location)])
    gone = jobs.forget(state, sources, options=options, threads=threads)
    if not quiet:
        say(f"{state}: forgot {amount(len(gone), 'source')}, {amount(sum(entry.rows for entry in gone), 'row')}")


@click.command()
@STATE
@SOURCES
@CSV
@COMMON
def verify(state: str, sources: tuple[str, ...], threads: int | None, quiet: bool, **words: Any) -> None:
    """Count SRC again and compare with STATE, exactly; it is an error if anything differs."""
    from streamnorm import jobs
    from streamnorm.states import read

    lake = table_named(sources)
    if lake is not None:
        with progress_of([], quiet) as progress:
            again = jobs.verify_table(state, lake, effort=jobs.Effort(threads, progress))
        (source,) = again.sources
        if not quiet and source.table is not None:
            click.echo(
                f"{state}: the same, bit for bit: version {source.table.version}, "
                f"{amount(len(again.table.learnt.types), 'column')}, {amount(source.table.files, 'file')}, "
                f"{amount(source.rows, 'row')}"
            )
        return
    found = sources_of(sources, words, read(state).sources)
    with progress_of(found, quiet) as progress:
        again = jobs.verify(state, sources, found, effort=jobs.Effort(threads, progress))
    if not quiet:
        click.echo(
            f"{state}: the same, bit for bit: {amount(len(again.table.learnt.types), 'column')}, "
            f"{amount(len(found), 'source')}, {amount(sum(entry.rows for entry in again.sources), 'row')}"
        )
