"""Whole jobs over files: batches from sources, past a normalizer, to sinks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa

from streamnorm.files import naming, replacing
from streamnorm.formats import CsvOptions, CsvSource, Source, Unit, kind_of, open_sink, text_of, writing
from streamnorm.inputs import expand
from streamnorm.jobs.journal import Journal, job_of
from streamnorm.jobs.ledger import options_of
from streamnorm.jobs.outputs import outputs_of, refuse_existing
from streamnorm.jobs.reading import Progress
from streamnorm.jobs.threads import in_any_order, in_order, threads_of
from streamnorm.jobs.work import map_batch, mapped_schema
from streamnorm.states import state_of
from streamnorm.tables import Table

__all__ = ["check_inputs", "map_files", "transform", "write_outputs"]


def map_unit(
    table: Table, source: Source, unit: Unit, *, inverse: bool, as_text: bool
) -> Generator[tuple[pa.RecordBatch | None, int, int], None, None]:
    """Map the batches of one unit, and end with its size and rows; as text, missing values are written as they were."""
    names = list(table.inputs(inverse))
    with naming(source.path):
        rows = 0
        for batch, original in source.read_to_map(unit, names):
            out = map_batch(table, batch, inverse=inverse, rows=rows, rows_before=partial(source.rows_before, unit))
            rows += batch.num_rows
            ready = [text_of(out, original, source.options.decimal) if as_text else out]
            del batch, original, out  # nothing is held on to while another file's batch is written
            yield ready.pop(), 0, 0
        yield None, unit.size, rows


def map_files(
    table: Table,
    pairs: Sequence[tuple[Source, Path]],
    *,
    inverse: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    before: Callable[[Source, Path, Path], None] | None = None,
) -> None:
    """Write the mapped copy of every source under its name, each when it is complete.

    As many files at once as there are threads, the largest first; threads that are left over go into the files.
    `before` is called with the source, the name and the complete temporary file before that takes the name.
    """
    threads = threads_of(threads)
    table.warn_of_empty()
    together = max(1, min(threads, len(pairs)))
    stopped = Event()

    def write(source: Source, target: Path) -> None:
        with closing(_map_file(table, source, target, inverse, threads // together, before)) as units:
            for size, rows in units:
                if stopped.is_set():
                    raise CancelledError
                if progress:
                    progress(size, rows)
        source.let_go()

    largest_first = sorted(pairs, key=lambda pair: -pair[0].size)
    for _ in in_any_order((partial(write, *pair) for pair in largest_first), together, stopped):
        pass


def _map_file(
    table: Table,
    source: Source,
    target: Path,
    inverse: bool,
    threads: int,
    before: Callable[[Source, Path, Path], None] | None,
) -> Generator[tuple[int, int], None, None]:
    """Write the mapped copy of a source, and give size and rows of each unit when it is written, then the rest."""
    task = partial(map_unit, table, source, inverse=inverse, as_text=kind_of(target) is CsvSource)
    with naming(source.path):
        schema = _mapped_schema(table, source, inverse)
    last = partial(before, source, target) if before else None
    with writing(target), replacing(target, parents=True, before=last) as temporary:
        sink = open_sink(temporary, target, schema, source, set(table.inputs(inverse).values()))
        rest = source.size
        try:
            with closing(in_order((partial(task, unit) for unit in source.units()), threads)) as batches:
                for batch, size, rows in batches:
                    if batch is None:
                        sink.end_unit()
                        rest -= size
                        yield size, rows
                    else:
                        sink.write(batch)
        finally:
            sink.close()
    yield rest, 0


def _mapped_schema(table: Table, source: Source, inverse: bool) -> pa.Schema:
    schema = source.schema
    if isinstance(source, CsvSource):
        numbers = table.inputs(inverse)
        schema = pa.schema([(n, pa.float64() if n in numbers else pa.string()) for n in schema.names])
    return mapped_schema(table, schema, inverse=inverse)


def transform(
    normalizer: Any,
    sources: Any,
    output: str | Path,
    *,
    inverse: bool = False,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    options: CsvOptions | None = None,
) -> list[Path]:
    """Write normalised copies of files.

    Parameters
    ----------
    normalizer : TableNormalizer, scaler, str or Path
        Fitted, or a state file.
    sources : str, Path or sequence of these
        Files, globs and folders.
    output : str or Path
        A file for one file, else a folder that gets the layout of the input.
    inverse : bool, default=False
        Whether to undo rather than to do.
    threads : int, optional
        By default one for each processor. The result does not depend on it.
    overwrite : bool, default=False
        Whether existing outputs may be replaced.
    resume : bool, default=False
        Whether to go on from where an earlier run was stopped, and skip what it has finished.
    progress : callable, optional
        Called with numbers of bytes and of rows as they have been dealt with.
    options : CsvOptions, optional
        How CSV files are written; by default as those that the normalizer's state has counted.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    SourceError, DataError, OutputError
        If a file cannot be read, a column does not fit or an output may not be written. No output is
        there in part.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq, streamnorm as sn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pq.write_table(pa.table({"x": [1.0, 3.0]}), folder + "/a.parquet")
    ...     (written,) = sn.transform(sn.fit(folder), folder + "/a.parquet", folder + "/b.parquet")
    ...     pq.read_table(written).to_pydict()
    {'x': [-1.0, 1.0]}
    """
    known = state_of(normalizer)
    found = expand(sources, options or options_of(known.sources))
    journal = Journal(Path(output), outputs_of(found, sources, output, overwrite or resume))
    write_outputs(
        known.table, journal,
        inverse=inverse, threads=threads, overwrite=overwrite, resume=resume, progress=progress,
    )  # fmt: skip
    return [path for _, path in journal.pairs]


def write_outputs(
    table: Table,
    journal: Journal,
    *,
    inverse: bool = False,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    last: Callable[[], object] | None = None,
) -> None:
    """Write the outputs of a journal, all or those that are not finished; nothing if any cannot be written.

    `last` is called when all are there, while the job can still be gone on with if it fails.
    """
    threads = threads_of(threads)
    job = job_of(table, [source for source, _ in journal.pairs], inverse)
    pairs = journal.unfinished(job) if resume else journal.pairs
    for source, target in pairs:
        if not overwrite:
            refuse_existing(target, resume=resume)
        check_inputs(table, source, inverse)
        source.let_go()
    with journal.writing(job) as finish:
        map_files(table, pairs, inverse=inverse, threads=threads, progress=progress, before=finish)
        if last:
            last()


def check_inputs(table: Table, source: Source, inverse: bool) -> None:
    """Find out before anything is written whether a source has the columns to be mapped."""
    with naming(source.path):
        _mapped_schema(table, source, inverse)
