"""A normalised mirror of a table that changes: a Delta table whose commits add and remove what those of the source did.

The copy of a data file is named after it, the rows deleted in it, the columns and the statistics, so that what the
mirror lacks, and what it has too much, is seen by comparing names. All of it changes in one commit, or nothing does.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import xxhash

from streamnorm.errors import DataError, OutputError
from streamnorm.files import is_elsewhere, location_of, replacing
from streamnorm.inputs import ChangingTable, Snapshot, TableFile
from streamnorm.jobs.copies import check_inputs, map_files
from streamnorm.jobs.copy import Copy
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.following import at_version
from streamnorm.jobs.journal import job_of
from streamnorm.tables import Table

__all__ = ["Mirrored", "check_mirror", "mirror"]


class Mirrored(NamedTuple):
    """What became of a mirror.

    Parameters
    ----------
    version : int
        Of the source, that it mirrors now.
    added, removed : int
        Files that were written, and that no longer count.
    paths : tuple of Path
        The files that count.
    """

    version: int
    added: int
    removed: int
    paths: tuple[Path, ...]


def check_mirror(lake: ChangingTable | None, other: bool) -> ChangingTable:
    """Give the table to be mirrored.

    Raises
    ------
    DataError
        If there is none, or something `other` is asked for that mirrors do not do.
    """
    if lake is None:
        raise DataError("only a table that changes can be mirrored (--update): name its folder, alone.")
    if other:
        raise DataError("a mirror is brought up to date (--update), and neither mapped back, overwritten nor resumed.")
    return lake


def mirror(
    table: Table,
    lake: ChangingTable,
    output: str | Path,
    *,
    version: int | None = None,
    as_of: str | None = None,
    effort: Effort | None = None,
) -> Mirrored:
    """Bring a Delta table to the normalised rows of a version of a table; it is made where there is none.

    Parameters
    ----------
    table : Table
        Fitted.
    lake : ChangingTable
    output : str or Path
        The folder of the mirror.
    version : int, optional
        By default the newest.
    as_of : str, optional
        The version that was the newest at a time.
    effort : Effort, optional

    Raises
    ------
    OutputError
        If the folder holds something else, or another process changed the mirror meanwhile.
    SourceError, DataError
        If the table cannot be read, or a column does not fit. The mirror stays as it was.
    """
    if is_elsewhere(output):
        raise OutputError(f"{location_of(output)} is no folder of this machine, where a mirror lies: choose one.")
    return at_version(lake, (version, as_of), lambda snapshot: _bring(table, snapshot, Path(output), effort))


def _bring(table: Table, snapshot: Snapshot, output: Path, effort: Effort | None) -> Mirrored:
    """Bring a mirror to a snapshot.

    Parameters
    ----------
    table : Table
    snapshot : Snapshot
    output : Path
    effort : Effort or None
    """
    like = snapshot.sources[0]
    schema = Copy.of(table, like, Path(), False).schema
    current = _opened(output, schema, f"streamnorm: mirror of {snapshot.identity}")
    active = set(pa.table(current.get_add_actions(flatten=True)).column("path").to_pylist())
    job = job_of(table, [], False) + repr([(column.name, column.identity) for column in snapshot.columns])
    wanted = {_name(job, file): file for file in snapshot.files}
    new = [(file.as_plain(), output / name) for name, file in wanted.items() if name not in active]
    gone = sorted(active - wanted.keys())
    if new or gone:
        for source, _ in new:
            check_inputs(table, source, inverse=False)
            source.let_go()
        map_files(table, new, effort=effort)
        _commit(output, current.version() + 1, _actions(current, schema, snapshot, [path for _, path in new], gone))
    return Mirrored(snapshot.version, len(new), len(gone), tuple(output / name for name in sorted(wanted)))


def _name(job: str, file: TableFile) -> str:
    mark = xxhash.xxh3_128_hexdigest(f"{job}\n{file.key}".encode())
    return f"{mark}.parquet"


def _opened(output: Path, schema: pa.Schema, description: str) -> Any:
    """Open a mirror, or make one without rows.

    Parameters
    ----------
    output : Path
    schema : pyarrow.Schema
    description : str
        Which says of a Delta table that it is the mirror of a table.
    """
    try:
        from deltalake import DeltaTable
    except ImportError as error:
        raise OutputError(f"a mirror needs deltalake ({error}): pip install 'streamnorm[delta]'.") from None
    if not (output / "_delta_log").is_dir():
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise OutputError(f"{output} exists and is no mirror: choose another output.")
        return DeltaTable.create(str(output), schema=_delta(schema), description=description)
    current = DeltaTable(str(output))
    if current.metadata().description != description:
        raise OutputError(f"{output} is a Delta table and no mirror of this one: choose another output.")
    return current


def _delta(schema: pa.Schema) -> Any:
    from deltalake import Schema

    return Schema.from_arrow(pa.schema([pa.field(item.name, item.type) for item in schema]))


def _actions(
    current: Any, schema: pa.Schema, snapshot: Snapshot, new: Sequence[Path], gone: Iterable[str]
) -> list[dict[str, Any]]:
    """Give what a commit consists of.

    Parameters
    ----------
    current : deltalake.DeltaTable
    schema : pyarrow.Schema
    snapshot : Snapshot
    new : sequence of Path
        Files that were written.
    gone : iterable of str
        Names of those that no longer count.
    """
    now = time.time_ns() // 1_000_000
    found: list[dict[str, Any]] = [
        {"commitInfo": {"timestamp": now, "operation": "STREAMNORM MIRROR", "operationParameters": {}}},
        {"txn": {"appId": f"streamnorm-{snapshot.identity}", "version": snapshot.version, "lastUpdated": now}},
    ]
    text = _delta(schema).to_json()
    if json.loads(text) != json.loads(current.schema().to_json()):
        metadata = current.metadata()
        found.append(
            {
                "metaData": {
                    "id": str(metadata.id),
                    "description": metadata.description,
                    "format": {"provider": "parquet", "options": {}},
                    "schemaString": text,
                    "partitionColumns": [],
                    "createdTime": metadata.created_time,
                    "configuration": dict(metadata.configuration),
                }
            }
        )
    found += [{"remove": {"path": name, "deletionTimestamp": now, "dataChange": True}} for name in gone]
    return [*found, *map(_added, new)]


def _added(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    known = path.stat()
    stats = json.dumps({"numRecords": pq.read_metadata(path).num_rows})
    content = {"path": path.name, "partitionValues": {}, "size": known.st_size, "dataChange": True, "stats": stats}
    return {"add": {**content, "modificationTime": known.st_mtime_ns // 1_000_000}}


def _commit(output: Path, version: int, actions: Iterable[dict[str, Any]]) -> None:
    """Write a commit, whole and under its number, unless another has that.

    Parameters
    ----------
    output : Path
    version : int
    actions : iterable of dict
    """
    log = output / "_delta_log"
    waiting = log / f".{uuid.uuid4().hex}.json"
    with replacing(waiting) as temporary:
        temporary.write_text("".join(f"{json.dumps(action)}\n" for action in actions), encoding="utf-8")
    try:
        os.link(waiting, log / f"{version:020}.json")
    except FileExistsError:
        raise OutputError(f"{output} was changed by another process meanwhile: run this again.") from None
    except OSError as error:
        raise OutputError(f"{output} cannot be committed to: {error.strerror}; choose another place.") from error
    finally:
        waiting.unlink(missing_ok=True)
