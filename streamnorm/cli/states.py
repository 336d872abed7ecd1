"""The commands over state files: show, merge."""

from __future__ import annotations

from pathlib import Path

import click

from streamnorm.cli.options import STATE
from streamnorm.errors import OutputError

__all__ = ["merge", "show"]


@click.command()
@STATE
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def show(state: str, as_json: bool) -> None:
    """Show the statistics in STATE."""
    from streamnorm import state as states
    from streamnorm.report.figures import to_json
    from streamnorm.report.text import show_table as as_table

    known = states.read(state)
    click.echo(to_json(known) if as_json else as_table(known))


@click.command()
@click.argument("states", metavar="STATE...", nargs=-1, required=True)
@click.option("--output", required=True, metavar="STATE", help="The state file to write.")
@click.option("--overwrite", is_flag=True, help="Replace a state that exists.")
def merge(states: tuple[str, ...], output: str, overwrite: bool) -> None:
    """Add states up: the same as fitting all their sources at once, bit for bit."""
    from functools import reduce
    from operator import add

    from streamnorm import state as files

    if Path(output).exists() and not overwrite:
        raise OutputError(f"{output} exists: name another, or overwrite it (--overwrite).")
    files.write(reduce(add, [files.read(path) for path in states]), output)
