"""Rows that come in small batches beside the same in large ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from timing import Pair

import streamnorm as sn

VALUES, SMALL, LARGE = 1 << 22, 1 << 13, 1 << 20


def histograms(bench: Any) -> Pair:
    """Learn quartiles of one column."""
    table = pa.table({"x": np.random.default_rng(5).normal(100, 15, VALUES)})

    def learn(rows: int) -> sn.RobustScaler:
        scaler = sn.RobustScaler()
        for batch in table.to_batches(rows):
            scaler.partial_fit(batch)
        return scaler

    def same(ours: sn.RobustScaler, theirs: sn.RobustScaler) -> None:
        if ours != theirs:
            raise ValueError("other batches gave another state")

    return Pair(lambda: learn(SMALL), lambda: learn(LARGE), same)
