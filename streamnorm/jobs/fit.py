"""The job of fitting: files, past a normalizer, to statistics and a state."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from streamnorm.errors import DataError
from streamnorm.formats import CsvOptions
from streamnorm.inputs import ChangingTable, expand, table_named
from streamnorm.jobs.count import How, check_new_state, count
from streamnorm.jobs.effort import Effort, Progress
from streamnorm.jobs.following import at_version, check_version_of_table, fit_snapshot, follow
from streamnorm.jobs.ledger import options_of
from streamnorm.jobs.reading import fit_state
from streamnorm.jobs.work import table_of
from streamnorm.states import State, record_of
from streamnorm.tables import Table

__all__ = ["fit"]


def fit(
    sources: Any,
    normalizer: Any = None,
    *,
    state: str | Path | None = None,
    update: bool = False,
    rebuild: bool = False,
    overwrite: bool = False,
    keep_parts: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    options: CsvOptions | None = None,
    version: int | None = None,
    as_of: str | None = None,
) -> Any:
    """Fit a normalizer to files, or to a table that changes.

    Their columns may differ in order, and in the width or kind of numbers: what does is told to the logger
    ``streamnorm``, at level ``INFO``. A column that holds nothing but nulls in some of them is missing there.

    Parameters
    ----------
    sources : str, Path or sequence of these, or a table
        Files, globs and folders of Parquet, CSV (also ``.gz``) or Arrow files. Or one table that changes: the folder of
        a Delta table, ``iceberg:CATALOG/NAMESPACE.TABLE``, or an object of deltalake or pyiceberg.
    normalizer : TableNormalizer or scaler, optional
        By default ``TableNormalizer()``: every numeric column is standardised. A scaler stands for a
        `TableNormalizer` that has it as its default.
    state : str or Path, optional
        Where to write the state file.
    update : bool, default=False
        Add the sources to those that the state has counted already; those it knows are not read again.
    rebuild : bool, default=False
        Count all sources again, with the columns and scalers of the state.
    overwrite : bool, default=False
        Whether a state that exists may be replaced by one of these sources alone.
    keep_parts : bool, default=False
        Keep each source's own summary beside the state, in the folder ``STATE.parts``, so that it can be
        forgotten when the file has changed or is gone.
    threads : int, optional
        By default one for each processor. The result does not depend on it.
    progress : callable, optional
        Called with numbers of bytes and of rows as they have been dealt with.
    options : CsvOptions, optional
        How CSV files are written; by default as those that the state has counted, else with commas and points.
    version : int, optional
        Of a table, or the id of its snapshot; by default the newest.
    as_of : str, optional
        A time, as ``2026-01-31T12:00:00Z``, for the version of a table that was the newest then.

    Returns
    -------
    TableNormalizer
        Fitted; where there is a `state`, `sources_` lists what that has counted.

    Raises
    ------
    SourceError, DataError, StateError, OutputError
        If a file is missing or damaged, a column or parameter does not fit, or the state cannot be used or may not be
        replaced.

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
    from streamnorm.normalizers.table_normalizer import TableNormalizer

    for name, asked in (("update", update), ("rebuild", rebuild), ("keep_parts", keep_parts)):
        if asked and state is None:
            raise DataError(f"{name} is about a state file, and none was named: name it (state).")
    how: How = "rebuild" if rebuild else "add" if update else "new"
    if state is not None and not overwrite:
        check_new_state(state, how, "add to it (update), replace it (overwrite), or name another")
        options = options or options_of(record_of(state))
    effort, table, lake = Effort(threads, progress), table_of(normalizer), table_named(sources)
    check_version_of_table(lake, version, as_of)
    if lake is not None:
        result = _fit_table(lake, table, state, how, normalizer is not None, (version, as_of), effort)
        return _normalizer(result, table, TableNormalizer)
    found = expand(sources, options)
    if state is None:
        result = fit_state(found, table, effort=effort, record=False)
    else:
        given = [sources] if isinstance(sources, (str, Path)) else list(sources)
        chosen = normalizer is not None
        result = count(state, given, found, table, how=how, chosen=chosen, keep_parts=keep_parts, effort=effort)
    return _normalizer(result, table, TableNormalizer)


def _normalizer(result: State, table: Any, kind: Any) -> Any:
    """Give what was fitted as an estimator.

    Parameters
    ----------
    result : State
    table : TableNormalizer
        What was asked for.
    kind : type
        `TableNormalizer`.
    """
    columns = {name: group.rule for name, (group, _) in result.table.learnt.columns().items()}
    if not isinstance(result.table, kind):
        table = kind(None, columns, **result.table.settings(), profile=result.table.profile)
    fitted = table.with_learnt(result.table.learnt)
    fitted.sources_, fitted.positions_ = result.sources, result.positions
    return fitted


def _fit_table(
    lake: ChangingTable, table: Table, state: str | Path | None, how: How, chosen: bool,
    at: tuple[int | None, str | None], effort: Effort,
) -> State:  # fmt: skip
    """Fit to a table, with a state or without.

    Parameters
    ----------
    lake : ChangingTable
    table : Table
    state : str, Path or None
    how : {"new", "add", "rebuild"}
    chosen : bool
    at : tuple of (int or None, str or None)
        The version, or the time, that is asked for.
    effort : Effort
    """
    if state is None:
        return at_version(lake, at, partial(fit_snapshot, table=table, effort=effort))
    version, as_of = at
    return follow(state, lake, table, how=how, chosen=chosen, version=version, as_of=as_of, effort=effort).state
