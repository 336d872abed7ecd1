"""The command that writes a recipe: init."""

from __future__ import annotations

from typing import Any

import click

from streamnorm.cli.options import COMMON, CSV, SOURCES, progress_of, sources_of

__all__ = ["init"]


@click.command()
@SOURCES
@CSV
@COMMON
def init(sources: tuple[str, ...], threads: int | None, quiet: bool, **words: Any) -> None:
    """Look at SRC and print a recipe to edit, for --recipe: what would become of each column, and why."""
    from streamnorm.jobs.suggest import recipe_for

    found = sources_of(sources, words)
    with progress_of(found, quiet) as progress:
        click.echo(recipe_for(found, threads=threads, progress=progress), nl=False)
