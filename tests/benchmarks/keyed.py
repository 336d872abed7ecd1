"""Statistics per key beside Polars' grouping: a hundred rows a key."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from timing import Pair

import streamnorm as sn

if TYPE_CHECKING:
    from rows import Bench

ROWS_OF_A_KEY = 100


@cache
def _table(rows: int, text: bool) -> pa.Table:
    rng = np.random.default_rng(11)
    keys = pa.array(rng.integers(0, max(1, rows // ROWS_OF_A_KEY), rows))
    return pa.table({"key": keys.cast(pa.string()) if text else keys, "x": rng.normal(100, 15, rows)})


def _agree(ours: Any, theirs: Any) -> None:
    (keyed,) = [group.summary.in_order() for group in ours.learnt.groups]
    (column,), frame = keyed.columns, theirs.sort("key")
    assert keyed.keys.columns[0].to_pylist() == frame["key"].to_list()
    np.testing.assert_allclose(column.mean(), frame["mean"].to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(column.std(1), frame["std"].to_numpy(), rtol=1e-9)


def fit_polars(bench: Bench, *, text: bool) -> Pair:
    """A fit of a table in memory, and the same means and standard deviations; 2.5 times as many rows as elsewhere."""
    import polars as pl

    table = _table(bench.normal.rows * 5 // 2, text)
    frame, x = pl.from_arrow(table), pl.col("x")
    return Pair(
        lambda: sn.TableNormalizer(by="key").fit(table),
        lambda: frame.group_by("key").agg(x.mean().alias("mean"), x.std().alias("std")),
        _agree,
    )
