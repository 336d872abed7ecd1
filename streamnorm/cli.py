"""The `streamnorm` command: words are parsed here, the work is done by functions anyone can call.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import streamnorm
from streamnorm.errors import DataError, OutputError, StreamnormError

if TYPE_CHECKING:
    from streamnorm.csv_files import CsvOptions
    from streamnorm.normalizers.table import Table
    from streamnorm.sources import Source

__all__ = ["cli", "main"]

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _together(*options: Decorator) -> Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_SOURCES = click.argument("sources", metavar="SRC...", nargs=-1, required=True)
_STATE = click.argument("state", metavar="STATE")
_COMMON = _together(
    click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads; one a processor by default."),
    click.option("--quiet", is_flag=True, help="Say nothing but errors."),
)
_CSV = _together(
    click.option("--delimiter", metavar="CHAR", help="CSV: between fields; a comma by default."),
    click.option("--decimal", default=".", metavar="CHAR", help="CSV: the decimal point."),
    click.option("--null-values", metavar="A,B,...", help="CSV: what stands for a missing number."),
    click.option("--skip-rows", type=click.IntRange(0), default=0, metavar="N", help="CSV: lines before the header."),
    click.option("--encoding", default="utf8", metavar="NAME", help="CSV: the encoding."),
)
_CHOICES = _together(
    click.option(
        "--scaler",
        default="standard",
        metavar="NAME",
        help="Scaler of the columns: standard, minmax, maxabs, robust, quantile.",
    ),
    click.option("--columns", metavar="A,B,...", help="Only these columns; every numeric one by default."),
    click.option("--exclude", default="", metavar="A,B,...", help="Leave these columns alone."),
    click.option("--scale", multiple=True, metavar="COLUMN=SCALER", help="The scaler of one column; repeatable."),
    click.option("--infinite", type=click.Choice(["error", "skip"]), default="error", help="What to do with +-inf."),
    click.option("--ddof", type=float, default=0, metavar="N", help="Degrees of freedom lost in the variance."),
    click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Type of the normalised columns."),
    click.option("--suffix", default="", metavar="TEXT", help="Keep the columns; add normalised ones named so."),
)
_OUTPUT = _together(
    click.option("--output", required=True, metavar="DST", help="A file for one file, else a folder."),
    click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(streamnorm.__version__, message="streamnorm %(version)s")
def cli() -> None:
    """Normalise numeric data too large for memory, on exact statistics.

    SRC are files, globs and folders of Parquet, CSV (also .gz) or Arrow files.
    """


@cli.command()
@_SOURCES
@click.option("--state", required=True, metavar="STATE", help="The state file to write.")
@click.option("--update", is_flag=True, help="Add to the state what it has not counted yet.")
@click.option("--overwrite", is_flag=True, help="Replace a state that exists.")
@_CHOICES
@_CSV
@_COMMON
def fit(sources: tuple[str, ...], state: str, update: bool, overwrite: bool, threads: int | None, quiet: bool,
        **words: Any) -> None:  # fmt: skip
    """Learn the statistics of SRC and write them to STATE."""
    from streamnorm import state as states
    from streamnorm.jobs import check_choices, fit_state
    from streamnorm.outputs import check_state_path

    exists = Path(state).exists()
    if exists and not (update or overwrite):
        raise OutputError(f"{state} exists: add to it (--update), replace it (--overwrite), or name another.")
    found, table = _found(sources, words), _table(words)
    check_state_path(state, [source.path for source in found])
    known = states.read(state) if update and exists else None
    if known and _asked(_CHOICE_NAMES):
        check_choices(known, table, found[0])
    with _progress(found, quiet) as progress:
        result = fit_state(found, table, known=known, threads=threads, progress=progress)
    states.write(result, state)
    if not quiet:
        _say(f"{state}: {_counted(len(result.table.learnt.types), 'column')}, "
             f"{_counted(len(result.sources), 'source')}, {sum(s.rows for s in result.sources):,} rows")  # fmt: skip


@cli.command()
@_STATE
@_SOURCES
@_OUTPUT
@click.option("--inverse", is_flag=True, help="Undo the normalisation.")
@_CSV
@_COMMON
def transform(state: str, sources: tuple[str, ...], output: str, overwrite: bool, inverse: bool,
              threads: int | None, quiet: bool, **words: Any) -> None:  # fmt: skip
    """Write normalised copies of SRC to DST, by the statistics in STATE."""
    from streamnorm import state as states

    _map(states.read(state).table, sources, output, overwrite, inverse, threads, quiet, _found(sources, words))


@cli.command()
@_SOURCES
@_OUTPUT
@click.option("--state", metavar="STATE", help="Also write the state file.")
@_CHOICES
@_CSV
@_COMMON
def run(sources: tuple[str, ...], output: str, overwrite: bool, state: str | None, threads: int | None, quiet: bool,
        **words: Any) -> None:  # fmt: skip
    """Learn from SRC, then write normalised copies to DST."""
    from streamnorm import state as states
    from streamnorm.jobs import fit_state
    from streamnorm.outputs import check_state_path, outputs_of

    if state and Path(state).exists() and not overwrite:
        raise OutputError(f"{state} exists: name another, or overwrite it (--overwrite).")
    found = _found(sources, words)
    pairs = outputs_of(found, sources, output, overwrite)
    if state:
        check_state_path(state, [path for source, target in pairs for path in (source.path, target)])
    with _progress(found, quiet) as progress:
        result = fit_state(found, _table(words), threads=threads, progress=progress, record=state is not None)
    _map(result.table, sources, output, overwrite, False, threads, quiet, found)
    if state:
        states.write(result, state)


@cli.command()
@_STATE
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
def show(state: str, as_json: bool) -> None:
    """Show the statistics in STATE."""
    from streamnorm import state as states
    from streamnorm.show import as_table, to_json

    known = states.read(state)
    click.echo(to_json(known) if as_json else as_table(known))


@cli.command()
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


# ---- from words to objects ----


_CHOICE_NAMES = ("scaler", "columns", "exclude", "scale", "infinite", "ddof", "dtype", "suffix")


def _asked(names: Iterable[str]) -> bool:
    """Tell whether any of these options was written on the command line."""
    context = click.get_current_context()
    return any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in names)


def _list(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def _table(words: dict[str, Any]) -> Table:
    """Make the table normalizer that the words ask for."""
    from streamnorm.normalizers.family import FAMILY, rule_of
    from streamnorm.normalizers.table import Table

    ddof = words["ddof"]
    if not math.isfinite(ddof):
        raise DataError(f"ddof must be a number of values, got {ddof}: use 0 or 1.")
    ddof = int(ddof) if ddof == int(ddof) else ddof  # as Python users write it: states that are alike are the same

    def rule(name: str) -> Any:
        takes = FAMILY[name].defaults if name in FAMILY else {}
        return rule_of(name, **({"ddof": ddof} if "ddof" in takes else {}))

    columns = {name: rule(words["scaler"]) for name in _list(words["columns"])}
    for pair in words["scale"]:
        name, equals, scaler = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--scale takes COLUMN=SCALER, got {pair!r}.")
        columns[name] = rule(scaler)
    return Table(
        None if words["columns"] else rule(words["scaler"]), columns, exclude=_list(words["exclude"]),
        dtype=words["dtype"], suffix=words["suffix"], infinite=words["infinite"],
    )  # fmt: skip


def _found(sources: tuple[str, ...], words: dict[str, Any]) -> list[Source]:
    from streamnorm.sources import expand

    return expand(sources, _csv_options(words))


def _csv_options(words: dict[str, Any]) -> CsvOptions:
    from streamnorm.csv_files import CsvOptions

    given = {name: words[name] for name in ("delimiter", "decimal", "skip_rows", "encoding")}
    if words["null_values"] is not None:
        given["null_values"] = ("", *_list(words["null_values"]))
    return CsvOptions(**given)


def _map(table: Table, sources: tuple[str, ...], output: str, overwrite: bool, inverse: bool, threads: int | None,
         quiet: bool, found: list[Source]) -> None:  # fmt: skip
    from streamnorm.jobs import check_inputs, map_files
    from streamnorm.outputs import outputs_of

    pairs = outputs_of(found, sources, output, overwrite)
    for source in found:
        check_inputs(table, source, inverse)
    with _progress(found, quiet) as progress:
        map_files(table, pairs, inverse=inverse, threads=threads, progress=progress)
    if not quiet:
        _say(f"{output}: {_counted(len(pairs), 'file')}, {_counted(len(table.learnt.types), 'column')} normalised")


@contextmanager
def _progress(found: list[Source], quiet: bool) -> Iterator[Callable[[int], Any] | None]:
    """Show bytes, speed and time left on a terminal, once a job has taken a second."""
    from streamnorm.kernel import COMPILED

    if quiet:
        warnings.simplefilter("ignore")
    if not (quiet or COMPILED):
        _say("note: the compiled kernel is missing: the same results take longer; reinstall where a C compiler is.")
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=sum(s.size for s in found), unit="B", unit_scale=True, delay=1, leave=False) as bar:
        yield bar.update


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _say(words: str) -> None:
    click.echo(words, err=True)


def main() -> None:
    """Run the command; a known problem is one line and exit code 1."""
    warnings.showwarning = lambda message, *args, **kwargs: _say(f"warning: {message}")
    try:
        code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        code = 2
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        code = 130
    except StreamnormError as error:
        _say(f"error: {' '.join(str(error).split())}")
        code = 1
    except BrokenPipeError:
        code = 1
    sys.exit(code or 0)
