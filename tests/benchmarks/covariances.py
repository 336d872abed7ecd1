"""Exact sums of the products of all pairs of columns, beside one rounded matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np
from timing import Pair

import streamnorm as sn


def fit(bench: Any, columns: int) -> Pair:
    """As many normal numbers, whatever the number of columns."""
    rows = (1 << 23) // columns
    x = np.random.default_rng(5).normal(size=(rows, columns))
    ours = sn.Whitener().fit(x[:columns])
    return Pair(lambda: ours.partial_fit(x), lambda: x.T @ x)
