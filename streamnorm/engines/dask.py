"""Dask: files and data frames are summarised task by task, and the state is that of one machine, bit for bit.

`fit` and `transform` take what local jobs take (files, folders, globs), and Dask data frames. A task is a
file, or a run of row groups of a large one, or a partition; summaries add up in a tree, sixteen at a time.
They run on whatever scheduler Dask is set to: threads, processes or a cluster, whose workers must see the
same files under the same names. Tasks are pure: what is computed twice, after a worker was lost, is counted
once, and a file that is written twice is the same file.

Data frames are pandas' on the inside. There a null and a NaN are one, and both are counted as null; in files
they are counted apart.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from streamnorm.arrow import batches_of
from streamnorm.engines import wire
from streamnorm.errors import DataError
from streamnorm.formats import CsvOptions, Source
from streamnorm.inputs import expand
from streamnorm.jobs import (
    Effort,
    check_columns,
    check_inputs,
    decide,
    map_files,
    neighbours,
    nothing,
    open_columns,
    options_of,
    outputs_of,
    settled,
    summarise_units,
    table_of,
    tell_of_differences,
    tell_of_lacking,
    worker_table,
)
from streamnorm.states import state_of
from streamnorm.tables import Table

__all__ = ["fit", "transform"]

#: Bytes of a file for one task, if the file can be read in parts.
_TASK_BYTES = 128 << 20
#: Summaries that one task adds up.
_FAN_IN = 16


def fit(data: Any, normalizer: Any = None, *, options: CsvOptions | None = None) -> Any:
    """Fit a normalizer to files or to a Dask data frame.

    Parameters
    ----------
    data : str, Path or sequence of these, or dask.dataframe.DataFrame
        Files, globs and folders, as of `streamnorm.fit`.
    normalizer : TableNormalizer or scaler, optional
        By default ``TableNormalizer()``: every numeric column is standardised. A scaler stands for a
        `TableNormalizer` that has it as its default.
    options : CsvOptions, optional
        How CSV files are written.

    Returns
    -------
    TableNormalizer
        Fitted; equal, bit for bit, to one fitted to the same rows anywhere else.

    Raises
    ------
    SourceError, DataError
        If a file is missing or damaged or a column does not fit; the message is that of `streamnorm.fit`, or names
        the partition, and the row, counted from 1. What Dask itself reads and cannot read is Dask's to tell.

    Examples
    --------
    >>> import dask, streamnorm as sn
    >>> with dask.config.set(scheduler="threads"):
    ...     normalizer = sn.dask.fit("data/flights.parquet")
    >>> normalizer.digest() == sn.fit("data/flights.parquet").digest()
    True
    """
    delayed, table = _dask().delayed, table_of(normalizer)
    if _is_frame(data):
        like = nothing(table, pa.Schema.from_pandas(data._meta, preserve_index=False))
        worker = worker_table(table, like)
        parts = data[table.read_columns(like)].to_delayed()
        tasks = [delayed(_summarise_frame)(worker, number, part) for number, part in enumerate(parts)]
    else:
        sources = expand(data, options)
        job = decide(table, sources)
        tell_of_differences(job)
        like = job.like
        worker = worker_table(table, like)
        opened = [source.with_open(open_columns(table, like)) for source in sources]
        tasks = [delayed(_summarise_units)(worker, source, units) for source, units in _units(opened)]
    while len(tasks) > 1:
        groups = [tasks[i : i + _FAN_IN] for i in range(0, len(tasks), _FAN_IN)]
        tasks = [delayed(_merge)(worker, group) for group in groups]
    found: _Found = tasks[0].compute()
    return table.with_learnt(settled(table, wire.from_bytes(found.summary, like), found.texts))


def transform(
    normalizer: Any,
    data: Any,
    output: str | Path | None = None,
    *,
    inverse: bool = False,
    overwrite: bool = False,
    options: CsvOptions | None = None,
) -> Any:
    """Normalise a Dask data frame, or write normalised copies of files, a task for each.

    Parameters
    ----------
    normalizer : TableNormalizer or scaler
        Fitted, by `fit` or anywhere else.
    data : str, Path or sequence of these, or dask.dataframe.DataFrame
    output : str or Path, optional
        Where the copies of files go; a file for one file, else a folder that gets the layout of the input; here or in
        an object store (a URI), where workers need the credentials that the driver has.
    inverse : bool, default=False
        Whether to undo rather than to do.
    overwrite : bool, default=False
        Whether existing outputs may be replaced.
    options : CsvOptions, optional
        How CSV files are written; by default as those that the normalizer's state has counted.

    Returns
    -------
    dask.dataframe.DataFrame or list of Path
        A lazy data frame for a data frame; for files, what was written.

    Raises
    ------
    SourceError, DataError, OutputError
        If a file cannot be read, a column does not fit or an output may not be written. No output is
        there in part.
    """
    dask, known = _dask(), state_of(normalizer)
    table = known.mapping()
    table.warn_of_empty()
    worker = worker_table(table, table.learnt)
    if _is_frame(data):
        if output is not None:
            raise DataError("a data frame has no output: write what transform gives, for instance by to_parquet.")
        meta = worker.inverse_transform(data._meta) if inverse else worker.transform(data._meta)
        return data.map_partitions(_map_frame, worker, inverse, meta=meta)
    if output is None:
        raise DataError("say where the normalised copies go: output='folder'.")
    sources = expand(data, options or options_of(known.sources))
    pairs = outputs_of(sources, data, output, overwrite)
    lacking: list[tuple[object, list[str]]] = []
    for source in sources:
        lacking.append((source.path, check_inputs(table, source, inverse)))
        source.let_go()
    tell_of_lacking(lacking)
    write = partial(dask.delayed(map_files), worker, inverse=inverse, effort=Effort(threads=1))
    dask.compute([write([(_bare(source), target)]) for source, target in pairs])
    return [path for _, path in pairs]


def _dask() -> Any:
    try:
        return importlib.import_module("dask")
    except ModuleNotFoundError:
        raise ModuleNotFoundError("streamnorm.dask needs Dask: pip install 'streamnorm[dask]'.") from None


def _is_frame(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "dask" and hasattr(data, "map_partitions")


def _units(sources: Iterable[Source]) -> Iterator[tuple[Source, range | None]]:
    """Cut large files into runs of units of about the same size; None stands for all there are.

    A CSV file is one task: where its rows end is known only to who reads it from its beginning.
    """
    for source in sources:
        if source.size <= _TASK_BYTES or not source.splittable:
            yield _bare(source), None
            continue
        units = range(sum(1 for _ in source.units()))
        step = max(1, len(units) * _TASK_BYTES // source.size)
        yield from ((_bare(source), units[start : start + step]) for start in units[::step])
        source.let_go()


def _bare(source: Source) -> Source:
    """Give a source without what is remembered of the file: a footer would weigh more than the summary."""
    return dataclasses.replace(source)


# ---- on the workers ----


class _Found(NamedTuple):
    """What tasks gave.

    Parameters
    ----------
    summary : bytes
    texts : list of Source
        The text files that were read, with what was seen of their columns.
    """

    summary: bytes
    texts: list[Source]


def _summarise_units(table: Table, source: Source, units: range | None) -> _Found:
    """Summarise units of a file, on a worker.

    Parameters
    ----------
    table : Table
    source : Source
    units : range or None
        Numbers of the units; None for all.
    """
    total = table.learnt
    check_columns(source, total, table.by)
    wanted = (unit for unit in source.units() if units is None or unit.number in units)
    for some in neighbours(wanted, table):
        part = summarise_units(table, table.learnt, source, some)
        total = total if part.learnt is None else total + part.learnt
    return _Found(wire.to_bytes(total), [] if source.typed else [_bare(source)])


def _summarise_frame(table: Table, number: int, frame: Any) -> _Found:
    """Summarise one partition of a frame, on a worker.

    Parameters
    ----------
    table : Table
    number : int
        Of the partition, for messages.
    frame : pandas.DataFrame
        The partition.
    """
    return _Found(wire.summarise_partition(table, number, batches_of(frame)), [])


def _merge(table: Table, some: Sequence[_Found]) -> _Found:
    total = wire.merge([found.summary for found in some], table.learnt)
    return _Found(wire.to_bytes(total), [source for found in some for source in found.texts])


def _map_frame(frame: Any, table: Table, inverse: bool, partition_info: dict[str, Any] | None = None) -> Any:
    """Map one partition of a frame, on a worker.

    Parameters
    ----------
    frame : pandas.DataFrame
        The partition.
    table : Table
    inverse : bool
        Whether to map back.
    partition_info : dict, optional
        What Dask tells of the partition.
    """
    try:
        return table.inverse_transform(frame) if inverse else table.transform(frame)
    except DataError:
        batches = batches_of(frame.filter(items=[*table.inputs(inverse), *table.key_names]))
        for _ in wire.map_partition(table, (partition_info or {}).get("number", 0), batches, inverse=inverse):
            pass  # again, as batches: their errors say where
        raise
