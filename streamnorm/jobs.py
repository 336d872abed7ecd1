"""Whole jobs over files: batches from sources, past a normalizer, to sinks.

Parts of files are summarised by threads and added as they come: merging knows no order, so that the
result is the same bits for any number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from streamnorm.csv_files import CsvOptions, text_of
from streamnorm.errors import DataError
from streamnorm.files import replacing
from streamnorm.normalizers.table import Learnt, Table
from streamnorm.outputs import check_state_path, outputs_of
from streamnorm.sinks import open_sink, writing
from streamnorm.sources import CsvSource, Source, expand, kind_of, naming
from streamnorm.state import Counted, State, read, state_of, write
from streamnorm.tasks import map_batch, mapped_schema, nothing, summarise, table_of
from streamnorm.threads import default_threads, in_any_order, in_order

__all__ = ["check_choices", "check_inputs", "fit", "fit_state", "map_files", "transform"]

#: Called with bytes of input that have been dealt with.
Progress = Callable[[int], Any]


# ---- fit ----


def summarise_unit(table: Table, like: Learnt, source: Source, unit: int) -> tuple[Learnt | None, int]:
    """Summarise one unit of a source; also give the number of its rows."""
    with naming(source.path):
        return summarise(table, like, source.read(unit, list(like.types)), partial(source.rows_before, unit))


def fit_state(
    sources: Sequence[Source],
    table: Table,
    *,
    known: State | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    record: bool = True,
) -> State:
    """Fit a table normalizer to files, on top of a known state if there is one.

    Parameters
    ----------
    sources : sequence of Source
    table : Table
        Chooses columns and scalers by the schema of the first source.
    known : State, optional
        What is already known; sources it has counted are passed over.
    threads : int, optional
        By default one for each processor.
    progress : callable, optional
        Called with bytes dealt with.
    record : bool
        Whether to write down what was counted, which takes a hash of every source.

    Raises
    ------
    SourceError, DataError
        If a source cannot be read or its columns do not fit. Nothing is changed.
    """
    counted = {s.location: s for s in known.sources} if known else {}
    fresh = [s for s in sources if str(s.path) not in counted or _changed(s, counted[str(s.path)])]
    if known is not None:
        table = known.table
    like = known.table.learnt if known else None
    if like is None:
        like = _nothing(table, sources[0])
    for source in fresh:
        _check_columns(source, like, sources[0])
    rows = dict.fromkeys((str(s.path) for s in fresh), 0)
    total = like

    def task(source: Source, unit: int) -> Callable[[], tuple[Source, tuple[Learnt | None, int]]]:
        return lambda: (source, summarise_unit(table, like, source, unit))

    tasks = (task(source, unit) for source in fresh for unit in range(source.units))
    for source, (part, count) in in_any_order(tasks, threads or default_threads()):
        total = total if part is None else total + part
        rows[str(source.path)] += count
        if progress:
            progress(source.size // max(1, source.units))
    new = [Counted(str(s.path), s.size, rows[str(s.path)], s.fingerprint()) for s in fresh] if record else []
    _warn_of_copies(new, counted.values())
    record_of_all = sorted([*counted.values(), *new], key=lambda s: s.location)
    return State(table.with_learnt(total), tuple(record_of_all))


def _changed(source: Source, counted: Counted) -> bool:
    """Tell nothing new from something changed, which is an error."""
    if source.size == counted.size and source.fingerprint() == counted.fingerprint:
        return False
    raise DataError(
        f"{source.path} has changed since it was counted ({counted.size} bytes then, {source.size} now): "
        "fit all sources again into a new state."
    )


def _warn_of_copies(new: Iterable[Counted], counted: Iterable[Counted]) -> None:
    known = {source.fingerprint: source.location for source in counted}
    for source in new:
        if source.rows and source.fingerprint in known:
            warnings.warn(
                f"{source.location} has the content of {known[source.fingerprint]}, which was counted before: now "
                "its rows count twice.",
                stacklevel=3,
            )


def check_choices(known: State, table: Table, source: Source) -> None:
    """Find out whether columns, scalers and settings asked for are those of the state to be added to."""
    mine, theirs = ([(g.rule.key, g.names) for g in x.groups] for x in (_nothing(table, source), known.table.learnt))
    if mine != theirs or table.settings() != known.table.settings():
        raise DataError(
            "the state was fitted with other columns, scalers or settings than those asked for now: ask for none "
            "to go on with its own, or fit all sources again into a new state."
        )


def _nothing(table: Table, source: Source) -> Learnt:
    """Choose columns and scalers by a source's schema, with nothing learnt."""
    with naming(source.path):
        return nothing(table, source.schema)


def _check_columns(source: Source, like: Learnt, first: Source) -> None:
    """Find out before anything is read whether a source has all columns."""
    with naming(source.path):
        schema = source.schema
        numeric = Table(None, dict.fromkeys(like.types, "standard"))
        try:
            numeric.choose(_as_numbers(schema, like) if isinstance(source, CsvSource) else schema)
        except DataError as error:
            beside = "" if source is first else f" (the columns are those of {first.path})"
            raise DataError(f"{error}{beside}") from None


def _as_numbers(schema: pa.Schema, like: Learnt) -> pa.Schema:
    """Give the schema of a CSV file when the columns learnt from are read as numbers."""
    for name in like.types:
        at = schema.get_field_index(name)
        if at >= 0:
            schema = schema.set(at, pa.field(name, pa.float64()))
    return schema


def fit(
    sources: Any,
    normalizer: Any = None,
    *,
    state: str | Path | None = None,
    update: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    options: CsvOptions | None = None,
) -> Any:
    """Fit a normalizer to files.

    Parameters
    ----------
    sources : str, Path or sequence of these
        Files, globs and folders of Parquet, CSV (also ``.gz``) or Arrow files.
    normalizer : TableNormalizer or scaler, optional
        By default ``TableNormalizer()``: every numeric column is standardised. A scaler stands for a
        `TableNormalizer` that has it as its default.
    state : str or Path, optional
        Where to write the state file.
    update : bool, default=False
        Add the sources to those that the state has counted already; those it knows are not read again.
    threads : int, optional
        By default one for each processor. The result does not depend on it.
    progress : callable, optional
        Called with numbers of bytes as they have been dealt with.
    options : CsvOptions, optional
        How CSV files are written.

    Returns
    -------
    TableNormalizer
        Fitted; `sources_` lists what it has counted.

    Raises
    ------
    SourceError, DataError, StateError
        If a file is missing or damaged, a column does not fit, or the state cannot be used.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq, streamnorm as sn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pq.write_table(pa.table({"x": [1.0, 3.0]}), folder + "/a.parquet")
    ...     pq.write_table(pa.table({"x": [5.0, None]}), folder + "/b.parquet")
    ...     normalizer = sn.fit(folder)
    >>> normalizer.transform(pa.table({"x": [3.0]})).to_pydict()
    {'x': [0.0]}
    """
    found = expand(sources, options)
    if state is not None:
        check_state_path(state, [source.path for source in found])
    known = read(state) if update and state is not None and Path(state).exists() else None
    table = table_of(normalizer)
    if known is not None:
        if normalizer is not None:
            check_choices(known, table, found[0])
        table = type(table)(None, dict(table.columns or {}), **known.table.settings())
        known = State(table.with_learnt(known.table.learnt), known.sources)
    result = fit_state(
        found,
        table,
        known=known,
        threads=threads,
        progress=progress,
        record=state is not None,
    )
    if state is not None:
        write(result, state)
    fitted = result.table
    fitted.sources_ = result.sources  # type: ignore[attr-defined]
    return fitted


# ---- transform ----


def map_unit(table: Table, source: Source, unit: int, *, inverse: bool, as_text: bool) -> list[pa.RecordBatch]:
    """Map the batches of one unit; as text, missing values are written as they were."""
    names = list(table.inputs(inverse))
    with naming(source.path):
        mapped, rows = [], 0
        for batch, original in source.read_to_map(unit, names):
            out = map_batch(
                table, batch, inverse=inverse, rows=rows, rows_before=partial(source.rows_before, unit)
            )  # fmt: skip
            mapped.append(text_of(out, original, source.options.decimal) if as_text else out)
            rows += batch.num_rows
        return mapped


def map_files(
    table: Table,
    pairs: Iterable[tuple[Source, Path]],
    *,
    inverse: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the mapped copy of every source under its name, each when it is complete."""
    threads = threads or default_threads()
    table.warn_of_empty()
    for source, target in pairs:
        is_csv = kind_of(target) is CsvSource

        def task(unit: int, source: Source = source, is_csv: bool = is_csv) -> Callable[[], list[pa.RecordBatch]]:
            return lambda: map_unit(table, source, unit, inverse=inverse, as_text=is_csv)

        with naming(source.path):
            schema = _mapped_schema(table, source, inverse)
        with writing(target), replacing(target, parents=True) as temporary:
            sink = open_sink(temporary, target, schema, source, set(table.inputs(inverse).values()))
            try:
                for batches in in_order((task(unit) for unit in range(source.units)), threads):
                    sink.write(batches)
                    if progress:
                        progress(source.size // max(1, source.units))
            finally:
                sink.close()


def _mapped_schema(table: Table, source: Source, inverse: bool) -> pa.Schema:
    schema = source.schema
    taken = set(schema.names) & set(table.inputs(inverse).values()) if table.suffix and not inverse else None
    if taken:
        raise DataError(f"there is a column {min(taken)!r} already: choose another suffix.")
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
    progress: Progress | None = None,
    options: CsvOptions | None = None,
) -> list[Path]:
    """Write normalised copies of files.

    Parameters
    ----------
    normalizer : TableNormalizer or scaler
        Fitted.
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
    progress : callable, optional
        Called with numbers of bytes as they have been dealt with.
    options : CsvOptions, optional
        How CSV files are written.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    SourceError, DataError, OutputError
        If a file cannot be read, a column does not fit or an output may not be written. No output is
        there in part.
    """
    found = expand(sources, options)
    table = state_of(normalizer).table
    pairs = outputs_of(found, sources, output, overwrite)
    for source in found:
        check_inputs(table, source, inverse)
    map_files(table, pairs, inverse=inverse, threads=threads, progress=progress)
    return [path for _, path in pairs]


def check_inputs(table: Table, source: Source, inverse: bool) -> None:
    """Find out before anything is written whether a source has the columns to be mapped."""
    with naming(source.path):
        _mapped_schema(table, source, inverse)
