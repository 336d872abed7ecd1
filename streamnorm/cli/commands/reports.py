"""The commands that look at state files: show, diff, report."""

from __future__ import annotations

import json
import math
import shutil
import sys
from typing import TYPE_CHECKING

import click

from streamnorm.cli.messages import say
from streamnorm.cli.options import STATE
from streamnorm.errors import DataError, amount, listed

if TYPE_CHECKING:
    from streamnorm.report import Drift

__all__ = ["diff", "report", "show"]

KEY = click.option("--key", metavar="KEY", multiple=True, help="One key alone; once for each column of --by.")
#: Exit code where states have drifted further apart than allowed.
DRIFTED = 3


def _width() -> int | None:
    """Cells of the terminal, None where the output is not one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


@click.command()
@STATE
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@KEY
def show(state: str, as_json: bool, key: tuple[str, ...]) -> None:
    """Show the statistics in STATE.

    Those per key are summed up, unless one is named. On a terminal the table fits its width; into a pipe
    goes everything but the sparklines.
    """
    from streamnorm.report import of_key, show_table, to_json
    from streamnorm.states import looked_at

    known = of_key(looked_at(state), key) if key else looked_at(state)
    click.echo(to_json(known) if as_json else show_table(known, _width()))


@click.command()
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.option("--fail-over", type=float, metavar="X", help="End with exit code 3 if the PSI of a column is above X.")
@KEY
def diff(before: str, after: str, as_json: bool, fail_over: float | None, key: tuple[str, ...]) -> None:
    """Compare the columns of two states, the worst drift first.

    PSI, the population stability index, is 0 where nothing moved; by custom a shift is moderate above 0.1
    and major above 0.25. It is taken from the histograms where both states have a profile (--profile of
    fit), else from what their scalers keep. A column that only one of the states has is above any X.

    Statistics per key are compared in sum, with the keys that came, went and moved most; --key compares one.
    """
    from streamnorm.report import changes_of, diff_table, drifts_of, of_key
    from streamnorm.states import looked_at

    if fail_over is not None and not (math.isfinite(fail_over) and fail_over >= 0):
        raise click.UsageError(f"--fail-over takes a number that is not negative, got {fail_over}.")
    old, new = (of_key(looked_at(path), key) if key else looked_at(path) for path in (before, after))
    drifts, changes = drifts_of(old, new), changes_of(old, new)
    if as_json:
        keys = {"keys": changes.to_json()} if changes else {}
        columns = [drift.to_json() for drift in drifts]
        click.echo(json.dumps({"columns": columns, **keys}, indent=2, allow_nan=False))
    else:
        click.echo("\n".join([diff_table(drifts, _width()), *(["", *changes.lines()] if changes else [])]))
    if fail_over is not None:
        _judge(drifts, fail_over)


def _judge(drifts: list[Drift], limit: float) -> None:
    """End with exit code 3 if a column has drifted too far; what cannot be compared cannot be judged."""
    unknown = [drift.name for drift in drifts if drift.verdict == "not comparable"]
    if unknown:
        raise DataError(
            f"column {unknown[0]!r} cannot be compared: the states have no row of it, or no statistics in common; "
            "fit both with --profile."
        )
    over = [drift.name for drift in drifts if drift.exceeds(limit)]
    if over:
        say(f"drift: {amount(len(over), 'column')} above {limit:g}: {listed(map(repr, over))}")
        raise click.exceptions.Exit(DRIFTED)


@click.command()
@STATE
@click.argument("after", metavar="[STATE2]", required=False)
@click.option("--output", required=True, metavar="FILE.html", help="The report to write.")
@click.option("--overwrite", is_flag=True, help="Replace a report that exists.")
@KEY
def report(state: str, after: str | None, output: str, overwrite: bool, key: tuple[str, ...]) -> None:
    """Write STATE as a page to look at; with STATE2, the drift from the one to the other.

    The page is one file: it needs no network and runs no script. Statistics per key are summed up, with the
    keys that moved most, unless one is named.
    """
    from streamnorm.report import write

    write(state, after, output=output, overwrite=overwrite, key=key)
