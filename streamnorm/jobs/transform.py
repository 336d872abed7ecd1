"""The job of transforming: files, past what was learnt, to normalised copies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from streamnorm.errors import SourceError
from streamnorm.files import place_of
from streamnorm.formats import CsvOptions, Source
from streamnorm.inputs import Snapshot, expand, table_named
from streamnorm.jobs.copies import check_inputs, map_files
from streamnorm.jobs.effort import Effort, Progress
from streamnorm.jobs.following import check_version_of_table
from streamnorm.jobs.journal import Journal, job_of, journal_of
from streamnorm.jobs.ledger import options_of
from streamnorm.jobs.mirroring import check_mirror, mirror
from streamnorm.jobs.outputs import outputs_of, refuse_existing_output
from streamnorm.jobs.schema_notes import tell_of_lacking
from streamnorm.states import state_of
from streamnorm.tables import Table

__all__ = ["files_to_copy", "transform", "transform_sources", "write_outputs"]

_LOG = logging.getLogger("streamnorm")


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
    version: int | None = None,
    as_of: str | None = None,
    update: bool = False,
) -> list[Path | str]:
    """Write normalised copies of files, or of the rows of a table that changes.

    Parameters
    ----------
    normalizer : TableNormalizer, scaler, str or Path
        Fitted, or a state file.
    sources : str, Path or sequence of these, or a table
        Files, globs and folders; or one table, as of `fit`.
    output : str or Path
        A file for one file, else a folder that gets the layout of the input; here or in an object store (a URI).
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
    version : int, optional
        Of a table; by default the newest.
    as_of : str, optional
        A time, as ``2026-01-31T12:00:00Z``, for the version of a table that was the newest then.
    update : bool, default=False
        Of a table: keep `output` as a Delta table that mirrors it, and write what it lacks; rows that are in the table
        no more are removed from the mirror too, all in one commit.

    Returns
    -------
    list of Path or str
        What was written: paths, or URIs of a store.

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
    table, lake = known.mapping(), table_named(sources)
    check_version_of_table(lake, version, as_of)
    if update:
        mirrored = check_mirror(lake, inverse or overwrite or resume)
        effort = Effort(threads, progress)
        return list(mirror(table, mirrored, output, version=version, as_of=as_of, effort=effort).paths)
    if lake is None:
        found = expand(sources, options or options_of(known.sources))
    else:
        found, sources = files_to_copy(lake.snapshot(version, as_of)), lake.location
    return transform_sources(
        table, found, sources, output,
        inverse=inverse, overwrite=overwrite, resume=resume, effort=Effort(threads, progress),
    )  # fmt: skip


def files_to_copy(snapshot: Snapshot) -> list[Source]:
    """Give the files of a version of a table, as themselves where all that is in them counts as it stands.

    Raises
    ------
    SourceError
        If there is none.
    """
    if not snapshot.files:
        raise SourceError(f"version {snapshot.version} of {snapshot.location} has no rows: there is nothing to write.")
    return [file.as_plain() for file in snapshot.files]


def transform_sources(
    table: Table,
    found: Sequence[Source],
    given: Any,
    output: str | Path,
    *,
    inverse: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    effort: Effort | None = None,
) -> list[Path | str]:
    """Write normalised copies of sources that were found; `transform` says what the others are.

    Parameters
    ----------
    table : Table
        Fitted.
    found : sequence of Source
    given : str, Path or sequence of these
        What the sources were found by, which decides where their copies go.
    output : str or Path
    inverse, overwrite, resume : bool
    effort : Effort, optional

    Returns
    -------
    list of Path or str
        What was written, now or by the run that is gone on with.

    Raises
    ------
    SourceError, DataError, OutputError
        If a file cannot be read, a column does not fit or an output may not be written.
    """
    journal = journal_of(place_of(output), outputs_of(found, given, output, overwrite or resume))
    lacking = write_outputs(table, journal, inverse=inverse, overwrite=overwrite, resume=resume, effort=effort)
    tell_of_lacking(lacking)
    return [path if isinstance(path, Path) else str(path) for _, path in journal.pairs]


def write_outputs(
    table: Table,
    journal: Journal,
    *,
    inverse: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    effort: Effort | None = None,
    last: Callable[[], object] | None = None,
) -> list[tuple[object, list[str]]]:
    """Write the outputs of a journal, all or those that are not finished; nothing if any cannot be written.

    Parameters
    ----------
    table : Table
        Fitted.
    journal : Journal
        Sources, and the names of their copies.
    inverse, overwrite, resume : bool
        As of `transform`.
    effort : Effort, optional
    last : callable, optional
        Called when all outputs are there, while the job can still be gone on with if it fails.

    Returns
    -------
    list of (object, list of str)
        The sources, and which of the columns each lacks.
    """
    job = job_of(table, [source for source, _ in journal.pairs], inverse)
    pairs = journal.unfinished(job) if resume else journal.pairs
    if not pairs:
        _LOG.info("nothing is left to do: all outputs are there, as this job writes them")
    lacking: list[tuple[object, list[str]]] = []
    for source, target in pairs:
        if not overwrite:
            refuse_existing_output(target, resume=resume)
        lacking.append((source.path, check_inputs(table, source, inverse)))
        source.let_go()
    with journal.writing(job):
        map_files(
            table, pairs, inverse=inverse, effort=effort,
            before=partial(journal.finish, job), mark=partial(journal.mark, job),
        )  # fmt: skip
        if last:
            last()
    return lacking
