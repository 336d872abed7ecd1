"""The commands over state files: merge."""

from __future__ import annotations

from pathlib import Path

import click

from streamnorm.errors import OutputError

__all__ = ["merge"]


@click.command()
@click.argument("states", metavar="STATE...", nargs=-1, required=True)
@click.option("--output", required=True, metavar="STATE", help="The state file to write.")
@click.option("--overwrite", is_flag=True, help="Replace a state that exists.")
def merge(states: tuple[str, ...], output: str, overwrite: bool) -> None:
    """Add states up: the same as fitting all their sources at once, bit for bit."""
    from functools import reduce
    from operator import add

    from streamnorm.states import file as files

    if Path(output).exists() and not overwrite:
        raise OutputError(f"{output} exists: name another, or overwrite it (--overwrite).")
    files.write(reduce(add, [files.read(path) for path in states]), output)
