"""Rows that come in small batches beside the same in large ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from timing import Pair

import streamnorm as sn

VALUES, SMALL, LARGE = 1 << 22, 1 << 13, 1 << 20


def histograms(bench: Any) -> Pair:
    """Learn quartiles of one column from a stream."""
    table = pa.table({"x": np.random.default_rng(5).normal(100, 15, VALUES)})
    small, large = table.to_batches(SMALL), table.to_batches(LARGE)

    def same(ours: sn.RobustScaler, theirs: sn.RobustScaler) -> None:
        if ours != theirs:
            raise ValueError("other batches gave another state")

    return Pair(lambda: sn.RobustScaler().fit(iter(small)), lambda: sn.RobustScaler().fit(iter(large)), same)
