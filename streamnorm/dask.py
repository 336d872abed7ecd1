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
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamnorm.csv_files import CsvOptions
from streamnorm.errors import DataError
from streamnorm.fitting import summarise_units, together
from streamnorm.jobs import check_inputs, map_files
from streamnorm.normalizers.table import Table, batches_of
from streamnorm.outputs import outputs_of
from streamnorm.places import naming
from streamnorm.sources import CsvSource, Source, expand
from streamnorm.state import state_of
from streamnorm.tasks import from_bytes, merge, nothing, summarise, table_of, to_bytes, worker_table

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
        If a file is missing or damaged or a column does not fit; the message names the file, or the
        partition, and the row, counted from 1.

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
        parts = data[list(table.read_columns(like))].to_delayed()
        states = [delayed(_summarise_frame)(part, worker, number) for number, part in enumerate(parts)]
    else:
        sources = expand(data, options)
        with naming(sources[0].path):
            like = nothing(table, sources[0].schema)
        worker = worker_table(table, like)
        states = [delayed(_summarise_units)(source, units, worker) for source, units in _units(sources)]
    while len(states) > 1:
        groups = [states[i : i + _FAN_IN] for i in range(0, len(states), _FAN_IN)]
        states = [delayed(_merge)(group, worker) for group in groups]
    return table.with_learnt(from_bytes(states[0].compute(), like))


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
        Where the copies of files go; a file for one file, else a folder that gets the layout of the input.
    inverse : bool, default=False
        Whether to undo rather than to do.
    overwrite : bool, default=False
        Whether existing outputs may be replaced.
    options : CsvOptions, optional
        How CSV files are written.

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
    dask, table = _dask(), state_of(normalizer).table
    table.warn_of_empty()
    worker = worker_table(table, table.learnt)
    if _is_frame(data):
        if output is not None:
            raise DataError("a data frame has no output: write what transform gives, for instance by to_parquet.")
        meta = worker.inverse_transform(data._meta) if inverse else worker.transform(data._meta)
        return data.map_partitions(_map_frame, worker, inverse, meta=meta)
    if output is None:
        raise DataError("say where the normalised copies go: output='folder'.")
    sources = expand(data, options)
    pairs = outputs_of(sources, data, output, overwrite)
    for source in sources:
        check_inputs(table, source, inverse)
    dask.compute([dask.delayed(_map_file)(source, target, worker, inverse) for source, target in pairs])
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
        if source.size <= _TASK_BYTES or isinstance(source, CsvSource):
            yield source, None
            continue
        units, tasks = sum(1 for _ in source.units()), -(-source.size // _TASK_BYTES)
        step = max(1, -(-units // tasks))
        bare = dataclasses.replace(source)  # without the footer
        yield from ((bare, range(start, min(start + step, units))) for start in range(0, units, step))


# ---- on the workers ----


def _summarise_units(source: Source, units: range | None, table: Table) -> bytes:
    like = total = table.learnt
    wanted = (unit for unit in source.units() if units is None or unit.number in units)
    for neighbours in together(wanted, table):
        part, _ = summarise_units(table, like, source, neighbours)
        total = total if part is None else total + part
    return to_bytes(total)


def _summarise_frame(frame: Any, table: Table, number: int) -> bytes:
    try:
        learnt, _ = summarise(table, table.learnt, batches_of(frame))
    except DataError as error:
        raise DataError(f"partition {number}: {error}") from error
    return to_bytes(learnt or table.learnt)


def _merge(states: Sequence[bytes], table: Table) -> bytes:
    return to_bytes(merge(states, table.learnt))


def _map_file(source: Source, target: Path, table: Table, inverse: bool) -> None:
    map_files(table, [(source, target)], inverse=inverse, threads=1)


def _map_frame(frame: Any, table: Table, inverse: bool, partition_info: dict[str, Any] | None = None) -> Any:
    try:
        return table.inverse_transform(frame) if inverse else table.transform(frame)
    except DataError as error:
        raise DataError(f"partition {(partition_info or {}).get('number')}: {error}") from error
