"""The `streamnorm` command: words are parsed here, the work is done by functions anyone can call.

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import sys
import warnings

import click

import streamnorm
from streamnorm.cli import counted, export, files, recipes, reports, states
from streamnorm.cli.options import say
from streamnorm.errors import StreamnormError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(streamnorm.__version__, message="streamnorm %(version)s")
def cli() -> None:
    """Normalise numeric data too large for memory, on exact statistics.

    SRC are files, globs and folders of Parquet, CSV (also .gz) or Arrow files.
    """


for _command in (
    recipes.init, files.fit, files.transform, files.run, states.merge, counted.forget, counted.verify,
    reports.show, reports.diff, reports.report, export.export,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command; a known problem is one line and exit code 1."""
    warnings.showwarning = lambda message, *args, **kwargs: say(f"warning: {message}")
    try:
        code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        code = 2
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        code = 130
    except StreamnormError as error:
        say(f"error: {' '.join(str(error).split())}")
        code = 1
    except BrokenPipeError:
        code = 1
    sys.exit(code or 0)
