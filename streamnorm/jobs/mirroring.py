"""A normalised mirror of a table that changes: a Delta table whose commits add and remove what those of the source did.

The copy of a data file is named after it, the rows deleted in it, the columns and the statistics, so that what the
mirror lacks, and what it has too much, is seen by comparing names. All of it changes in one commit, or nothing does.
A mirror of a Delta table is partitioned as that is: by columns that are left as they are.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import xxhash

from streamnorm.errors import DataError, OutputError
from streamnorm.files import Target, entries, place_of, replacing
from streamnorm.inputs import ChangingTable, DeltaLake, Snapshot, TableFile
from streamnorm.jobs.copies import check_inputs, map_files
from streamnorm.jobs.copy import Copy
from streamnorm.jobs.effort import Effort
from streamnorm.jobs.following import at_version
from streamnorm.jobs.journal import job_of
from streamnorm.jobs.work import worker_table
from streamnorm.tables import Table

__all__ = ["Mirrored", "check_mirror", "mirror"]

#: Where rows lie that have no value of a partition column, and the most characters of a folder's name that tell one.
_NOTHING, _LONGEST = "__HIVE_DEFAULT_PARTITION__", 200


class Mirrored(NamedTuple):
    """What became of a mirror.

    Parameters
    ----------
    version : int
        Of the source, that it mirrors now.
    added, removed : int
        Files that were written, and that no longer count.
    paths : tuple of (Path or str)
        The files that count; in a store their URIs.
    """

    version: int
    added: int
    removed: int
    paths: tuple[Path | str, ...]


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
        The folder of the mirror, here or in S3.
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
    kept = _Kept(output)
    return at_version(lake, (version, as_of), lambda snapshot: _bring(table, snapshot, kept, effort))


def _bring(table: Table, snapshot: Snapshot, kept: _Kept, effort: Effort | None) -> Mirrored:
    """Bring a mirror to a snapshot.

    Parameters
    ----------
    table : Table
    snapshot : Snapshot
    kept : _Kept
    effort : Effort or None
    """
    by = snapshot.partitioned
    if by:
        table = worker_table(table, table.learnt.only(set(table.inputs(False)) - {*by}))
    like = snapshot.files[0].widened() if snapshot.files else snapshot.sources[0]
    schema = Copy.of(table, like, Path(), False).schema
    current = kept.opened(schema, by, f"streamnorm: mirror of {snapshot.identity}")
    active = {unquote(path): path for path in pa.table(current.get_add_actions()).column("path").to_pylist()}
    columns = [(column.name, column.identity, str(column.field.type)) for column in snapshot.columns]
    job = job_of(table, [], False) + repr([*columns, *by])
    wanted = {_name(job, file, by): file for file in snapshot.files}
    new = {name: file for name, file in wanted.items() if name not in active}
    gone = [active[name] for name in sorted(active.keys() - wanted.keys())]
    if new or gone:
        for file in new.values():
            check_inputs(table, file.as_plain(), inverse=False)
            file.let_go()
        map_files(table, [(file.as_plain(), kept.folder / name) for name, file in new.items()], effort=effort)
        added = [_added(kept.folder, name, _values(file, by)) for name, file in new.items()]
        removed = [{"remove": {"path": path, "deletionTimestamp": _now(), "dataChange": True}} for path in gone]
        kept.commit(current.version() + 1, [*_about(current, schema, snapshot), *removed, *added])
    paths = [kept.folder / name for name in sorted(wanted)]
    told = tuple(path if isinstance(path, Path) else str(path) for path in paths)
    return Mirrored(snapshot.version, len(new), len(gone), told)


def _values(file: TableFile, by: Sequence[str]) -> dict[str, str | None]:
    """Give the values of partition columns as a Delta log writes them."""
    found: dict[str, str | None] = {}
    for name in by:
        try:
            found[name] = file.constants[name].cast(pa.string())[0].as_py() or None
        except pa.ArrowException as error:
            raise OutputError(
                f"the mirror cannot be partitioned by {name!r}: its values are of type {file.constants[name].type}; "
                "write the rows as files instead (without --update)."
            ) from error
    return found


def _name(job: str, file: TableFile, by: Sequence[str]) -> str:
    """Name the copy of a file, in the folder of its partition.

    Parameters
    ----------
    job : str
        What is done to the rows.
    file : TableFile
    by : sequence of str
        Partition columns.
    """
    mark = xxhash.xxh3_128_hexdigest(f"{job}\n{file.key}".encode())
    values = ((name, _NOTHING if value is None else value) for name, value in _values(file, by).items())
    folders = [f"{quote(name, safe='')}={quote(value, safe='')}"[:_LONGEST] for name, value in values]
    return "/".join([*folders, f"{mark}.parquet"])


class _Kept:
    """The folder of a mirror.

    Parameters
    ----------
    output : str or Path
    """

    def __init__(self, output: str | Path) -> None:
        self._lake = DeltaLake(output)
        self.folder = place_of(output)
        if not isinstance(self.folder, Path) and not str(self.folder).startswith("s3://"):
            raise OutputError(f"{self.folder} is neither on a disk nor in S3, where mirrors lie: choose such a place.")

    def opened(self, schema: pa.Schema, by: Sequence[str], description: str) -> Any:
        """Open it as a Delta table, or make one without rows.

        Parameters
        ----------
        schema : pyarrow.Schema
        by : sequence of str
            Partition columns.
        description : str
            Which says of a Delta table that it is the mirror of a table.
        """
        try:
            from deltalake import DeltaTable
            from deltalake.exceptions import DeltaError
        except ImportError as error:
            raise OutputError(f"a mirror needs deltalake ({error}): pip install 'streamnorm[delta]'.") from None
        if not self._is_made():
            try:
                DeltaTable.create(
                    self._lake.location, schema=_delta(schema), partition_by=[*by], description=description,
                    storage_options=self._lake.storage_options,
                )  # fmt: skip
            except (DeltaError, OSError) as error:
                reason = " ".join(str(error).split()).rstrip(".")
                raise OutputError(f"{self.folder} cannot be made a mirror: {reason}; choose another place.") from error
        current = self._lake.opened()
        if current.metadata().description != description:
            raise OutputError(f"{self.folder} is a Delta table and no mirror of this one: choose another output.")
        return current

    def _is_made(self) -> bool:
        """Tell whether there is a table; a log without commits is what a process left that was killed.

        Raises
        ------
        OutputError
            If there is something else.
        """
        is_file = isinstance(self.folder, Path) and self.folder.exists() and not self.folder.is_dir()
        if not is_file and any(not place.name.startswith(".") for place in entries(self.folder / "_delta_log")):
            return True
        if is_file or any("_delta_log" not in (place.name, place.parent.name) for place in entries(self.folder)):
            raise OutputError(f"{self.folder} exists and is no mirror: choose another output.")
        return False

    def commit(self, version: int, actions: Iterable[dict[str, Any]]) -> None:
        """Write a commit, whole and under its number, unless another has that.

        Parameters
        ----------
        version : int
        actions : iterable of dict
        """
        place = self.folder / "_delta_log" / f"{version:020}.json"
        text = "".join(f"{json.dumps(action)}\n" for action in actions)
        if not (_link(place, text) if isinstance(place, Path) else place.put(text.encode(), None)):
            raise OutputError(f"{self.folder} was changed by another process meanwhile: run this again.")


def _link(path: Path, text: str) -> bool:
    """Write a file, in one step, and tell whether it was written: not where there is one."""
    waiting = path.with_name(f".{uuid.uuid4().hex}.json")
    with replacing(waiting) as temporary:
        temporary.write_text(text, encoding="utf-8")
    try:
        os.link(waiting, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; choose another place.") from error
    finally:
        waiting.unlink(missing_ok=True)
    return True


def _delta(schema: pa.Schema) -> Any:
    from deltalake import Schema

    return Schema.from_arrow(pa.schema([pa.field(item.name, item.type) for item in schema]))


def _now() -> int:
    """Give the time as logs have it, in milliseconds."""
    return time.time_ns() // 1_000_000


def _about(current: Any, schema: pa.Schema, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Give what a commit says beside the files: what it mirrors, and the columns where these are others now.

    Parameters
    ----------
    current : deltalake.DeltaTable
    schema : pyarrow.Schema
    snapshot : Snapshot
    """
    own = {"timestamp": _now(), "operation": "STREAMNORM MIRROR", "operationParameters": {}, "txnId": str(uuid.uuid4())}
    transaction = {"appId": f"streamnorm-{snapshot.identity}", "version": snapshot.version, "lastUpdated": _now()}
    found: list[dict[str, Any]] = [{"commitInfo": own}, {"txn": transaction}]
    text, metadata = _delta(schema).to_json(), current.metadata()
    same = json.loads(text) == json.loads(current.schema().to_json())
    if not same or tuple(metadata.partition_columns) != snapshot.partitioned:
        content = {
            "id": str(metadata.id),
            "description": metadata.description,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": text,
            "partitionColumns": [*snapshot.partitioned],
            "createdTime": metadata.created_time,
            "configuration": dict(metadata.configuration),
        }
        found.append({"metaData": content})
    return found


def _added(folder: Target, name: str, values: Mapping[str, str | None]) -> dict[str, Any]:
    """Give the action that adds a file.

    Parameters
    ----------
    folder : Path or Remote
        Of the mirror.
    name : str
        Its path in there.
    values : mapping of str to str or None
        Of partition columns.
    """
    import pyarrow.parquet as pq

    path = folder / name
    known = path.stat()
    with path.open("rb") as file, pq.ParquetFile(file) as read:
        stats = json.dumps({"numRecords": read.metadata.num_rows})
    content = {"path": quote(name, safe="/="), "partitionValues": values, "size": known.st_size, "stats": stats}
    return {"add": {**content, "dataChange": True, "modificationTime": known.st_mtime_ns // 1_000_000}}
