"""Processes that change a table while it is followed; each keeps the rows of every version that it made.

They make one change at a time, so that the rows of a version can be kept before another process removes its files; who
follows the table knows nothing of that.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from icebergs import catalog_in, delete_rows, rewrite
from lakes import rows_of, some_rows

#: Who changes a table, at once.
ROLES = ("writer", "changer", "janitor")


class DeltaSide:
    """A Delta table in a folder."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.path, self.rng = str(folder / "t"), rng

    def make(self) -> None:
        write_deltalake(self.path, some_rows(self.rng, 40))

    def writer(self) -> None:
        write_deltalake(self.path, some_rows(self.rng, int(self.rng.integers(1, 20))), mode="append")

    def changer(self) -> None:
        table = DeltaTable(self.path)
        if self.rng.random() < 0.4:
            table.optimize.compact()
        else:
            low = int(self.rng.integers(0, 1000))
            table.delete(f"id >= {low} and id < {low + 60}")

    def janitor(self) -> None:
        DeltaTable(self.path).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    def rows(self) -> tuple[list[int], Any]:
        """Give the newest rows, and their versions: a vacuum is two commits, which leave the rows as they are."""
        version = DeltaTable(self.path).version()
        return [version, version - 1], rows_of(self.path)


class IcebergSide:
    """An Iceberg table of a SQLite catalog in a folder."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder, self.rng, self.catalog = folder, rng, catalog_in(folder)

    @property
    def table(self) -> Any:
        return self.catalog.load_table("ns.t")

    def make(self) -> None:
        rows = some_rows(self.rng, 40)
        self.catalog.create_table("ns.t", schema=rows.schema).append(rows)

    def writer(self) -> None:
        self.table.append(some_rows(self.rng, int(self.rng.integers(1, 20))))

    def changer(self) -> None:
        table, what = self.table, self.rng.random()
        tasks = list(table.scan().plan_files())
        if what < 0.3 and tasks:
            rewrite(table)
        elif what < 0.6 and tasks:
            file = tasks[int(self.rng.integers(len(tasks)))].file
            delete_rows(table, {file.file_path: [int(self.rng.integers(file.record_count))]})
        else:
            low = int(self.rng.integers(0, 1000))
            table.delete(f"id >= {low} and id < {low + 60}")

    def janitor(self) -> None:
        """Expire all snapshots but the current one, and remove the files that it does not need."""
        from datetime import datetime

        self.table.maintenance.expire_snapshots().older_than(datetime.now()).commit()
        table = self.table
        needed = {file for task in table.scan().plan_files() for file in _paths(task)}
        for snapshot in table.snapshots():
            manifests = snapshot.manifests(table.io)
            needed.update([snapshot.manifest_list, *(manifest.manifest_path for manifest in manifests)])
        for path in (self.folder / "warehouse").rglob("*"):
            if path.suffix in (".parquet", ".avro") and f"file://{path}" not in needed:
                path.unlink()

    def rows(self) -> tuple[list[int], Any]:
        """Give the newest rows, and their snapshot."""
        table = self.table
        return [table.current_snapshot().snapshot_id], table.scan().to_arrow()


def _paths(task: Any) -> list[str]:
    return [task.file.file_path, *(file.file_path for file in task.delete_files)]


SIDES = {"delta": DeltaSide, "iceberg": IcebergSide}


def kept(folder: Path, version: int) -> Path:
    """Say where the rows of a version are kept."""
    return folder / "kept" / f"{version}.parquet"


def keep(folder: Path, side: Any) -> int:
    """Keep the newest rows, and give their version."""
    versions, rows = side.rows()
    for version in versions:
        path = kept(folder, version)
        if not path.exists():
            pq.write_table(rows, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
    return versions[0]


def make(kind: str, folder: Path) -> None:
    """Make a table, and keep its rows."""
    side = SIDES[kind](folder, np.random.default_rng(0))
    (folder / "kept").mkdir()
    side.make()
    keep(folder, side)


@contextmanager
def changing(kind: str, folder: Path) -> Iterator[None]:
    """Let processes change a table, until the block ends."""
    command = [sys.executable, "-P", "-c", "import beside; beside.main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    running = [
        subprocess.Popen([*command, kind, role, str(folder)], env=environment, stderr=subprocess.PIPE, text=True)
        for role in ROLES
    ]
    try:
        yield
    finally:
        (folder / "stop").touch()
        said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * len(ROLES), said


def main(words: Sequence[str] = ()) -> None:
    """Change a table in one way until there is a file `stop`."""
    kind, role, place = words or sys.argv[1:]
    warnings.simplefilter("ignore")  # pyiceberg's, of deletes that match nothing
    folder = Path(place)
    side = SIDES[kind](folder, np.random.default_rng(ROLES.index(role)))
    while not (folder / "stop").exists():
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            getattr(side, role)()
            keep(folder, side)
        time.sleep(side.rng.random() * 0.2)
