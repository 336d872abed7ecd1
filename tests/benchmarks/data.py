"""The data that is measured on, from a fixed seed: `python data.py FOLDER --rows N --files N` writes it.

`normal` is what nothing compresses: random float64. `taxi` is like the trip records of New York's cabs:
integers, floats of few different values, nulls, float32, strings and timestamps.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

COLUMNS = 16
GROUP_ROWS = 1 << 17
BATCH_ROWS = 1 << 16


def normal(rows: int, seed: int) -> pa.Table:
    """Give random normal float64, each column with its own mean and standard deviation."""
    random = np.random.default_rng([1, seed])
    names = [f"x{i:02d}" for i in range(COLUMNS)]
    return pa.table({name: random.normal(i, 1 + i, rows) for i, name in enumerate(names)})


def taxi(rows: int, seed: int) -> pa.Table:
    """Give a table of trips."""
    random = np.random.default_rng([2, seed])

    def some(values: Any, nulls: float) -> pa.Array:
        return pa.array(values, mask=random.random(rows) < nulls)

    start = np.datetime64("2024-01-01", "us") + random.integers(0, 366 * 86400, rows).astype("timedelta64[s]")
    seconds = random.gamma(2, 400, rows).astype("timedelta64[s]")
    distance = np.round(random.lognormal(0.8, 0.8, rows), 2)
    fare = np.round(3 + 2.5 * distance, 1)
    tip = np.round(fare * random.choice([0, 0.15, 0.2, 0.25], rows), 2)
    zones = pa.array([f"zone {i}" for i in range(1, 266)])
    return pa.table(
        {
            "vendor": random.integers(1, 3, rows, np.int32),
            "start": start,
            "end": start + seconds,
            "passengers": some(random.choice([1, 2, 3, 4, 5, 6], rows, p=[0.72, 0.15, 0.05, 0.03, 0.03, 0.02]), 0.05),
            "distance": distance,
            "rate": some(random.choice([1.0, 2.0, 3.0, 5.0, 99.0], rows, p=[0.9, 0.05, 0.02, 0.02, 0.01]), 0.05),
            "flag": zones.take(pa.array(random.integers(0, 2, rows))),
            "from": zones.take(pa.array(random.integers(0, 265, rows))),
            "to": zones.take(pa.array(random.integers(0, 265, rows))),
            "payment": random.integers(0, 5, rows),
            "fare": fare,
            "extra": random.choice([0.0, 1.0, 2.5, 5.0], rows),
            "tax": np.full(rows, 0.5),
            "tip": tip,
            "tolls": random.choice([0.0, 6.94], rows, p=[0.93, 0.07]),
            "total": fare + tip,
            "surcharge": some(random.choice([0.0, 2.5], rows, p=[0.1, 0.9]), 0.05),
            "latitude": random.normal(40.75, 0.04, rows).astype(np.float32),
            "longitude": random.normal(-73.98, 0.05, rows).astype(np.float32),
        }
    )


def numbers(schema: pa.Schema) -> list[str]:
    """Name the columns that hold numbers."""
    return [item.name for item in schema if pa.types.is_integer(item.type) or pa.types.is_floating(item.type)]


@dataclass(frozen=True)
class Kind:
    """One of the two tables, at the size asked for; its files are written when they are first used."""

    name: str
    folder: Path
    rows: int
    csv_rows: int
    files: int

    def _table(self, rows: int, seed: int) -> pa.Table:
        return {"normal": normal, "taxi": taxi}[self.name](rows, seed)

    def _parquet(self, folder: Path, rows: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(self.files):
            # A dictionary of values that do not repeat makes files that nobody who measured would write.
            pq.write_table(
                self._table(max(1, rows // self.files), i),
                folder / f"part-{i}.parquet",
                row_group_size=GROUP_ROWS,
                use_dictionary=self.name == "taxi",
            )
        return folder

    @cached_property
    def parquet(self) -> Path:
        """A folder of Parquet files."""
        return self._parquet(self.folder / self.name, self.rows)

    @cached_property
    def one(self) -> Path:
        """A folder with one of these files."""
        folder = self.folder / f"{self.name}-one"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(next(iter(sorted(self.parquet.iterdir()))), folder)
        return folder

    @cached_property
    def quarter(self) -> Path:
        """The same of a quarter of the rows."""
        return self._parquet(self.folder / f"{self.name}-quarter", self.rows // 4)

    @cached_property
    def csv(self) -> Path:
        """A CSV file."""
        path = self.folder / f"{self.name}.csv"
        self.folder.mkdir(parents=True, exist_ok=True)
        pv.write_csv(self._table(self.csv_rows, 0), path)
        return path

    @cached_property
    def gzipped(self) -> Path:
        """The same, compressed as gzip does it by default."""
        path = self.csv.with_name(f"{self.csv.name}.gz")
        with self.csv.open("rb") as file, gzip.open(path, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(file, packed, 1 << 20)
        return path

    @cached_property
    def numbers(self) -> list[str]:
        """Names of the columns that hold numbers."""
        return numbers(self._table(1, 0).schema)

    @cached_property
    def batches(self) -> list[pa.RecordBatch]:
        """Whole batches in memory, 1 Mi rows at the most."""
        rows = max(BATCH_ROWS, min(self.rows, 1 << 20) // BATCH_ROWS * BATCH_ROWS)
        return self._table(rows, 0).to_batches(BATCH_ROWS)

    @cached_property
    def matrices(self) -> list[np.ndarray]:
        """The batches as ndarrays of shape (n_rows, n_columns), row after row as scikit-learn likes them."""
        return [np.ascontiguousarray(np.column_stack([c.to_numpy() for c in b.columns])) for b in self.batches]


def main() -> None:
    """Write both tables."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1 << 20)
    parser.add_argument("--csv-rows", type=int, default=1 << 17)
    parser.add_argument("--files", type=int, default=4)
    given = parser.parse_args()
    for name in ("normal", "taxi"):
        kind = Kind(name, given.folder, given.rows, given.csv_rows, given.files)
        print(kind.parquet, kind.csv, sep="\n")


if __name__ == "__main__":
    main()
