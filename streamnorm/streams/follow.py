"""Following a stream by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamnorm.errors import DataError
from streamnorm.files import place_of
from streamnorm.formats import CsvOptions
from streamnorm.jobs import Effort, table_of
from streamnorm.states import load
from streamnorm.streams.address import Address, is_topic, settings_of
from streamnorm.streams.folder import Folder
from streamnorm.streams.messages import format_of
from streamnorm.streams.topic import Topic

__all__ = ["follow", "stream_of"]


def follow(
    source: str | Path,
    normalizer: Any = None,
    *,
    state: str | Path,
    every: float | None = None,
    output: str | Path | None = None,
    format: str | None = None,
    schema: Any = None,
    bad: str = "error",
    once: bool = False,
    stop: Callable[[], object] = bool,
    settings: str | Path | None = None,
    options: CsvOptions | None = None,
    threads: int | None = None,
) -> Any:
    """Learn from a stream as it comes, each message or file once, and write it normalised where that is asked for.

    The learnt state is exactly-once: statistics and positions are saved in one step, and what is delivered again is
    not counted again. Files of the output are written once, messages at least once, by the statistics of all that
    came before them and of themselves.

    Parameters
    ----------
    source : str or Path
        A topic, ``kafka://HOST:PORT,HOST:PORT/TOPIC`` (all of its partitions; with ``?group=NAME`` those that the
        group gives to this member, each of which has a state of its own, to be merged), or a folder that files arrive
        in.
    normalizer : TableNormalizer or scaler, optional
        What a new state begins with, by default ``TableNormalizer()``; a state that is there must be of its columns
        and scalers.
    state : str or Path
        The state file.
    every : float, optional
        Seconds: between saves of the state, 10, for a topic; between looks, 60, for a folder.
    output : str or Path, optional
        A topic, or a folder.
    format : {"json", "arrow"}, optional
        What each message of a topic is: a JSON object, or an Arrow IPC stream.
    schema : pyarrow.Schema, str or Path, optional
        The fields of JSON that are read; also a Parquet or Arrow file with these columns, or a JSON file of names and
        types.
    bad : {"error", "skip"}, default="error"
        Whether a message or file that cannot be read is an error or is passed over. Messages that are passed over are
        counted apart in the state, as tombstones are.
    once : bool, default=False
        Whether to end when what there was at the start has been counted.
    stop : callable, optional
        Asked about twice a second; what is true ends it, in order.
    settings : str or Path, optional
        A file of settings of librdkafka, ``name=value`` by lines.
    options : CsvOptions, optional
        How CSV files are written.
    threads : int, optional
        For files; by default one for each processor.

    Returns
    -------
    TableNormalizer or None
        As it was saved; None where nothing has come.

    Raises
    ------
    SourceError, DataError, StateError, OutputError
        If the stream cannot be read or learnt from, another process holds the state, or a result cannot be written.
        What was saved stays.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq, streamnorm as sn
    >>> with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as other:
    ...     pq.write_table(pa.table({"x": [1.0, 3.0]}), folder + "/a.parquet")
    ...     normalizer = sn.follow(folder, state=other + "/state.json", output=other + "/out", once=True)
    ...     pq.read_table(other + "/out/a.parquet").to_pydict()
    {'x': [-1.0, 1.0]}
    """
    table = None if normalizer is None else table_of(normalizer)
    stream = stream_of(
        source, every=every, output=output, format=format, schema=schema, bad=bad, once=once, stop=stop,
        settings=settings, options=options, threads=threads,
    )  # fmt: skip
    stream.follow(state, table)
    return load(state) if place_of(state).exists() else None


def stream_of(
    source: str | Path,
    *,
    every: float | None,
    output: str | Path | None,
    format: str | None,
    schema: Any,
    bad: str,
    once: bool,
    stop: Callable[[], object],
    settings: str | Path | None,
    options: CsvOptions | None,
    threads: int | None,
) -> Topic | Folder:
    """Find what a source is; the parameters are those of `follow`.

    Parameters
    ----------
    source, every, output, format, schema, bad, once, stop, settings, options, threads : see `follow`
    """
    if bad not in ("error", "skip"):
        raise DataError(f"bad must be 'error' or 'skip', got {bad!r}.")
    if every is not None and not every >= 0:
        raise DataError(f"every is a number of seconds, got {every!r}.")
    if output is not None and is_topic(source) != is_topic(output):
        raise DataError("the output of a topic is a topic, and that of a folder a folder: name it so.")
    skip = bad == "skip"
    if is_topic(source):
        messages = format_of(format, schema, whole=output is not None)
        return Topic(
            Address.of(str(source)), messages, settings_of(settings), skip=skip, once=once, stop=stop,
            output=None if output is None else Address.of(str(output)), every=10.0 if every is None else every,
        )  # fmt: skip
    if (format, schema, settings) != (None, None, None):
        raise DataError("format, schema and settings are about topics (kafka://...): leave them out for a folder.")
    return Folder(
        source, output=output, skip=skip, every=60.0 if every is None else every, once=once, stop=stop,
        options=options, effort=Effort(threads),
    )  # fmt: skip
