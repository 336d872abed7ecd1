"""The group of commands, and what each kind of end of one becomes: words and an exit code."""

from __future__ import annotations

import sys
import warnings

import click

from streamnorm.cli.commands import data, export, reports, states, streams
from streamnorm.cli.messages import one_line, say
from streamnorm.cli.progress import notes
from streamnorm.cli.signals import Terminated, in_order, standard_streams_open
from streamnorm.cli.version import VERSION
from streamnorm.errors import StreamnormError

__all__ = ["cli", "main"]


#: Letters of a command's first sentence, all of which its group tells.
_SENTENCE = 200


class _Commands(click.Group):
    """A group that tells of each command by its whole first sentence, on as many lines as that takes."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the section of the commands."""
        rows = [(name, self.commands[name].get_short_help_str(_SENTENCE)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@VERSION
@click.pass_context
def cli(context: click.Context) -> None:
    """Normalise numeric data too large for memory, on exact statistics.

    SRC are files, globs and folders of Parquet, CSV (also .gz) or Arrow files.
    """
    command = cli.commands.get(context.invoked_subcommand or "")
    if command and all(parameter.name != "quiet" for parameter in command.params):
        context.with_resource(notes())


for _command in (
    data.init, data.fit, data.transform, data.run, streams.follow, states.merge, states.forget, states.verify,
    reports.show, reports.diff, reports.report, export.export,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """Run the command; a known problem is one line and exit code 1."""
    warnings.showwarning = lambda message, *args, **kwargs: say(f"warning: {one_line(message)}")
    standard_streams_open()
    try:
        with in_order():
            code = cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        code = 2
    except click.exceptions.Exit as error:
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        code = 130
    except Terminated as error:
        say("terminated")
        code = error.code
    except StreamnormError as error:
        say(f"error: {one_line(error)}")
        code = 1
    except BrokenPipeError:
        code = 1
    except OSError as error:  # of files that are only looked for, as of any that cannot be reached
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {one_line(f'{where}{error.strerror or error}; see to it and run this again.')}")
        code = 1
    sys.exit(code or 0)
