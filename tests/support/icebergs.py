"""Iceberg tables: changed at random by pyiceberg, and deletes of rows as other writers make them."""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lakes import some_rows
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, AssertRefSnapshotId, SetSnapshotRefUpdate
from pyiceberg.typedef import Record


def catalog_in(folder: Path) -> SqlCatalog:
    """Make a catalog in a folder."""
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace_if_not_exists("ns")
    return catalog


ADDED = ManifestEntryStatus.ADDED


class _DeletesWriter(ManifestWriterV2):
    """Writes a manifest of files of deletes."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def _commit(table: Table, number: int, manifests: list[Any], operation: Operation) -> None:
    """Commit a snapshot that has these manifests."""
    current, last = table.current_snapshot(), table.metadata.last_sequence_number
    address = f"{table.location()}/metadata/snap-{number}-{uuid.uuid4()}.avro"
    output = table.io.new_output(address)
    with write_manifest_list(2, output, number, current.snapshot_id, last + 1, "deflate") as writer:
        writer.add_manifests(manifests)
    snapshot = Snapshot(
        snapshot_id=number, parent_snapshot_id=current.snapshot_id, sequence_number=last + 1, manifest_list=address,
        summary=Summary(operation), schema_id=table.schema().schema_id,
    )  # fmt: skip
    reference = SetSnapshotRefUpdate(snapshot_id=number, ref_name="main", type="branch")
    known = (AssertRefSnapshotId(snapshot_id=current.snapshot_id, ref="main"),)
    table.catalog.commit_table(table, known, (AddSnapshotUpdate(snapshot=snapshot), reference))
    table.refresh()


def _write(table: Table, kind: str, rows: pa.Table) -> str:
    path = f"{table.location()}/data/{uuid.uuid4()}-{kind}.parquet"
    pq.write_table(rows, path.removeprefix("file://"))
    return path


def _file(table: Table, path: str, rows: int, content: DataFileContent, **more: Any) -> DataFile:
    plain = {
        "content": content, "file_path": path, "file_format": FileFormat.PARQUET, "partition": Record(),
        "record_count": rows, "file_size_in_bytes": Path(path.removeprefix("file://")).stat().st_size,
        "spec_id": table.spec().spec_id,
    }  # fmt: skip
    file = DataFile.from_args(**{**plain, **more})
    file.spec_id = table.spec().spec_id
    return file


def append_file(table: Table, rows: pa.Table, partition: Record | None = None, **more: Any) -> None:
    """Add a file of these rows, whose columns get the ids that they have in the table."""
    ids = {field.name: str(field.field_id) for field in table.schema().fields}
    fields = [pa.field(f.name, f.type, metadata={"PARQUET:field_id": ids[f.name]}) for f in rows.schema]
    path = _write(table, "data", rows.cast(pa.schema(fields)))
    file = _file(table, path, len(rows), DataFileContent.DATA, partition=partition or Record(), **more)
    number = _number()
    output = table.io.new_output(f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro")
    with write_manifest(2, table.spec(), table.schema(), output, number, "deflate") as writer:
        writer.add_entry(ManifestEntry.from_args(status=ADDED, snapshot_id=number, data_file=file))
    _commit(table, number, [*table.current_snapshot().manifests(table.io), writer.to_manifest_file()], Operation.APPEND)


def delete_by_vector(table: Table, data: str, rows: list[int]) -> None:
    """Delete rows of a data file by a vector in a Puffin file."""
    from pyroaring import BitMap64

    body = bytes.fromhex("D1D33964") + BitMap64(rows).serialize()
    blob = struct.pack(">I", len(body)) + body + struct.pack(">I", zlib.crc32(body))
    about = {
        "type": "deletion-vector-v1", "fields": [], "snapshot-id": -1, "sequence-number": -1, "offset": 4,
        "length": len(blob), "properties": {"referenced-data-file": data, "cardinality": str(len(rows))},
    }  # fmt: skip
    footer = json.dumps({"blobs": [about], "properties": {}}).encode()
    path = f"{table.location()}/data/{uuid.uuid4()}-deletes.puffin"
    end = struct.pack("<I", len(footer)) + b"\0" * 4 + b"PFA1"
    Path(path.removeprefix("file://")).write_bytes(b"PFA1" + blob + b"PFA1" + footer + end)
    content = DataFileContent.POSITION_DELETES
    _add_deletes(table, _file(table, path, len(rows), content, file_format=FileFormat.PUFFIN))


def delete_rows(table: Table, rows: dict[str, list[int]], equal: int | None = None) -> None:
    """Delete rows of data files by a file of their positions; with `equal`, by the values of that field."""
    found = [(path, row) for path, own in sorted(rows.items()) for row in sorted(own)]
    fields = [
        pa.field("file_path", pa.string(), metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), metadata={"PARQUET:field_id": "2147483545"}),
    ]
    columns = [pa.array([path for path, _ in found], pa.string()), pa.array([row for _, row in found], pa.int64())]
    path = _write(table, "deletes", pa.table(columns, schema=pa.schema(fields)))
    content = DataFileContent.POSITION_DELETES if equal is None else DataFileContent.EQUALITY_DELETES
    file = _file(table, path, len(found), content, equality_ids=None if equal is None else [equal])
    _add_deletes(table, file)


def _add_deletes(table: Table, file: DataFile) -> None:
    number = _number()
    output = table.io.new_output(f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro")
    with _DeletesWriter(table.spec(), table.schema(), output, number, "deflate") as writer:
        writer.add_entry(ManifestEntry.from_args(status=ADDED, snapshot_id=number, data_file=file))
    manifests = [*table.current_snapshot().manifests(table.io), writer.to_manifest_file()]
    _commit(table, number, manifests, Operation.OVERWRITE)


def rewrite(table: Table) -> None:
    """Write all data files anew as one, as compaction does."""
    rows, number = table.scan().to_arrow().cast(table.schema().as_arrow()), _number()
    before = list(table.scan().plan_files())
    file = _file(table, _write(table, "data", rows), len(rows), DataFileContent.DATA)
    output = table.io.new_output(f"{table.location()}/metadata/{uuid.uuid4()}-m0.avro")
    with write_manifest(2, table.spec(), table.schema(), output, number, "deflate") as writer:
        writer.add_entry(ManifestEntry.from_args(status=ADDED, snapshot_id=number, data_file=file))
        for task in before:
            entry = ManifestEntry.from_args(
                status=ManifestEntryStatus.DELETED, snapshot_id=number, sequence_number=1, file_sequence_number=1,
                data_file=task.file,
            )  # fmt: skip
            writer.add_entry(entry)
    _commit(table, number, [writer.to_manifest_file()], Operation.REPLACE)


def _number() -> int:
    return uuid.uuid4().int % 2**62


class IceWalk:
    """An Iceberg table that is changed at random.

    Parameters
    ----------
    folder : Path
    seed : int
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng, self.catalog = np.random.default_rng(seed), catalog_in(folder)
        rows = some_rows(self.rng, 40)
        self.table = self.catalog.create_table("ns.t", schema=rows.schema)
        if seed % 2:
            with self.table.update_spec() as spec:
                spec.add_identity("p")
        self.partitioned = bool(seed % 2)
        self.table.append(rows)

    def rows(self) -> pa.Table:
        """Read the current snapshot by pyiceberg's own reader."""
        return self.table.scan().to_arrow()

    def step(self) -> str:
        """Do something, and say what."""
        names = ["append", "delete", "overwrite", "positions", "rewrite", "rollback", "expire", "empty"]
        odds = np.array([9, 8, 3, 4, 2, 1, 1, 0.3])
        name = str(self.rng.choice(names, p=odds / odds.sum()))
        getattr(self, name)()
        return name

    def append(self) -> None:
        self.table.append(some_rows(self.rng, int(self.rng.integers(1, 30))))

    def delete(self) -> None:
        low = int(self.rng.integers(0, 1000))
        self.table.delete(f"id >= {low} and id < {low + 120}")

    def overwrite(self) -> None:
        low = int(self.rng.integers(0, 1000))
        self.table.overwrite(some_rows(self.rng, 9), overwrite_filter=f"id >= {low} and id < {low + 120}")

    def empty(self) -> None:
        self.table.delete()

    def positions(self) -> None:
        tasks = list(self.table.scan().plan_files())
        if tasks and not self.partitioned:
            chosen = [tasks[i] for i in set(self.rng.integers(0, len(tasks), 2).tolist())]
            some = {
                task.file.file_path: self.rng.choice(
                    task.file.record_count, max(1, task.file.record_count // 4), False
                ).tolist()
                for task in chosen
            }
            delete_rows(self.table, some)

    def rewrite(self) -> None:
        if not self.partitioned and self.table.current_snapshot() and list(self.table.scan().plan_files()):
            rewrite(self.table)

    def rollback(self) -> None:
        current = self.table.current_snapshot()
        if current and current.parent_snapshot_id and self.table.snapshot_by_id(current.parent_snapshot_id):
            with self.table.manage_snapshots() as manage:
                manage.rollback_to_snapshot(current.parent_snapshot_id)

    def expire(self) -> None:
        from datetime import datetime

        self.table.maintenance.expire_snapshots().older_than(datetime.now()).commit()
        self.table.refresh()
