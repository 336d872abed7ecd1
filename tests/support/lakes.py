"""Delta tables: changed at random by delta-rs, read by its own engine, and commits as other writers make them."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, QueryBuilder, write_deltalake

import streamnorm as sn

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def rows_of(table: str | Path, version: int | None = None) -> pa.Table:
    """Read a version by delta-rs' own engine."""
    opened = DeltaTable(str(table), version=version)
    found = pa.table(QueryBuilder().register("t", opened).execute("select * from t"))
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return found.cast(pa.schema([f.with_type(plain.get(f.type, f.type)) for f in found.schema]))


# ---- commits by hand ----


def commit(table: Path, version: int, *actions: dict[str, Any]) -> None:
    """Write a commit."""
    log = table / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    (log / f"{version:020}.json").write_text("".join(json.dumps(action) + "\n" for action in actions))


def protocol(*features: str) -> dict[str, Any]:
    """Give what readers have to understand."""
    names = {"readerFeatures": list(features), "writerFeatures": list(features)}
    return {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **names}}


def metadata(
    fields: Sequence[dict[str, Any]], partitions: Sequence[str] = (), identity: str | None = None, **configuration: str
) -> dict[str, Any]:
    """Give names and types of the columns."""
    schema = json.dumps({"type": "struct", "fields": list(fields)})
    return {
        "metaData": {
            "id": identity or str(uuid.uuid4()),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": list(partitions),
            "configuration": {f"delta.{name.replace('__', '.')}": value for name, value in configuration.items()},
            "createdTime": 0,
        }
    }


def column(name: str, kind: str = "double", number: int | None = None, stored: str | None = None) -> dict[str, Any]:
    """Give a column, where there is a number mapped to what it is called in files."""
    mapping = {} if number is None else {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": stored}
    return {"name": name, "type": kind, "nullable": True, "metadata": mapping}


def add(table: Path, name: str, rows: pa.Table | None = None, *, change: bool = True, **more: Any) -> dict[str, Any]:
    """Write a file if there are rows, and give the action that adds it."""
    path = table / name
    if rows is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, path)
    stats = json.dumps({"numRecords": pq.read_metadata(path).num_rows})
    content = {"path": name, "partitionValues": {}, "size": path.stat().st_size, "modificationTime": 0}
    return {"add": {**content, "dataChange": change, "stats": stats, **more}}


def remove(name: str, *, change: bool = True, **more: Any) -> dict[str, Any]:
    """Give the action that removes a file."""
    return {"remove": {"path": name, "dataChange": change, "deletionTimestamp": 1, **more}}


def deleted(rows: Sequence[int]) -> dict[str, Any]:
    """Give the deletion vector of some rows, in the log itself."""
    from pyroaring import BitMap64

    body = struct.pack("<I", 1681511377) + BitMap64(rows).serialize()
    text = "".join(map(_z85, struct.iter_unpack(">I", body + b"\0" * (-len(body) % 4))))
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(body), "cardinality": len(rows)}


def _z85(word: tuple[int]) -> str:
    digits, (value,) = "", word
    for _ in range(5):
        digits, value = _Z85[value % 85] + digits, value // 85
    return digits


# ---- at random ----

KEYS = ["a", "b b", "c/d", "é%", None]


def some_rows(rng: np.random.Generator, count: int) -> pa.Table:
    """Give rows of all kinds of columns."""
    x = rng.normal(0, 1, count) * np.exp(rng.normal(0, 5, count))
    return pa.table(
        {
            "id": pa.array(rng.integers(0, 1000, count)),
            "x": pa.array(x, mask=rng.random(count) < 0.1),
            "n": pa.array(rng.integers(-5, 5, count), pa.int32()),
            "k": pa.array([KEYS[i] for i in rng.integers(0, len(KEYS), count)], pa.string()),
            "p": pa.array(rng.integers(0, 3, count), pa.int32(), mask=rng.random(count) < 0.1),
        }
    )


class Walk:
    """A Delta table that is changed at random.

    Parameters
    ----------
    path : Path
    seed : int
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.rng = str(path), np.random.default_rng(seed)
        write_deltalake(self.path, some_rows(self.rng, 60), partition_by=[["p"], ["k"], []][seed % 3] or None)
        self.partitioned = [["p"], ["k"], []][seed % 3]

    def step(self) -> str:
        """Do something, and say what."""
        names = ["append", "append", "append", "delete", "update", "merge", "compact", "z_order", "vacuum", "drop",
                 "overwrite", "restore", "checkpoint", "delete_all", "replace_where"]  # fmt: skip
        odds = np.array([3, 3, 3, 4, 4, 3, 3, 1, 1, 1, 0.3, 1, 1, 0.2, 1])
        name = str(self.rng.choice(names, p=odds / odds.sum()))
        getattr(self, name)()
        return name

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.path)

    def append(self) -> None:
        write_deltalake(self.path, some_rows(self.rng, int(self.rng.integers(1, 40))), mode="append")

    def delete(self) -> None:
        low = int(self.rng.integers(0, 1000))
        self.table.delete(f"id >= {low} and id < {low + 100}")

    def drop(self) -> None:
        self.table.delete("p = 1")

    def delete_all(self) -> None:
        self.table.delete()

    def update(self) -> None:
        low = int(self.rng.integers(0, 1000))
        self.table.update(predicate=f"id >= {low} and id < {low + 60}", updates={"x": "x * 3 + 1"})

    def merge(self) -> None:
        rows = some_rows(self.rng, 20)
        ids = pa.array(self.rng.choice(1000, 20, replace=False))
        rows = rows.set_column(0, "id", ids)
        merged = self.table.merge(rows, "t.id = s.id", source_alias="s", target_alias="t")
        merged.when_matched_update({"x": "s.x", "n": "s.n"}).when_not_matched_insert_all().execute()

    def compact(self) -> None:
        self.table.optimize.compact()

    def z_order(self) -> None:
        self.table.optimize.z_order(["id"])

    def vacuum(self) -> None:
        self.table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    def overwrite(self) -> None:
        write_deltalake(self.path, some_rows(self.rng, 30), mode="overwrite")

    def replace_where(self) -> None:
        rows = some_rows(self.rng, 10)
        rows = rows.set_column(4, "p", pa.array([2] * 10, pa.int32()))
        write_deltalake(self.path, rows, mode="overwrite", predicate="p = 2")

    def restore(self) -> None:
        table = self.table
        if not table.version():  # there is none before it
            return
        try:
            table.restore(max(0, table.version() - int(self.rng.integers(1, 4))))
        except Exception as error:  # files of that version may have been vacuumed
            assert "missing" in str(error).lower() or "not found" in str(error).lower(), error

    def checkpoint(self) -> None:
        self.table.create_checkpoint()


def x(*values: float | None) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.float64())})


def follow(table: str = "t", state: str = "s.json", **more):
    """Bring a state to the newest version, and compare it with what the engine reads."""
    fitted = sn.fit(table, state=state, update=Path(state).exists(), **more)
    columns = dict.fromkeys(fitted.learnt.types, "standard")
    assert fitted == sn.TableNormalizer(None, columns, by=fitted.by).fit(rows_of(table))
    return fitted
