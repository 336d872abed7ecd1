"""The command over streams: follow."""

from __future__ import annotations

from typing import Any

import click

from streamnorm.cli.messages import say
from streamnorm.cli.options import CHOICE_NAMES, CHOICES, COMMON, CSV, asked, csv_options, table_of
from streamnorm.cli.signals import until_asked_to_end
from streamnorm.errors import amount

__all__ = ["follow"]


@click.command()
@click.argument("source", metavar="SRC")
@click.option("--state", required=True, metavar="STATE", help="The state file; it need not be there.")
@click.option(
    "--every", type=click.FloatRange(0), metavar="SECONDS",
    help="Of a topic, between saves of the state (10); of a folder, between looks (60).",
)  # fmt: skip
@click.option("--output", metavar="DST", help="Where normalised messages or files go: a topic, or a folder.")
@click.option("--format", type=click.Choice(["json", "arrow"]), help="What a message of a topic is.")
@click.option(
    "--schema", metavar="FILE",
    help="The types of JSON's fields: a Parquet or Arrow file, or JSON, such as {\"price\": \"double\"}.",
)  # fmt: skip
@click.option(
    "--bad", type=click.Choice(["error", "skip"]), default="error", help="What to do with what cannot be read."
)
@click.option("--once", is_flag=True, help="End when what is there has been counted, as a nightly job does.")
@click.option("--settings", metavar="FILE", help="Settings of librdkafka, name=value by lines (security.protocol=SSL).")
@CHOICES
@CSV
@COMMON
def follow(source: str, state: str, every: float | None, output: str | None, format: str | None,
           schema: str | None, bad: str, once: bool, settings: str | None, threads: int | None, quiet: bool,
           **words: Any) -> None:  # fmt: skip
    """Learn from SRC as it comes, each message or file once, until it is asked to end (Ctrl-C, SIGTERM).

    SRC is a topic, kafka://HOST:PORT/TOPIC, or a folder that files arrive in. The state is exactly-once: statistics and
    positions are saved in one step. Messages of the output are sent at least once, files are written once.
    """
    from streamnorm.states import record_of
    from streamnorm.streams import is_topic, stream_of

    table = table_of(words) if asked(CHOICE_NAMES) else None
    options = None if is_topic(source) else csv_options(words, record_of(state))
    with until_asked_to_end() as stop:
        stream = stream_of(source, every=every, output=output, format=format, schema=schema, bad=bad, once=once,
                           stop=stop, settings=settings, options=options, threads=threads)  # fmt: skip
        stream.follow(state, table)
    if not quiet:
        counted = [amount(number, kind) for kind, number in stream.tally.items() if number]
        say(f"{state}: {', '.join(counted) or 'nothing new'}")
