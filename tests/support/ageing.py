"""Rows with times, and what weighs them by a half-life."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

import streamnorm as sn

DAY = 86_400 * 10**9
START = np.datetime64("2024-03-01T00:00:00", "us")


def times_of(rows: int, days: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return START + (rng.random(rows) * days * 86_400e6).astype("timedelta64[us]")


def table_of(rows: int = 400, days: float = 90, seed: int = 0, missing: float = 0.1) -> pa.Table:
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(rows) < missing, np.nan, rng.normal(5, 3, rows))
    return pa.table(
        {"x": pa.array(x, from_pandas=True), "ts": times_of(rows, days, seed),
         "n": rng.integers(-9, 9, rows), "shop": rng.choice(["a", "b", None], rows).tolist()}
    )  # fmt: skip


def scaler(halflife="7d", **given) -> sn.StandardScaler:
    return sn.StandardScaler(halflife=halflife, time="ts", **given)


def normalizer(halflife="7d", **given) -> sn.TableNormalizer:
    return sn.TableNormalizer(sn.StandardScaler(halflife=halflife), time="ts", **given)


def summary_of(fitted):
    return fitted.learnt.groups[0].summary
