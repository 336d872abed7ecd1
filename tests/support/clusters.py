"""What the engines are tried on: a folder of files with everything in it, and tables compared to the bit."""

from __future__ import annotations

import datetime
import decimal
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import streamnorm as sn

PIPELINES = Path(__file__).parents[2] / "pipelines"
SCALERS = ["standard", "minmax", "maxabs", "robust", "quantile", "power", "squashing", "kbins", "winsor"]
DAMAGES = ["infinity", "text", "page", "cut short"]
#: Rows that weigh by an instant, a date and a number, and by key.
AGEING = {
    "instants": sn.TableNormalizer(sn.StandardScaler(halflife="30us"), {"far": "robust"}, time="when"),
    "dates": sn.StandardScaler(halflife="7d", time="day"),
    "numbers": sn.StandardScaler(halflife=3, time="small"),
    "keys": sn.TableNormalizer(sn.StandardScaler(halflife="7d"), time="day", by="small"),
}
NUMBERS = ["price", "far", "count", "small", "single", "money"]


def rows(n: int, seed: int) -> pa.Table:
    """Numbers of all kinds with missing values, and columns that no scaler may touch."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "id": pa.array([f"{seed}-{i:05}" for i in range(n)], pa.string()),
            "price": pa.array(rng.lognormal(0, 3, n), mask=rng.random(n) < 0.2),
            "far": 1e9 + rng.normal(size=n),
            "count": pa.array(rng.integers(-(2**62), 2**62, n), mask=rng.random(n) < 0.1),
            "small": rng.integers(0, 9, n).astype(np.int8),
            "single": pa.array(np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)), pa.float32()),
            "money": pa.array([decimal.Decimal(int(v)) / 4 for v in rng.integers(0, 999, n)], pa.decimal128(12, 2)),
            "day": pa.array([datetime.date(2020, 1, 1 + i % 28) for i in range(n)], pa.date32()),
            "when": pa.array(range(n), pa.int64()).cast(pa.timestamp("us", "UTC")),
            "list": pa.array([[i, None] if i % 3 else None for i in range(n)], pa.list_(pa.int64())),
            "flag": pa.array([i % 2 == 0 if i % 5 else None for i in range(n)], pa.bool_()),
            "raw": pa.array([b"\0\xff"] * n, pa.binary()),
        }
    )


def write_folder(folder: Path, tables: list[pa.Table]) -> Path:
    """Write one file a table, of row groups of 200 rows."""
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"part{number}.parquet", row_group_size=200)
    return folder


def with_infinity(table: pa.Table, row: int) -> pa.Table:
    """Put an infinity into the column "far"."""
    values = table["far"].to_numpy().copy()
    values[row] = np.inf
    return table.set_column(table.schema.get_field_index("far"), "far", pa.array(values))


def write_damaged(folder: Path, damage: str) -> Path:
    """Write a good file and one that cannot be fitted: of `DAMAGES`."""
    good, bad = rows(300, 0), rows(400, 1)
    if damage == "infinity":
        bad = with_infinity(bad, 310)
    if damage == "text":
        bad = bad.set_column(bad.schema.get_field_index("price"), "price", bad["id"])
    path = write_folder(folder, [good, bad]) / "part1.parquet"
    if damage == "page":
        content = bytearray(path.read_bytes())
        start = pq.ParquetFile(path).metadata.row_group(1).column(1).data_page_offset
        content[start : start + 200] = b"\xff" * 200
        path.write_bytes(content)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-300])
    return folder


def in_order(table: pa.Table) -> list[str]:
    """Give the rows by their id, as text that tells every float64, null and NaN apart."""
    return [repr(row) for row in table.sort_by("id").to_pylist()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def without_sessions() -> dict[str, str]:
    """Give the environment without what this process' own sessions of Spark have put there."""
    ours = {name: value for name, value in os.environ.items() if "SPARK" not in name}
    return {**ours, "SPARK_LOCAL_IP": "127.0.0.1"}


def run_script(script: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own."""
    return subprocess.run(
        [sys.executable, script, *map(str, words)], env=without_sessions(), capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


def check_job(script: str, source: Path, folder: Path) -> None:
    """Run a script that people copy: its state and rows are those of one machine."""
    words = [source, folder / "out", "--state", folder / "state.json", "--scaler", "robust"]
    done = run_script(PIPELINES / script, *words)
    assert done.returncode == 0, done.stderr
    local = sn.fit(source, sn.TableNormalizer("robust"))
    assert sn.load(folder / "state.json").digest() == local.digest()
    assert local.digest() in done.stdout
    expected = local.transform(pq.read_table(source))
    written = pa.concat_tables([pq.read_table(path) for path in sorted((folder / "out").glob("*.parquet"))])
    assert written.schema.names == expected.schema.names
    assert in_order(written.cast(expected.schema)) == in_order(expected)  # Spark writes instants without a zone
