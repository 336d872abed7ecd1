"""What a summary weighs on its way, and what merging many partitions costs: `python tests/benchmarks/scale.py`.

Summaries of real rows are merged through the two levels of `streamnorm.spark`: tasks that each merge many partitions,
then the driver, which merges what the tasks give. A sample of the merges is measured, and multiplied.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow as pa

import streamnorm as sn
from streamnorm.tasks import merge, nothing, summarise, to_bytes

SCALERS = ("standard", "minmax", "robust", "quantile")


def summaries(scaler: str, columns: int, rows: int, sample: int) -> tuple[list[bytes], sn.TableNormalizer, pa.Schema]:
    """Summarise so many partitions of normal and lognormal columns, a few of them really different."""
    table, rng, made = sn.TableNormalizer(scaler), np.random.default_rng(0), []
    for number in range(sample):
        values = rng.normal(100, 15, (columns, rows))
        values[::2] = np.exp(values[::2] / 50)
        batch = pa.record_batch({f"x{i}": column for i, column in enumerate(values)})
        like = nothing(table, batch.schema)
        learnt, _ = summarise(table, like, [batch])
        made.append(to_bytes(learnt if learnt is not None else like))
        if number == 0:
            schema = batch.schema
    return made, table, schema


def seconds_of_a_merge(states: list[bytes], table: sn.TableNormalizer, schema: pa.Schema) -> tuple[float, bytes]:
    """Give the time of reading and adding one state to what many gave, and the bytes of the sum."""
    like = nothing(table, schema)
    started = time.perf_counter()
    total = merge(states, like)
    return (time.perf_counter() - started) / len(states), to_bytes(total)


def main() -> None:
    """Print one line a scaler."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--partitions", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10_000, help="of a partition")
    parser.add_argument("--tasks", type=int, default=200, help="that merge partitions; Spark's default is 200")
    parser.add_argument("--sample", type=int, default=16, help="partitions that are really summarised and merged")
    given = parser.parse_args()
    print(f"{given.partitions:,} partitions of {given.rows:,} rows x {given.columns:,} columns, {given.tasks} tasks:")
    for scaler in SCALERS:
        states, table, schema = summaries(scaler, given.columns, given.rows, given.sample)
        each, total = seconds_of_a_merge(states, table, schema)
        again, _ = seconds_of_a_merge([total] * min(given.sample, 8), table, schema)
        one, size = len(states[0]), len(total)
        print(
            f"{scaler}: {one / given.columns:,.0f} bytes a column from a partition, "
            f"{size / given.columns:,.0f} merged; shuffled {one * given.partitions / 1e9:,.1f} GB; "
            f"each task {each * given.partitions / given.tasks:,.1f} s; "
            f"driver: {size * given.tasks / 1e6:,.0f} MB and {again * given.tasks:,.1f} s"
        )


if __name__ == "__main__":
    main()
