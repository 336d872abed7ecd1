"""Words of the command line, and the objects they stand for."""

from __future__ import annotations

import csv
import dataclasses
import math
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from streamnorm.cli.messages import say
from streamnorm.cli.progress import notes
from streamnorm.errors import DataError

if TYPE_CHECKING:
    from streamnorm.formats import CsvOptions, Source
    from streamnorm.inputs import ChangingTable
    from streamnorm.states import Counted
    from streamnorm.tables import Table


__all__ = [
    "CHOICES",
    "CHOICE_NAMES",
    "COMMON",
    "CSV",
    "OUTPUT",
    "SOURCES",
    "STATE",
    "VERSION_OF_TABLE",
    "asked",
    "csv_options",
    "listed",
    "sources_of",
    "table_named",
    "table_of",
    "together",
]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def together(*options: Decorator) -> Decorator:
    """Make one decorator of several options."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


SOURCES = click.argument("sources", metavar="SRC...", nargs=-1, required=True)
STATE = click.argument("state", metavar="STATE")


def _listen(context: click.Context, parameter: click.Parameter, quiet: bool) -> bool:
    """Let what a job tells be written as notes while the command runs, unless it is to be quiet.

    Parameters
    ----------
    context : click.Context
    parameter : click.Parameter
    quiet : bool
    """
    if not quiet:
        context.with_resource(notes())
    return quiet


COMMON = together(
    click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads; one a processor by default."),
    click.option("--quiet", is_flag=True, callback=_listen, help="Say nothing but errors and what counts twice."),
)
CSV = together(
    click.option("--delimiter", metavar="CHAR", help="CSV: between fields; a comma by default."),
    click.option("--decimal", default=".", metavar="CHAR", help="CSV: the decimal point."),
    click.option(
        "--null-values",
        metavar="A,B,...",
        help="CSV: what stands for a missing number, instead of NA, null, NaN and the like.",
    ),
    click.option("--skip-rows", type=click.IntRange(0), default=0, metavar="N", help="CSV: lines before the header."),
    click.option("--encoding", default="utf8", metavar="NAME", help="CSV: the encoding."),
    click.option("--thousands", metavar="CHAR", help="CSV: between groups of three digits (, in 1,234.5)."),
    click.option("--comment", metavar="CHAR", help="CSV: what lines begin with that are none of the table."),
    click.option("--no-header", is_flag=True, help="CSV: the first line is a row; columns are column_1, column_2, ..."),
)
CHOICES = together(
    click.option("--recipe", metavar="FILE", help="A TOML file that says it for every column, instead of these."),
    click.option(
        "--scaler",
        default="standard",
        metavar="NAME",
        help="Scaler of the columns: standard, minmax, maxabs, robust, squashing, power, quantile, kbins, winsor.",
    ),
    click.option(
        "--columns", multiple=True, metavar="A,B,...", help="Only these columns; every numeric one by default."
    ),
    click.option("--exclude", multiple=True, metavar="A,B,...", help="Leave these columns alone."),
    click.option(
        "--scale",
        multiple=True,
        metavar="COLUMN=SCALER",
        help="The scaler of one column or pattern (price_*), or none, or drop; repeatable.",
    ),
    click.option("--by", multiple=True, metavar="A,B,...", help="Keep statistics for each key in these columns."),
    click.option(
        "--unseen",
        type=click.Choice(["global", "error", "null", "keep"]),
        default="global",
        help="With --by, what becomes of keys not seen in the fit.",
    ),
    click.option(
        "--min-count",
        type=click.IntRange(1),
        default=1,
        metavar="N",
        help="With --by, keys of fewer values use the statistics of all rows.",
    ),
    click.option("--infinite", type=click.Choice(["error", "skip"]), default="error", help="What to do with +-inf."),
    click.option(
        "--vectors",
        type=click.Choice(["element", "whole", "unit"]),
        default="element",
        help="Vectors in a column: by their elements, with one mean and scale, or each divided by its length.",
    ),
    click.option("--ddof", type=float, default=0, metavar="N", help="Degrees of freedom lost in the variance."),
    click.option(
        "--halflife",
        metavar="TIME",
        help="Rows weigh by their time: half as much as those this much later (7d, 12h, 30min; a number for numbers).",
    ),
    click.option("--time", metavar="COLUMN", help="With --halflife, the column that tells when a row was."),
    click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Type of the normalised columns."),
    click.option("--suffix", default="", metavar="TEXT", help="Keep the columns; add normalised ones named so."),
    click.option("--profile", is_flag=True, help="Also keep moments and a histogram of every column, for reports."),
)
VERSION_OF_TABLE = together(
    click.option("--version", type=click.IntRange(0), metavar="N", help="Of a table; the newest by default."),
    click.option(
        "--as-of", metavar="TIME", help="Of a table: the version that was the newest at 2026-01-31T12:00:00Z."
    ),
)
OUTPUT = together(
    click.option(
        "--output", required=True, metavar="DST", help="A file for one file (-: standard output), else a folder."
    ),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
    click.option(
        "--resume", is_flag=True, help="Go on where a run ended, stopped or not; skip the files it has finished."
    ),
)
#: The options that choose columns, scalers and settings.
CHOICE_NAMES = (
    "recipe", "scaler", "columns", "exclude", "scale", "by", "unseen", "min_count",
    "infinite", "vectors", "ddof", "halflife", "time", "dtype", "suffix", "profile",
)  # fmt: skip


def asked(names: Iterable[str]) -> bool:
    """Tell whether any of these options was written on the command line."""
    context = click.get_current_context()
    return any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in names)


def listed(*texts: str) -> list[str]:
    """Split words at commas, as in a line of CSV: what holds one stands in quotes.

    Examples
    --------
    >>> listed("a, b", 'c,"d,e"')
    ['a', 'b', 'c', 'd,e']
    """
    return [part.strip() for line in csv.reader(texts, skipinitialspace=True) for part in line if part.strip()]


def table_of(words: dict[str, Any]) -> Table:
    """Make the table normalizer that the words ask for."""
    from streamnorm.rules import FAMILY, rule_of
    from streamnorm.tables import Table

    if words["recipe"] is not None:
        if asked(CHOICE_NAMES[1:]):
            raise click.UsageError("--recipe says what becomes of every column: write it there, not as an option.")
        return Table.from_recipe(words["recipe"])
    ddof = words["ddof"]
    if not math.isfinite(ddof):
        raise DataError(f"ddof must be a number of values, got {ddof}: use 0 or 1.")
    ddof = int(ddof) if ddof == int(ddof) else ddof  # as Python users write it: states that are alike are the same

    given = {"ddof": ddof, "halflife": _halflife(words["halflife"])}

    def rule(name: str) -> Any:
        takes = FAMILY[name].defaults if name in FAMILY else {}
        return rule_of(name, **{word: value for word, value in given.items() if word in takes})

    columns = {name: rule(words["scaler"]) for name in listed(*words["columns"])}
    for pair in words["scale"]:
        name, equals, scaler = pair.rpartition("=")
        if not equals:
            raise click.UsageError(f"--scale takes COLUMN=SCALER, got {pair!r}.")
        columns[name] = scaler if scaler in ("none", "drop") else rule(scaler)
    if (words["halflife"] is None) != (words["time"] is None):
        raise click.UsageError("--halflife and --time belong together: say how fast rows age, and by which column.")
    if not words["by"] and (words["unseen"], words["min_count"]) != ("global", 1):
        raise click.UsageError("--unseen and --min-count are about keys: name their columns (--by).")
    return Table(
        None if words["columns"] else rule(words["scaler"]), columns, exclude=listed(*words["exclude"]),
        by=listed(*words["by"]) or None, unseen=words["unseen"], min_count=words["min_count"],
        dtype=words["dtype"], suffix=words["suffix"], infinite=words["infinite"], vectors=words["vectors"],
        profile=words["profile"], time=words["time"],
    )  # fmt: skip


def _halflife(word: str | None) -> str | float | None:
    """Give a duration as it is, and a number as one."""
    try:
        return word and float(word)
    except ValueError:
        return word


def sources_of(sources: tuple[str, ...], words: dict[str, Any], record: Sequence[Counted] = ()) -> list[Source]:
    """Find the sources that the words name; CSV files are written as those of the record are, if not said otherwise.

    Parameters
    ----------
    sources : tuple of str
        As they stand on the command line.
    words : dict
        The options.
    record : sequence of Counted
        What the state has counted.
    """
    from streamnorm.inputs import expand

    found = expand(sources, options := csv_options(words, record))
    remembered = [(name, value) for name, value in options.uncommon() if not asked([name])]
    if remembered and any(not source.typed for source in found) and not click.get_current_context().params["quiet"]:
        ways = " ".join(f"--{name.replace('_', '-')}{_as_word(value)}" for name, value in remembered)
        say(f"note: CSV files are read as those of the state were: {ways}")
    return found


def table_named(sources: tuple[str, ...]) -> ChangingTable | None:
    """Give the table that changes which the words name, if they name one alone."""
    from streamnorm import inputs

    return inputs.table_named(sources)


def _as_word(value: object) -> str:
    """Give what stands behind an option; nothing behind one that is a flag."""
    if value is True:
        return ""
    return f" {shlex.quote(','.join(filter(None, value)) if isinstance(value, tuple) else str(value))}"


def csv_options(words: dict[str, Any], record: Sequence[Counted] = ()) -> CsvOptions:
    """Gather what is said of how CSV files are written, and for the rest what a record remembers of its own."""
    from streamnorm.formats import CsvOptions
    from streamnorm.jobs import options_of

    names = ("delimiter", "decimal", "skip_rows", "encoding", "thousands", "comment", "no_header")
    given = {name: words[name] for name in names if asked([name])}
    if words["null_values"] is not None:
        given["null_values"] = ("", *listed(words["null_values"]))
    return dataclasses.replace(options_of(record) or CsvOptions(), **given)
