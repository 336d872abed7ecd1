"""Columns of vectors beside as many plain values: embeddings of 768 float32 in one column, and 48 columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from timing import Pair

import streamnorm as sn

WIDTH, ROWS = 768, 4096
PLAIN = 48


def _batches() -> tuple[pa.RecordBatch, pa.RecordBatch]:
    random = np.random.default_rng(4)
    flat = pa.array(random.normal(size=WIDTH * ROWS).astype(np.float32))
    rows = WIDTH * ROWS // PLAIN
    columns = {f"x{i:02d}": flat.slice(i * rows, rows) for i in range(PLAIN)}
    return pa.record_batch({"v": pa.FixedSizeListArray.from_arrays(flat, WIDTH)}), pa.record_batch(columns)


def fit(bench: Any) -> Pair:
    """As many values in either, so that the ratio is that of the time for one value."""
    vectors, plain = _batches()
    ours, theirs = sn.TableNormalizer().fit(vectors), sn.TableNormalizer().fit(plain)
    return Pair(lambda: ours.partial_fit(vectors), lambda: theirs.partial_fit(plain), times=4)


def transform(bench: Any) -> Pair:
    """The same, normalised."""
    vectors, plain = _batches()
    ours, theirs = sn.TableNormalizer().fit(vectors), sn.TableNormalizer().fit(plain)
    return Pair(lambda: ours.transform(vectors), lambda: theirs.transform(plain), times=4)
