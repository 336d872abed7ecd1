r"""Train on data larger than memory, with a score on rows held out.

As in::

    python pipelines/train_out_of_core.py data/flights.parquet --target arr_delay --above 15 \
        --columns dep_delay,distance,hour,temp,wind_speed

The first pass over the data learns the scaler; every further one trains an SGDClassifier batch by batch, with the
scaler frozen, so that early batches are not scaled by the statistics of few rows. Every fifth batch is held out: it
takes part in neither, and the score is that on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import FunctionTransformer

import streamnorm as sn
from streamnorm.errors import StreamnormError

HELD_OUT = 5


def batches(given: argparse.Namespace, *, held_out: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give pairs of features and target; rows without a target are left out."""
    names = given.columns.split(",")
    data = ds.dataset(given.input).to_batches(columns=[*names, given.target], batch_size=given.batch_size)
    for i, batch in enumerate(data):
        if (i % HELD_OUT == HELD_OUT - 1) == held_out:
            known = batch.filter(batch.column(given.target).is_valid())
            target = known.column(given.target).to_numpy(zero_copy_only=False)
            features = [known.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in names]
            if len(target):
                yield np.column_stack(features), target > given.above


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train a classifier on Parquet that does not fit in memory.")
    parser.add_argument("input", metavar="IN", help="a file or folder of Parquet")
    parser.add_argument("--target", required=True, help="column to be foretold")
    parser.add_argument("--above", type=float, default=0.0, help="what it is to be greater than (default: 0)")
    parser.add_argument("--columns", required=True, help="columns to foretell it from, as A,B,...")
    parser.add_argument("--passes", type=int, default=2, help="over the training data (default: 2)")
    parser.add_argument("--batch-size", type=int, default=8192, help="rows (default: 8192)")
    given = parser.parse_args(words)

    scaler = sn.StandardScaler().partial_fit(X for X, _ in batches(given, held_out=False))
    model = sn.StreamingPipeline(
        [
            ("scale", scaler.frozen()),
            ("fill", FrozenEstimator(FunctionTransformer(np.nan_to_num))),  # missing becomes the mean, which is 0
            ("learn", SGDClassifier(loss="log_loss", alpha=1e-3, average=True, random_state=0)),
        ]
    )
    passes = chain.from_iterable(batches(given, held_out=False) for _ in range(given.passes))
    model.partial_fit(passes, classes=[False, True])

    rows = right = positive = 0
    for X, y in batches(given, held_out=True):
        rows, right, positive = rows + len(y), right + int((model.predict(X) == y).sum()), positive + int(y.sum())
    if not rows:
        sys.exit(f"error: no batch to hold out: use a smaller --batch-size than {given.batch_size}")
    commonest = max(positive, rows - positive) / rows
    print(f"held out: {rows:,} rows, accuracy {right / rows:.4f}, of the commonest class {commonest:.4f}")


if __name__ == "__main__":
    try:
        main()
    except StreamnormError as error:
        sys.exit(f"error: {error}")
