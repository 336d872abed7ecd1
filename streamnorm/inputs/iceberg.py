"""Iceberg tables, by the library pyiceberg: which files count in a snapshot, and what their columns are called."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from streamnorm.errors import SourceError
from streamnorm.files import Remote, naming
from streamnorm.formats import CsvOptions
from streamnorm.inputs.changing import ChangingTable, Commit, Snapshot, needing
from streamnorm.inputs.tablefile import TableColumn, TableFile

__all__ = ["SCHEME", "IcebergLake"]

#: What a name begins with that is a catalog's and not a path.
SCHEME = "iceberg:"
#: How often a table is looked at again where it is another one before its metadata are read.
_TRIES = 5


class IcebergLake(ChangingTable):
    """An Iceberg table.

    Parameters
    ----------
    given : str or pyiceberg.table.Table
        ``iceberg:CATALOG/NAMESPACE.TABLE``, of a catalog that pyiceberg's own configuration knows; or the table itself,
        whose snapshot then counts.
    """

    kind = "an Iceberg table"
    remedy = "see to the table and to pyiceberg's configuration"

    def __init__(self, given: Any) -> None:
        self._given = None if isinstance(given, str) else given
        self.is_fixed = self._given is not None
        self.location = given if isinstance(given, str) else _plain(given.location())

    def _open(self) -> Any:
        if self._given is not None:
            return self._given
        try:
            from pyiceberg.catalog import load_catalog
        except ImportError as error:
            raise needing("pyiceberg", "iceberg", error) from None
        catalog, slash, name = self.location.removeprefix(SCHEME).partition("/")
        if not (catalog and slash and name):
            raise SourceError(f"{self.location} names no table: name it as {SCHEME}CATALOG/NAMESPACE.TABLE.")
        return load_catalog(catalog).load_table(name)

    def snapshot(self, version: int | None = None, as_of: str | None = None) -> Snapshot:
        """Give the current snapshot, or another one by its id."""
        with self._naming():
            table = self._open()
            for _ in range(_TRIES):
                try:
                    return self._snapshot(table, version, as_of)
                except Exception:  # files of metadata that was replaced meanwhile may be gone
                    newer = self._open()
                    if newer.metadata_location == table.metadata_location:
                        raise
                    table = newer
            return self._snapshot(table, version, as_of)

    def _snapshot(self, table: Any, version: int | None, as_of: str | None) -> Snapshot:
        """Describe a snapshot.

        Parameters
        ----------
        table : pyiceberg.table.Table
        version : int or None
        as_of : str or None
        """
        found = self._found(table, version, as_of)
        current = table.current_snapshot()
        schema = table.schema()
        if found is not None and current is not None and found.snapshot_id != current.snapshot_id:
            schema = table.schemas().get(found.schema_id, schema)
        columns = _columns(schema, table.name_mapping())
        tasks = [] if found is None else list(table.scan(snapshot_id=found.snapshot_id).plan_files())
        files = tuple(self._file(table, task, columns) for task in tasks)
        number = 0 if found is None else int(found.snapshot_id)
        folder = _place(table, table.location())
        return Snapshot(self.location, folder, str(table.metadata.table_uuid), number, columns, files)

    def _found(self, table: Any, version: int | None, as_of: str | None) -> Any:
        """Find a snapshot; None where the table is empty.

        Parameters
        ----------
        table : pyiceberg.table.Table
        version : int or None
        as_of : str or None
        """
        if version == 0:
            return None
        if version is not None:
            found = table.snapshot_by_id(version)
        elif as_of is not None:
            time = datetime.datetime.fromisoformat(as_of)
            time = time if time.tzinfo else time.replace(tzinfo=datetime.UTC)
            found = table.snapshot_as_of_timestamp(int(time.timestamp() * 1000))
        else:
            return table.current_snapshot()
        if found is None:
            raise SourceError(f"{self.location} has no snapshot {version or f'as of {as_of}'}: name one that it has.")
        return found

    def _file(self, table: Any, task: Any, columns: tuple[TableColumn, ...]) -> TableFile:
        """Describe a data file.

        Parameters
        ----------
        table : pyiceberg.table.Table
        task : pyiceberg.table.FileScanTask
        columns : tuple of TableColumn
        """
        data, deletes = task.file, sorted(task.delete_files, key=lambda file: str(file.file_path))
        for file in (data, *deletes):
            kind = str(getattr(file.file_format, "name", file.file_format))
            if kind not in (("PARQUET",) if file is data else ("PARQUET", "PUFFIN")) or file.key_metadata:
                how = "encrypted" if file.key_metadata else f"written as {kind}"
                raise SourceError(
                    f"{file.file_path} is {how}, which is not read: write the table as plain Parquet, or leave it out."
                )
        place, root = _place(table, data.file_path), table.location().rstrip("/")
        inside = data.file_path.startswith(f"{root}/")
        relative = Path(data.file_path[len(root) + 1 :] if inside else data.file_path.rpartition("/")[2])
        marks = [f"{file.file_path}@{getattr(file, 'content_offset', None)}" for file in deletes]
        mark = f"#{xxhash.xxh3_64_hexdigest('|'.join(marks).encode())}" if marks else ""
        return TableFile(
            place, relative, CsvOptions(), f"{data.file_path}{mark}", columns, {},
            partial(_deleted, table, deletes, data.file_path) if deletes else None,
            None if deletes else int(data.record_count), int(data.file_size_in_bytes), _constants(table, data),
        )  # fmt: skip

    def commits(self, before: int, after: int) -> Sequence[Commit]:
        """Give what the snapshots behind one, up to another, changed; nothing where one between them is gone."""
        table = self._open()
        try:
            chain, number = [], after
            while number != before:
                found = table.snapshot_by_id(number)
                if found is None or found.parent_snapshot_id is None:
                    return ()
                chain.append(found)
                number = found.parent_snapshot_id
            return [_commit_of(table, found) for found in reversed(chain)]
        except Exception:  # of whatever kind: what is active is known all the same
            return ()


def _commit_of(table: Any, snapshot: Any) -> Commit:
    """Give what a snapshot did to data files; its deletes of rows show in what the files are called."""
    removed: list[str] = []
    added: dict[str, int | None] = {}
    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id or manifest.content.name != "DATA":
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            if entry.snapshot_id != snapshot.snapshot_id:
                continue
            if entry.status.name == "DELETED":
                removed.append(entry.data_file.file_path)
            elif entry.status.name == "ADDED":
                added[entry.data_file.file_path] = int(entry.data_file.record_count)
    operation = snapshot.summary.operation.value if snapshot.summary else ""
    return Commit(tuple(removed), added, operation == "replace")


def _columns(schema: Any, mapping: Any) -> tuple[TableColumn, ...]:
    """Give the columns of a table, by their ids; and by names for files without ids, where the table has such names."""
    named = {item.field_id: tuple(item.names) for item in mapping} if mapping is not None else {}
    arrow = schema.as_arrow()
    return tuple(
        TableColumn(item.remove_metadata(), str(own.field_id), int(own.field_id), named.get(own.field_id, (own.name,)))
        for item, own in zip(arrow, schema.fields, strict=True)
    )


def _constants(table: Any, data: Any) -> Mapping[str, pa.Array]:
    """Give what stands for columns that a file lacks: defaults, and the values that partitions are named after."""
    schema, found = table.schema(), {}
    arrow = schema.as_arrow()
    for own in schema.fields:
        default = getattr(own, "initial_default", None)
        if default is not None:
            found[own.name] = pa.array([default], arrow.field(own.name).type)
    spec = table.specs()[data.spec_id]
    for at, field in enumerate(spec.fields):
        own = schema.find_field(field.source_id) if field.source_id in schema._lazy_id_to_field else None
        if own is not None and str(field.transform) == "identity" and own.name in schema.column_names:
            kind = arrow.field(own.name).type
            found[own.name] = pa.array([_as_value(data.partition[at], kind)], kind)
    return found


def _as_value(value: Any, kind: pa.DataType) -> Any:
    """Give a value of a partition, where dates and times are numbers, as what arrays are made of."""
    if isinstance(value, int) and (pa.types.is_temporal(kind)):
        return pa.array([value], pa.int64() if kind.bit_width == 64 else pa.int32()).cast(kind)[0].as_py()
    return value


def _deleted(table: Any, deletes: Sequence[Any], path: str) -> NDArray[np.int64]:
    """Read which rows of a file are deleted, ascending.

    Parameters
    ----------
    table : pyiceberg.table.Table
    deletes : sequence of pyiceberg.manifest.DataFile
    path : str
        Of the data file, as the table has it.
    """
    return _joined([_positions(table, file, path) for file in deletes])


def _joined(positions: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    every: NDArray[np.int64] = np.unique(np.concatenate([np.empty(0, np.int64), *positions]))
    return every


def _positions(table: Any, file: Any, path: str) -> NDArray[np.int64]:
    """Read one file of deletes.

    Parameters
    ----------
    table : pyiceberg.table.Table
    file : pyiceberg.manifest.DataFile
    path : str
        Of the data file, as the table has it.
    """
    place = _place(table, file.file_path)
    with naming(place), place.open("rb") as opened:
        if file.file_format.name == "PUFFIN":
            from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
            from pyiceberg.table.puffin import PuffinFile

            every = deletion_vectors_from_puffin_file(PuffinFile(opened.read()))
            own = [vector for vector in every if vector.referenced_data_file == path]
            return _joined([np.asarray(vector.to_vector().to_numpy(), np.int64) for vector in own])
        import pyarrow.parquet as pq

        with pq.ParquetFile(opened) as read:
            rows = read.read(columns=["file_path", "pos"])
        of_file = np.array([value == path for value in rows.column("file_path").to_pylist()], bool)
        return _joined([np.asarray(rows.column("pos").to_numpy(), np.int64)[of_file]])


def _plain(address: str) -> str:
    return unquote(urlsplit(address).path) if address.startswith("file:") else address


def _place(table: Any, address: str) -> Path | Remote:
    """Find a file by its address, through the file system that the table has."""
    parts = urlsplit(address)
    if parts.scheme in ("", "file"):
        return Path(address.removeprefix("file://") if parts.scheme else address)
    if hasattr(table.io, "fs_by_scheme"):
        scheme, netloc, key = table.io.parse_location(address, table.io.properties)
        return Remote(address, key, table.io.fs_by_scheme(scheme, netloc))
    from pyarrow import fs

    filesystem, key = fs.FileSystem.from_uri(address)
    return Remote(address, key, filesystem)
