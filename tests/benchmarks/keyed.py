"""Statistics per key beside Polars' grouping."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from timing import Pair

import streamnorm as sn

if TYPE_CHECKING:
    from rows import Bench

ROWS_OF_A_KEY = 100
GROUP_ROWS, FILES = 1 << 17, 4
#: Keys, rows and columns of the job whose memory is measured.
MILLION, MILLION_ROWS, MILLION_COLUMNS = 1_000_000, 5_000_000, 4


@cache
def _table(rows: int, text: bool, rows_of_a_key: int) -> pa.Table:
    rng = np.random.default_rng(11)
    keys = pa.array(rng.integers(0, max(1, rows // rows_of_a_key), rows))
    return pa.table({"key": keys.cast(pa.string()) if text else keys, "x": rng.normal(100, 15, rows)})


def _rows(bench: Bench) -> int:
    """Give two and a half times as many rows as elsewhere."""
    return bench.normal.rows * 5 // 2


def _agree(ours: Any, theirs: Any) -> None:
    (keyed,) = [group.summary.in_order() for group in ours.learnt.groups]
    (column,), frame = keyed.columns, theirs.sort("key")
    assert keyed.keys.columns[0].to_pylist() == frame["key"].to_list()
    np.testing.assert_allclose(column.mean(), frame["mean"].to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(column.std(1), frame["std"].to_numpy(), rtol=1e-9)


def _statistics() -> list[Any]:
    import polars as pl

    return [pl.col("x").mean().alias("mean"), pl.col("x").std().alias("std")]


def fit_polars(bench: Bench, *, text: bool, rows_of_a_key: int = ROWS_OF_A_KEY) -> Pair:
    """A fit of a table in memory, and the same means and standard deviations."""
    import polars as pl

    table = _table(_rows(bench), text, rows_of_a_key)
    frame = pl.from_arrow(table)
    return Pair(
        lambda: sn.TableNormalizer(by="key").fit(table), lambda: frame.group_by("key").agg(_statistics()), _agree
    )


def fit_parquet_polars(bench: Bench, *, text: bool) -> Pair:
    """The same of a folder of files."""
    import polars as pl

    folder = bench.folder / f"keyed-{'text' if text else 'integer'}"
    folder.mkdir(parents=True, exist_ok=True)
    table = _table(_rows(bench), text, ROWS_OF_A_KEY)
    step = -(-len(table) // FILES)
    for i in range(FILES):
        pq.write_table(table.slice(i * step, step), folder / f"part-{i}.parquet", row_group_size=GROUP_ROWS)
    return Pair(
        lambda: sn.fit(folder, sn.TableNormalizer(by="key"), threads=bench.threads),
        lambda: pl.scan_parquet(folder).group_by("key").agg(_statistics()).collect(engine="streaming"),
        _agree,
    )


def million(bench: Bench) -> Path:
    """Write a folder of rows of a million keys, whatever the sizes of all else, and give its path."""
    folder, rows = bench.folder / "keyed-million", MILLION_ROWS // FILES
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(FILES):
        random = np.random.default_rng([12, i])
        columns = {f"x{j}": random.normal(100, 15, rows) for j in range(MILLION_COLUMNS)}
        table = pa.table({"key": random.integers(0, MILLION, rows), **columns})
        pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=GROUP_ROWS, use_dictionary=False)
    return folder
